package event_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"firehose/internal/event"
)

// What a parser remembers of earlier records never shows in a later one, and
// what it has returned does not change while it reads on.
func TestParserReadsEachRecordByItself(t *testing.T) {
	text := rapid.OneOf(rapid.SampledFrom([]string{"", "a", "/service/shop", "shop.order.placed", strings.Repeat("x", 1000)}),
		rapid.StringMatching(`[a-zé]{1,40}`))
	rapid.Check(t, func(t *rapid.T) {
		var parser event.Parser
		var want, got []event.Envelope
		for range rapid.IntRange(1, 40).Draw(t, "records") {
			e := event.Envelope{
				ID: text.Draw(t, "id"), Source: text.Draw(t, "source"), Type: text.Draw(t, "type"),
				Subject: text.Draw(t, "subject"), DataSchema: text.Draw(t, "schema"), Origin: text.Draw(t, "origin"),
				Time:        time.UnixMicro(rapid.Int64Range(0, 4e15).Draw(t, "time")).UTC(),
				HasSequence: true, Sequence: rapid.Int64Range(0, 1<<62).Draw(t, "sequence"),
			}
			headers := event.AppendHeaders[header](nil, &e)
			if rapid.Bool().Draw(t, "broken before") {
				var broken event.Envelope
				bad := append(headers[:len(headers):len(headers)], header{Key: event.HeaderTime, Value: []byte("yesterday")})
				if err := event.ParseHeadersTo(&parser, &broken, bad); err == nil || broken != (event.Envelope{}) {
					t.Fatalf("a broken record: got %v and %+v, want an error and nothing", err, broken)
				}
			}
			var read event.Envelope
			if err := event.ParseHeadersTo(&parser, &read, headers); err != nil {
				t.Fatal(err)
			}
			want, got = append(want, e), append(got, read)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("envelopes (-want +got):\n%s", diff)
		}
	})
}

// Whatever a time looks like, the quick way reads it as time.Parse does, or not
// at all.
func TestParserReadsTimesAsTimeParseDoes(t *testing.T) {
	valid := rapid.Custom(func(t *rapid.T) string {
		at := time.UnixMicro(rapid.Int64Range(-62e15, 250e15).Draw(t, "time")).UTC().Truncate(
			rapid.SampledFrom([]time.Duration{1, time.Microsecond, time.Millisecond, time.Second}).Draw(t, "unit"))
		return at.Format(time.RFC3339Nano)
	})
	rapid.Check(t, func(t *rapid.T) {
		var parser event.Parser
		for range rapid.IntRange(1, 5).Draw(t, "records") {
			text := []byte(valid.Draw(t, "text"))
			for range rapid.IntRange(0, 2).Draw(t, "changes") {
				at := rapid.IntRange(0, len(text)-1).Draw(t, "at")
				text[at] = rapid.OneOf(rapid.SampledFrom([]byte("0123456789:-.TZ/;")), rapid.Byte()).Draw(t, "byte")
			}
			want, wantErr := time.Parse(time.RFC3339Nano, string(text))
			if want.UTC().Year() < 0 || want.UTC().Year() > 9999 {
				continue
			}
			var got event.Envelope
			err := event.ParseHeadersTo(&parser, &got, []header{{Key: event.HeaderTime, Value: text}})
			if (err == nil) != (wantErr == nil) || err == nil && !got.Time.Equal(want) {
				t.Fatalf("%q: got %v, %v, want %v, %v", text, got.Time, err, want, wantErr)
			}
		}
	})
}

// Shared texts are the same texts, and part of what they were read from.
func TestSharedTexts(t *testing.T) {
	e := event.Envelope{
		ID: event.NewID(), Source: "/service/shop", Type: "shop.order.placed", Time: time.Unix(1, 0).UTC(), Subject: "ordér-1",
		DataSchema: "http://registry/schemas/ids/7", Sequence: 1, HasSequence: true, Origin: "/o", CausationID: "c",
	}
	headers := event.AppendHeaders[header](nil, &e)
	p := event.Parser{Shared: true}
	for range 2 { // also what it remembers
		var got event.Envelope
		if err := event.ParseHeadersTo(&p, &got, headers); err != nil || got != e {
			t.Errorf("got %+v, %v, want %+v", got, err, e)
		}
		if n := testing.AllocsPerRun(100, func() {
			var again event.Envelope
			_ = event.ParseHeadersTo(&p, &again, headers)
		}); n != 0 {
			t.Errorf("%v allocations, want none", n)
		}
	}
}

// A time's digits, at the edges of its fields and of the calendar.
func TestTimesAsTheyAreWritten(t *testing.T) {
	for _, at := range []time.Time{
		time.Unix(0, 0), time.Unix(-1, 0), time.Unix(-1, 999_999_999), time.Unix(86_399, 1000), time.Unix(86_400, 0),
		time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC), time.Date(1599, 12, 31, 23, 59, 59, 999_999_000, time.UTC),
		time.Date(2024, 2, 29, 12, 34, 56, 120_000_000, time.FixedZone("", 3600)), time.Date(9999, 12, 31, 23, 59, 59, 10_000, time.UTC),
	} {
		e := event.Envelope{ID: "1", Source: "/s", Type: "t", Subject: "k", Time: at}
		want := at.UTC().Format("2006-01-02T15:04:05.999999Z07:00")
		for _, h := range event.AppendHeaders[header](nil, &e) {
			if h.Key == "ce_time" && string(h.Value) != want {
				t.Errorf("got %s, want %s", h.Value, want)
			}
		}
	}
}

// Every day of 400 years, after which the calendar repeats itself, and some of all
// others; the seconds at their ends.
func TestEveryDayIsWritten(t *testing.T) {
	headers, buf := make([]header, 0, 16), make([]byte, 0, 1024)
	last := time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
	step := func(day time.Time) int {
		if y := day.Year(); 1890 <= y && y < 2290 {
			return 1
		}
		return 29
	}
	for day := time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC); !day.After(last); day = day.AddDate(0, 0, step(day)) {
		at := day.Add(time.Second) // the very first second of year 1 is no time
		if day.Day()%2 == 0 {
			at = day.Add(24*time.Hour - time.Nanosecond)
		}
		written, _ := event.AppendHeadersTo(headers, buf, &event.Envelope{Time: at})
		if got, want := string(written[1].Value), at.Format("2006-01-02T15:04:05.999999Z07:00"); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
}
