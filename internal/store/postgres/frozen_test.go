package postgres_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"firehose/internal/offsets"
	"firehose/internal/store"
	"firehose/internal/store/postgres"
	"firehose/internal/testbed"
)

// A server, or what is between, that takes everything and answers nothing is
// noticed, whatever it was asked, and the store goes on once it answers again.
func TestFrozenServer(t *testing.T) {
	t.Parallel()
	p, address := behindProxy(t, testbed.Postgres(t))
	asks := map[string]func(context.Context, *postgres.Store) error{
		"apply": func(ctx context.Context, s *postgres.Store) error {
			_, err := s.Apply(ctx, &store.Batch{Moves: []store.Move{{From: first, Next: 1, LeaderEpoch: 1}}})
			return err
		},
		"positions": positions,
		"all positions": func(ctx context.Context, s *postgres.Store) error {
			_, err := s.AllPositions(ctx)
			return err
		},
		"look up": func(ctx context.Context, s *postgres.Store) error {
			_, err := s.Lookup(ctx, &store.Lookup{Images: []store.EntityKey{{Topic: "shop.things", Key: "a"}}})
			return err
		},
	}
	s, err := postgres.Open(t.Context(), postgres.Config{
		Address: address + "&statement_timeout=2000&connect_timeout=5", Appliers: len(asks),
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	sessions := len(asks) + 1
	for range sessions { // they are taken in turns: all are connected then
		if err := positions(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	p.freeze()
	var wg sync.WaitGroup
	for name, ask := range asks {
		wg.Go(func() {
			if err := ask(ctx, s); !errors.Is(err, store.ErrTransient) || ctx.Err() != nil {
				t.Errorf("%s: got error %v, want an ErrTransient before the caller gives up (%v)", name, err, ctx.Err())
			}
		})
	}
	wg.Wait()
	p.heal()
	for range sessions { // the connections of before are broken
		err = positions(t.Context(), s)
	}
	if err != nil {
		t.Errorf("once it answers again: %v", err)
	}
	for name, ask := range asks {
		if err := ask(t.Context(), s); err != nil {
			t.Errorf("%s, once it answers again: %v", name, err)
		}
	}
}

// first is where the tests of this package begin.
var first = offsets.Position{Topic: "shop.things", TopicID: offsets.TopicID{1}, LeaderEpoch: offsets.NoEpoch}

func positions(ctx context.Context, s *postgres.Store) error {
	_, err := s.Positions(ctx, []offsets.Position{first})
	return err
}
