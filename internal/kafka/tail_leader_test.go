package kafka_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firehose/internal/kafka"
)

// A partition that has lost its leader is silent, and so is a log with nothing
// left. Only the second one ends a Read.
func TestReadWaitsForALeader(t *testing.T) {
	for _, test := range []struct {
		name   string
		denied int32 // how often a new leader is asked for in vain
		idle   time.Duration
		want   int
		fails  string
	}{
		// The client looks for a new leader twice a second.
		{"there is another soon", 3, time.Second, 6, ""},
		{"there is none", 1 << 30, 30 * time.Millisecond, 3, "partition 1: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cluster, err := kfake.NewCluster(kfake.NumBrokers(2), kfake.SeedTopics(2, "t"))
			if err != nil {
				t.Fatal(err)
			}
			defer cluster.Close()
			cfg := kafka.Config{Brokers: cluster.ListenAddrs(), RetryBackoff: 10 * time.Millisecond}
			client, err := kafka.NewClient(cfg, kgo.RecordPartitioner(kgo.ManualPartitioner()))
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			for n := range int32(6) {
				if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Partition: n % 2}).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
			// From the first fetch on nobody leads partition 1.
			var fetched atomic.Bool
			var denied atomic.Int32
			gone := func() bool { return denied.Load() < test.denied }
			nobody := kfake.Fault{Topic: "t", Partitions: []int32{1}, Err: kerr.NotLeaderForPartition, Count: -1}
			fetch, list := nobody, nobody
			fetch.Keys, fetch.When = []kmsg.Key{kmsg.Fetch}, func(kmsg.Request) bool { fetched.Store(true); return gone() }
			list.Keys, list.When = []kmsg.Key{kmsg.ListOffsets}, func(kmsg.Request) bool {
				if !fetched.Load() || !gone() {
					return false
				}
				denied.Add(1)
				return true
			}
			cluster.Fault(fetch, list)

			got := 0
			err = kafka.Read(t.Context(), cfg, kafka.ReadConfig{Topic: "t", Idle: test.idle}, func(*kafka.Record) (bool, error) {
				got++
				return true, nil
			})
			if got != test.want {
				t.Errorf("got %d records (%v), want %d", got, err, test.want)
			}
			if test.fails == "" && err != nil || test.fails != "" && (err == nil || !strings.Contains(err.Error(), test.fails)) {
				t.Errorf("got %v, want an error with %q", err, test.fails)
			}
		})
	}
}
