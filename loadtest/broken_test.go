package loadtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firehose/internal/kafka/embedded"
	"firehose/internal/testbed"
)

// A broker is killed in the middle of a run: the result shows when the system did
// less well, how long it took to recover, and that every event was applied once.
func TestBrokerKilledDuringARun(t *testing.T) {
	cluster := testbed.KafkaAlone(t)
	store := testbed.Postgres(t)
	registry, err := embedded.StartRegistry(embedded.RegistryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer registry.Close()

	// The run asks for the kill, and waits until it is done.
	dir := t.TempDir()
	wanted, done := filepath.Join(dir, "wanted"), filepath.Join(dir, "done")
	var code int
	var r *Result
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		code, r = execute(t, "--brokers", strings.Join(cluster.Brokers(), ","), "--registry", registry.URL(), "--store", store,
			"--serve", "1", "--replication", fmt.Sprint(cluster.Replication()), "--rate", "300", "--duration", "26s", "--warm-up", "3s", "--keys", "200",
			"--at", fmt.Sprintf("6s:touch %s; until [ -e %s ]; do sleep 0.01; done", wanted, done))
	}()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for killed := false; !killed; {
		select {
		case <-tick.C:
			if _, err := os.Stat(wanted); err == nil {
				cluster.Kill(2)
				killed = true
			}
		case <-ended:
			t.Fatalf("exit code %d before the kill", code)
		}
	}
	if err := os.WriteFile(done, nil, 0o600); err != nil {
		t.Error(err)
	}
	<-ended
	if r == nil {
		t.Fatal("no result")
	}
	wantWhole(t, code, r, 7800)
	if len(r.Marks) != 1 {
		t.Fatalf("marks: got %+v, want that of the kill", r.Marks)
	}
	if len(r.Dents) == 0 {
		t.Fatalf("no dent is told of: usual applied p99 %.0f ms, longest %.0f ms", r.Applied.P50, r.Applied.Max)
	}
	for _, d := range r.Dents {
		t.Logf("dent: %+v", d)
	}
	first, last := r.Dents[0], r.Dents[len(r.Dents)-1]
	if first.Mark == "" || first.SinceMark <= 0 || first.WorstMs < noticeable {
		t.Errorf("got %+v, want a dent that is told to follow the kill", first)
	}
	if end := r.Series[len(r.Series)-1].At; last.Recovered > end-3 {
		t.Errorf("recovered at %.0f s of %.0f s: it did not", last.Recovered, end)
	}
}
