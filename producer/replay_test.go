package producer_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"firehose/internal/publish"
	"firehose/producer"
	"firehose/producer/cdnow"
)

func TestReplay(t *testing.T) {
	data, pub := dataset(t, 3000), newFakeLog(t)
	progress := &producer.Progress{}
	cfg := producer.ReplayConfig{Dataset: data, Checkpoint: filepath.Join(t.TempDir(), "replay"), Progress: progress}
	all := recorded(data)

	got, err := producer.Replay(t.Context(), pub, cfg)
	got.Elapsed = 0
	if want := (producer.Summary{Next: 3000, Acknowledged: 3000, Done: true}); err != nil || got != want {
		t.Errorf("first run: got %+v, %v, want %+v", got, err, want)
	}
	if !slices.Equal(pub.log, all) {
		t.Errorf("the log differs from the data set:\n%s", cmp.Diff(all, pub.log, cmp.AllowUnexported(logged{})))
	}
	if n := next(t, cfg.Checkpoint); n != 3000 {
		t.Errorf("checkpoint: got %d, want 3000", n)
	}
	if progress.Sent.Load() != 3000 || progress.Acknowledged.Load() != 3000 || progress.Next.Load() != 3000 || progress.Total.Load() != 3000 {
		t.Errorf("progress: sent %d, acknowledged %d, next %d, total %d, want 3000 each",
			progress.Sent.Load(), progress.Acknowledged.Load(), progress.Next.Load(), progress.Total.Load())
	}

	got, err = producer.Replay(t.Context(), pub, cfg)
	got.Elapsed = 0
	if want := (producer.Summary{From: 3000, Next: 3000, Done: true}); err != nil || got != want || len(pub.log) != 3000 {
		t.Errorf("second run: got %+v, %v and %d in the log, want %+v and nothing more", got, err, len(pub.log), want)
	}

	cfg.Again = true
	got, err = producer.Replay(t.Context(), pub, cfg)
	if err != nil || got.Acknowledged != 3000 || !slices.Equal(pub.log, append(all, all...)) {
		t.Errorf("again: got %+v, %v and %d in the log, want the same 3000 once more", got, err, len(pub.log))
	}
}

// Stopped between any two events, it goes on with the next one.
func TestReplayStopsAndGoesOn(t *testing.T) {
	data, pub := dataset(t, 2000), newFakeLog(t)
	cfg := producer.ReplayConfig{Dataset: data, Checkpoint: filepath.Join(t.TempDir(), "replay")}
	rng := rand.New(rand.NewPCG(1, 2))
	runs := 0
	for {
		ctx, cancel := context.WithCancel(t.Context())
		stopAt := pub.attempts + rng.IntN(300)
		pub.onPublish = func(attempt int) {
			if attempt == stopAt {
				cancel()
			}
		}
		summary, err := producer.Replay(ctx, pub, cfg)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		if runs++; summary.Done {
			break
		}
	}
	if runs < 5 {
		t.Errorf("%d runs, want several", runs)
	}
	if !slices.Equal(pub.log, recorded(data)) {
		t.Errorf("after %d runs the log holds %d events, want each of 2000 once and in order", runs, len(pub.log))
	}
}

// The process dies, or is stopped while the broker is silent: what was not
// acknowledged is sent again with the same IDs.
func TestReplayUnansweredIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data, pub := dataset(t, 3000), newFakeLog(t)
		cfg := producer.ReplayConfig{Dataset: data, Checkpoint: filepath.Join(t.TempDir(), "replay")}
		ctx, cancel := context.WithCancel(t.Context())
		silent := make(chan struct{})
		pub.wrote = func(attempt int) bool { return attempt >= 1000 }
		pub.outcome = func(attempt int, _ *publish.Event) error {
			if attempt < 1000 {
				return nil
			}
			<-silent
			return unknown(publish.ReasonTimeout)
		}
		go func() {
			synctest.Wait()
			cancel()
		}()
		start := time.Now()
		summary, err := producer.Replay(ctx, pub, cfg)
		if err != nil || summary.Done || summary.Next != 1000 {
			t.Errorf("got %+v, %v, want 1000 acknowledged", summary, err)
		}
		if waited := time.Since(start); waited > 15*time.Second {
			t.Errorf("waited %v for a silent broker", waited)
		}
		close(silent)
		synctest.Wait()
		pub.outcome = nil
		if summary, err = producer.Replay(t.Context(), pub, cfg); err != nil || summary.From != 1000 || !summary.Done {
			t.Errorf("second run: got %+v, %v, want it from 1000", summary, err)
		}
		all := recorded(data)
		if want := append(all[:3000:3000], all[1000:]...); !slices.Equal(pub.log, want) {
			t.Errorf("the log holds %d events, want all 3000 and then the last 2000 again", len(pub.log))
		}
	})
}

