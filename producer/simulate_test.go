package producer_test

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"firehose/internal/publish"
	"firehose/producer"
	"firehose/producer/shop"
)

var simShop = shop.Config{Seed: 11, Products: 30, MaxCustomers: 50, MaxOpen: 20}

// simulated returns what a log holds after the first n events of a shop.
func simulated(t *testing.T, cfg shop.Config, n int) []logged {
	t.Helper()
	s, err := shop.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var all []logged
	for len(all) < n {
		for _, e := range s.Step() {
			all = append(all, logged{e.ID, e.Type, e.Subject, e.Sequence})
		}
	}
	return all[:n]
}

// Restarted, it goes on with the sequence.
func TestSimulateGoesOn(t *testing.T) {
	pub := newFakeLog(t)
	cfg := producer.SimulateConfig{Shop: simShop, Checkpoint: filepath.Join(t.TempDir(), "sim")}
	total := 0
	for _, n := range []int{1, 999, 1, 48_000, 1000, 4000} {
		cfg.Count = int64(n)
		got, err := producer.Simulate(t.Context(), pub, cfg)
		got.Elapsed = 0
		if want := (producer.Summary{From: int64(total), Next: int64(total + n), Acknowledged: int64(n), Done: true}); err != nil || got != want {
			t.Fatalf("got %+v, %v, want %+v", got, err, want)
		}
		total += n
	}
	if !slices.Equal(pub.log, simulated(t, simShop, total)) {
		t.Errorf("the log of six runs holds %d events, want the same %d as of one", len(pub.log), total)
	}
	// The snapshot is there, so a restart does not begin with the first
	// day of the shop.
	snapshot, err := os.ReadFile(cfg.Checkpoint + ".snapshot")
	if err != nil {
		t.Fatal(err)
	}
	s, err := shop.Restore(snapshot)
	if err != nil || s.Sequence() < 50_000 {
		t.Errorf("snapshot: got %v, %v, want one after 50,000 events", s.Sequence(), err)
	}
}

// Without its snapshot, the shop is made again from the beginning.
func TestSimulateSnapshotLost(t *testing.T) {
	pub := newFakeLog(t)
	cfg := producer.SimulateConfig{Shop: simShop, Checkpoint: filepath.Join(t.TempDir(), "sim"), Count: 51_000}
	if _, err := producer.Simulate(t.Context(), pub, cfg); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(cfg.Checkpoint + ".snapshot"); err != nil {
		t.Fatal(err)
	}
	cfg.Count = 1000
	if _, err := producer.Simulate(t.Context(), pub, cfg); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(pub.log, simulated(t, simShop, 52_000)) {
		t.Errorf("the log holds %d events, want 52,000, each once", len(pub.log))
	}
}

// What the shop did long ago is made again and let go: no snapshot of it is kept.
func TestSimulateCatchesUp(t *testing.T) {
	cfg := producer.SimulateConfig{Shop: simShop, Checkpoint: filepath.Join(t.TempDir(), "sim")}
	at := `{"simulate":{"seed":11,"products":30,"max_customers":50,"max_open":20},"next":160000}`
	if err := os.WriteFile(cfg.Checkpoint, []byte(at), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := producer.SnapshotsOfThePast(cfg); err != nil || got > 1 {
		t.Errorf("caught up with %d snapshots, %v, want one at most", got, err)
	}
}

// An endless simulation ends with its context, and repeats nothing.
func TestSimulateStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pub := newFakeLog(t)
		rng := rand.New(rand.NewPCG(7, 8))
		pub.outcome = func(int, *publish.Event) error {
			if rng.IntN(500) == 0 {
				return unknown(publish.ReasonBroker)
			}
			return nil
		}
		cfg := producer.SimulateConfig{Shop: simShop, Rate: 1000, Checkpoint: filepath.Join(t.TempDir(), "sim")}
		for range 5 {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second+time.Duration(rng.IntN(1e9)))
			summary, err := producer.Simulate(ctx, pub, cfg)
			cancel()
			if err != nil || summary.Done {
				t.Fatalf("got %+v, %v", summary, err)
			}
			if n := next(t, cfg.Checkpoint); n != summary.Next {
				t.Errorf("checkpoint: got %d, want %d", n, summary.Next)
			}
		}
		all := simulated(t, simShop, len(pub.log))
		sent := map[string]int{}
		for _, l := range pub.log {
			sent[l.id]++
		}
		// What is behind an event that failed at the very end is sent again.
		missing, twice := 0, 0
		for _, l := range all {
			switch sent[l.id] {
			case 0:
				missing++
			case 1:
			default:
				twice++
			}
		}
		if len(pub.log) < 14_000 || missing > 20 || twice > 20 {
			t.Errorf("%d events, %d missing, %d twice", len(pub.log), missing, twice)
		}
	})
}

