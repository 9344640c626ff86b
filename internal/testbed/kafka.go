package testbed

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/kafka"
)

// Cluster is a real Kafka, with names that only this test has.
type Cluster struct {
	t      testing.TB
	found  *provided
	prefix string
	client *kgo.Client
	admin  *kadm.Client
	size   int // brokers
}

// provided is a cluster that somebody or something provides.
type provided struct {
	brokers   []string
	machinery machinery // nil where it is not ours to break
}

// machinery is what stands behind a cluster that tests may break.
type machinery interface {
	// act does start, stop, kill, freeze or thaw to a broker, which has the node
	// ID n, from 1. After a start it serves.
	act(n int32, what string) error
}

// Kafka returns a real cluster, which other tests use at the same time: what a
// test makes has names from Name, and is deleted after it. The cluster is
//
//   - the one that FIREHOSE_KAFKA names (host:port, comma-separated);
//   - else, where FIREHOSE_INTEGRATION is set, three containers of this process,
//     when a Docker engine answers and has the image (KAFKA_IMAGE);
//   - else, then, the local one of deploy/kafka/local, started in the user's
//     cache folder for as long as tests use it.
func Kafka(t testing.TB) *Cluster {
	t.Helper()
	c := open(t, shared)
	t.Cleanup(c.deleteOwn)
	return c
}

// KafkaAlone returns a real cluster that no other test uses meanwhile and that
// this one may break: what it breaks is mended after it. No topics and no groups
// are left of earlier tests, or of anybody else. So a cluster that FIREHOSE_KAFKA
// names is for this only if FIREHOSE_KAFKA_TO_BREAK names its folder, as
// deploy/kafka/local knows it; else the test is skipped.
func KafkaAlone(t testing.TB) *Cluster {
	t.Helper()
	c := open(t, exclusive)
	if c.found.machinery == nil {
		Skip(t, "kafka", "FIREHOSE_KAFKA names a cluster, and FIREHOSE_KAFKA_TO_BREAK does not say that tests may break it and delete what it holds")
	}
	c.mend()
	c.deleteAll()
	t.Cleanup(func() {
		c.mend()
		c.deleteAll()
	})
	return c
}

func open(t testing.TB, use lockKind) *Cluster {
	t.Helper()
	found, err := findKafka()
	if errors.Is(err, errMissing) {
		Skip(t, partFor("kafka"), reason(err))
	}
	if err != nil {
		t.Fatalf("Kafka: %v", err)
	}
	lock(t, strings.Join(found.brokers, ","), use)
	c := &Cluster{t: t, found: found, prefix: "test" + strings.ToLower(rand.Text()[:12])}
	if c.client, err = kafka.NewClient(c.Config()); err != nil {
		t.Fatalf("Kafka: %v", err)
	}
	t.Cleanup(c.client.Close)
	c.admin = kadm.NewClient(c.client)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	brokers, err := c.admin.ListBrokers(ctx)
	if err != nil {
		t.Fatalf("Kafka at %s: %v", found.brokers, err)
	}
	c.size = len(brokers)
	return c
}

// findKafka asks each source in turn for a cluster, once in a process.
var findKafka = sync.OnceValues(func() (*provided, error) {
	var reasons []string
	sources := []func() (*provided, error){namedKafka, containerKafka, localKafka}
	if inContainers() {
		sources = sources[1:2]
	}
	for _, source := range sources {
		found, err := source()
		if !errors.Is(err, errMissing) {
			return found, err
		}
		reasons = append(reasons, reason(err))
	}
	return nil, fmt.Errorf("%s: %w", strings.Join(reasons, "; "), errMissing)
})

// Brokers are addresses to bootstrap from.
func (c *Cluster) Brokers() []string { return c.found.brokers }

// Config is that of a client of the cluster.
func (c *Cluster) Config() kafka.Config { return kafka.Config{Brokers: c.found.brokers} }

// Client is one that the test need not close.
func (c *Cluster) Client() *kgo.Client { return c.client }

// Admin makes admin calls through Client.
func (c *Cluster) Admin() *kadm.Client { return c.admin }

// Name makes names of topics and groups that only this test has: they begin in
// the same way.
func (c *Cluster) Name(suffix string) string { return c.prefix + suffix }

// Replication is 3, or as many brokers as there are.
func (c *Cluster) Replication() int16 { return int16(min(c.size, 3)) }

// Size is how many brokers there were at the start. Their node IDs are 1 to Size
// where the test may break them.
func (c *Cluster) Size() int { return c.size }

// Kill sends SIGKILL to a broker.
func (c *Cluster) Kill(n int32) { c.t.Helper(); c.act(n, "kill") }

// Stop ends a broker in good order.
func (c *Cluster) Stop(n int32) { c.t.Helper(); c.act(n, "stop") }

// Start starts a broker that was killed or stopped, and returns once it serves.
func (c *Cluster) Start(n int32) { c.t.Helper(); c.act(n, "start") }

// Freeze sends SIGSTOP: the broker is there, and does nothing.
func (c *Cluster) Freeze(n int32) { c.t.Helper(); c.act(n, "freeze") }

// Thaw lets a frozen broker go on.
func (c *Cluster) Thaw(n int32) { c.t.Helper(); c.act(n, "thaw") }

// Restart stops a broker in good order and starts it again.
func (c *Cluster) Restart(n int32) { c.t.Helper(); c.act(n, "stop"); c.act(n, "start") }

func (c *Cluster) act(n int32, what string) {
	c.t.Helper()
	if c.found.machinery == nil {
		c.t.Fatalf("broker %d %s: ask for KafkaAlone to break a cluster", n, what)
	}
	began := time.Now()
	if err := c.found.machinery.act(n, what); err != nil {
		c.t.Fatalf("broker %d %s: %v", n, what, err)
	}
	c.t.Logf("broker %d: %s (%s)", n, what, time.Since(began).Round(time.Millisecond))
}
