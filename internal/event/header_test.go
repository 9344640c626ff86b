package event_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"firehose/internal/event"
)

// header has the shape of a Kafka client's header type.
type header struct {
	Key   string
	Value []byte
}

func TestAppendHeadersWritesCloudEvents(t *testing.T) {
	e := event.Envelope{
		ID: "id-1", Source: "/service/shop", Type: "shop.order.placed",
		Time:    time.Date(2024, 2, 29, 23, 59, 59, 120_000_999, time.FixedZone("", 3600)),
		Subject: "order-1", DataSchema: "http://registry/schemas/ids/7", Sequence: 42, HasSequence: true,
		CorrelationID: "corr", CausationID: "cause", Origin: "/service/pos", Hops: 2,
		Traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
	}
	got := map[string]string{}
	for _, h := range event.AppendHeaders[header](nil, &e) {
		got[h.Key] = string(h.Value)
	}
	want := map[string]string{
		"ce_specversion": "1.0", "ce_id": "id-1", "ce_source": "/service/shop", "ce_type": "shop.order.placed",
		"ce_time": "2024-02-29T22:59:59.12Z", "ce_subject": "order-1", "ce_dataschema": "http://registry/schemas/ids/7",
		"ce_sequence": "00000000000000000042", "ce_correlationid": "corr", "ce_causationid": "cause",
		"ce_origin": "/service/pos", "ce_hops": "2",
		"traceparent":  "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		"content-type": "application/vnd.confluent.avro",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

func TestAppendHeadersLeavesOutWhatIsEmpty(t *testing.T) {
	var got []string
	for _, h := range event.AppendHeaders[header](nil, &event.Envelope{ID: "i", Type: "a.b"}) {
		got = append(got, h.Key)
	}
	if diff := cmp.Diff([]string{"ce_specversion", "ce_id", "ce_type", "content-type"}, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

// Whatever Validate accepts comes back as it was, but for the time's nanoseconds.
func TestHeadersRoundTrip(t *testing.T) {
	text := rapid.StringN(0, 40, 200).Filter(func(s string) bool { return !strings.ContainsRune(s, 0) })
	rapid.Check(t, func(t *rapid.T) {
		e := event.Envelope{
			ID: text.Draw(t, "id"), Source: text.Draw(t, "source"), Type: text.Draw(t, "type"),
			Subject: text.Draw(t, "subject"), DataSchema: text.Draw(t, "dataschema"),
			CorrelationID: text.Draw(t, "correlation"), CausationID: text.Draw(t, "causation"),
			Origin: text.Draw(t, "origin"), Hops: rapid.IntRange(0, 1000).Draw(t, "hops"),
			Traceparent: text.Draw(t, "traceparent"),
		}
		if rapid.Bool().Draw(t, "has time") {
			e.Time = time.UnixMicro(rapid.Int64Range(-62_135_596_800_000_000+1, 253_402_300_799_999_999).Draw(t, "micros")).UTC()
		}
		if rapid.Bool().Draw(t, "has sequence") {
			e.HasSequence, e.Sequence = true, rapid.Int64Range(0, 1<<63-1).Draw(t, "sequence")
		}
		if e.Validate() != nil {
			t.Skip("not a valid envelope")
		}
		got, err := event.ParseHeaders(event.AppendHeaders[header](nil, &e))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(e, got); diff != "" {
			t.Fatalf("envelope (-want +got):\n%s", diff)
		}
	})
}

// Whatever the way in which a time is read, it is what time.Parse says.
func TestTimesAreReadAsTimeParseReadsThem(t *testing.T) {
	check := func(t interface{ Errorf(string, ...any) }, text string) {
		want, wrong := time.Parse(time.RFC3339Nano, text)
		got, err := event.ParseHeaders([]header{{"ce_time", []byte(text)}})
		if (err != nil) != (wrong != nil) || !got.Time.Equal(want) {
			t.Errorf("%q: got %v, %v; time.Parse says %v, %v", text, got.Time, err, want, wrong)
		}
	}
	for _, text := range []string{
		"2024-02-29T23:59:59Z", "2023-02-29T00:00:00Z", "2024-12-31T00:00:00.5Z", "2024-04-31T00:00:00Z",
		"2024-01-00T00:00:00Z", "2024-00-01T00:00:00Z", "2024-13-01T00:00:00Z", "2024-01-01T24:00:00Z",
		"2024-01-01T00:60:00Z", "2024-01-01T00:00:60Z", "2024-01-01T00:00:00.Z", "2024-01-01T00:00:00,5Z",
		"2024-01-01T00:00:00.1234567Z", "2024-01-01t00:00:00z", "2024-01-01 00:00:00Z", "0000-01-01T00:00:00Z", "2024-01-01T00:00:00", "",
	} {
		check(t, text)
	}
	rapid.Check(t, func(t *rapid.T) {
		text := []byte("2024-01-02T03:04:05.678901Z")
		for range rapid.IntRange(1, 3).Draw(t, "changes") {
			text[rapid.IntRange(0, len(text)-1).Draw(t, "at")] = rapid.SampledFrom([]byte("0123456789-:.TZ+a")).Draw(t, "byte")
		}
		check(t, string(text))
	})
}

func TestSequencesSortAsText(t *testing.T) {
	sequence := func(n int64) string {
		hs := event.AppendHeaders[header](nil, &event.Envelope{Sequence: n, HasSequence: true})
		return string(hs[1].Value)
	}
	numbers := []int64{0, 9, 10, 99, 1 << 40, 1<<63 - 1}
	for i := 1; i < len(numbers); i++ {
		if a, b := sequence(numbers[i-1]), sequence(numbers[i]); a >= b || len(a) != 20 {
			t.Errorf("%d is %q, %d is %q: want 20 digits in order", numbers[i-1], a, numbers[i], b)
		}
	}
}

func TestParseHeaders(t *testing.T) {
	for _, test := range []struct {
		name    string
		headers []header
		want    event.Envelope
		wrong   string // the header that the error names
	}{
		{"none", nil, event.Envelope{}, ""},
		{"only foreign ones", []header{{"x-other", []byte{0xff}}, {"kafka_dlt", nil}}, event.Envelope{}, ""},
		{"sequence without padding", []header{{"ce_sequence", []byte("7")}}, event.Envelope{Sequence: 7, HasSequence: true}, ""},
		{"sequence zero", []header{{"ce_sequence", []byte("00000000000000000000")}}, event.Envelope{HasSequence: true}, ""},
		{"largest sequence", []header{{"ce_sequence", []byte("09223372036854775807")}}, event.Envelope{Sequence: 1<<63 - 1, HasSequence: true}, ""},
		{"sequence too large", []header{{"ce_sequence", []byte("09223372036854775808")}}, event.Envelope{}, "ce_sequence"},
		{"sequence empty", []header{{"ce_sequence", nil}}, event.Envelope{}, "ce_sequence"},
		{"sequence signed", []header{{"ce_sequence", []byte("+1")}}, event.Envelope{}, "ce_sequence"},
		{"sequence not a number", []header{{"ce_sequence", []byte("secret")}}, event.Envelope{}, "ce_sequence"},
		{"time with offset", []header{{"ce_time", []byte("2024-01-02T03:04:05+01:00")}}, event.Envelope{Time: time.Date(2024, 1, 2, 2, 4, 5, 0, time.UTC)}, ""},
		{"time malformed", []header{{"ce_time", []byte("secret")}}, event.Envelope{}, "ce_time"},
		{"hops malformed", []header{{"ce_hops", []byte("-1")}}, event.Envelope{}, "ce_hops"},
		{"hops absurd", []header{{"ce_hops", []byte("99999999999")}}, event.Envelope{}, "ce_hops"},
		{"other version of CloudEvents", []header{{"ce_specversion", []byte("0.3")}}, event.Envelope{}, "ce_specversion"},
		{"invalid UTF-8", []header{{"ce_id", []byte{0xff}}}, event.Envelope{}, "ce_id"},
		{"U+0000", []header{{"ce_subject", []byte("a\x00b")}}, event.Envelope{}, "ce_subject"},
		{"U+0000 after U+0001", []header{{"ce_subject", []byte("01234\x01\x007")}}, event.Envelope{}, "ce_subject"},
		{"invalid UTF-8 at the end", []header{{"ce_id", []byte("0123456789abcde\xff")}}, event.Envelope{}, "ce_id"},
		{"not ASCII", []header{{"ce_id", []byte("01234567é")}, {"ce_type", []byte("é")}}, event.Envelope{ID: "01234567é", Type: "é"}, ""},
		{"too long", []header{{"ce_source", make([]byte, 5000)}}, event.Envelope{}, "ce_source"},
		{"the last one counts", []header{{"ce_id", []byte("a")}, {"ce_id", []byte("b")}}, event.Envelope{ID: "b"}, ""},
		{"a bad trace is no reason", []header{{"traceparent", []byte{0xff}}, {"ce_id", []byte("a")}}, event.Envelope{ID: "a"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := event.ParseHeaders(test.headers)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("envelope (-want +got):\n%s", diff)
			}
			switch {
			case test.wrong == "" && err != nil:
				t.Errorf("got %v", err)
			case test.wrong != "" && (!errors.Is(err, event.ErrHeader) || !strings.Contains(err.Error(), test.wrong)):
				t.Errorf("got %v, want an ErrHeader that names %s", err, test.wrong)
			case err != nil && strings.Contains(err.Error(), "secret"):
				t.Errorf("error quotes the value: %v", err)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	valid := event.Envelope{ID: "i", Type: "a.b", Time: time.Unix(0, 0)}
	if err := valid.Validate(); err != nil {
		t.Fatalf("valid envelope: %v", err)
	}
	for _, test := range []struct {
		name, wrong string
		change      func(*event.Envelope)
	}{
		{"no type", "ce_type", func(e *event.Envelope) { e.Type = "" }},
		{"long ID", "ce_id", func(e *event.Envelope) { e.ID = strings.Repeat("x", 1025) }},
		{"invalid UTF-8", "ce_subject", func(e *event.Envelope) { e.Subject = "a\xff" }},
		{"U+0000", "ce_source", func(e *event.Envelope) { e.Source = "a\x00" }},
		{"negative sequence", "ce_sequence", func(e *event.Envelope) { e.Sequence, e.HasSequence = -1, true }},
		{"negative hops", "ce_hops", func(e *event.Envelope) { e.Hops = -1 }},
		{"year 10000", "ce_time", func(e *event.Envelope) { e.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := valid
			test.change(&e)
			if err := e.Validate(); err == nil || !strings.Contains(err.Error(), test.wrong) {
				t.Errorf("got %v, want an error that names %s", err, test.wrong)
			}
		})
	}
}

func TestAppendHeadersToDoesNotAllocate(t *testing.T) {
	e := event.Envelope{
		ID: event.NewID(), Source: "/service/shop", Type: "shop.order.placed", Time: time.Now(), Subject: "order-1",
		DataSchema: "http://registry/schemas/ids/7", Sequence: 1, HasSequence: true,
	}
	headers, buf := make([]header, 0, 16), make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() { event.AppendHeadersTo(headers, buf, &e) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

// Never panics, and what it accepts Validate accepts too, but for a missing type.
func FuzzParseHeaders(f *testing.F) {
	f.Add("ce_time", []byte("1997-01-01T00:00:00Z"))
	f.Add("ce_sequence", []byte("00000000000000000001"))
	f.Add("ce_hops", []byte("1"))
	f.Add("ce_id", []byte("\x00"))
	f.Add("ce_time", []byte("0000-01-01T00:00:00+23:59"))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		e, err := event.ParseHeaders([]header{{key, value}})
		if err != nil {
			return
		}
		e.Type = "a.b"
		if err := e.Validate(); err != nil {
			t.Errorf("ParseHeaders took what Validate refuses: %v", err)
		}
	})
}

func BenchmarkAppendHeaders(b *testing.B) {
	e := event.Envelope{
		ID: event.NewID(), Source: "/service/shop", Type: "shop.order.placed", Time: time.Now(), Subject: "order-1",
		DataSchema: "http://registry/schemas/ids/7", Sequence: 1, HasSequence: true,
	}
	headers, buf := make([]header, 0, 16), make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		event.AppendHeadersTo(headers, buf, &e)
	}
}

func BenchmarkParseHeaders(b *testing.B) {
	e := event.Envelope{
		ID: event.NewID(), Source: "/service/shop", Type: "shop.order.placed", Time: time.Now(), Subject: "order-1",
		DataSchema: "http://registry/schemas/ids/7", Sequence: 1, HasSequence: true,
	}
	headers := event.AppendHeaders[header](nil, &e)
	var p event.Parser
	b.ReportAllocs()
	for b.Loop() {
		var e event.Envelope
		if err := event.ParseHeadersTo(&p, &e, headers); err != nil {
			b.Fatal(err)
		}
	}
}
