package producer_test

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"firehose/internal/service"
)

// A broker that takes events and does not answer holds up the first signal, which
// waits for outcomes; the second one ends it.
func TestSecondSignalAborts(t *testing.T) {
	for _, tt := range []struct {
		name, stdin string
		args        []string
		says        string // on standard output
	}{
		{"send", movementLine("m-1", "s-1") + "\n", []string{"send", "-"}, `"type":"/problems/outcome-unknown"`},
		{"replay", "", []string{"replay", "cdnow", "--checkpoint", "", "--admin", "127.0.0.1:0"}, "0 acknowledged"},
		{"simulate", "", []string{"simulate", "--rate", "0", "--checkpoint", "", "--admin", "127.0.0.1:0"}, "0 acknowledged"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := startBackend(t, backendConfig{})
			sent := make(chan struct{}, 1)
			b.broker.Cluster().ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
				b.broker.Cluster().KeepControl()
				select {
				case sent <- struct{}{}:
				default:
				}
				return nil, nil, true
			})
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, os.Args[0], append(tt.args, "--brokers", b.broker.Addr(), "--registry", b.registryURL,
				"--timeout", "10m", "--grace", "10m", "--log-format", "json")...)
			cmd.Env = []string{actAs + "=1"}
			var stdout, stderr safeBuffer
			cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(tt.stdin), &stdout, &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			select {
			case <-sent:
			case <-ctx.Done():
				t.Fatalf("nothing was sent: %s", stderr.String())
			}
			if admin := regexp.MustCompile(`"admin listens","addr":"([^"]+)"`).FindStringSubmatch(stderr.String()); admin != nil {
				a := &door{url: "http://" + admin[1], client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
				if metrics := a.do(t, "GET", "/metrics", nil, nil).body; !strings.Contains(metrics, "firehose_producer_accepted_total") {
					t.Errorf("/metrics has nothing of the producer: %s", metrics)
				}
			} else if tt.name != "send" {
				t.Errorf("no admin port: %s", stderr.String())
			}
			terminate(t, cmd)
			waitFor(t, "it to be stopping", func() bool { return strings.Contains(stderr.String(), "stopping") })
			terminate(t, cmd)
			_ = cmd.Wait() // its verdict is in ProcessState
			if got := cmd.ProcessState.ExitCode(); got != service.ExitFailed || !strings.Contains(stderr.String(), "aborted") {
				t.Errorf("exit %d, want 1 and to be told of the abort: %s", got, stderr.String())
			}
			if !strings.Contains(stdout.String(), tt.says) {
				t.Errorf("said %q, want %q", stdout.String(), tt.says)
			}
		})
	}
}

func terminate(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}
