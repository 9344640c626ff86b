package postgres

import (
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// control has the system give a connection up whose other side does not
// acknowledge what it was sent: keep-alives say nothing of one that has something
// under way.
func control(network, _ string, c syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") {
		return nil // a socket of this machine
	}
	var err error
	if outer := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds()))
	}); outer != nil {
		return outer
	}
	return err
}
