package service_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"firehose/internal/service"
)

// The command answers as the instance does: alive, though not ready; and neither
// once it has gone.
func TestHealthCommand(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	ctx, stop := context.WithCancel(t.Context())
	group := service.NewGroup(ctx, time.Second)
	health := service.NewHealth()
	health.Check("consume", func(context.Context) error { return errors.New("partition 3 is paused") })
	admin := service.Admin{Addr: "127.0.0.1:0"}
	if err := admin.Start(group, health, service.NewMetrics(), log); err != nil {
		t.Fatal(err)
	}
	group.Go("work", func(stop, _ context.Context) error { <-stop.Done(); return nil })
	_, port, err := net.SplitHostPort(admin.Addr)
	if err != nil {
		t.Fatal(err)
	}

	for _, c := range []struct {
		name string
		args []string
		env  []string
		code int
		says string
	}{
		{"alive", []string{"--admin", admin.Addr}, nil, service.ExitDone, ""},
		{"an address of all hosts", nil, []string{"FIREHOSE_ADMIN=0.0.0.0:" + port}, service.ExitDone, ""},
		{"not ready", []string{"--admin", admin.Addr, "--ready"}, nil, service.ExitFailed, "partition 3 is paused"},
		{"no address", nil, nil, service.ExitUsage, "with its port"},
		{"no port", []string{"--admin", "localhost"}, nil, service.ExitUsage, "with its port"},
	} {
		code, said := ask(t, c.args, c.env)
		if code != c.code || !strings.Contains(said, c.says) {
			t.Errorf("%s: exit %d, %q; want %d and %q", c.name, code, said, c.code, c.says)
		}
	}

	stop()
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if code, said := ask(t, []string{"--admin", admin.Addr}, nil); code != service.ExitFailed {
		t.Errorf("nobody listens: exit %d, %q; want %d", code, said, service.ExitFailed)
	}
}

func ask(t *testing.T, args, env []string) (code int, said string) {
	t.Helper()
	var stderr bytes.Buffer
	code = service.Execute(t.Context(), service.HealthCommand("billing"),
		service.Process{Args: args, Env: env, Stdout: io.Discard, Stderr: &stderr})
	return code, stderr.String()
}
