//go:build !linux

package postgres

import "syscall"

// control does nothing: only Linux can be told when to give a connection up.
func control(string, string, syscall.RawConn) error { return nil }
