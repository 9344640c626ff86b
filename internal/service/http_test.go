package service_test

import (
	"errors"
	"net"
	"testing"

	"firehose/internal/service"
)

// An address that cannot be one is wrong usage; one that is taken is not.
func TestListenTellsWrongUsage(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, tt := range []struct {
		addr  string
		usage bool
	}{
		{"nonsense", true},
		{"127.0.0.1", true},
		{":99999", true},
		{":no-such-service", true},
		{taken.Addr().String(), false},
	} {
		listener, err := service.Listen(t.Context(), "admin", tt.addr)
		if err == nil {
			listener.Close()
			t.Errorf("%s: taken", tt.addr)
			continue
		}
		var usage *service.UsageError
		if got := errors.As(err, &usage); got != tt.usage {
			t.Errorf("%s: wrong usage is %v, want %v: %v", tt.addr, got, tt.usage, err)
		}
	}
}
