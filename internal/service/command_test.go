package service_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firehose/internal/service"
)

// call is what one run of the test program printed and saw.
type call struct {
	code           int
	stdout, stderr string
	got            settings
	args           []string
}

type settings struct {
	Brokers []string
	Headers []string
	Rate    int
	JSON    bool
	Grace   time.Duration
}

// run calls a program with the commands "send" and "simulate".
func run(t *testing.T, env []string, args ...string) call {
	t.Helper()
	var (
		c        call
		kafka    service.Cluster
		shutdown service.Shutdown
		stdout   strings.Builder
		stderr   strings.Builder
	)
	send := &service.Command{
		Name:      "send",
		Summary:   "send events from files",
		Arguments: "FILE...|-",
		Example:   "producer send events.ndjson",
		Env:       map[string]string{"FIREHOSE_FAILPOINT": "where to stop, for tests"},
		Register: func(f *service.Flags) {
			kafka.Register(f)
			shutdown.Register(f)
			f.Repeated(&c.got.Headers, "header", "a `k=v` header")
			f.Short("H", "header")
			f.BoolVar(&c.got.JSON, "json", false, "print JSON")
			f.Short("J", "json")
			f.IntVar(&c.got.Rate, "rate", 1, "events a second")
		},
		Run: func(_ context.Context, args []string) error {
			c.args = args
			c.got.Brokers, c.got.Grace = kafka.Brokers, shutdown.Grace
			switch strings.Join(args, " ") {
			case "missing":
				return errors.New("open missing: no such file")
			case "":
				return service.Usagef("which file?")
			case "refused":
				return service.ErrFailed
			}
			return nil
		},
	}
	simulate := &service.Command{
		Name: "simulate", Summary: "simulate a shop",
		Register: func(f *service.Flags) { f.Int64("seed", 1, "the seed") },
		Run:      func(context.Context, []string) error { return nil },
	}
	root := &service.Command{Name: "producer", Summary: "append events", Commands: []*service.Command{send, simulate}}
	c.code = service.Execute(t.Context(), root, service.Process{Args: args, Env: env, Stdout: &stdout, Stderr: &stderr})
	c.stdout, c.stderr = stdout.String(), stderr.String()
	return c
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPrecedence(t *testing.T) {
	defaults := settings{Brokers: []string{"127.0.0.1:9092"}, Rate: 1, Grace: 25 * time.Second}
	with := func(change func(*settings)) settings {
		s := defaults
		change(&s)
		return s
	}
	tests := []struct {
		name string
		file string
		env  []string
		args []string
		want settings
	}{
		{name: "defaults", want: defaults},
		{name: "file", file: "rate: 7\nbrokers: [a:1, b:2]\njson: true\ngrace: 3s\n", want: settings{
			Brokers: []string{"a:1", "b:2"}, Rate: 7, JSON: true, Grace: 3 * time.Second,
		}},
		{name: "a list in one line", file: "brokers: a:1, b:2\n", want: with(func(s *settings) { s.Brokers = []string{"a:1", "b:2"} })},
		{name: "empty file", file: "# nothing yet\n", want: defaults},
		{name: "environment beats file", file: "rate: 7\n", env: []string{"FIREHOSE_RATE=8"}, want: with(func(s *settings) { s.Rate = 8 })},
		{name: "flag beats both", file: "rate: 7\n", env: []string{"FIREHOSE_RATE=8"}, args: []string{"--rate", "9"}, want: with(func(s *settings) { s.Rate = 9 })},
		{name: "short name beats both", file: "brokers: c:3", env: []string{"FIREHOSE_BROKERS=b:2"}, args: []string{"-b", "a:1"}, want: with(func(s *settings) { s.Brokers = []string{"a:1"} })},
		{name: "short names repeated", args: []string{"-H", "a=1,2", "-H", "b=3", "-J"}, want: with(func(s *settings) { s.Headers, s.JSON = []string{"a=1,2", "b=3"}, true })},
		{name: "list in parts", args: []string{"-b", "a:1", "--brokers", "b:2"}, want: with(func(s *settings) { s.Brokers = []string{"a:1", "b:2"} })},
		{name: "keys of another command", file: "seed: 3\nrate: 2\n", env: []string{"FIREHOSE_SEED=4", "FIREHOSE_FAILPOINT=x"}, want: with(func(s *settings) { s.Rate = 2 })},
		{name: "what Kubernetes adds", env: []string{
			"FIREHOSE_SERVICE_HOST=10.0.0.1", "FIREHOSE_SERVICE_PORT=8080", "FIREHOSE_SERVICE_PORT_HTTP=8080", "FIREHOSE_PORT=tcp://10.0.0.1:8080",
			"FIREHOSE_PORT_8080_TCP=tcp://10.0.0.1:8080", "FIREHOSE_PORT_8080_TCP_ADDR=10.0.0.1", "OTHER=1",
		}, want: defaults},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			args := append([]string{"send", "x"}, tt.args...)
			if tt.file != "" {
				args = append(args, "--config", file(t, tt.file))
			}
			c := run(t, tt.env, args...)
			if c.code != service.ExitDone {
				t.Fatalf("got exit code %d: %s", c.code, c.stderr)
			}
			if diff := cmp.Diff(tt.want, c.got); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
		})
	}

	t.Run("file named by the environment", func(t *testing.T) {
		c := run(t, []string{"FIREHOSE_CONFIG=" + file(t, "rate: 5")}, "send", "x")
		if c.code != service.ExitDone || c.got.Rate != 5 {
			t.Errorf("got exit code %d, rate %d, want 0 and 5; %s", c.code, c.got.Rate, c.stderr)
		}
	})
}

