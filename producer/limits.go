package producer

import (
	"fmt"
	"time"
)

// Limits bound what callers of the HTTP door may cost. Zero values mean the
// defaults.
type Limits struct {
	EventBytes        int           // JSON of one event's data; default 1 MiB
	BatchBytes        int64         // body of a batch, sent and decompressed; default 16 MiB
	BatchLines        int           // events in a batch; default 10,000
	InFlightBytes     int64         // bodies and their events in memory at once, all callers; default 128 MiB
	CallerBytes       int64         // the same of one address; default half of InFlightBytes
	Connections       int           // open at once; default 4,096
	CallerConnections int           // the same of one address; default a quarter of Connections
	HeaderTimeout     time.Duration // for the headers of a request; default 5 s
	ReadTimeout       time.Duration // for the whole request; default 30 s
	WriteTimeout      time.Duration // for the caller to take the answer; default 30 s
	IdleTimeout       time.Duration // between requests of a connection; default 2 min
	BatchTimeout      time.Duration // for all of a batch to be handed to the broker; default 60 s
}

// attributeRoom is what a line of a batch may have beside its data.
const attributeRoom = 16 << 10

// lineCost is what a line of a batch costs beside its text: what is remembered
// of it, and its answer.
const lineCost = 512

// parsedCost is what a parsed event weighs, as a multiple of its JSON. The shop's
// weigh 1 to 6.6 times as much: most of it is maps with a value in a box of its
// own for each field.
const parsedCost = 8

// parseAhead is the text whose events a pipeline holds parsed and not yet
// published, but for a line that is longer by itself: enough for a few
// processors, while they are encoded on one.
const parseAhead = 64 << 10

// withDefaults fills in what is zero.
func (l Limits) withDefaults() Limits {
	def := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	def64 := func(p *int64, v int64) {
		if *p == 0 {
			*p = v
		}
	}
	duration := func(p *time.Duration, v time.Duration) {
		if *p == 0 {
			*p = v
		}
	}
	def(&l.EventBytes, 1<<20)
	def64(&l.BatchBytes, 16<<20)
	def(&l.BatchLines, 10_000)
	def64(&l.InFlightBytes, 128<<20)
	def64(&l.CallerBytes, l.InFlightBytes/2)
	def(&l.Connections, 4096)
	def(&l.CallerConnections, max(1, l.Connections/4))
	duration(&l.HeaderTimeout, 5*time.Second)
	duration(&l.ReadTimeout, 30*time.Second)
	duration(&l.WriteTimeout, 30*time.Second)
	duration(&l.IdleTimeout, 2*time.Minute)
	duration(&l.BatchTimeout, time.Minute)
	return l
}

// validate checks limits that have their defaults. The error names the limit.
func (l Limits) validate() error {
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"max-event-bytes", int64(l.EventBytes)}, {"max-batch-bytes", l.BatchBytes}, {"max-batch-lines", int64(l.BatchLines)},
		{"max-in-flight-bytes", l.InFlightBytes}, {"max-caller-bytes", l.CallerBytes}, {"max-connections", int64(l.Connections)},
		{"max-caller-connections", int64(l.CallerConnections)},
		{"header-timeout", int64(l.HeaderTimeout)}, {"read-timeout", int64(l.ReadTimeout)},
		{"write-timeout", int64(l.WriteTimeout)}, {"idle-timeout", int64(l.IdleTimeout)},
		{"batch-timeout", int64(l.BatchTimeout)},
	} {
		if f.value < 0 {
			return fmt.Errorf("%s: want more than zero", f.name)
		}
	}
	// A body that is admitted must fit, or it could never be sent.
	event := int64(l.EventBytes) + attributeRoom + 1
	batch := l.BatchBytes + 1
	batch += parsedCost*min(batch, max(parseAhead, event)) + int64(l.BatchLines)*lineCost
	switch need := max(batch, event+parsedCost*event); {
	case l.CallerBytes > l.InFlightBytes:
		return fmt.Errorf("max-caller-bytes: %d is more than the %d of max-in-flight-bytes", l.CallerBytes, l.InFlightBytes)
	case l.CallerBytes < need:
		return fmt.Errorf("max-caller-bytes: %d is less than the largest request needs, %d", l.CallerBytes, need)
	case l.CallerConnections > l.Connections:
		return fmt.Errorf("max-caller-connections: %d is more than the %d of max-connections", l.CallerConnections, l.Connections)
	}
	return nil
}
