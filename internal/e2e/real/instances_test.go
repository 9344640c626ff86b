package real_test

import (
	"testing"

	"firehose/internal/testbed"
	"firehose/internal/testbed/shop"
)

// awaitMembers waits until the instances have all partitions of their services,
// each of them some.
func (r *replaying) awaitMembers(instances []*shop.Process) {
	r.t.Helper()
	for _, service := range shop.Services() {
		ends, err := r.Ends(service)
		if err != nil {
			r.t.Fatal(err)
		}
		shop.Until(r.t, service+": its instances share all partitions", func() bool {
			sum := 0.0
			for _, p := range instances {
				if p.Name() != service {
					continue
				}
				assigned := p.Metric("firehose_partitions_assigned")
				if sum += assigned; assigned == 0 {
					return false
				}
			}
			return int(sum) == len(ends)
		})
	}
}

// The database crashes and is away for a while: nothing is set aside, nobody
// leaves the group, and in the end all is applied.
func TestPostgresAway(t *testing.T) {
	server := testbed.OwnPostgres(t)
	r := startReplay(t, shop.Config{
		Cluster: testbed.KafkaAlone(t), Registry: testbed.Registry(t),
		Store: func(string) string { return server.Database() },
	}, 20_000)
	var instances []*shop.Process
	for _, service := range shop.Services() {
		instances = append(instances, r.Start(service), r.Start(service))
	}
	r.awaitMembers(instances)
	r.advance()
	before := rebalances(instances)
	server.Stop("immediate")
	r.holds("PostgreSQL is away", outage())
	server.Start()
	r.advance()
	r.wantNoRebalance(before, rebalances(instances))
	r.finish()
	r.wantAll()
}

// Three instances of each service share its partitions. One dies, one is told to
// stop, one joins, all during a replay: nothing is lost and nothing counts twice.
func TestInstancesComeAndGo(t *testing.T) {
	r := startReplay(t, shop.Config{
		Cluster: testbed.KafkaAlone(t), Registry: testbed.Registry(t),
		Store: func(string) string { return testbed.Postgres(t) },
	}, 20_000)
	const each = 3
	var instances []*shop.Process
	for range each {
		for _, service := range shop.Services() {
			instances = append(instances, r.Start(service))
		}
	}
	first, second, third := instances[:each], instances[each:2*each], instances[2*each:]
	r.awaitMembers(instances)
	r.advance()
	for _, p := range first {
		p.Kill()
	}
	r.advance()
	for _, p := range second {
		p.Terminate()
	}
	r.advance()
	for _, service := range shop.Services() {
		third = append(third, r.Start(service))
	}
	r.awaitMembers(third)
	r.finish()
	r.wantAll()
	for _, p := range third {
		p.Terminate()
	}
	r.WantRebuiltAlike()
}

// An instance that stands still for longer than its session has lost its
// partitions without knowing, and what it was about to write with them.
func TestInstanceFrozen(t *testing.T) {
	r := startReplay(t, shop.Config{
		Cluster: testbed.KafkaAlone(t), Registry: testbed.Registry(t),
		Store: func(string) string { return testbed.Postgres(t) },
	}, 20_000)
	var frozen, others []*shop.Process
	for _, service := range shop.Services() {
		frozen, others = append(frozen, r.Start(service)), append(others, r.Start(service))
	}
	all := append(frozen[:len(frozen):len(frozen)], others...)
	r.awaitMembers(all)
	r.advance()
	for _, p := range frozen {
		p.Freeze()
	}
	r.awaitMembers(others)
	r.advance()
	for _, p := range frozen {
		p.Thaw()
	}
	r.awaitMembers(all)
	r.finish()
	r.wantAll()
	for _, p := range all {
		p.Terminate()
	}
	r.WantRebuiltAlike()
}
