package postgres_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"firehose/internal/offsets"
	"firehose/internal/store"
	"firehose/internal/store/postgres"
	"firehose/internal/testbed"
)

// pooler is what is between a client and two servers' sessions. While it pools by
// transaction, each transaction goes to the other session than the one before, as
// it may with any pooler that does so.
type pooler struct {
	listener net.Listener
	to       string // the server's address, with how to log in
	byTx     atomic.Bool
	wg       sync.WaitGroup

	mu     sync.Mutex
	opened []net.Conn
}

func behindPooler(t *testing.T, address string) (*pooler, string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal("the address is no URL")
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &pooler{listener: l, to: address}
	p.wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		for _, c := range p.opened {
			c.Close()
		}
		p.mu.Unlock()
		p.wg.Wait()
	})
	u.Host = l.Addr().String()
	return p, u.String()
}

// backend is a server's session, and how many answers of its are still to come.
type backend struct {
	net.Conn
	mu   sync.Mutex
	busy bool // in a transaction, or an answer is due
}

func (b *backend) setBusy(busy bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.busy = busy
}

func (b *backend) isBusy() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.busy
}

func (p *pooler) serve(client net.Conn) {
	p.own(client)
	defer client.Close()
	front := pgproto3.NewBackend(client, client)
	start, err := front.ReceiveStartupMessage()
	if err != nil {
		return
	}
	asked, ok := start.(*pgproto3.StartupMessage)
	if !ok {
		return
	}
	var backends [2]*backend
	for i := range backends {
		c, err := p.logIn(asked.Parameters)
		if err != nil {
			return
		}
		defer c.Conn.Close()
		p.own(c.Conn)
		backends[i] = &backend{Conn: c.Conn}
		if i > 0 {
			continue
		}
		front.Send(&pgproto3.AuthenticationOk{})
		for name, value := range c.ParameterStatuses {
			front.Send(&pgproto3.ParameterStatus{Name: name, Value: value})
		}
		front.Send(&pgproto3.BackendKeyData{ProcessID: c.PID, SecretKey: c.SecretKey})
		front.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		if err := front.Flush(); err != nil {
			return
		}
	}
	for _, b := range backends {
		p.wg.Go(func() {
			defer client.Close()
			for {
				answer, err := message(b)
				if err != nil {
					return
				}
				if answer[0] == 'Z' && answer[5] == 'I' {
					b.setBusy(false) // before the client can ask for more
				}
				if _, err := client.Write(answer); err != nil {
					return
				}
			}
		})
	}
	at := 0
	for {
		ask, err := message(client)
		if err != nil {
			return
		}
		if !backends[at].isBusy() && p.byTx.Load() {
			at = 1 - at
		}
		backends[at].setBusy(true)
		if _, err := backends[at].Write(ask); err != nil {
			return
		}
	}
}

// logIn opens a session of the server's, with the settings that a client asks for.
func (p *pooler) logIn(settings map[string]string) (*pgconn.HijackedConn, error) {
	cfg, err := pgconn.ParseConfig(p.to)
	if err != nil {
		return nil, err
	}
	cfg.RuntimeParams = maps.Clone(settings)
	delete(cfg.RuntimeParams, "user")
	delete(cfg.RuntimeParams, "database")
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return c.Hijack()
}

func (p *pooler) own(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opened = append(p.opened, c)
}

// message reads one message of PostgreSQL's protocol: a letter, and a length that
// counts itself.
func message(r io.Reader) ([]byte, error) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	whole := append(head, make([]byte, int(binary.BigEndian.Uint32(head[1:]))-4)...)
	_, err := io.ReadFull(r, whole[len(head):])
	return whole, err
}

// A pooler that gives each transaction another session breaks what belongs to a
// session. Nothing is written that should not be, and the error asks for it.
func TestPooledByTransaction(t *testing.T) {
	t.Parallel()
	address := testbed.Postgres(t)
	p, pooled := behindPooler(t, address)
	ledger := &store.Table{Name: "ledger", Kind: store.Log, Columns: []store.Column{{Name: "n", Type: store.Int}}}
	cfg := postgres.Config{Address: pooled, Appliers: 1}
	s, err := postgres.Open(t.Context(), cfg, []*store.Table{ledger})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := positions(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	at, written := first, 0
	apply := func(n int) error {
		c := store.Changes{Table: ledger}
		for i := range n {
			c.Entries = append(c.Entries, store.Entry{Source: "/s", EventID: fmt.Sprintf("%d %03d", at.Next, i), Values: []any{int64(i)}})
		}
		_, err := s.Apply(t.Context(), &store.Batch{Moves: []store.Move{{From: at, Next: at.Next + 1}}, Changes: []store.Changes{c}})
		if err == nil {
			at.Next++
			written += n
		}
		return err
	}
	const question = "is there a pooler in transaction mode between?"
	const few, staged = 10, 300
	for _, n := range []int{few, staged} {
		for range 2 { // both sessions have prepared, and staged
			if err := apply(n); err != nil {
				t.Fatal(err)
			}
		}
		p.byTx.Store(true)
		asked := false
		for range 4 {
			if err := apply(n); err != nil {
				asked = true
				if !errors.Is(err, store.ErrTransient) || !strings.Contains(err.Error(), question) {
					t.Errorf("%d rows: got error %v, want an ErrTransient that asks for a pooler", n, err)
				}
			}
		}
		if !asked {
			t.Errorf("%d rows: nothing went wrong", n)
		}
		if s, err := postgres.Open(t.Context(), cfg, nil); err == nil {
			s.Close()
			t.Error("opened through it")
		} else if !errors.Is(err, store.ErrFatal) || !strings.Contains(err.Error(), question) {
			t.Errorf("open: got error %v, want an ErrFatal that asks for a pooler", err)
		}
		p.byTx.Store(false)
		for range 2 {
			err = apply(n)
		}
		if err != nil {
			t.Errorf("%d rows, without it: %v", n, err)
		}
	}
	got, err := readable{s, address}.Read(t.Context(), `SELECT count(*), (SELECT next FROM positions) FROM ledger`)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]string{{fmt.Sprint(written), fmt.Sprint(at.Next)}}, got); diff != "" {
		t.Errorf("rows and position (-want +got):\n%s", diff)
	}
}

// No two sessions have a staging table of one name: through such a pooler one
// would write what the other has staged.
func TestStagesOfOneSession(t *testing.T) {
	t.Parallel()
	address := testbed.Postgres(t)
	const stores = 2
	for i := range int32(stores) {
		s, err := postgres.Open(t.Context(), postgres.Config{Address: address}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		at := first
		at.Partition = i
		if _, err := s.Positions(t.Context(), []offsets.Position{at}); err != nil {
			t.Fatal(err)
		}
		var seen []store.Seen
		for k := range 300 {
			seen = append(seen, seenAt(fmt.Sprint(i, " ", k), long))
		}
		applySeen(t, s, &at, seen...)
	}
	got, err := readable{nil, address}.Read(t.Context(), `SELECT count(*), count(DISTINCT relname) FROM pg_class WHERE relname LIKE 'firehose\_stage\_%'`)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]string{{"2", "2"}}, got); diff != "" {
		t.Errorf("staging tables and names (-want +got):\n%s", diff)
	}
}
