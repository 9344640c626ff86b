// Peers measures what users would pick instead, and the bare program that is the
// ceiling of each piece of work, in turns with ours: on the same brokers, input
// and machine, each in a process of its own. The script run beside it starts
// what it needs, see docs/performance.md.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"firehose/internal/kafka"
	"firehose/internal/kafka/embedded"
	"firehose/internal/service"
)

func main() {
	os.Exit(service.Main(context.Background(), &service.Command{
		Name: "peers", Summary: "what users would pick instead, measured in turns with ours",
		Commands: []*service.Command{runCommand(), pageCommand(), sideCommand()},
	}))
}

// bench is where it is measured.
type bench struct {
	one, three []string // brokers of the clusters of one and of three
	postgres   string   // URL of a database
	jars       string   // folder of what Maven fetched
	dir        string   // for what contenders write
	events     int
	registry   string
	tails      map[string][]tail
	program    string        // this one
	programs   string        // folder of the project's own
	only       []string      // contenders; empty: all
	shorter    time.Duration // a test's: how long services are watched, and of all inputs as few events as are asked for
	profiles   string        // folder for profiles of our own processes; "" for none
	profiled   int
}

func runCommand() *service.Command {
	b := &bench{tails: map[string][]tail{}}
	var names []string
	var rounds int
	var out string
	return &service.Command{
		Name: "run", Summary: "measure rows, in turns, and write a line of JSON for each run",
		Example: "loadtest/peers/run ROW=postgres-clustered",
		Register: func(f *service.Flags) {
			f.List(&b.one, "one", nil, "`addresses` of a cluster of one broker")
			f.List(&b.three, "three", nil, "`addresses` of a cluster of three brokers")
			f.StringVar(&b.postgres, "postgres", "", "`URL` of a database")
			f.StringVar(&b.jars, "jars", "", "`folder` with what Maven fetched; empty: contenders that need it are left out")
			f.StringVar(&b.dir, "dir", os.TempDir(), "`folder` for what contenders write")
			f.StringVar(&b.programs, "programs", "bin", "`folder` of producer and loadtest")
			f.StringVar(&b.profiles, "profiles", "", "`folder` to write processor profiles of our own contenders to")
			f.IntVar(&b.events, "events", 1_000_000, "`number` of events, a multiple of 5")
			f.IntVar(&rounds, "rounds", 3, "`number` of rounds, in which all take their turn")
			f.List(&names, "rows", nil, "`names` of rows; default all")
			f.List(&b.only, "contenders", nil, "`names` of contenders, or what they begin with; default all")
			f.StringVar(&out, "out", "peers.jsonl", "`file` to add the results to")
		},
		Run: func(ctx context.Context, _ []string) error {
			if b.events <= 0 || b.events%versions != 0 || rounds < 1 {
				return fmt.Errorf("events %d, rounds %d: want a multiple of %d, and at least one", b.events, rounds, versions)
			}
			chosen, err := choose(names)
			if err != nil {
				return err
			}
			file, err := os.OpenFile(out, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
			if err != nil {
				return err
			}
			return errors.Join(b.measure(ctx, chosen, rounds, file), file.Close())
		},
	}
}

func choose(names []string) ([]row, error) {
	all := allRows()
	if len(names) == 0 {
		return all, nil
	}
	var chosen []row
	for _, name := range names {
		found := false
		for _, r := range all {
			if r.name == name {
				chosen, found = append(chosen, r), true
			}
		}
		if !found {
			return nil, fmt.Errorf("row %q: there is none", name)
		}
	}
	return chosen, nil
}

// result is a line of what run writes.
type result struct {
	Row       string `json:"row"`
	Contender string `json:"contender"`
	Round     int    `json:"round"`
	Asked     int    `json:"asked"`  // how many events a run was to have
	Events    int    `json:"events"` // that it had
	measured
	Machine machine `json:"machine"`
	Problem string  `json:"problem,omitempty"`
}

// measure runs all rows. One that fails is told of and does not end the others.
func (b *bench) measure(ctx context.Context, rows []row, rounds int, out io.Writer) error {
	registry, err := embedded.StartRegistry(embedded.RegistryConfig{})
	if err != nil {
		return err
	}
	defer registry.Close() //nolint:errcheck // nothing is kept of it
	b.registry = registry.URL()
	if b.program, err = os.Executable(); err != nil {
		return err
	}
	lines, here := json.NewEncoder(out), thisMachine()
	if b.postgres != "" {
		if here.Postgres, err = b.version(ctx); err != nil {
			return err
		}
	}
	problems := 0
	for i := range rows {
		r := &rows[i]
		if r.input != "" {
			if b.tails[r.input], err = fill(ctx, b.one, b.registry, r.input, b.eventsOf(r)); err != nil {
				return err
			}
		}
		for round := 1; round <= rounds && (r.rounds == 0 || round <= r.rounds); round++ {
			for n := range r.contenders {
				c := r.contenders[(n+round-1)%len(r.contenders)] // whoever begins may have it easier
				if b.jars == "" && needsJVM(c.name) || !b.chosen(c.name) {
					continue
				}
				id := fmt.Sprintf("%d_%d_%d", time.Now().Unix(), round, n)
				m, err := c.run(ctx, b, r, id)
				if ctx.Err() != nil {
					return ctx.Err()
				}
				line := result{Row: r.name, Contender: c.name, Round: round, Asked: b.events, Events: b.eventsOf(r), measured: m, Machine: here}
				if m.events > 0 {
					line.Events = m.events
				}
				if err != nil {
					line.Problem = err.Error()
					problems++
				}
				if err := lines.Encode(line); err != nil {
					return err
				}
				say(&line)
			}
		}
	}
	if problems > 0 {
		return fmt.Errorf("%d runs went wrong, see above", problems)
	}
	return nil
}

func (b *bench) chosen(contender string) bool {
	return len(b.only) == 0 || slices.ContainsFunc(b.only, func(name string) bool { return strings.HasPrefix(contender, name) })
}

func needsJVM(contender string) bool {
	return slices.Contains([]string{perf, connect, atLeast, exactly}, contender)
}

// eventsOf is how many events a row is about.
func (b *bench) eventsOf(r *row) int {
	if r.events == 0 || b.shorter > 0 && b.events < r.events {
		return b.events
	}
	return r.events
}

func say(r *result) {
	if r.Problem != "" {
		fmt.Fprintf(os.Stderr, "%-20s %-50s round %d: %s\n", r.Row, r.Contender, r.Round, r.Problem)
		return
	}
	fmt.Fprintf(os.Stderr, "%-20s %-50s round %d: %9.0f/s %6.1f CPU s %6.0f MB", r.Row, r.Contender, r.Round,
		float64(r.Events)/r.Seconds, r.CPUSeconds, r.PeakMB)
	for _, name := range slices.Sorted(maps.Keys(r.Figures)) {
		fmt.Fprintf(os.Stderr, ", %.2f %s", r.Figures[name], name)
	}
	fmt.Fprintln(os.Stderr)
}

// side is this program as a contender.
func (b *bench) side(name string, args ...string) *exec.Cmd {
	all := append([]string{"side", name, "--events", fmt.Sprint(b.events), "--registry", b.registry}, args...)
	if !strings.Contains(strings.Join(args, " "), "--brokers") {
		all = append(all, "--brokers", strings.Join(b.one, ","))
	}
	if b.profiles != "" {
		b.profiled++
		all = append(all, "--cpu-profile", filepath.Join(b.profiles, fmt.Sprintf("%s-%d.pprof", name, b.profiled)))
	}
	return clean(exec.Command(b.program, all...))
}

// own is one of the project's programs.
func (b *bench) own(name string, args ...string) *exec.Cmd {
	return clean(exec.Command(filepath.Join(b.programs, name), args...))
}

// clean takes settings out of a command's environment: they come as flags.
func clean(cmd *exec.Cmd) *exec.Cmd {
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "FIREHOSE_") })
	return cmd
}

