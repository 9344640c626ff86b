package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/kafka"
)

const (
	watchedFor = time.Minute     // long enough that memory has settled
	settleTime = 5 * time.Second // before that
	changeRate = 1000            // a second, of a replica in steady state
	clockTicks = 100             // of /proc, a second; the same on all of Linux
)

// watched is a service that is looked at for a time when it has read its topic.
type watched struct {
	cmd            *exec.Cmd
	store          table
	length, settle time.Duration
	feed           func(context.Context) error // meanwhile; nil for nothing
	more           int                         // events, of it

	caughtUp, from time.Time
	ticks          int64
	fed            chan error
	cores          float64 // that it took while it was watched
}

// look follows it: it reads what there is, settles, is watched, and has read all.
func (w *watched) look(events int) watch {
	first, all := w.store.watch(events), w.store.watch(events+w.more)
	return func(ctx context.Context) (begun, done bool, err error) {
		switch {
		case w.caughtUp.IsZero():
			begun, done, err = first(ctx)
			if done {
				w.caughtUp = time.Now()
			}
			return begun, false, err
		case w.from.IsZero():
			if time.Since(w.caughtUp) >= w.settle {
				err = w.begin(ctx)
			}
			return true, false, err
		case w.fed != nil:
			if time.Since(w.from) >= w.length {
				err = w.end()
			}
			return true, false, err
		default:
			_, done, err = all(ctx)
			return true, done, err
		}
	}
}

func (w *watched) begin(ctx context.Context) (err error) {
	w.from, w.fed = time.Now(), make(chan error, 1)
	if w.ticks, err = ticksOf(w.cmd.Process.Pid); err != nil {
		return err
	}
	go func() { // ends with its feed
		if w.feed == nil {
			w.fed <- nil
			return
		}
		w.fed <- w.feed(ctx)
	}()
	return nil
}

func (w *watched) end() error {
	ticks, err := ticksOf(w.cmd.Process.Pid)
	if err != nil {
		return err
	}
	w.cores = float64(ticks-w.ticks) / clockTicks / time.Since(w.from).Seconds()
	err = <-w.fed
	w.fed = nil
	return err
}

// ticksOf reads the processor time that a process has taken.
func ticksOf(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ") // behind the name, which may hold anything
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat: %d fields", pid, len(fields))
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	return user + system, err
}

// watchReplica watches a replica of the row's topic on a store of its own.
func (b *bench) watchReplica(ctx context.Context, r *row, where, round string, w *watched) (m measured, err error) {
	kind, _, _ := strings.Cut(r.input, ".")
	w.store = table{positions: "positions", rows: kind + "_orders", sum: "version"}
	var store string
	if where == onPostgres {
		schema := "peers_" + round
		defer b.exec(ctx, "DROP SCHEMA IF EXISTS "+schema+" CASCADE") //nolint:errcheck // the next round has another one
		store = b.postgres + "&search_path=" + schema
		conn, err := pgx.Connect(ctx, store)
		if err != nil {
			return m, err
		}
		defer conn.Close(ctx) //nolint:errcheck // it was only read from
		w.store.query = inPostgres(conn)
	} else {
		dir, err := os.MkdirTemp(b.dir, "sqlite-")
		if err != nil {
			return m, err
		}
		defer os.RemoveAll(dir) //nolint:errcheck // it is under the folder of this benchmark
		path := filepath.Join(dir, "db")
		query, closeFile := inSQLite(path)
		defer closeFile() //nolint:errcheck // it was only read
		w.store.query, store = query, "sqlite:"+path
	}
	w.cmd = b.side("replicate-ours", "--topic", r.input, "--store", store, "--group", "peers-"+round)
	events := b.eventsOf(r)
	if m, _, err = runProcess(ctx, w.cmd, w.look(events)); err != nil {
		return m, err
	}
	m.Figures = map[string]float64{corePart: 100 * w.cores, residentMB: m.EndMB}
	return m, w.store.right(ctx, events/versionsOf(r.input), events+w.more)
}

// watchTime is how long a service is watched, and how long it settles before.
func (b *bench) watchTime() (length, settle time.Duration) {
	if b.shorter > 0 {
		return b.shorter, b.shorter / 10
	}
	return watchedFor, settleTime
}

func idleOn(where string) func(context.Context, *bench, *row, string) (measured, error) {
	return func(ctx context.Context, b *bench, r *row, round string) (measured, error) {
		w := &watched{}
		w.length, w.settle = b.watchTime()
		return b.watchReplica(ctx, r, where, round, w)
	}
}

// steadyOn has the first orders change once while the replica is watched. Its
// topic is filled anew for each run.
func steadyOn(where string) func(context.Context, *bench, *row, string) (measured, error) {
	return func(ctx context.Context, b *bench, r *row, round string) (measured, error) {
		n := b.eventsOf(r)
		if _, err := fill(ctx, b.one, b.registry, r.input, n); err != nil {
			return measured{}, err
		}
		w := &watched{}
		w.length, w.settle = b.watchTime()
		w.more = min(n, int(changeRate*w.length/time.Second))
		w.feed = func(ctx context.Context) error { return b.change(ctx, r.input, n, w.more) }
		return b.watchReplica(ctx, r, where, round, w)
	}
}

// change sends second versions of the first orders of n, at a rate.
func (b *bench) change(ctx context.Context, topic string, n, changes int) error {
	client, err := kafka.NewClient(kafka.Config{Brokers: b.one})
	if err != nil {
		return err
	}
	defer client.Close()
	s := side{registry: b.registry}
	as, err := s.encoding(ctx, topic)
	if err != nil {
		return err
	}
	start := time.Now()
	for i := range changes {
		if err := wait(ctx, time.Until(start.Add(time.Duration(i)*time.Second/changeRate))); err != nil {
			return err
		}
		o := orderEvent(i, 2)
		r, err := recordOf(topic, as, &o, n+i)
		if err != nil {
			return err
		}
		client.Produce(ctx, r, func(*kgo.Record, error) {}) // one that is missing shows in the rows
	}
	return client.Flush(ctx)
}
