package kafka

import (
	"context"
	"fmt"
	"maps"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// silence decides what it means that nothing comes from the partitions that are
// still read: that nothing is left, or that they have lost their leader, for
// which the client looks again without a word.
type silence struct {
	reader *reader
	client *kgo.Client
	led    map[int32]lead // when it was last asked, in this silence; nil when somebody did not answer
	asked  int            // in vain, one after the other
}

// lead says who leads a partition, and for which time.
type lead struct{ broker, epoch int32 }

// maxSilences is how often, an idle time apart, a partition's leader may not
// answer. Brokers agree on a new one some 9 s after the old one died.
const maxSilences = 5

// broken notes that something came.
func (s *silence) broken() { s.led, s.asked = nil, 0 }

// over reports, after an idle time, whether nothing is left: the same leaders
// answered before it and after it. Once does not do: one that answers now may
// have been away until now. An error says that one has not answered for too
// long.
func (s *silence) over(ctx context.Context) (bool, error) {
	now, err := s.ask(ctx)
	if err != nil {
		s.led = nil
		if s.asked++; s.asked == maxSilences {
			return false, err
		}
		return false, nil
	}
	same := maps.Equal(s.led, now)
	s.led, s.asked = now, 0
	return same, nil
}

// ask asks every leader of a partition that is not read to its end for that end.
func (s *silence) ask(ctx context.Context) (map[int32]lead, error) {
	ctx, cancel := context.WithTimeout(ctx, s.reader.rc.Idle)
	defer cancel()
	admin, topic := kadm.NewClient(s.client), s.reader.rc.Topic
	details, err := admin.ListTopicsWithInternal(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("brokers do not answer: %w", err)
	}
	// Its error may be of partitions that are read to their end.
	ends, listing := admin.ListEndOffsets(ctx, topic)
	led := make(map[int32]lead, len(s.reader.ends))
	for id := range s.reader.ends {
		p, known := details[topic].Partitions[id]
		end, answered := ends.Lookup(topic, id)
		err := p.Err
		switch {
		case err != nil:
		case !known:
			err = kerr.UnknownTopicOrPartition
		case answered:
			err = end.Err
		case listing != nil:
			err = listing
		default:
			err = kerr.LeaderNotAvailable
		}
		if err != nil {
			return nil, fmt.Errorf("partition %d: its leader does not answer: %w", id, err)
		}
		led[id] = lead{p.Leader, p.LeaderEpoch}
	}
	return led, nil
}
