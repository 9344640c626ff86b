package e2e_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/deadletter"
	"firehose/internal/kafka"
	"firehose/schemas"
)

// dataset is what the tests replay, but for the clean run of everything.
func dataset(purchases int) string {
	if full() {
		return "cdnow"
	}
	return fmt.Sprintf("cdnow:%d", purchases)
}

// cleanHashes are those of a run that nothing disturbed.
var cleanHashes = struct {
	sync.Mutex
	of map[string]map[string]string
}{of: map[string]map[string]string{}}

func hashesOfCleanRun(t *testing.T, data string) map[string]string {
	t.Helper()
	cleanHashes.Lock()
	defer cleanHashes.Unlock()
	if cleanHashes.of[data] == nil {
		dir := t.TempDir()
		devUntilIdle(t, dir, "--replay", data)
		cleanHashes.of[data] = hashes(t, dir)
	}
	return cleanHashes.of[data]
}

// wantUndisturbed checks that a run left what a clean one leaves, and that its
// positions are the ends of the logs, which it returns.
func wantUndisturbed(t *testing.T, dir, data string) map[string]logOf {
	t.Helper()
	if diff := cmp.Diff(wantFigures(t, data), readFigures(t, dir)); diff != "" {
		t.Errorf("figures (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(hashesOfCleanRun(t, data), hashes(t, dir)); diff != "" {
		t.Errorf("hashes of the stores (-clean run +got):\n%s", diff)
	}
	broker := brokerOf(t, dir)
	wantPositionsAtEnd(t, dir, broker)
	return readLogs(t, broker)
}

// The figures that every copy of the data set must lead to, to the cent.
func TestCleanRun(t *testing.T) {
	dir := t.TempDir()
	began := time.Now()
	s := devUntilIdle(t, dir, "--replay", "cdnow")
	t.Logf("%d events applied by every service in %s", s.Sent.Events, time.Since(began).Round(time.Millisecond))
	want := figures{
		Orders: 69_659, OrdersShipped: 69_659, Customers: 23_570, UnitsSold: 167_881,
		Revenue: -250_031_563, Cash: 250_031_563, Ledger: 278_636,
	}
	got := readFigures(t, dir)
	want.OnHand = wantFigures(t, "cdnow").OnHand // what was received and not sold; no figure of the data set
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("figures (-want +got):\n%s", diff)
	}
	for _, service := range s.Services {
		if service.Applied == 0 || service.SetAside != 0 {
			t.Errorf("%s: applied %d, set aside %d", service.Name, service.Applied, service.SetAside)
		}
	}
	cleanHashes.Lock()
	cleanHashes.of["cdnow"] = hashes(t, dir)
	cleanHashes.Unlock()

	again := devUntilIdle(t, dir, "--replay", "cdnow")
	if again.Sent.Events != 0 {
		t.Errorf("started again it sent %d events, want none", again.Sent.Events)
	}
	broker := brokerOf(t, dir)
	wantPositionsAtEnd(t, dir, broker)
	for topic, l := range readLogs(t, broker) {
		if l.Again() != 0 {
			t.Errorf("%s: %d event IDs lie in the log more than once", topic, l.Again())
		}
	}
}

func TestKilledTenTimes(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("E2E_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("E2E_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	const kills = 10
	data := dataset(5000)
	most := 3000.0 // events until the next kill, so that all kills meet events in flight
	rate := "6000"
	if full() {
		most, rate = 40_000, "40000"
	}
	dir := t.TempDir()
	for n := range kills {
		p := startDev(t, dir, "", "--replay", data, "--rate", rate)
		moment := 1 + random.Float64()*most
		until(t, "events to be sent", func() bool { return p.metric("firehose_producer_acknowledged_total") >= moment })
		buffered := p.metric("firehose_producer_buffered_records")
		p.kill()
		t.Logf("kill %d: after %.0f acknowledged events, %.0f in flight", n+1, moment, buffered)
	}
	last := devUntilIdle(t, dir, "--replay", data)
	if last.Sent.Events == 0 {
		t.Error("nothing was left to be sent after the last kill: the kills came too late to prove anything")
	}
	var again int64
	for topic, l := range wantUndisturbed(t, dir, data) {
		t.Logf("%-22s %7d records, %7d event IDs, %6d twice or more", topic, l.Records, l.IDs, l.Again())
		again += l.Again()
	}
	if again == 0 {
		t.Error("no event ID lies in the log twice: the kills proved nothing")
	}
}

func TestKilledAtFailpoint(t *testing.T) {
	data := dataset(1000)
	for _, moment := range []string{
		"after-poll:4", "in-transaction:3", "between-position-and-rows:3", "after-commit:3",
	} {
		t.Run(moment, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			p := startDev(t, dir, moment, "--replay", data)
			p.wantKilled(p.wait())
			devUntilIdle(t, dir, "--replay", data)
			wantUndisturbed(t, dir, data)
		})
	}
}

