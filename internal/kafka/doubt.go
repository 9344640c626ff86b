package kafka

import (
	"math/rand/v2"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Doubt counts the occasions on which a client may have sent a batch again:
// produce requests that went out and were not answered, pauses before a retry, as
// after REQUEST_TIMED_OUT, and answers to metadata requests after a produce request,
// for which a batch waits after NOT_LEADER_OR_FOLLOWER or KAFKA_STORAGE_ERROR. What
// was sent before may have been written, and the answer to the repetition says nothing
// about that: "not authorized" then does not mean that nothing was written.
//
// It counts too much rather than too little. Missed is a batch that a leader appended
// and answered with NOT_LEADER_OR_FOLLOWER, and that was then moved at the broker's
// hint, or by an answer to a metadata request that had been read before the batch was
// sent and came into force after it.
type Doubt struct {
	n    atomic.Uint64
	sent atomic.Bool // a produce request went out since the last answer to a metadata request
}

// DoubtOf returns the count that NewClient installed in the client, or nil in a
// client from elsewhere.
func DoubtOf(client *kgo.Client) *Doubt {
	hooks := reflect.ValueOf(client.OptValue(kgo.WithHooks)) // a slice of the client's own type
	if hooks.Kind() != reflect.Slice {
		return nil
	}
	for i := range hooks.Len() {
		if d, ok := hooks.Index(i).Interface().(*Doubt); ok {
			return d
		}
	}
	return nil
}

// backoff is how long the client waits before it tries again for the nth time.
func (d *Doubt) backoff(first time.Duration) func(n int) time.Duration {
	return func(n int) time.Duration {
		d.n.Add(1)
		wait := first << min(max(n-1, 0), 4)
		return wait*4/5 + rand.N(wait*2/5+1) // so that clients do not come back together
	}
}

// Count returns the number so far. It only grows.
func (d *Doubt) Count() uint64 { return d.n.Load() }

// OnBrokerE2E implements kgo.HookBrokerE2E.
func (d *Doubt) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e2e kgo.BrokerE2E) {
	switch lost := e2e.Err() != nil; {
	case key == int16(kmsg.Produce) && lost && e2e.BytesWritten > 0, key == int16(kmsg.Metadata) && !lost && d.sent.Swap(false):
		d.n.Add(1)
	}
}

// OnBrokerWrite implements kgo.HookBrokerWrite.
func (d *Doubt) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	if key == int16(kmsg.Produce) && !d.sent.Load() {
		d.sent.Store(true)
	}
}

var (
	_ kgo.HookBrokerE2E   = (*Doubt)(nil)
	_ kgo.HookBrokerWrite = (*Doubt)(nil)
)
