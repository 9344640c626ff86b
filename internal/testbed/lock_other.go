//go:build !unix

package testbed

import "testing"

// hold does nothing where a file cannot be locked as on Unix: run such tests one
// at a time there.
func hold(testing.TB, string, lockKind) {}
