package producer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"sync"
	"time"

	"firehose/internal/publish"
	"firehose/producer/shop"
)

// SimulateConfig says which shop is simulated, and how fast.
type SimulateConfig struct {
	Shop       shop.Config
	Rate       float64       // events per second; 0 for as fast as they are taken
	Count      int64         // events to send in this run; 0 for no end
	Checkpoint string        // file that remembers how far it got, with a second one, .snapshot, beside it; none when empty, then each run starts at the beginning
	GiveUp     time.Duration // how long to go on without an acknowledgement; default 5 minutes
	Progress   *Progress     // to be read meanwhile; optional
	Log        *slog.Logger  // for retries; optional
}

// Validate reports the field that is wrong.
func (c SimulateConfig) Validate() error {
	switch {
	case !isPace(c.Rate):
		return fmt.Errorf("rate %v: want a positive number of events per second", c.Rate)
	case c.Count < 0:
		return fmt.Errorf("count %d: want a positive number of events", c.Count)
	case c.GiveUp < 0:
		return fmt.Errorf("give up after %v: want a positive duration", c.GiveUp)
	}
	return c.Shop.Validate()
}

// snapshotEvery is how many events lie between two snapshots of the shop. A
// restart makes at most about as many again to get to where it was.
const snapshotEvery = 50_000

// simulateCheckpoint is the content of a simulation's checkpoint. The state of
// the shop lies beside it, as of this or an earlier event: it is big and changes
// seldom, and the events between the two follow from it.
type simulateCheckpoint struct {
	Simulate shop.Config `json:"simulate"`
	Next     int64       `json:"next"` // all events below are acknowledged
}

// Simulate sends the events of a synthetic shop, from where an earlier run
// stopped: it goes on with the sequence. As with Replay, events acknowledged
// since the last checkpoint are sent again with the same IDs and the same data,
// an unknown outcome is retried, a rejected event stops it with an error, and ctx
// ends it without one.
func Simulate(ctx context.Context, pub Publisher, cfg SimulateConfig) (Summary, error) {
	if err := cfg.Validate(); err != nil {
		return Summary{}, fmt.Errorf("simulate: %w", err)
	}
	sim, from, err := cfg.resume()
	if err != nil {
		return Summary{}, fmt.Errorf("simulate: %w", err)
	}
	f := newFeed(pub, from, cfg.GiveUp, cfg.Progress, cfg.Log)
	if cfg.Count > 0 {
		sim.end = from + cfg.Count
		f.progress.Total.Store(sim.end)
	}
	summary, err := f.summarise(func() (bool, error) {
		run := func(ctx context.Context) (bool, error) {
			done, err := f.run(ctx, sim.events(), newPace(cfg.Rate, 0))
			return done && sim.err == nil, errors.Join(err, sim.err)
		}
		if cfg.Checkpoint == "" {
			return run(ctx)
		}
		return keepCheckpoint(ctx, f, sim.save, run)
	})
	if err != nil {
		return summary, fmt.Errorf("simulate: %w", err)
	}
	return summary, nil
}

// resume opens the shop and returns the index to begin with.
func (c SimulateConfig) resume() (*simulation, int64, error) {
	sim := &simulation{cfg: c}
	var at simulateCheckpoint
	if c.Checkpoint != "" {
		found, err := readCheckpoint(c.Checkpoint, &at)
		if err != nil {
			return nil, 0, err
		}
		if found && !at.Simulate.Equal(c.Shop) {
			return nil, 0, fmt.Errorf("checkpoint %s is of another shop (seed %d): name another file, or remove it", c.Checkpoint, at.Simulate.Seed)
		}
		if found && at.Next < 0 {
			return nil, 0, fmt.Errorf("checkpoint %s: next %d: want 0 or more", c.Checkpoint, at.Next)
		}
		sim.from = at.Next
		snapshot, err := os.ReadFile(c.snapshotPath())
		switch {
		case err == nil && found:
			if sim.shop, err = shop.Restore(snapshot); err != nil {
				return nil, 0, fmt.Errorf("%s: %w", c.snapshotPath(), err)
			}
			if sim.shop.Sequence() > at.Next || !sim.shop.Config().Equal(c.Shop) {
				return nil, 0, fmt.Errorf("%s does not belong to checkpoint %s: remove it", c.snapshotPath(), c.Checkpoint)
			}
			sim.snapshotAt = sim.shop.Sequence()
			return sim, sim.from, nil
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return nil, 0, fmt.Errorf("read snapshot: %w", err)
		}
	}
	var err error
	sim.shop, err = shop.New(c.Shop)
	return sim, sim.from, err
}

func (c SimulateConfig) snapshotPath() string { return c.Checkpoint + ".snapshot" }

// simulation runs the shop ahead of the acknowledgements and saves its snapshots
// behind them.
type simulation struct {
	cfg        SimulateConfig
	shop       *shop.Shop
	from       int64 // index to begin with; what the shop did before is not sent
	end        int64 // index to stop before, or 0
	snapshotAt int64 // sequence of the last snapshot
	err        error // of taking one

	mu      sync.Mutex
	pending []pendingSnapshot // not yet behind the acknowledgements; a few at most
}

type pendingSnapshot struct {
	sequence int64
	data     []byte
}

// events lets the shop run.
func (s *simulation) events() iter.Seq2[int64, *publish.Event] {
	return func(yield func(int64, *publish.Event) bool) {
		for {
			sequence := s.shop.Sequence()
			// While it catches up nothing is saved, so snapshots would pile up.
			if s.cfg.Checkpoint != "" && sequence >= max(s.from, s.snapshotAt+snapshotEvery) {
				data, err := s.shop.Snapshot()
				if err != nil {
					s.err = err
					return
				}
				s.snapshotAt = sequence
				s.mu.Lock()
				s.pending = append(s.pending, pendingSnapshot{sequence, data})
				s.mu.Unlock()
			}
			for _, e := range s.shop.Step() {
				if s.end > 0 && sequence >= s.end {
					return
				}
				if !yield(sequence, e) {
					return
				}
				sequence++
			}
		}
	}
}

// save writes the checkpoint, then the newest snapshot that is not ahead of it:
// in this order, so that a crash in between leaves an older snapshot and more to
// make again.
func (s *simulation) save(prefix int64) error {
	if err := writeCheckpoint(s.cfg.Checkpoint, simulateCheckpoint{Simulate: s.cfg.Shop, Next: prefix}); err != nil {
		return err
	}
	s.mu.Lock()
	var newest []byte
	for len(s.pending) > 0 && s.pending[0].sequence <= prefix {
		newest = s.pending[0].data
		s.pending = s.pending[1:]
	}
	s.mu.Unlock()
	if newest == nil {
		return nil
	}
	if err := writeFile(s.cfg.snapshotPath(), newest); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	return nil
}
