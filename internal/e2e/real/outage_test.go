package real_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"firehose/internal/testbed"
	"firehose/internal/testbed/shop"
)

// outage is how long a dependency is away: two minutes where E2E_FULL is set.
func outage() time.Duration {
	if os.Getenv("E2E_FULL") != "" {
		return 2 * time.Minute
	}
	return 20 * time.Second
}

// holds waits while something is away. The replay must go on meanwhile.
func (r *replaying) holds(what string, length time.Duration) {
	r.t.Helper()
	began, from := time.Now(), r.Acknowledged()
	shop.Until(r.t, fmt.Sprintf("%s for %s", what, length), func() bool { return time.Since(began) > length })
	if now := r.Acknowledged(); now == from {
		r.t.Errorf("%s: no event was acknowledged for %s", what, length)
	}
}

// rebalances is how often the instances had to give partitions back.
func rebalances(instances []*shop.Process) map[string]float64 {
	counts := map[string]float64{}
	for i, p := range instances {
		counts[fmt.Sprintf("%s %d", p.Name(), i)] = p.Metric("firehose_rebalances_total")
	}
	return counts
}

func (r *replaying) wantNoRebalance(before, after map[string]float64) {
	r.t.Helper()
	for name, count := range after {
		if count != before[name] {
			r.t.Errorf("%s: %v rebalances during the outage, want none", name, count-before[name])
		}
	}
}

// The registry is away. Producer and services go on with the schemas that they
// know; a service that starts meanwhile knows none, and waits without setting
// anything aside.
func TestRegistryAway(t *testing.T) {
	cluster := testbed.KafkaAlone(t)
	registry := testbed.RegistryAlone(t)
	r := startReplay(t, shop.Config{Cluster: cluster, Registry: registry.URL()}, 20_000)
	var instances []*shop.Process
	for _, service := range shop.Services()[1:] {
		instances = append(instances, r.Start(service))
	}
	r.awaitApplying(instances)
	before := rebalances(instances)
	registry.Stop()
	newcomer := r.Start(shop.Services()[0])
	r.holds("the registry is away", outage())
	if applied := newcomer.Metric("firehose_events_applied_total"); applied > 0 {
		t.Errorf("%s has applied %v events without a schema", newcomer.Name(), applied)
	}
	registry.Start()
	r.advance()
	r.wantNoRebalance(before, rebalances(instances))
	r.finish()
	r.wantAll()
}

// awaitApplying waits until each instance has applied something.
func (r *replaying) awaitApplying(instances []*shop.Process) {
	r.t.Helper()
	for _, p := range instances {
		shop.Until(r.t, p.Name()+" applies events", func() bool { return p.Metric("firehose_events_applied_total") > 0 })
	}
}
