// Package real_test has the tests that only a real cluster can answer: what the
// embedded broker does at once and by itself, several brokers do a moment later
// and in concert. docs/testing.md tells where the cluster comes from.
package real_test

import (
	"context"
	"os"
	"testing"
	"time"

	"firehose/internal/testbed"
	"firehose/internal/testbed/shop"
)

func TestMain(m *testing.M) { os.Exit(shop.Main(m)) }

// patience bounds every wait: long, since nothing that works needs it.
const patience = time.Minute

// cluster is the real one, and the test that uses it.
type cluster struct {
	*testbed.Cluster
	t *testing.T
}

func start(t *testing.T) *cluster {
	t.Helper()
	return &cluster{Cluster: testbed.Kafka(t), t: t}
}

func (c *cluster) context() context.Context {
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	c.t.Cleanup(cancel)
	return ctx
}
