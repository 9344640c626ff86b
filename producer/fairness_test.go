package producer_test

import (
	"fmt"
	"strings"
	"testing"

	"firehose/producer"
)

// However many and large the batches are that wait for the broker, the publisher
// has places left for single events.
func TestBatchesLeaveRoom(t *testing.T) {
	for _, tt := range []struct {
		name           string
		batches, lines int
		places         int // of the publisher
	}{
		{"one large batch", 1, 4000, 1000},
		{"many batches", 14, 1000, 6000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := startBackend(t, backendConfig{maxRecords: tt.places})
			d := openDoor(t, b, producer.Limits{})
			if a := d.postID(t, "e-0"); a.status != 200 {
				t.Fatalf("got %d %s", a.status, a.body)
			}
			restore := b.silenceProduce()
			waiting := make(chan answer, tt.batches+1)
			body := strings.Repeat(movementLine("m-1", "s-1")+"\n", tt.lines)
			for range tt.batches {
				go func() { waiting <- d.batch(t, body) }()
			}
			d.settled(t, float64(min(tt.places, tt.batches*256)))
			single, before := make(chan answer, 1), d.buffered(t)
			go func() { single <- d.postID(t, "e-1") }()
			waitFor(t, "the single event to be taken or refused", func() bool { return len(single) > 0 || d.buffered(t) > before })
			restore()
			if a := <-single; a.status != 200 {
				t.Errorf("beside batches that hold %v of %d places a single event got %d %s", before, tt.places, a.status, a.body)
			}
			for range tt.batches {
				if a := <-waiting; a.status != 200 {
					t.Errorf("a batch got %d %.300s", a.status, a.body)
				}
			}
		})
	}
}

func (d *door) buffered(t testing.TB) float64 {
	return d.gauge(t, "firehose_producer_buffered_records")
}

// settled waits until at least so many events wait for the broker and no more
// come: the batches hold what they can get.
func (d *door) settled(t testing.TB, least float64) {
	t.Helper()
	last, same := 0.0, 0
	waitFor(t, fmt.Sprintf("%v events to wait, and no more", least), func() bool {
		now := d.buffered(t)
		if now != last {
			last, same = now, 0
		}
		same++
		return now >= least && same > 200
	})
}
