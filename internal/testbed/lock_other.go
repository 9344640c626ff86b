//go:build !unix

package testbed

// lockFile does nothing where a file cannot be locked as on Unix: run such tests
// one at a time there.
func lockFile(string, lockKind) (unlock func(), err error) { return func() {}, nil }
