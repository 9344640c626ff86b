package main

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// readRaw reads all of the topic's records, and does nothing with them.
func readRaw(ctx context.Context, s *side) error {
	start := map[int32]kgo.Offset{}
	for p := range partitionsOf(s.topic) {
		start[int32(p)] = kgo.NewOffset().AtStart()
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(s.brokers...), kgo.FetchMaxPartitionBytes(4<<20),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{s.topic: start}))
	if err != nil {
		return err
	}
	defer client.Close()
	var begun time.Time
	for n := 0; n < s.events; {
		fetched := client.PollFetches(ctx)
		if err := fetched.Err0(); err != nil {
			return err
		}
		if begun.IsZero() {
			begun = time.Now()
		}
		n += fetched.NumRecords()
	}
	return s.say(report{Events: s.events, Seconds: time.Since(begun).Seconds()})
}
