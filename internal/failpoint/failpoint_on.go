//go:build failpoint

// Package failpoint kills the process at a named moment, to prove that it may
// die there: FIREHOSE_FAILPOINT=NAME or NAME:N names the moment and how often
// it must be reached before.
package failpoint

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

var (
	name, count = parse(os.Getenv("FIREHOSE_FAILPOINT"))
	hits        atomic.Int64
)

func parse(s string) (string, int64) {
	name, n, _ := strings.Cut(s, ":")
	count, err := strconv.ParseInt(n, 10, 64)
	if err != nil {
		count = 1
	}
	return name, count
}

// Enabled says whether the program is built with the tag.
const Enabled = true

// Hit kills the process with SIGKILL if this moment was asked for.
func Hit(moment string) {
	if moment == name && hits.Add(1) == count {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal may take a moment; nothing may follow
	}
}

// Env names the variable, for a command's help.
var Env = map[string]string{"FIREHOSE_FAILPOINT": "NAME:N kills the process when it reaches the moment NAME for the Nth time"}
