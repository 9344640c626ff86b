package firehose_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"firehose"
	"firehose/consumers/inventory"
	"firehose/internal/service"
)

// A service that is told nonsense exits with 2 before it touches anything; one
// that is told well and cannot exits with 1.
func TestWrongConfigurationIsWrongUsage(t *testing.T) {
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"--brokers x", service.ExitUsage, `"x": want host:port`},
		{"--group-protocol eager", service.ExitUsage, `group protocol "eager"`},
		{"--sasl-user u", service.ExitUsage, "SASL password file"},
		{"--registry ftp://x", service.ExitUsage, "registry URL 1"},
		{"--store mysql:x", service.ExitUsage, "store: want sqlite:PATH or postgres://"},
		{"--store postgres://u:p@127.0.0.1:1/d", service.ExitUsage, "store: holds a password"},
		{"--store-password-file p", service.ExitUsage, "a store of SQLite has no password"},
		{"--max-batch -1", service.ExitUsage, "max batch -1"},
		{"--max-queue-bytes 1", service.ExitUsage, "max queue bytes 1"},
		{"--breaker-pause -1s", service.ExitUsage, "breaker pause -1s"},
		{"--schema-patience -1s", service.ExitUsage, "schema patience -1s"},
		{"--admin nonsense", service.ExitUsage, "--admin nonsense"},
		{"manifest --registry ftp://x", service.ExitUsage, "registry URL 1"},
		{"--store sqlite:none/x.db", service.ExitFailed, "no such file"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			t.Chdir(t.TempDir())
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel() // what is taken for good would run on
			var stderr strings.Builder
			code := service.Execute(ctx, firehose.Command(inventory.Service()), service.Process{
				Args: strings.Fields(tt.args), Stdout: io.Discard, Stderr: &stderr,
			})
			if code != tt.code || !strings.Contains(stderr.String(), tt.want) {
				t.Errorf("exit %d %q, want %d and %q", code, stderr.String(), tt.code, tt.want)
			}
		})
	}
}
