package producer_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"firehose/producer"
	"firehose/schemas"
)

// benchBatch is one full batch of orders.
func benchBatch(lines int) string {
	var body strings.Builder
	for i := range lines {
		fmt.Fprintf(&body, `{"type":"shop.order.placed","id":"e-%d","data":%s}`+"\n", i,
			order(fmt.Sprintf("o-%d", i), 1, `[`+strings.Repeat(oneLine[1:len(oneLine)-1]+",", 2)+oneLine[1:]))
	}
	return body.String()
}

// BenchmarkSend and BenchmarkHTTPBatch publish the same events by both ways.
func BenchmarkSend(b *testing.B) {
	back := startBackend(b, backendConfig{})
	const lines = 10_000
	body := benchBatch(lines)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		sent, err := producer.Send(b.Context(), producer.SendConfig{
			Publisher: back.publisher, Set: schemas.Shop(), Out: io.Discard, Log: back.log,
		}, producer.Input{Name: "bench", Reader: strings.NewReader(body)})
		if err != nil || sent.Acknowledged != lines {
			b.Fatalf("sent %+v, %v", sent, err)
		}
	}
	b.ReportMetric(float64(lines)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkHTTPBatch(b *testing.B) {
	d := openDoor(b, startBackend(b, backendConfig{}), producer.Limits{})
	const lines = 10_000
	body := []byte(benchBatch(lines))
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		a := d.do(b, http.MethodPost, "/v1/events:batch", contentType("application/x-ndjson"), bytes.NewReader(body))
		if a.status != 200 {
			b.Fatalf("got %d %.300s", a.status, a.body)
		}
	}
	b.ReportMetric(float64(lines)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkHTTPEvent(b *testing.B) {
	d := openDoor(b, startBackend(b, backendConfig{}), producer.Limits{})
	body := order("o-1", 1, oneLine)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if a := d.post(b, "shop.order.placed", body); a.status != 200 {
				b.Errorf("got %d %s", a.status, a.body)
				return
			}
		}
	})
}
