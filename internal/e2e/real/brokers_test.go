package real_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"firehose/internal/testbed"
	"firehose/internal/testbed/shop"
	"firehose/producer"
)

// replaying is a shop whose services run while a data set is replayed.
type replaying struct {
	*shop.Shop
	t       *testing.T
	cluster *testbed.Cluster
	data    string
	total   int64
	replay  *shop.Process
}

// startReplay starts a replay that takes ten minutes: longer than what is to happen
// meanwhile, so that it meets events in flight.
func startReplay(t *testing.T, cfg shop.Config, purchases int) *replaying {
	t.Helper()
	r := &replaying{Shop: shop.New(t, cfg), t: t, cluster: cfg.Cluster, data: shop.Dataset(purchases)}
	d, err := producer.DatasetNamed(r.data)
	if err != nil {
		t.Fatal(err)
	}
	if r.total = d.Total; r.total == 0 {
		for range d.Events() {
			r.total++
		}
	}
	r.goOn(10 * time.Minute)
	return r
}

// goOn replays what is left.
func (r *replaying) goOn(length time.Duration) {
	r.t.Helper()
	rate := float64(r.total-r.Acknowledged()) / length.Seconds()
	r.replay = r.Replay(r.data, "--rate", fmt.Sprintf("%.0f", max(1, rate)))
}

// finish ends a replay that was held back and replays the rest at once.
func (r *replaying) finish() {
	r.t.Helper()
	r.replay.Terminate()
	r.t.Log(r.replay.WantDone())
	r.replay = r.Replay(r.data)
}

// advance waits until some more events are acknowledged.
func (r *replaying) advance() {
	r.t.Helper()
	from := r.Acknowledged()
	shop.Until(r.t, fmt.Sprintf("more than %d of %d events acknowledged", from, r.total), func() bool {
		return r.Acknowledged() >= from+r.total/200 || !r.replay.Running()
	})
	if !r.replay.Running() {
		r.t.Fatalf("the replay ended after %d of %d events, too early for what was to happen: %s", from, r.total, r.replay.WantDone())
	}
}

// wantAll checks what a replay must leave, whatever happened meanwhile.
func (r *replaying) wantAll() {
	r.t.Helper()
	r.t.Log(r.replay.WantDone())
	r.AwaitApplied()
	r.WantFigures(r.data)
	r.WantNoDeadLetters()
	r.WantNoLag()
	r.WantInLog(r.data, r.total)
}

// coordinator is the broker that looks after a group.
func (r *replaying) coordinator(group string) int32 {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	at := r.cluster.Admin().FindGroupCoordinators(ctx, group)[group]
	if at.Err != nil || at.NodeID == 0 {
		r.t.Fatalf("coordinator of group %s: %+v", group, at)
	}
	return at.NodeID
}

// startOnCluster starts a replay over three brokers that the test may break.
func startOnCluster(t *testing.T) *replaying {
	t.Helper()
	cluster := testbed.KafkaAlone(t)
	if cluster.Size() < 3 {
		testbed.Skip(t, "kafka", fmt.Sprintf("needs three brokers, and there are %d", cluster.Size()))
	}
	r := startReplay(t, shop.Config{Cluster: cluster, Registry: testbed.Registry(t)}, 20_000)
	for _, service := range shop.Services() {
		r.Start(service)
	}
	return r
}

// Each broker dies in turn, and then the one that looks after a group. The others
// go on without it.
func TestBrokersKilledInTurn(t *testing.T) {
	r := startOnCluster(t)
	for n := int32(1); n <= 4; n++ {
		victim := n
		if n == 4 {
			victim = r.coordinator("inventory")
		}
		r.advance()
		r.cluster.Kill(victim)
		r.advance()
		r.cluster.Start(victim)
		r.cluster.AwaitHealthy()
	}
	r.advance()
	r.finish()
	r.wantAll()
}

// Without a majority nothing is acknowledged, neither at once nor later; what was
// acknowledged before is in the log, though the producer dies, too; all goes on
// when the brokers are back.
func TestTwoOfThreeBrokersStopped(t *testing.T) {
	r := startOnCluster(t)
	r.advance()
	r.cluster.Stop(1)
	r.cluster.Stop(2)
	at := r.settled()
	r.t.Logf("%d of %d events are acknowledged", at, r.total)
	r.replay.Kill()
	r.cluster.Start(1)
	r.cluster.Start(2)
	r.cluster.AwaitHealthy()
	r.WantInLog(r.data, at)
	r.goOn(5 * time.Second)
	r.wantAll()
}

// settled returns what the checkpoint says once the last answers are in it, and
// fails if it moves in the ten seconds after that.
func (r *replaying) settled() int64 {
	r.t.Helper()
	at, since := r.Acknowledged(), time.Now()
	const answers, silence = 2 * time.Second, 10 * time.Second
	began := since
	shop.Until(r.t, "no more answers", func() bool {
		now := r.Acknowledged()
		if now != at {
			if time.Since(began) > answers {
				r.t.Errorf("%d more events were acknowledged by one broker of three", now-at)
			}
			at, since = now, time.Now()
		}
		return time.Since(since) > silence
	})
	return at
}
