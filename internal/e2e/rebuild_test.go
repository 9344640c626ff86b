package e2e_test

import (
	"context"
	"path/filepath"
	"testing"

	"firehose"
	"firehose/internal/kafka/embedded"
	"firehose/schemas"
)

// A service that starts from nothing, on a log from which compaction has taken
// all but the last states, arrives where the others are.
func TestRebuiltFromCompactedLog(t *testing.T) {
	t.Parallel()
	data := dataset(2000)
	dir := t.TempDir()
	devUntilIdle(t, dir, "--replay", data)
	want := hashes(t, dir)

	broker := brokerOf(t, dir)
	registry, err := embedded.StartRegistry(embedded.RegistryConfig{Dir: filepath.Join(dir, "registry")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { registry.Close() })
	before := readLogs(t, broker)
	broker.Compact()
	for topic, l := range readLogs(t, broker) {
		t.Logf("%-22s %7d records, %7d after compaction", topic, before[topic].Records, l.Records)
		if topic == schemas.TopicOrders && l.Records >= before[topic].Records {
			t.Errorf("%s was not compacted: the rebuild proves nothing", topic)
		}
	}
	for _, s := range services() {
		instance, err := s.Open(t.Context(), firehose.Config{
			Brokers: []string{broker.Addr()}, Registry: []string{registry.URL()},
			Store: "sqlite:" + filepath.Join(t.TempDir(), s.Name+".db"), Group: s.Name + "-rebuilt",
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- instance.Run(ctx, nil) }()
		ends := map[string]map[int32]int64{}
		partitions := 0
		for _, topic := range s.Topics() {
			ends[topic] = map[int32]int64{}
			for _, p := range describe(t, broker, topic) {
				ends[topic][p.ID] = p.StableEnd
				partitions++
			}
		}
		until(t, s.Name+" at the end of the log", func() bool {
			done := 0
			for _, p := range instance.Status() {
				if p.Position == ends[p.Topic][p.Partition] {
					done++
				}
			}
			return done == partitions
		})
		stop()
		if err := <-ran; err != nil {
			t.Fatal(err)
		}
		got, err := instance.Hash(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got != want[s.Name] {
			t.Errorf("%s: rebuilt from the compacted log it hashes %s, want %s", s.Name, got, want[s.Name])
		}
		if err := instance.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
