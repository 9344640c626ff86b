package testbed

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// lockKind is how a test uses what other tests use, too.
type lockKind int

const (
	shared lockKind = iota
	exclusive
)

// lock waits for the right to use what is so named, until the test ends. A test
// must not ask twice for the same: it would wait for itself. Whoever wants both asks
// for the cluster first, then for the registry: else two tests could each wait for
// what the other has.
func lock(t testing.TB, name string, use lockKind) {
	t.Helper()
	unlock, err := lockFile(filepath.Join(os.TempDir(), fmt.Sprintf("firehose-test-%.8x.lock", sha256.Sum256([]byte(name)))), use)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(unlock)
}
