package producer_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"firehose/producer"
	"firehose/schemas"
)

// FuzzHandler sends arbitrary requests. Whatever they are, the answer is a
// receipt or a problem document of the table, valid UTF-8, and never a defect of
// ours; and a success is never answered without a receipt.
func FuzzHandler(f *testing.F) {
	for _, r := range refusals() {
		path := r.path
		if path == "" {
			path = "/v1/events/shop.stock.moved"
		}
		if len(r.body) > 4096 {
			continue
		}
		f.Add(path, r.header.Get("Content-Type"), r.header.Get("Content-Encoding"), r.header.Get("Ce-Id"), []byte(r.body))
	}
	f.Add("/v1/events/shop.order.placed", "application/json", "", "e-1", []byte(order("o-1", 1, oneLine)))
	f.Add("/v1/events:batch", "application/x-ndjson", "", "", []byte(movementLine("m-1", "s-1")+"\n{\n\n"+movementLine("m-2", "s-2")))
	f.Add("/v1/events:batch", "application/x-ndjson", "gzip", "", gzipped(f, movementLine("m-1", "s-1")))
	f.Add("/v1/events:batch", "application/x-ndjson", "gzip", "", gzipped(f, strings.Repeat(" ", 1<<20)))

	b := startBackend(f, backendConfig{})
	handler, err := producer.NewHandler(producer.HandlerConfig{
		Publisher: b.publisher, Set: schemas.Shop(), Log: b.log,
		Limits: producer.Limits{EventBytes: 32 << 10, BatchBytes: 64 << 10, BatchLines: 100},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, path, media, encoding, id string, body []byte) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(string(body)))
		r.URL.Path = path
		for name, value := range map[string]string{"Content-Type": media, "Content-Encoding": encoding, "Ce-Id": id} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		answers := w.Body.String()
		if !utf8.ValidString(answers) {
			t.Fatalf("the answer is not valid UTF-8: %q", answers)
		}
		if strings.HasPrefix(path, "/problems") {
			return
		}
		receipts := 0
		for text := range strings.Lines(answers) {
			var a result
			if err := json.Unmarshal([]byte(text), &a); err != nil {
				t.Fatalf("%d %q: %v", w.Code, text, err)
			}
			switch {
			case a.Type == "" && a.TopicID != "" && a.ID != "":
				receipts++
			case a.Type == "" || a.Title == "" || a.Status < 400 || a.Status >= 500:
				t.Fatalf("%d %s: neither a receipt nor a refusal", w.Code, text)
			}
		}
		if (w.Code < 300) != (receipts > 0) {
			t.Fatalf("status %d with %d receipts: %s", w.Code, receipts, answers)
		}
	})
}
