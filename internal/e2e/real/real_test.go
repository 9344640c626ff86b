// Package real_test has the tests that only a real cluster can answer: what the
// embedded broker does at once and by itself, several brokers do a moment later
// and in concert. They run against the cluster that FIREHOSE_KAFKA names,
//
//	FIREHOSE_KAFKA=127.0.0.1:9092,127.0.0.1:9093 go test ./internal/e2e/real
//
// on topics and groups of their own, which they delete, and skip without one.
package real_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"firehose/internal/kafka"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait: long, since nothing that works needs it.
const patience = time.Minute

// cluster is the real one, with a prefix that nobody else has.
type cluster struct {
	t           *testing.T
	brokers     []string
	client      *kgo.Client
	admin       *kadm.Client
	prefix      string
	replication int16 // as far as there are brokers, up to 3
}

func start(t *testing.T) *cluster {
	t.Helper()
	named := os.Getenv("FIREHOSE_KAFKA")
	if named == "" {
		t.Skip("needs a real cluster: FIREHOSE_KAFKA names no brokers (make kafka starts some)")
	}
	c := &cluster{t: t, brokers: strings.Split(named, ","), prefix: fmt.Sprintf("real%x", time.Now().UnixNano())}
	var err error
	if c.client, err = kafka.NewClient(c.config()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.client.Close)
	c.admin = kadm.NewClient(c.client)
	brokers, err := c.admin.ListBrokers(c.context())
	if err != nil {
		t.Fatalf("FIREHOSE_KAFKA=%s: %v", named, err)
	}
	c.replication = int16(min(len(brokers), 3))
	t.Cleanup(c.clear)
	return c
}

func (c *cluster) config() kafka.Config { return kafka.Config{Brokers: c.brokers} }

func (c *cluster) context() context.Context {
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	c.t.Cleanup(cancel)
	return ctx
}

// clear deletes what the test made.
func (c *cluster) clear() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	topics, err := c.admin.ListTopics(ctx)
	if err != nil {
		c.t.Errorf("clearing: %v", err)
		return
	}
	var names []string
	for _, name := range topics.Names() {
		if strings.HasPrefix(name, c.prefix) {
			names = append(names, name)
		}
	}
	if len(names) > 0 {
		if _, err := c.admin.DeleteTopics(ctx, names...); err != nil {
			c.t.Errorf("clearing: %v", err)
		}
	}
	if _, err := c.admin.DeleteGroups(ctx, c.prefix); err != nil {
		c.t.Errorf("clearing: %v", err)
	}
}