func TestWrongUsage(t *testing.T) {
	tests := []struct {
		name   string
		file   string
		env    []string
		args   []string
		stderr string
	}{
		{name: "no command", stderr: "which command? one of: send, simulate"},
		{name: "unknown command", args: []string{"sned"}, stderr: `unknown command "sned"`},
		{name: "unknown flag", args: []string{"send", "--broker", "x"}, stderr: "unknown flag --broker"},
		{name: "unknown variable", args: []string{"send", "x"}, env: []string{"FIREHOSE_BROKER=x"}, stderr: "unknown environment variable FIREHOSE_BROKER"},
		{name: "unknown key", args: []string{"send", "x"}, file: "rate: 1\nbroker: x\n", stderr: `config.yaml:2: unknown key "broker"`},
		{name: "a short name as key", args: []string{"send", "x"}, file: "b: x\n", stderr: `unknown key "b"`},
		{name: "file in the file", args: []string{"send", "x"}, file: "config: x\n", stderr: `unknown key "config"`},
		{name: "key twice", args: []string{"send", "x"}, file: "rate: 1\nrate: 2\n", stderr: `config.yaml:2: key "rate" is given twice`},
		{name: "key without value", args: []string{"send", "x"}, file: "rate:\n", stderr: "rate: no value"},
		{name: "nested", args: []string{"send", "x"}, file: "rate: {a: 1}\n", stderr: "rate: want a value"},
		{name: "not a mapping", args: []string{"send", "x"}, file: "- rate\n", stderr: "want a mapping"},
		{name: "not YAML", args: []string{"send", "x"}, file: "rate: [\n", stderr: "config.yaml: yaml:"},
		{name: "two documents", args: []string{"send", "x"}, file: "rate: 1\n---\nrate: 2\n", stderr: "more than one document"},
		{name: "no file", args: []string{"send", "--config", "/nonexistent/c.yaml", "x"}, stderr: "/nonexistent/c.yaml: no such file"},
		{name: "bad flag value", args: []string{"send", "--rate", "fast"}, stderr: `invalid value "fast" for flag -rate`},
		{name: "bad variable value", args: []string{"send", "x"}, env: []string{"FIREHOSE_GRACE=-1s"}, stderr: `FIREHOSE_GRACE: invalid value "-1s": want more than zero`},
		{name: "bad file value", args: []string{"send", "x"}, file: "grace: soon\n", stderr: `config.yaml:1: grace: invalid value "soon": want a duration`},
		{name: "empty list item", args: []string{"send", "-b", "a,,b"}, stderr: "empty item"},
		{name: "argument too many", args: []string{"simulate", "x"}, stderr: `unexpected argument "x"`},
		{name: "the command says so", args: []string{"send"}, stderr: "producer send: which file?"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			args := tt.args
			if tt.file != "" {
				args = append(args, "--config", file(t, tt.file))
			}
			c := run(t, tt.env, args...)
			if c.code != service.ExitUsage {
				t.Errorf("got exit code %d, want %d", c.code, service.ExitUsage)
			}
			if !strings.Contains(c.stderr, tt.stderr) || !strings.Contains(c.stderr, "--help") {
				t.Errorf("got stderr %q, want %q and where to find help", c.stderr, tt.stderr)
			}
			if c.stdout != "" {
				t.Errorf("got %q on stdout, want nothing", c.stdout)
			}
		})
	}
}

func TestArguments(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want []string
	}{
		{name: "flags between", args: []string{"a", "--rate", "2", "b", "-J"}, want: []string{"a", "b"}},
		{name: "standard input", args: []string{"-J", "-"}, want: []string{"-"}},
		{name: "after two dashes", args: []string{"a", "--", "-J", "--rate"}, want: []string{"a", "-J", "--rate"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := run(t, nil, append([]string{"send"}, tt.args...)...)
			if c.code != service.ExitDone {
				t.Fatalf("got exit code %d: %s", c.code, c.stderr)
			}
			if diff := cmp.Diff(tt.want, c.args); diff != "" {
				t.Errorf("arguments (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFailure(t *testing.T) {
	c := run(t, nil, "send", "missing")
	if want := "producer send: open missing: no such file\n"; c.code != service.ExitFailed || c.stderr != want {
		t.Errorf("got exit code %d, stderr %q, want 1, %q", c.code, c.stderr, want)
	}
	c = run(t, nil, "send", "refused")
	if c.code != service.ExitFailed || c.stderr != "" {
		t.Errorf("got exit code %d, stderr %q, want 1 and silence", c.code, c.stderr)
	}
}

func TestHelp(t *testing.T) {
	tests := []struct {
		args []string
		want []string
	}{
		{args: []string{"--help"}, want: []string{"producer: append events", "send      send events from files", "producer COMMAND --help"}},
		{args: []string{"help"}, want: []string{"producer: append events"}},
		{args: []string{"send", "-h"}, want: []string{
			"producer send [flags] FILE...|-", "producer send events.ndjson", "-b, --brokers addresses", "(default 127.0.0.1:9092)",
			"-J, --json", "--grace time", "(default 25s)", "--config file", "FIREHOSE_FAILPOINT: where to stop",
		}},
		{args: []string{"help", "send"}, want: []string{"producer send [flags] FILE...|-"}},
		{args: []string{"send", "x", "--help"}, want: []string{"producer send [flags] FILE...|-"}},
		{args: []string{"--version"}, want: []string{"producer ", "go1."}},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			c := run(t, nil, tt.args...)
			if c.code != service.ExitDone || c.stderr != "" {
				t.Errorf("got exit code %d, stderr %q, want 0 and none", c.code, c.stderr)
			}
			for _, want := range tt.want {
				if !strings.Contains(c.stdout, want) {
					t.Errorf("got\n%s\nwant it to contain %q", c.stdout, want)
				}
			}
		})
	}
}
