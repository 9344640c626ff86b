// Package shop runs the shop's binaries, the producer and its three services, on
// the real parts that testbed gives, and says what their stores hold.
//
//	func TestMain(m *testing.M) { os.Exit(shop.Main(m)) }
//	...
//	s := shop.New(t, shop.Config{Cluster: testbed.KafkaAlone(t), Registry: testbed.Registry(t)})
//	for _, service := range shop.Services() {
//		s.Start(service)
//	}
//	s.Replay("cdnow:5000").WantDone()
//	s.AwaitApplied()
//	s.WantFigures("cdnow:5000")
//
// The shop's topics and groups have fixed names, so it wants a cluster of its
// own.
package shop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"firehose/internal/testbed"
)

// patience bounds every wait: long, since nothing that works needs it.
const patience = 3 * time.Minute

// Services are the shop's three.
func Services() []string { return []string{"replicator", "inventory", "billing"} }

// Config says what a shop runs on.
type Config struct {
	Cluster  *testbed.Cluster
	Registry string                      // URL of the schema registry
	Store    func(service string) string // what --store is told; default a SQLite file of the service's
	As       func(program string) string // file of settings with which it logs in; default none
}

// Shop is a shop whose topics are applied and whose schemas are registered.
type Shop struct {
	t      *testing.T
	cfg    Config
	dir    string
	stores map[string]string // by service
}

// New registers the schemas and applies the topics, as an operator does.
func New(t *testing.T, cfg Config) *Shop {
	t.Helper()
	s := &Shop{t: t, cfg: cfg, dir: t.TempDir(), stores: map[string]string{}}
	for _, service := range Services() {
		if cfg.Store != nil {
			s.stores[service] = cfg.Store(service)
		} else {
			s.stores[service] = "sqlite:" + filepath.Join(s.dir, service+".db")
		}
	}
	s.Run(nil, "firehose", "schemas", "register", "--registry", cfg.Registry)
	var manifests bytes.Buffer
	for _, service := range Services() {
		manifests.WriteString(s.Run(nil, service, "manifest", "-J"))
	}
	s.Run(manifests.Bytes(), "firehose", append([]string{"topics", "apply", "--brokers", s.brokers(),
		"--replication", strconv.Itoa(int(cfg.Cluster.Replication()))}, append(s.as("firehose"), "-")...)...)
	return s
}

// In is the same shop for a subtest, which fails in its place.
func (s *Shop) In(t *testing.T) *Shop {
	of := *s
	of.t = t
	return &of
}

// as are the arguments with which a program logs in.
func (s *Shop) as(program string) []string {
	if s.cfg.As == nil {
		return nil
	}
	return []string{"--config", s.cfg.As(program)}
}

func (s *Shop) brokers() string { return strings.Join(s.cfg.Cluster.Brokers(), ",") }

// Store is what the service's --store is told.
func (s *Shop) Store(service string) string { return s.stores[service] }

// Run runs a program to its end, which must be a good one, and returns what it
// prints.
func (s *Shop) Run(input []byte, program string, args ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, Program(s.t, program), args...)
	cmd.Env = Environment()
	cmd.Stdin = bytes.NewReader(input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("%s %s: %v\n%s%s", program, strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// Start starts an instance of a service on its store and waits until its admin
// port answers.
func (s *Shop) Start(service string, args ...string) *Process {
	s.t.Helper()
	p := s.start(service, append([]string{"--brokers", s.brokers(), "--registry", s.cfg.Registry,
		"--store", s.stores[service]}, append(s.as(service), args...)...)...)
	p.awaitAdmin()
	return p
}

// Replay starts producer replay of a data set. Replays of one shop go on where
// the last one stopped.
func (s *Shop) Replay(dataset string, args ...string) *Process {
	s.t.Helper()
	return s.start("producer", append([]string{"replay", dataset, "--brokers", s.brokers(), "--registry", s.cfg.Registry,
		"--checkpoint", filepath.Join(s.dir, "replay.checkpoint")}, append(s.as("producer"), args...)...)...)
}

// Dataset is a part of the recorded purchases, the first n, or all of them where
// E2E_FULL is set.
func Dataset(n int) string {
	if os.Getenv("E2E_FULL") != "" {
		return "cdnow"
	}
	return fmt.Sprintf("cdnow:%d", n)
}

// Main is for TestMain of packages that use a shop: it removes the programs that
// were built, and fails where goroutines are left.
func Main(m *testing.M) int {
	code := m.Run()
	if err := errors.Join(goleak.Find(), os.RemoveAll(built.dir)); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// built is where the programs are, and how building them ended.
var built struct {
	once sync.Once
	dir  string
	err  error
}

// Program returns the path of a program, built from this source, once in a
// process. E2E_TAGS=sabotage_position,... builds it with these tags: that is how
// the tests are seen to fail.
func Program(t *testing.T, name string) string {
	t.Helper()
	built.once.Do(func() { built.err = build() })
	if built.err != nil {
		t.Fatalf("go build: %v", built.err)
	}
	return filepath.Join(built.dir, name)
}

func build() error {
	var err error
	if built.dir, err = os.MkdirTemp("", "firehose-bin"); err != nil {
		return err
	}
	// As make build does it, so that what that has compiled need not be again.
	cmd := exec.Command("go", "build", "-trimpath", "-tags", os.Getenv("E2E_TAGS"), "-o", built.dir+string(filepath.Separator), "firehose/cmd/...")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// Environment is this process's, without what the programs would read as theirs.
func Environment() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "FIREHOSE_") {
			env = append(env, v)
		}
	}
	return env
}
