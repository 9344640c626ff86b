package postgres_test

import (
	"net"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"firehose/internal/store/postgres"
)

// A server that does not acknowledge what it is sent is given up by the system,
// after 30 seconds and not after the quarter of an hour that is its default.
func TestUserTimeout(t *testing.T) {
	for network, listen := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "socket")} {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), network, listen)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		dial, err := postgres.Dialer("postgres://shop@db/shop")
		if err != nil {
			t.Fatal(err)
		}
		conn, err := dial(t.Context(), network, l.Addr().String())
		if err != nil {
			t.Fatalf("%s: %v", network, err)
		}
		defer conn.Close()
		tcp, ok := conn.(*net.TCPConn)
		if !ok {
			continue
		}
		raw, err := tcp.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var got int
		if outer := raw.Control(func(fd uintptr) { got, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT) }); outer != nil || err != nil {
			t.Fatal(outer, err)
		}
		if got != 30_000 {
			t.Errorf("TCP_USER_TIMEOUT: got %d ms, want 30000", got)
		}
	}
}
