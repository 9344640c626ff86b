//go:build unix

package testbed

import "syscall"

// apart is a process group of its own: what is sent to this process's group,
// Ctrl-C or a CI runner's last SIGKILL, must not take the guard away before it
// has cleaned up.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
