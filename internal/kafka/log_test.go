package kafka_test

import (
	"bytes"
	"log/slog"
	"net"
	"strings"
	"testing"

	"firehose/internal/kafka"
)

// A broker that is down is tried several times a second for as long as that
// takes. That is one thing to say, not thousands.
func TestDeadBrokerIsToldOnce(t *testing.T) {
	var out bytes.Buffer
	dead := make([]string, 2)
	for i := range dead {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		dead[i] = l.Addr().String()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	client, err := kafka.NewClient(kafka.Config{Brokers: dead, Log: slog.New(slog.NewTextHandler(&out, nil))})
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if client.Ping(t.Context()) == nil {
			t.Fatal("a dead broker answers")
		}
	}
	client.Close()
	for _, addr := range dead {
		if got := strings.Count(out.String(), "addr="+addr); got != 1 {
			t.Errorf("%s is told of %d times, want once\n%s", addr, got, out.String())
		}
	}
}