// The dead letter is acknowledged, the position has not passed the record: it is
// written again, and counts once.
func TestKilledAfterDeadLetter(t *testing.T) {
	t.Parallel()
	data := dataset(1000)
	dir := t.TempDir()
	p := startDev(t, dir, "after-dead-letter:2", "--replay", data)
	bad := [][]byte{nil, {}, {0, 0, 0}}
	client, err := kafka.NewClient(kafka.Config{Brokers: []string{p.broker}})
	if err != nil {
		t.Fatal(err)
	}
	var records []*kgo.Record
	for _, value := range bad {
		records = append(records, &kgo.Record{Topic: schemas.TopicStockMovements, Key: []byte("bad"), Value: value})
	}
	if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Logf("it died before it answered: %v", err)
	}
	client.Close()
	p.wantKilled(p.wait())
	devUntilIdle(t, dir, "--replay", data)

	if diff := cmp.Diff(wantFigures(t, data), readFigures(t, dir)); diff != "" {
		t.Errorf("figures (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(hashesOfCleanRun(t, data), hashes(t, dir)); diff != "" {
		t.Errorf("hashes of the stores (-clean run +got):\n%s", diff)
	}
	var marked int64
	query(t, dir, "inventory", "SELECT COUNT(*) FROM firehose_dead_letters", &marked)
	broker := brokerOf(t, dir)
	wantPositionsAtEnd(t, dir, broker)
	letters, ids := 0, map[deadletter.ID]bool{}
	err = kafka.Read(t.Context(), config(broker), kafka.ReadConfig{Topic: kafka.DeadLetterName(schemas.TopicStockMovements, "inventory")},
		func(r *kafka.Record) (bool, error) {
			reason, err := deadletter.ParseHeaders(r.Headers)
			letters++
			ids[reason.ID()] = true
			return true, err
		})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d dead letters of %d records", letters, len(ids))
	if len(ids) != len(bad) || marked != int64(len(bad)) {
		t.Errorf("set aside: %d by the dead letters, %d by the store, want %d", len(ids), marked, len(bad))
	}
	if letters <= len(bad) {
		t.Errorf("%d dead letters: none was written twice, the kill proved nothing", letters)
	}
}

// Everything once more, with the same IDs: the log doubles, the state does not.
func TestReplayedAgain(t *testing.T) {
	t.Parallel()
	data := dataset(2000)
	dir := t.TempDir()
	devUntilIdle(t, dir, "--replay", data)
	p := startDev(t, dir, "")
	replay := exec.CommandContext(t.Context(), program(t, "producer"), "replay", data, "--again",
		"--brokers", p.broker, "--registry", p.registry, "--checkpoint", filepath.Join(dir, "again.checkpoint"))
	replay.Env = environment("")
	var out bytes.Buffer
	replay.Stdout, replay.Stderr = &out, &out
	if err := replay.Run(); err != nil {
		t.Fatalf("producer replay --again: %v\n%s", err, out.String())
	}
	p.interrupt()
	devUntilIdle(t, dir)
	logs := wantUndisturbed(t, dir, data)
	for _, topic := range schemas.Shop().Topics() {
		l := logs[topic.Topic]
		t.Logf("%-22s log ends %7d, %7d records, %7d event IDs", topic.Topic, l.Ends, l.Records, l.IDs)
		if topic.Kind == schemas.Fact && (l.Ends != 2*l.IDs || l.Records != l.Ends) {
			t.Errorf("%s: the log ends at %d, want twice the %d events", topic.Topic, l.Ends, l.IDs)
		}
	}
}
