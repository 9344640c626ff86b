//go:build !unix

package loadtest

import "syscall"

func apart() *syscall.SysProcAttr { return nil }
