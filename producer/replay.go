package producer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"
)

// ReplayConfig says what is replayed, and how. Rate and Speed exclude each other;
// without either, events are sent as fast as they are taken.
type ReplayConfig struct {
	Dataset    Dataset       // required
	Rate       float64       // events per second
	Speed      float64       // multiple of the speed at which the events happened; 86400 is a day a second
	Checkpoint string        // file that remembers how far it got; none when empty, then each run starts at the beginning
	Again      bool          // start at the beginning whatever the checkpoint says
	GiveUp     time.Duration // how long to go on without an acknowledgement; default 5 minutes
	Progress   *Progress     // to be read meanwhile; optional
	Log        *slog.Logger  // for retries; optional
}

// Validate reports the field that is wrong.
func (c ReplayConfig) Validate() error {
	switch {
	case c.Dataset.Events == nil:
		return errors.New("data set: want one")
	case !isPace(c.Rate):
		return fmt.Errorf("rate %v: want a positive number of events per second", c.Rate)
	case !isPace(c.Speed):
		return fmt.Errorf("speed %v: want a positive number", c.Speed)
	case c.Rate > 0 && c.Speed > 0:
		return errors.New("rate and speed: want one of them")
	case c.GiveUp < 0:
		return fmt.Errorf("give up after %v: want a positive duration", c.GiveUp)
	}
	return nil
}

func isPace(x float64) bool { return x >= 0 && !math.IsInf(x, 1) && !math.IsNaN(x) }

// replayCheckpoint is the content of a replay's checkpoint.
type replayCheckpoint struct {
	Replay string `json:"replay"` // the data set
	Next   int64  `json:"next"`   // all events below are acknowledged
	Total  int64  `json:"total"`
}

// Replay sends the events of a recorded data set, from where an earlier run
// stopped. Events that were acknowledged since the last checkpoint was written
// (a quarter of a second, when the process was killed) are sent again with the
// same IDs, which is safe.
//
// An unknown outcome is retried with the same ID; a rejected event stops the
// replay with an error. ctx ends it without one: what is in flight is waited for,
// the checkpoint is written, and Summary.Done is false. The publisher must be
// closed after Replay returned, not before.
func Replay(ctx context.Context, pub Publisher, cfg ReplayConfig) (Summary, error) {
	if err := cfg.Validate(); err != nil {
		return Summary{}, fmt.Errorf("replay: %w", err)
	}
	from, err := cfg.resume()
	if err != nil {
		return Summary{}, fmt.Errorf("replay %s: %w", cfg.Dataset.Name, err)
	}
	f := newFeed(pub, from, cfg.GiveUp, cfg.Progress, cfg.Log)
	f.progress.Total.Store(cfg.Dataset.Total)
	summary, err := f.summarise(func() (bool, error) {
		run := func(ctx context.Context) (bool, error) {
			return f.run(ctx, cfg.Dataset.Events(), newPace(cfg.Rate, cfg.Speed))
		}
		if cfg.Checkpoint == "" {
			return run(ctx)
		}
		return keepCheckpoint(ctx, f, func(prefix int64) error {
			return writeCheckpoint(cfg.Checkpoint, replayCheckpoint{Replay: cfg.Dataset.Name, Next: prefix, Total: cfg.Dataset.Total})
		}, run)
	})
	if err != nil {
		return summary, fmt.Errorf("replay %s: %w", cfg.Dataset.Name, err)
	}
	return summary, nil
}

// resume returns the index to begin with.
func (c ReplayConfig) resume() (int64, error) {
	if c.Checkpoint == "" {
		return 0, nil
	}
	var at replayCheckpoint
	found, err := readCheckpoint(c.Checkpoint, &at)
	switch {
	case err != nil:
		return 0, err
	case !found:
		return 0, nil
	case at.Replay != c.Dataset.Name || at.Total != c.Dataset.Total || at.Next < 0 || at.Next > at.Total:
		return 0, fmt.Errorf("checkpoint %s is of another data set (%q, event %d of %d): name another file, or remove it",
			c.Checkpoint, at.Replay, at.Next, at.Total)
	case c.Again:
		return 0, nil
	}
	return at.Next, nil
}

// summarise runs the feed and says what it did.
func (f *feed) summarise(run func() (bool, error)) (Summary, error) {
	s := Summary{From: f.prefix()}
	start, retried := time.Now(), f.progress.Retried.Load()
	done, err := run()
	f.mu.Lock()
	defer f.mu.Unlock()
	s.Next, s.Acknowledged, s.Done = f.acked, f.answers, done
	s.Retried = f.progress.Retried.Load() - retried
	s.Elapsed = time.Since(start)
	return s, err
}
