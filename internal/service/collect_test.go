package service_test

import (
	"runtime/debug"
	"testing"

	"firehose/internal/service"
)

func TestCollectEarlier(t *testing.T) {
	before := debug.SetGCPercent(100)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	percent := func() int { return debug.SetGCPercent(100) } // what it was
	t.Setenv("GOGC", "100")
	if service.CollectEarlier(); percent() != 100 {
		t.Error("GOGC is set, and it was changed")
	}
	t.Setenv("GOGC", "")
	if service.CollectEarlier(); percent() >= 100 {
		t.Error("the runtime's default stays")
	}
	debug.SetGCPercent(200)
	if service.CollectEarlier(); percent() != 200 {
		t.Error("the program's own setting was changed")
	}
}
