package kafka

import (
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Doubt counts the produce requests of a client that went out and were not
// answered. Whatever they carried may have been written. The client sends it
// again, and the second answer says nothing about the first attempt: "not
// authorized" then does not mean that nothing was written.
type Doubt struct{ n atomic.Uint64 }

// DoubtOf returns the count that NewClient installed in the client, or nil in a
// client from elsewhere.
func DoubtOf(client *kgo.Client) *Doubt {
	hooks, _ := client.OptValue(kgo.WithHooks).([]kgo.Hook)
	for _, h := range hooks {
		if d, ok := h.(*Doubt); ok {
			return d
		}
	}
	return nil
}

// Count returns the number so far. It only grows.
func (d *Doubt) Count() uint64 { return d.n.Load() }

// OnBrokerE2E implements kgo.HookBrokerE2E.
func (d *Doubt) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e2e kgo.BrokerE2E) {
	if key == int16(kmsg.Produce) && e2e.BytesWritten > 0 && e2e.Err() != nil {
		d.n.Add(1)
	}
}

var _ kgo.HookBrokerE2E = (*Doubt)(nil)
