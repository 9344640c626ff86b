package service

import (
	"os"
	"runtime/debug"
)

// gcPercent is how much garbage a service gathers, in percent of what it holds. Its
// queue turns over many times a second, so that nearly all of the heap is garbage
// soon. Of 100, the runtime's default, it takes a sixth less memory.
const gcPercent = 60

// byDefault is what the runtime begins with.
const byDefault = 100

// CollectEarlier has the garbage collector keep the heap small, unless GOGC is set or
// the program has a setting of its own.
func CollectEarlier() {
	if os.Getenv("GOGC") != "" {
		return
	}
	if was := debug.SetGCPercent(gcPercent); was != byDefault {
		debug.SetGCPercent(was)
	}
}
