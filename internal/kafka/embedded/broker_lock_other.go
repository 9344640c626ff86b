//go:build !unix

package embedded

import "os"

// lockDir creates dir. Without flock only the port stops a second process.
func lockDir(dir, _ string) (unlock func() error, err error) {
	return func() error { return nil }, os.MkdirAll(dir, 0o755)
}
