package dev

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"firehose"
	"firehose/internal/kafka"
	"firehose/internal/offsets"
)

// idleEvery is how often it is looked whether everything is applied.
const idleEvery = 50 * time.Millisecond

// untilIdle waits until nothing is left to be sent and every service's positions
// are the ends of the logs. It returns false when ctx ended before, and an error
// when a partition is stopped, which nothing but an operator can end.
func (s *system) untilIdle(ctx context.Context) (bool, error) {
	select {
	case <-ctx.Done():
		return false, nil
	case <-s.fed:
	}
	tick := time.NewTicker(idleEvery)
	defer tick.Stop()
	for {
		idle, err := s.idle(ctx)
		if ctx.Err() != nil {
			return false, nil
		}
		if idle || err != nil {
			return idle, err
		}
		select {
		case <-ctx.Done():
			return false, nil
		case <-tick.C:
		}
	}
}

func (s *system) idle(ctx context.Context) (bool, error) {
	at := map[string]map[offsets.Partition]int64{} // by service
	var topics []string
	for _, m := range s.members {
		at[m.name] = map[offsets.Partition]int64{}
		topics = append(topics, m.topics...)
		for _, p := range m.instance.Status() {
			if strings.HasPrefix(p.State, "stopped_") {
				return false, fmt.Errorf("%s will never be idle: %s/%d is %s: %s", m.name, p.Topic, p.Partition, p.State, p.Why)
			}
			if p.Position < p.End {
				return false, nil // no need to ask the broker
			}
			at[m.name][offsets.Partition{Topic: p.Topic, ID: p.Partition}] = p.Position
		}
	}
	slices.Sort(topics)
	infos, err := kafka.DescribeTopics(ctx, s.client, slices.Compact(topics)...)
	if err != nil {
		return false, err
	}
	for _, info := range infos {
		for _, p := range info.Partitions {
			for _, m := range s.members {
				if !slices.Contains(m.topics, info.Name) {
					continue
				}
				next, owned := at[m.name][offsets.Partition{Topic: info.Name, ID: p.ID}]
				if !owned || next < p.StableEnd {
					return false, nil
				}
			}
		}
	}
	return true, nil
}

// lag is the records that a service has not applied yet, and the partitions that
// are not active.
func lag(status []firehose.PartitionStatus) (records int64, inactive []string) {
	for _, p := range status {
		records += max(0, p.End-p.Position)
		if p.State != "active" {
			inactive = append(inactive, fmt.Sprintf("%s/%d %s", p.Topic, p.Partition, p.State))
		}
	}
	return records, inactive
}
