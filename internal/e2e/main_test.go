package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// binaries is where the programs under test are built, once.
var binaries string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "firehose-e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	binaries = dir
	code := m.Run()
	if err := errors.Join(goleak.Find(), os.RemoveAll(dir)); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

// build builds firehose and producer. They have failpoints, which do nothing
// unless asked for.
var build = sync.OnceValue(func() error {
	tags := "failpoint"
	if more := os.Getenv("E2E_TAGS"); more != "" {
		tags += "," + more
	}
	// As make build does it, so that what that has compiled need not be again.
	cmd := exec.CommandContext(context.Background(), "go", "build", "-trimpath", "-tags", tags,
		"-o", binaries+string(filepath.Separator), "firehose/cmd/firehose", "firehose/cmd/producer")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.Join(err, errors.New(strings.TrimSpace(string(out))))
	}
	return nil
})

// program returns the path of a program under test.
func program(t *testing.T, name string) string {
	t.Helper()
	if err := build(); err != nil {
		t.Fatalf("go build: %v", err)
	}
	return filepath.Join(binaries, name)
}

// full reports whether all of the data set is to be used everywhere.
func full() bool { return os.Getenv("E2E_FULL") != "" }