// A killed process loses the snapshot that was not yet written and what the
// checkpoint did not know.
func TestSimulateKilled(t *testing.T) {
	dir := t.TempDir()
	pub := newFakeLog(t)
	cfg := producer.SimulateConfig{Shop: simShop, Checkpoint: filepath.Join(dir, "sim"), Count: 51_000}
	if _, err := producer.Simulate(t.Context(), pub, cfg); err != nil {
		t.Fatal(err)
	}
	// As if the last moments had not been saved, but the snapshot had.
	old := `{"simulate":{"seed":11,"products":30,"max_customers":50,"max_open":20},"next":50500}`
	if err := os.WriteFile(cfg.Checkpoint, []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.Count = 1_000
	if _, err := producer.Simulate(t.Context(), pub, cfg); err != nil {
		t.Fatal(err)
	}
	all := simulated(t, simShop, 51_500)
	if want := append(all[:51_000:51_000], all[50_500:]...); !slices.Equal(pub.log, want) {
		t.Errorf("the log holds %d events, want 51,000, then the last 500 of them again, then 500 more", len(pub.log))
	}
}

// The shop runs ahead of the acknowledgements, its snapshot on disk does not.
func TestSimulateSnapshotIsNeverAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const answered = 49_900 // the first snapshot is taken after 50,000
		pub := newFakeLog(t)
		cfg := producer.SimulateConfig{Shop: simShop, Checkpoint: filepath.Join(t.TempDir(), "sim")}
		silent := make(chan struct{})
		pub.wrote = func(int) bool { return true }
		pub.outcome = func(attempt int, _ *publish.Event) error {
			if attempt < answered {
				return nil
			}
			<-silent
			return unknown(publish.ReasonTimeout)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			synctest.Wait()
			cancel()
		}()
		if summary, err := producer.Simulate(ctx, pub, cfg); err != nil || summary.Next != answered {
			t.Fatalf("got %+v, %v, want it to stop at %d", summary, err, answered)
		}
		close(silent)
		synctest.Wait()
		sent := len(pub.log)
		if sent < 50_100 {
			t.Fatalf("%d events were sent, want the shop to be past its snapshot", sent)
		}
		pub.outcome = nil
		cfg.Count = 1000
		if _, err := producer.Simulate(t.Context(), pub, cfg); err != nil {
			t.Fatal(err)
		}
		all := simulated(t, simShop, sent)
		if want := append(all[:sent:sent], all[answered:answered+1000]...); !slices.Equal(pub.log, want) {
			t.Errorf("the log holds %d events, want %d, then 1,000 again from %d", len(pub.log), sent, answered)
		}
	})
}

func TestSimulateRefuses(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	s, err := shop.New(shop.Config{Seed: 11})
	if err != nil {
		t.Fatal(err)
	}
	for s.Sequence() < 100 {
		s.Step()
	}
	snapshot, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	write("ahead.snapshot", string(snapshot))
	write("broken.snapshot", "hello")
	for _, tt := range []struct {
		name string
		cfg  producer.SimulateConfig
		want string
	}{
		{"rate", producer.SimulateConfig{Rate: -1}, "rate -1"},
		{"count", producer.SimulateConfig{Count: -1}, "count -1"},
		{"give up", producer.SimulateConfig{GiveUp: -1}, "give up"},
		{"shop", producer.SimulateConfig{Shop: shop.Config{Products: -1}}, "products -1"},
		{"another seed", producer.SimulateConfig{Shop: shop.Config{Seed: 12}, Checkpoint: write("seed", `{"simulate":{"seed":11},"next":5}`)}, "another shop (seed 11)"},
		{"negative", producer.SimulateConfig{Shop: shop.Config{Seed: 11}, Checkpoint: write("negative", `{"simulate":{"seed":11},"next":-5}`)}, "next -5"},
		{"a replay's", producer.SimulateConfig{Checkpoint: write("replay", `{"replay":"cdnow","next":5,"total":9}`)}, "unknown field"},
		{"snapshot ahead", producer.SimulateConfig{Shop: shop.Config{Seed: 11}, Checkpoint: write("ahead", `{"simulate":{"seed":11},"next":5}`)}, "does not belong"},
		{"snapshot broken", producer.SimulateConfig{Shop: shop.Config{Seed: 11}, Checkpoint: write("broken", `{"simulate":{"seed":11},"next":5}`)}, "restore the shop"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pub := newFakeLog(t)
			if _, err := producer.Simulate(t.Context(), pub, tt.cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want it to say %q", err, tt.want)
			}
			if pub.attempts != 0 {
				t.Errorf("%d events were sent", pub.attempts)
			}
		})
	}
}
