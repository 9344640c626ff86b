package deadletter_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"firehose/internal/deadletter"
	"firehose/internal/offsets"
)

// header has the shape of a Kafka client's.
type header struct {
	Key   string
	Value []byte
}

var reason = deadletter.Reason{
	Topic: "shop.orders", TopicID: offsets.TopicID{1, 2, 3}, Partition: 7, Offset: 42,
	Group: "billing", Deliveries: 1, Class: "undecodable", Message: "5 bytes are left over",
}

func TestHeadersRoundTrip(t *testing.T) {
	own := []header{{"ce_id", []byte("x")}, {"__dlq.errors.topic", []byte("forged")}}
	headers := deadletter.AppendHeaders(own, reason)
	got, err := deadletter.ParseHeaders(headers)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(reason, got); diff != "" {
		t.Errorf("reason (-want +got):\n%s", diff)
	}
	if headers[0].Key != "ce_id" || string(headers[0].Value) != "x" {
		t.Errorf("the record's own headers: got %v first, want ce_id", headers[0])
	}
	if len(own) != 2 || string(own[1].Value) != "forged" {
		t.Error("the record's headers were changed in place")
	}
}

func TestMessageIsClipped(t *testing.T) {
	r := reason
	r.Message = strings.Repeat("é", 5000) // the cut falls into the middle of one
	got, err := deadletter.ParseHeaders(deadletter.AppendHeaders([]header(nil), r))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Message) > 1000 || strings.Trim(got.Message, "é") != "" {
		t.Errorf("message: got %d bytes, want at most 1000 of whole characters", len(got.Message))
	}
}

func TestMalformedHeadersAreNamed(t *testing.T) {
	for _, name := range []string{"topic", "topic.id", "partition", "offset", "delivery.count"} {
		headers := deadletter.AppendHeaders([]header(nil), reason)
		for i := range headers {
			if headers[i].Key == "__dlq.errors."+name {
				headers[i].Value = nil
			}
		}
		if _, err := deadletter.ParseHeaders(headers); err == nil || !strings.Contains(err.Error(), "__dlq.errors."+name+":") {
			t.Errorf("%s empty: got %v, want an error that names the header", name, err)
		}
	}
}
