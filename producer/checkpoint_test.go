package producer_test

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"firehose/internal/publish"
	"firehose/producer"
)

// next returns how far a checkpoint says it is.
func next(t *testing.T, checkpoint string) int64 {
	t.Helper()
	data, err := os.ReadFile(checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	var c struct{ Next int64 }
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	return c.Next
}

// A killed process leaves a checkpoint behind the acknowledgements, never ahead
// of them.
func TestReplayCheckpointIsNeverAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data, pub := dataset(t, 5000), newFakeLog(t)
		cfg := producer.ReplayConfig{Dataset: data, Checkpoint: filepath.Join(t.TempDir(), "replay"), Rate: 1000}
		all, rng := recorded(data), rand.New(rand.NewPCG(3, 4))
		pub.outcome = func(int, *publish.Event) error {
			if rng.IntN(200) == 0 {
				return unknown(publish.ReasonTimeout)
			}
			return nil
		}
		var kept []int64
		var checked int64
		pub.onPublish = func(int) {
			n := next(t, cfg.Checkpoint)
			kept = append(kept, n)
			pub.mu.Lock()
			defer pub.mu.Unlock()
			for ; checked < n; checked++ {
				if !pub.acked[all[checked].id] {
					t.Errorf("the checkpoint says %d, but event %d is not acknowledged", n, checked)
				}
			}
		}
		summary, err := producer.Replay(t.Context(), pub, cfg)
		if err != nil || !summary.Done || summary.Retried == 0 {
			t.Fatalf("got %+v, %v", summary, err)
		}
		if distinct := len(slices.Compact(kept)); distinct < 10 {
			t.Errorf("%d checkpoints in %v, want one every quarter of a second", distinct, summary.Elapsed)
		}
	})
}

func TestReplayCheckpointRefused(t *testing.T) {
	data := dataset(t, 10)
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, tt := range []struct{ name, path, want string }{
		{"empty", write("empty", ""), "read checkpoint"},
		{"not JSON", write("text", "hello"), "read checkpoint"},
		{"two values", write("two", `{"replay":"test","next":1,"total":10} {}`), "more than one"},
		{"another data set", write("other", `{"replay":"other","next":1,"total":10}`), "another data set"},
		{"another length", write("length", `{"replay":"test","next":1,"total":11}`), "another data set"},
		{"past the end", write("past", `{"replay":"test","next":11,"total":10}`), "another data set"},
		{"a simulation's", write("sim", `{"simulate":{"seed":1},"next":1}`), "unknown field"},
		{"a directory", dir, "read checkpoint"},
		{"no such directory", filepath.Join(dir, "no", "where"), "write checkpoint"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pub := newFakeLog(t)
			_, err := producer.Replay(t.Context(), pub, producer.ReplayConfig{Dataset: data, Checkpoint: tt.path})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want it to say %q", err, tt.want)
			}
			if pub.attempts != 0 {
				t.Errorf("%d events were sent", pub.attempts)
			}
		})
	}
}

// A disk that fills up stops the replay: what no checkpoint covers would be sent
// again.
func TestReplayCheckpointFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "gone")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		pub := newFakeLog(t)
		pub.onPublish = func(attempt int) {
			if attempt == 500 {
				if err := os.RemoveAll(dir); err != nil {
					t.Error(err)
				}
			}
		}
		cfg := producer.ReplayConfig{Dataset: dataset(t, 5000), Rate: 1000, Checkpoint: filepath.Join(dir, "replay")}
		summary, err := producer.Replay(t.Context(), pub, cfg)
		if err == nil || !strings.Contains(err.Error(), "write checkpoint") || summary.Done {
			t.Errorf("got %+v, %v", summary, err)
		}
		if pub.attempts > 1500 {
			t.Errorf("%d events were sent, want it to stop", pub.attempts)
		}
	})
}