// Where a failure fails everything in flight behind it, as it does in a
// partition, the order of keys survives any number of unknown outcomes.
func TestReplayRetriesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data, pub := dataset(t, 4000), newFakeLog(t)
		rng := rand.New(rand.NewPCG(5, 6))
		all := recorded(data)
		tries := map[string]int{} // by event ID
		fails := map[string]int{} // by key, how often each of its events fails from now on
		pub.outcome = func(_ int, e *publish.Event) error {
			tries[e.ID]++
			if rng.IntN(50) == 0 {
				fails[e.Subject] = max(fails[e.Subject], tries[e.ID])
			}
			if tries[e.ID] <= fails[e.Subject] {
				return unknown(publish.ReasonBroker)
			}
			return nil
		}
		summary, err := producer.Replay(t.Context(), pub, producer.ReplayConfig{Dataset: data})
		if err != nil || !summary.Done || summary.Retried < 50 {
			t.Fatalf("got %+v, %v", summary, err)
		}
		if len(pub.acked) != 4000 || len(pub.log) != 4000 {
			t.Errorf("%d events acknowledged, %d in the log, want 4000 each", len(pub.acked), len(pub.log))
		}
		if err := inKeyOrder(pub.log, all); err != nil {
			t.Error(err)
		}
	})
}

func TestReplayOutcomes(t *testing.T) {
	for _, tt := range []struct {
		name    string
		outcome error
		want    string // in the error; empty when the event is sent again
	}{
		{"unknown: timeout", unknown(publish.ReasonTimeout), ""},
		{"unknown: broker", unknown(publish.ReasonBroker), ""},
		{"unknown: publisher closed", unknown(publish.ReasonClosed), "closed"},
		{"rejected: registry away", rejected(publish.ReasonUnavailable), ""},
		{"rejected: no room", rejected(publish.ReasonFull), ""},
		{"rejected: publisher closed", rejected(publish.ReasonClosed), "closed"},
		{"rejected: data", rejected(publish.ReasonData), "event 700, shop."},
		{"rejected: topic", rejected(publish.ReasonUnknownTopic), "unknown_topic"},
		{"rejected: too large", rejected(publish.ReasonTooLarge), "too_large"},
		{"no outcome", errors.New("something else"), "something else"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				data, pub := dataset(t, 2000), newFakeLog(t)
				pub.outcome = func(attempt int, _ *publish.Event) error {
					if attempt == 700 {
						return tt.outcome
					}
					return nil
				}
				cfg := producer.ReplayConfig{Dataset: data, Checkpoint: filepath.Join(t.TempDir(), "replay")}
				summary, err := producer.Replay(t.Context(), pub, cfg)
				if tt.want == "" {
					if err != nil || !summary.Done || summary.Retried != 1 || len(pub.acked) != 2000 {
						t.Errorf("got %+v, %v and %d acknowledged, want one retry and 2000", summary, err, len(pub.acked))
					}
					return
				}
				if err == nil || !strings.Contains(err.Error(), tt.want) || !errors.Is(err, tt.outcome) {
					t.Errorf("got error %v, want it to say %q", err, tt.want)
				}
				if n := next(t, cfg.Checkpoint); summary.Done || summary.Next != 700 || n != 700 {
					t.Errorf("got %+v and checkpoint %d, want to stop at 700", summary, n)
				}
			})
		})
	}
}

func TestReplayGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data, pub := dataset(t, 20), newFakeLog(t)
		pub.outcome = func(attempt int, _ *publish.Event) error {
			if attempt < 5 {
				return nil
			}
			return unknown(publish.ReasonTimeout)
		}
		start := time.Now()
		summary, err := producer.Replay(t.Context(), pub, producer.ReplayConfig{Dataset: data, GiveUp: time.Minute})
		if !errors.Is(err, publish.ErrUnknown) || !strings.Contains(err.Error(), "no acknowledgement for 1m0s") {
			t.Errorf("got error %v", err)
		}
		if took := time.Since(start); took < time.Minute || took > 70*time.Second {
			t.Errorf("gave up after %v, want a minute", took)
		}
		if summary.Next != 5 || summary.Retried > 30*20 {
			t.Errorf("got %+v, want 5 acknowledged and few retries", summary)
		}
	})
}

// Memory is bounded: without answers, a bounded number of events is sent.
func TestReplayWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data, pub := dataset(t, 20_000), newFakeLog(t)
		hold := make(chan struct{})
		pub.outcome = func(int, *publish.Event) error {
			<-hold
			return nil
		}
		done := make(chan error)
		go func() {
			_, err := producer.Replay(t.Context(), pub, producer.ReplayConfig{Dataset: data})
			done <- err
		}()
		synctest.Wait()
		if got, want := pub.attempts, 1<<14; got != want {
			t.Errorf("sent %d events without an answer, want %d", got, want)
		}
		close(hold)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := len(pub.log); got != 20_000 {
			t.Errorf("got %d events, want 20,000", got)
		}
	})
}

func TestReplayPace(t *testing.T) {
	// The events of the data set happen a second apart, on average.
	data := dataset(t, 15_000)
	var times []time.Time
	for _, e := range data.Events() {
		times = append(times, e.Time)
	}
	within := func(d time.Duration) int {
		n, _ := slices.BinarySearchFunc(times, times[0].Add(d), time.Time.Compare)
		return n
	}
	for _, tt := range []struct {
		name        string
		cfg         producer.ReplayConfig
		want, slack int // events after ten seconds
	}{
		{"50 a second", producer.ReplayConfig{Rate: 50}, 500, 2},
		{"a third a second", producer.ReplayConfig{Rate: 1. / 3}, 4, 1},
		{"1,000 a second", producer.ReplayConfig{Rate: 1000}, 10_000, 20},
		{"as it happened", producer.ReplayConfig{Speed: 1}, within(10 * time.Second), 1},
		{"an hour in ten seconds", producer.ReplayConfig{Speed: 360}, within(time.Hour), 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pub := newFakeLog(t)
				tt.cfg.Dataset = data
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				if _, err := producer.Replay(ctx, pub, tt.cfg); err != nil {
					t.Fatal(err)
				}
				if got := len(pub.log); got < tt.want-tt.slack || got > tt.want+tt.slack {
					t.Errorf("after 10 s: got %d events, want %d ± %d", got, tt.want, tt.slack)
				}
			})
		})
	}
}

func TestReplayConfig(t *testing.T) {
	data := dataset(t, 1)
	for _, tt := range []struct {
		cfg  producer.ReplayConfig
		want string
	}{
		{producer.ReplayConfig{}, "data set"},
		{producer.ReplayConfig{Dataset: data, Rate: -1}, "rate -1"},
		{producer.ReplayConfig{Dataset: data, Rate: math.NaN()}, "rate NaN"},
		{producer.ReplayConfig{Dataset: data, Speed: math.Inf(1)}, "speed +Inf"},
		{producer.ReplayConfig{Dataset: data, Rate: 1, Speed: 1}, "rate and speed"},
		{producer.ReplayConfig{Dataset: data, GiveUp: -1}, "give up"},
	} {
		if _, err := producer.Replay(t.Context(), newFakeLog(t), tt.cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got error %v, want it to say %q", err, tt.want)
		}
	}
	if _, err := producer.DatasetNamed("nothing"); err == nil || !strings.Contains(err.Error(), `"nothing"`) {
		t.Errorf("got error %v", err)
	}
	if d, err := producer.DatasetNamed("cdnow"); err != nil || d.Total != cdnow.TotalEvents {
		t.Errorf("got %+v, %v", d, err)
	}
}

func BenchmarkReplay(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := producer.Replay(b.Context(), instant{}, producer.ReplayConfig{Dataset: producer.CDNOW()}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*cdnow.TotalEvents/b.Elapsed().Seconds(), "events/s")
}

// instant acknowledges everything at once.
type instant struct{}

func (instant) Publish(_ context.Context, _ *publish.Event, done func(publish.Receipt, error)) {
	done(publish.Receipt{}, nil)
}
