package firehose

import (
	"math"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/schemas"
)

// What the publisher has room for, the client takes: it would refuse it as "full"
// although fewer events are unanswered than were allowed.
func TestClientHasRoomForWhatThePublisherHas(t *testing.T) {
	for _, tt := range []struct {
		name    string
		records int
		bytes   int64
	}{
		{"defaults", 0, 0},
		{"more than the client's own", 500_000, 1 << 30},
		{"no bounds to speak of", math.MaxInt, math.MaxInt64},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := NewPublisher(PublisherConfig{
				Schemas: schemas.Shop(), Source: "/service/test", MaxRecords: tt.records, MaxBytes: tt.bytes,
			})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close(t.Context())
			if got := p.client.OptValue(kgo.MaxBufferedRecords).(int64); got < int64(tt.records) || got < 100_000 {
				t.Errorf("the client takes %d records, want %d or more", got, tt.records)
			}
			if got := p.client.OptValue(kgo.MaxBufferedBytes).(int64); got < tt.bytes || got < 128<<20 {
				t.Errorf("the client takes %d bytes, want %d or more", got, tt.bytes)
			}
		})
	}
}
