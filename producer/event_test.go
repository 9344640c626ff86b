package producer_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"firehose/producer"
)

func TestEventModes(t *testing.T) {
	const (
		id     = "event-1"
		source = "/service/warehouse"
		at     = "2026-03-04T05:06:07Z"
	)
	data := movement("m-1", "sku-1")
	tests := []struct {
		name   string
		header http.Header
		body   string
	}{
		{"plain", http.Header{
			"Content-Type": {"application/json; charset=utf-8"},
			"Ce-Id":        {id}, "Ce-Source": {source}, "Ce-Time": {at},
			"Ce-Correlationid": {"talk%201"}, "Ce-Causationid": {"event-0"},
		}, data},
		{"binary", http.Header{
			"Content-Type": {"application/json"}, "Ce-Specversion": {"1.0"}, "Ce-Type": {"shop.stock.moved"},
			"Ce-Id": {id}, "Ce-Source": {source}, "Ce-Time": {at}, "Ce-Subject": {"sku-1"},
			"Ce-Correlationid": {"talk 1"}, "Ce-Causationid": {"event-0"},
		}, data},
		{"structured", contentType("application/cloudevents+json"), fmt.Sprintf(
			` { "specversion" : "1.0", "type":"shop.stock.moved","id":%q,"source":%q,"time":%q,"subject":"sku-1",
			"datacontenttype":"application/json","correlationid":"talk\u00201","causationid":"event-0","data":%s}`,
			id, source, at, data)},
	}
	d := openDoor(t, startBackend(t, backendConfig{}), producer.Limits{})
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := d.do(t, http.MethodPost, "/v1/events/shop.stock.moved", tt.header, strings.NewReader(tt.body))
			if a.status != http.StatusOK {
				t.Fatalf("status %d, want 200: %s", a.status, a.body)
			}
			got := a.result(t)
			want := result{ID: id, Topic: "shop.stock-movements", TopicID: got.TopicID, Partition: got.Partition, Offset: int64(i)}
			if diff := cmp.Diff(want, got); diff != "" || len(got.TopicID) != 32 {
				t.Errorf("receipt (-want +got):\n%s", diff)
			}
			records := d.records(t)
			if len(records) != i+1 {
				t.Fatalf("%d records, want %d", len(records), i+1)
			}
			r := records[i]
			if string(r.Key) != "sku-1" || r.Partition != got.Partition || r.Offset != got.Offset {
				t.Errorf("record %s/%d@%d, want sku-1/%d@%d", r.Key, r.Partition, r.Offset, got.Partition, got.Offset)
			}
			// The contract of stock movements names a time field, which is the event's time.
			for name, want := range map[string]string{
				"ce_id": id, "ce_source": source, "ce_type": "shop.stock.moved", "ce_subject": "sku-1",
				"ce_time": "2026-01-02T15:04:05Z", "ce_correlationid": "talk 1", "ce_causationid": "event-0",
				"content-type": "application/vnd.confluent.avro",
			} {
				if got := header(r, name); got != want {
					t.Errorf("header %s is %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestEventIDIsMadeAndNamed(t *testing.T) {
	d := openDoor(t, startBackend(t, backendConfig{}), producer.Limits{})
	for _, tt := range []struct {
		name, body string
		status     int
	}{
		{"acknowledged", movement("m-1", "s-1"), 200},
		{"refused", `{}`, 422},
		{"malformed", `{`, 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := d.post(t, "shop.stock.moved", tt.body)
			if a.status != tt.status {
				t.Fatalf("status %d, want %d: %s", a.status, tt.status, a.body)
			}
			id, err := uuid.Parse(a.result(t).ID)
			if err != nil || id.Version() != 7 {
				t.Errorf("id %q, want a UUIDv7", a.result(t).ID)
			}
		})
	}
	records := d.records(t)
	if len(records) != 1 || header(records[0], "ce_source") != "/service/test" {
		t.Errorf("got %d records, want one with the default source", len(records))
	}
}

// refusal is a request that must be refused, and how.
type refusal struct {
	name   string
	method string // default POST
	path   string // default that of a stock movement
	header http.Header
	body   string
	status int
	typ    string
	field  string
}

func refusals() []refusal {
	with := func(pairs ...string) http.Header {
		h := contentType("application/json")
		for i := 0; i < len(pairs); i += 2 {
			h.Add(pairs[i], pairs[i+1])
		}
		return h
	}
	structured := contentType("application/cloudevents+json")
	good := movement("m-1", "s-1")
	cloud := func(members string) string { return `{"specversion":"1.0","data":` + good + `,` + members + `}` }
	const orders = "/v1/events/shop.order.placed"
	replace := func(s, old, new string) string {
		if !strings.Contains(s, old) {
			panic("nothing to replace: " + old)
		}
		return strings.Replace(s, old, new, 1)
	}
	return []refusal{
		// The body.
		{name: "not JSON", body: canary, status: 400, typ: "malformed"},
		{name: "empty body", body: "", status: 400, typ: "malformed"},
		{name: "two values", body: good + good, status: 400, typ: "malformed"},
		{name: "cut off", body: good[:len(good)-1], status: 400, typ: "malformed"},
		{name: "not an object", body: `["` + canary + `"]`, status: 422, typ: "invalid-data"},
		{name: "missing field", body: replace(good, `"quantity":5,`, ""), status: 422, typ: "invalid-data", field: "quantity"},
		{name: "unknown field", body: replace(good, `"quantity"`, `"quantities":1,"quantity"`), status: 422, typ: "invalid-data", field: "quantities"},
		{name: "field twice", body: replace(good, `"quantity":5`, `"quantity":5,"quantity":5`), status: 422, typ: "invalid-data", field: "quantity"},
		{name: "wrong type", body: replace(good, `:5`, `:"`+canary+`"`), status: 422, typ: "invalid-data", field: "quantity"},
		{name: "wrong type in a line", path: orders, body: order("o-1", 1, replace(oneLine, `"s-1"`, `7`)), status: 422, typ: "invalid-data", field: "lines[0].sku"},
		{name: "int out of range", path: orders, body: order("o-1", 1, replace(oneLine, `"quantity":1`, `"quantity":2147483648`)), status: 422, typ: "invalid-data", field: "lines[0].quantity"},
		{name: "long out of range", body: replace(good, `:5`, `:9223372036854775808`), status: 422, typ: "invalid-data", field: "quantity"},
		{name: "not whole", body: replace(good, `:5`, `:5.5`), status: 422, typ: "invalid-data", field: "quantity"},
		{name: "unknown enum symbol", body: replace(good, `RECEIVED`, canary), status: 422, typ: "invalid-data", field: "reason"},
		{name: "invalid UTF-8", body: replace(good, `m-1`, "m-\xff"), status: 400, typ: "malformed", field: "movement_id"},
		{name: "lone surrogate", body: replace(good, `m-1`, `m-\ud800`), status: 422, typ: "invalid-data", field: "movement_id"},
		{name: "U+0000", body: replace(good, `m-1`, `m-\u0000`), status: 422, typ: "invalid-data", field: "movement_id"},
		{name: "bad time", body: replace(good, `2026-01-02T15:04:05Z`, canary), status: 422, typ: "invalid-data", field: "moved_at"},
		{name: "empty key", body: replace(good, `"s-1"`, `""`), status: 422, typ: "invalid-data", field: "sku"},
		{name: "long key", body: replace(good, `s-1`, strings.Repeat("s", 1025)), status: 422, typ: "invalid-data", field: "sku"},
		{name: "negative version", path: orders, body: order("o-1", -1, oneLine), status: 422, typ: "invalid-data", field: "version"},
		{name: "deep", body: replace(good, `:5`, ":"+strings.Repeat("[", 100_000)), status: 400, typ: "malformed", field: "quantity"},
		{name: "NaN", body: replace(good, `:5`, `:NaN`), status: 400, typ: "malformed", field: "quantity"},
		{name: "body over the limit", body: replace(good, `m-1`, strings.Repeat("m", 1<<20)), status: 413, typ: "too-large"},
		{name: "event over the limit", body: replace(good, `m-1`, strings.Repeat("m", 600<<10)), status: 413, typ: "too-large", field: "data"},

		// Attributes.
		{name: "empty id", header: with("Ce-Id", ""), body: good, status: 400, typ: "bad-attribute", field: "ce-id"},
		{name: "long id", header: with("Ce-Id", strings.Repeat("x", 1025)), body: good, status: 400, typ: "bad-attribute", field: "ce-id"},
		{name: "id twice", header: with("Ce-Id", "a", "Ce-Id", "b"), body: good, status: 400, typ: "bad-attribute", field: "ce-id"},
		{name: "id with U+0000", header: with("Ce-Id", "a%00"), body: good, status: 400, typ: "bad-attribute", field: "ce-id"},
		{name: "id not UTF-8", header: with("Ce-Id", "a%ff"), body: good, status: 400, typ: "bad-attribute", field: "ce-id"},
		{name: "id not escaped", header: with("Ce-Id", "a%zz"), body: good, status: 400, typ: "bad-attribute", field: "ce-id"},
		{name: "bad ce-time", header: with("Ce-Time", canary), body: good, status: 400, typ: "bad-attribute", field: "ce-time"},
		{name: "topic is not the caller's", header: with("Ce-Topic", "shop.orders"), body: good, status: 400, typ: "reserved-attribute", field: "ce-topic"},
		{name: "nor the partition", header: with("Ce-Partition", "0"), body: good, status: 400, typ: "reserved-attribute", field: "ce-partition"},
		{name: "nor the sequence", header: with("Ce-Sequence", "1"), body: good, status: 400, typ: "reserved-attribute", field: "ce-sequence"},
		{name: "nor the origin", header: with("Ce-Origin", "/service/other"), body: good, status: 400, typ: "reserved-attribute", field: "ce-origin"},
		{name: "unknown attribute", header: with("Ce-Colour", "red"), body: good, status: 400, typ: "bad-attribute", field: "ce-colour"},
		{name: "binary without source", header: with("Ce-Specversion", "1.0", "Ce-Id", "1", "Ce-Type", "shop.stock.moved"), body: good, status: 400, typ: "bad-attribute", field: "ce-source"},
		{name: "binary of another version", header: with("Ce-Specversion", "0.3"), body: good, status: 400, typ: "bad-attribute", field: "ce-specversion"},
		{name: "type differs from the path", header: with("Ce-Type", "shop.order.placed"), body: good, status: 400, typ: "bad-attribute", field: "type"},
		{name: "subject differs from the key", header: with("Ce-Subject", "s-2"), body: good, status: 422, typ: "invalid-data", field: "subject"},

		// CloudEvents in structured mode.
		{name: "structured not JSON", header: structured, body: canary, status: 400, typ: "malformed"},
		{name: "structured cut off", header: structured, body: `{"specversion":"1.0","data":{`, status: 400, typ: "malformed"},
		{name: "structured trailing", header: structured, body: cloud(`"id":"1","source":"/s","type":"shop.stock.moved"`) + "1", status: 400, typ: "malformed"},
		{name: "structured without id", header: structured, body: cloud(`"source":"/s","type":"shop.stock.moved"`), status: 400, typ: "bad-attribute", field: "id"},
		{name: "structured id is a number", header: structured, body: cloud(`"id":1,"source":"/s","type":"shop.stock.moved"`), status: 400, typ: "bad-attribute", field: "id"},
		{name: "structured id twice", header: structured, body: cloud(`"id":"1","id":"1","source":"/s","type":"shop.stock.moved"`), status: 400, typ: "bad-attribute", field: "id"},
		{name: "structured data twice", header: structured, body: cloud(`"data":{},"id":"1","source":"/s","type":"shop.stock.moved"`), status: 400, typ: "bad-attribute", field: "data"},
		{name: "structured deep", header: structured, body: `{"data":` + strings.Repeat(`{"a":`, 100_000), status: 400, typ: "malformed"},
		{name: "structured data_base64", header: structured, body: cloud(`"data_base64":"AA==","id":"1","source":"/s","type":"shop.stock.moved"`), status: 400, typ: "bad-attribute", field: "data_base64"},
		{name: "structured other data", header: structured, body: cloud(`"datacontenttype":"text/xml","id":"1","source":"/s","type":"shop.stock.moved"`), status: 400, typ: "bad-attribute", field: "datacontenttype"},
		{name: "structured without data", header: structured, body: `{"specversion":"1.0","id":"1","source":"/s","type":"shop.stock.moved"}`, status: 422, typ: "invalid-data", field: "data"},
		{name: "structured wrong field", header: structured, body: `{"specversion":"1.0","id":"1","source":"/s","type":"shop.stock.moved","data":{"sku":7}}`, status: 422, typ: "invalid-data", field: "sku"},

		// The request.
		{name: "unknown type", path: "/v1/events/shop.nothing.happened", body: good, status: 404, typ: "unknown-type", field: "type"},
		{name: "unknown path", path: "/v2/events", body: good, status: 404, typ: "not-found"},
		{name: "no type", path: "/v1/events/", body: good, status: 404, typ: "not-found"},
		{name: "path below the type", path: "/v1/events/shop.stock.moved/1", body: good, status: 404, typ: "not-found"},
		{name: "wrong method", method: "GET", status: 405, typ: "method-not-allowed"},
		{name: "wrong method PUT", method: "PUT", body: good, status: 405, typ: "method-not-allowed"},
		{name: "wrong method on the batch", method: "DELETE", path: "/v1/events:batch", status: 405, typ: "method-not-allowed"},
		{name: "no content type", header: http.Header{}, body: good, status: 415, typ: "unsupported-media-type", field: "Content-Type"},
		{name: "wrong content type", header: contentType("application/x-www-form-urlencoded"), body: good, status: 415, typ: "unsupported-media-type", field: "Content-Type"},
		{name: "wrong charset", header: contentType("application/json; charset=latin1"), body: good, status: 415, typ: "unsupported-media-type", field: "Content-Type"},
		{name: "wrong content encoding", header: with("Content-Encoding", "br"), body: good, status: 415, typ: "unsupported-media-type", field: "Content-Encoding"},
		{name: "two content encodings", header: with("Content-Encoding", "gzip, gzip"), body: good, status: 415, typ: "unsupported-media-type", field: "Content-Encoding"},
		{name: "gzip that is none", header: with("Content-Encoding", "gzip"), body: good, status: 400, typ: "malformed"},
		{name: "batch as JSON", path: "/v1/events:batch", body: good, status: 415, typ: "unsupported-media-type", field: "Content-Type"},
		{name: "empty batch", path: "/v1/events:batch", header: contentType("application/x-ndjson"), body: "\n \n", status: 400, typ: "malformed"},
	}
}

// Every bad request is answered with the right problem, nothing of it is
// written, and the next good event is taken as if nothing had been.
func TestRefused(t *testing.T) {
	d := openDoor(t, startBackend(t, backendConfig{}), producer.Limits{})
	all := refusals()
	for _, tt := range all {
		t.Run(tt.name, func(t *testing.T) {
			if tt.method == "" {
				tt.method = http.MethodPost
			}
			if tt.path == "" {
				tt.path = "/v1/events/shop.stock.moved"
			}
			if tt.header == nil {
				tt.header = contentType("application/json")
			}
			a := d.do(t, tt.method, tt.path, tt.header, strings.NewReader(tt.body))
			got := a.result(t)
			want := result{
				Type: "/problems/" + tt.typ, Title: got.Title, Status: tt.status, Detail: got.Detail,
				Field: tt.field, ID: got.ID,
			}
			if diff := cmp.Diff(want, got); diff != "" || a.status != tt.status || got.Title == "" {
				t.Errorf("status %d, problem (-want +got):\n%s", a.status, diff)
			}
			if media := a.header.Get("Content-Type"); media != "application/problem+json" {
				t.Errorf("content type %q, want application/problem+json", media)
			}
			if allow := a.header.Get("Allow"); (allow == "POST") != (tt.status == 405) {
				t.Errorf("Allow is %q", allow)
			}
			if strings.Contains(a.body, "canary") {
				t.Errorf("the answer repeats the payload: %s", a.body)
			}
			isEvent := strings.HasPrefix(tt.path, "/v1/events/shop") && tt.status != 405
			fromHeaders := tt.header.Get("Content-Type") != "application/cloudevents+json"
			if isEvent && fromHeaders && strings.Count(tt.path, "/") == 3 && got.ID == "" {
				t.Errorf("the answer names no event ID: %s", a.body)
			}
			if len(a.body) > 2048 {
				t.Errorf("an answer of %d bytes", len(a.body))
			}
		})
	}
	if a := d.post(t, "shop.stock.moved", movement("m-good", "s-1")); a.status != http.StatusOK {
		t.Errorf("afterwards a good event got %d: %s", a.status, a.body)
	}
	if records := d.records(t); len(records) != 1 {
		t.Errorf("%d records, want only the good one", len(records))
	}
	if strings.Contains(d.logged.String(), "canary") {
		t.Errorf("the log has payload: %s", d.logged.String())
	}
}

func TestProblemsAreExplained(t *testing.T) {
	d := openDoor(t, startBackend(t, backendConfig{}), producer.Limits{})
	for _, tt := range refusals() {
		a := d.do(t, http.MethodGet, "/problems/"+tt.typ, nil, nil)
		if a.status != http.StatusOK || !strings.Contains(a.body, fmt.Sprintf(`"status":%d`, tt.status)) {
			t.Errorf("GET /problems/%s: %d %s, want it to say %d", tt.typ, a.status, a.body, tt.status)
		}
	}
	if a := d.do(t, http.MethodGet, "/problems", nil, nil); a.status != http.StatusOK || !strings.Contains(a.body, "outcome-unknown") {
		t.Errorf("GET /problems: %d %s", a.status, a.body)
	}
	if a := d.do(t, http.MethodGet, "/problems/none", nil, nil); a.status != http.StatusNotFound {
		t.Errorf("GET /problems/none: %d, want 404", a.status)
	}
}
