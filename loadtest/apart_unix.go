//go:build unix

package loadtest

import "syscall"

// apart is a process group of its own: Ctrl-C stops the run, which then stops its
// children when they are no longer needed.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
