package publish_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"firehose/internal/publish"
)

// Events that run out one after the other are told of together, and all of them
// by the end.
func TestOverdueIsToldTogether(t *testing.T) {
	var out bytes.Buffer
	cfg := config()
	cfg.Timeout = 100 * time.Millisecond
	cfg.Log = slog.New(slog.NewJSONHandler(&out, nil))
	s := start(t, cfg)
	release := s.stick(t)
	const n = 50
	var answers []<-chan answer
	between := time.NewTicker(2 * time.Millisecond)
	defer between.Stop()
	for i := range n {
		answers = append(answers, s.send(t.Context(), placed(fmt.Sprintf("order-%d", i))))
		<-between.C
	}
	for _, a := range answers {
		wantError(t, get(t, a), publish.Unknown, publish.ReasonTimeout)
	}
	release()
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	lines, events := 0, 0
	for dec := json.NewDecoder(&out); dec.More(); lines++ {
		var line struct {
			Msg   string
			Count int
		}
		if err := dec.Decode(&line); err != nil {
			t.Fatal(err)
		}
		if line.Msg != "events not acknowledged in time" {
			t.Errorf("another line: %+v", line)
		}
		events += line.Count
	}
	if lines > 5 || events != n {
		t.Errorf("%d lines about %d events, want a few lines about %d", lines, events, n)
	}
}