// prepare makes a topic anew.
func (b *bench) prepare(ctx context.Context, brokers []string, topic string, replication int16) error {
	client, err := kafka.NewClient(kafka.Config{Brokers: brokers})
	if err != nil {
		return err
	}
	defer client.Close()
	_, err = prepare(ctx, client, b.registry, topic, replication)
	return err
}

func (b *bench) connect(ctx context.Context, to string) (*pgx.Conn, error) {
	return pgx.Connect(ctx, to)
}

func (b *bench) exec(ctx context.Context, statements string) error {
	conn, err := b.connect(ctx, b.postgres)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statements)
	return errors.Join(err, conn.Close(ctx))
}

// version is PostgreSQL's.
func (b *bench) version(ctx context.Context) (version string, err error) {
	conn, err := b.connect(ctx, b.postgres)
	if err != nil {
		return "", err
	}
	err = conn.QueryRow(ctx, "SHOW server_version").Scan(&version)
	version, _, _ = strings.Cut(version, " ")
	return version, errors.Join(err, conn.Close(ctx))
}

// machine says where it was measured.
type machine struct {
	CPU     string `json:"cpu"`
	Cores   int    `json:"cores"`
	Version string `json:"version"` // of this repository
	Date    string `json:"date"`

	Postgres string `json:"postgres,omitempty"` // its version
}

func thisMachine() machine {
	m := machine{Cores: runtime.NumCPU(), Date: time.Now().UTC().Format(time.DateOnly)}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				m.CPU = strings.TrimSpace(value)
			}
		}
	}
	if out, err := exec.Command("git", "describe", "--always", "--dirty").Output(); err == nil {
		m.Version = strings.TrimSpace(string(out))
	}
	return m
}
