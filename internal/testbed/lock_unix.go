//go:build unix

package testbed

import (
	"os"
	"syscall"
	"testing"
)

// hold locks a file until the test ends, shared or alone, whoever else, in this
// process or another, holds it.
func hold(t testing.TB, name string, use lockKind) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	how := syscall.LOCK_SH
	if use == exclusive {
		how = syscall.LOCK_EX
	}
	for err = syscall.EINTR; err == syscall.EINTR; {
		err = syscall.Flock(int(f.Fd()), how)
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	t.Cleanup(func() { f.Close() }) // which lets go
}
