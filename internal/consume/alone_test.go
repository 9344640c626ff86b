package consume_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/consume"
	"firehose/internal/store"
	"firehose/internal/store/sqlite"
)

func alone(patience time.Duration) func(*consume.Config) {
	return func(c *consume.Config) { c.Alone, c.AlonePatience = true, patience }
}

// otherStore is a second file, for a member that has one of its own.
func (b *bank) otherStore() *sqlite.Store {
	b.t.Helper()
	s, err := sqlite.Open(b.t.Context(), sqlite.Config{Path: filepath.Join(b.t.TempDir(), "other.db")}, []*store.Table{accounts, sums, limits, journal})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { s.Close() })
	return s
}

// wantRefused waits until a member ends by itself because it is not alone.
func wantRefused(t *testing.T, m *member) {
	t.Helper()
	select {
	case err := <-m.done:
		m.done <- err
		if !errors.Is(err, consume.ErrNotAlone) {
			t.Fatalf("Run beside another member: got %v, want ErrNotAlone", err)
		}
		if text := err.Error(); !strings.Contains(text, "group bank") || !strings.Contains(text, "--store postgres://") {
			t.Errorf("the error says %q, want the group and what to do", text)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the member runs beside another one")
	}
}

func TestAloneRefusesBesideAnother(t *testing.T) {
	b := newBank(t)
	first := b.start(b.store, alone(time.Minute))
	b.eventually("the first member", first.Ready)

	second := b.start(b.otherStore(), alone(20*time.Millisecond))
	wantRefused(t, second)
	if !strings.Contains(b.logs.String(), "another member is in the group") {
		t.Error("nothing in the log while it waited")
	}
	// The one that was there has kept all of its partitions.
	if got := len(first.Status()); got != 4 {
		t.Errorf("the first member has %d partitions, want 4", got)
	}
	b.produce(b.entry("e1", "a", 1, 0), b.entry("e2", "a", 1, 1))
	b.caughtUp()
	b.wantQuery(2, "SELECT sum(entries) FROM sums")
}

func TestAloneWaitsForTheOtherToLeave(t *testing.T) {
	b := newBank(t)
	first := b.start(b.store, alone(time.Minute))
	b.eventually("the first member", first.Ready)
	second := b.start(b.store, alone(time.Minute))
	b.eventually("the second one to wait", func() error {
		if !strings.Contains(b.logs.String(), "another member is in the group") {
			return errors.New("it says nothing")
		}
		return nil
	})
	if err := first.end(t); err != nil {
		t.Fatal(err)
	}
	b.eventually("the second member", second.Ready)
	b.produce(b.entry("e1", "a", 1, 0))
	b.caughtUp()
}

func TestAloneStopsWhileItWaits(t *testing.T) {
	b := newBank(t)
	first := b.start(b.store)
	b.eventually("the first member", first.Ready)
	second := b.start(b.otherStore(), alone(time.Minute))
	if err := second.end(t); err != nil {
		t.Errorf("stopped while it waited: got %v, want nil", err)
	}
}

func TestAloneGivesWayToOneThatSharesTheGroup(t *testing.T) {
	b := newBank(t)
	first := b.start(b.store, alone(50*time.Millisecond))
	b.eventually("the first member", first.Ready)
	second := b.start(b.otherStore())
	wantRefused(t, first)
	b.eventually("all partitions with the second", func() error {
		if n := len(second.Status()); n != 4 {
			return fmt.Errorf("%d partitions", n)
		}
		return nil
	})
}

// Two that start at the same moment see nobody before they join. One remains.
func TestOfTwoAloneOneRemains(t *testing.T) {
	b := newBank(t)
	release := make(chan struct{})
	gate := func(dialed chan<- struct{}) func(*consume.Config) {
		return func(c *consume.Config) {
			alone(2 * time.Second)(c)
			c.ClientOptions = append(c.ClientOptions, kgo.Dialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
				dialed <- struct{}{}
				select {
				case <-release:
				case <-ctx.Done():
					return nil, ctx.Err()
				}
				return new(net.Dialer).DialContext(ctx, network, addr)
			}))
		}
	}
	oneDials, twoDials := make(chan struct{}, 100), make(chan struct{}, 100)
	one, two := b.start(b.store, gate(oneDials)), b.start(b.otherStore(), gate(twoDials))
	<-oneDials
	<-twoDials
	close(release)
	var stays *member
	select {
	case err := <-one.done:
		one.done <- err
		stays = two
		wantRefused(t, one)
	case err := <-two.done:
		two.done <- err
		stays = one
		wantRefused(t, two)
	case <-time.After(20 * time.Second):
		t.Fatal("both run")
	}
	b.eventually("all partitions with the one that stays", func() error {
		if n := len(stays.Status()); n != 4 {
			return fmt.Errorf("%d partitions", n)
		}
		return nil
	})
}
