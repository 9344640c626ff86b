// Package containers_test has the tests of what is made to run in containers: the
// parts that other tests want, and deploy/kafka/compose.yaml with the images of
// our programs. docs/images.md tells how the images come about.
package containers_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"firehose/internal/testbed"
	"firehose/internal/testbed/shop"
	"firehose/producer"
)

func TestMain(m *testing.M) { os.Exit(shop.Main(m)) }

// purchases are replayed: enough for both tests to meet events in flight.
const purchases = 3000

// A broker is stopped, as for a new version of it, and another one dies during a
// replay: the services go on, and their databases have the purchases' figures.
func TestReplay(t *testing.T) {
	cluster := testbed.KafkaAlone(t)
	if cluster.Size() < 3 {
		testbed.Skip(t, "kafka", fmt.Sprintf("needs three brokers, and there are %d", cluster.Size()))
	}
	s := shop.New(t, shop.Config{
		Cluster: cluster, Registry: testbed.Registry(t),
		Store: func(string) string { return testbed.Postgres(t) },
	})
	for _, service := range shop.Services() {
		s.Start(service)
	}
	data := shop.Dataset(purchases)
	replay := s.Replay(data, "--rate", fmt.Sprintf("%.0f", float64(count(t, data))/time.Minute.Seconds()))
	acknowledged := func() {
		from := s.Acknowledged()
		shop.Until(t, "more events are acknowledged", func() bool { return s.Acknowledged() > from || !replay.Running() })
	}
	acknowledged()
	cluster.Restart(2)
	acknowledged()
	cluster.Kill(3)
	acknowledged()
	cluster.Start(3)
	if !replay.Running() {
		t.Fatalf("the replay ended before the brokers were back: %s", replay.WantDone())
	}
	replay.Terminate()
	t.Log(replay.WantDone())
	t.Log(s.Replay(data).WantDone())
	s.AwaitApplied()
	s.WantFigures(data)
	s.WantNoDeadLetters()
}

// count is how many events a data set has.
func count(t *testing.T, dataset string) (n int64) {
	t.Helper()
	d, err := producer.DatasetNamed(dataset)
	if err != nil {
		t.Fatal(err)
	}
	for range d.Events() {
		n++
	}
	return n
}
