package e2e_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/deadletter"
	"firehose/internal/e2e/figures"
	"firehose/internal/kafka"
	"firehose/producer/cdnow"
	"firehose/schemas"
)

// dataset is what the tests replay, but for the clean run of everything.
func dataset(purchases int) string {
	if full() {
		return "cdnow"
	}
	return fmt.Sprintf("cdnow:%d", purchases)
}

// cleanRuns are the runs that nothing disturbed, by data set. Their directories
// live as long as the binaries.
var cleanRuns = struct {
	sync.Mutex
	of map[string]*cleanRun
}{of: map[string]*cleanRun{}}

type cleanRun struct {
	dir     string
	summary summary
	took    time.Duration
	hashes  func(t *testing.T) map[string]string // worked out when first asked for
}

func cleanRunOf(t *testing.T, data string) *cleanRun {
	t.Helper()
	bin := program(t, "firehose")
	cleanRuns.Lock()
	defer cleanRuns.Unlock()
	if cleanRuns.of[data] == nil {
		run := &cleanRun{dir: filepath.Join(filepath.Dir(bin), "clean-"+strings.ReplaceAll(data, ":", "-"))}
		began := time.Now()
		run.summary = devUntilIdle(t, run.dir, "--replay", data)
		run.took = time.Since(began)
		var once sync.Once
		var found map[string]string
		run.hashes = func(t *testing.T) map[string]string {
			once.Do(func() { found = hashes(t, run.dir) })
			return found
		}
		cleanRuns.of[data] = run
	}
	return cleanRuns.of[data]
}

// logOfCleanRun copies what a clean run left, without the stores: all is sent,
// nothing is applied.
func logOfCleanRun(t *testing.T, data string) (dir string) {
	t.Helper()
	run := cleanRunOf(t, data)
	dir = t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(run.dir)); err != nil {
		t.Fatal(err)
	}
	stores, err := filepath.Glob(filepath.Join(dir, "*.db*"))
	if err != nil || len(stores) == 0 {
		t.Fatalf("no stores to remove: %v", err)
	}
	for _, file := range stores {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// wantUndisturbed checks that a run left what a clean one leaves, and that its
// positions are the ends of the logs, which it returns.
func wantUndisturbed(t *testing.T, dir, data string) map[string]logOf {
	t.Helper()
	if diff := cmp.Diff(figures.Of(t, data), readFigures(t, dir)); diff != "" {
		t.Errorf("figures (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(cleanRunOf(t, data).hashes(t), hashes(t, dir)); diff != "" {
		t.Errorf("hashes of the stores (-clean run +got):\n%s", diff)
	}
	broker := brokerOf(t, dir)
	wantPositionsAtEnd(t, dir, broker)
	return readLogs(t, broker)
}

// The figures that every copy of the data set must lead to, to the cent.
func TestCleanRun(t *testing.T) {
	run := cleanRunOf(t, "cdnow")
	dir, s := run.dir, run.summary
	t.Logf("%d events applied by every service in %s", s.Sent.Events, run.took.Round(time.Millisecond))
	want := figures.Figures{
		Orders: 69_659, OrdersShipped: 69_659, Customers: 23_570, UnitsSold: 167_881,
		Revenue: -250_031_563, Cash: 250_031_563, Ledger: 278_636,
	}
	got := readFigures(t, dir)
	want.OnHand = got.OnHand // what was received and not sold: no figure of the data set
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("figures (-want +got):\n%s", diff)
	}
	for _, service := range s.Services {
		if service.Applied == 0 || service.SetAside != 0 {
			t.Errorf("%s: applied %d, set aside %d", service.Name, service.Applied, service.SetAside)
		}
	}
	again := devUntilIdle(t, dir, "--replay", "cdnow")
	if again.Sent.Events != 0 {
		t.Errorf("started again it sent %d events, want none", again.Sent.Events)
	}
	broker := brokerOf(t, dir)
	wantPositionsAtEnd(t, dir, broker)
	var ends int64
	for _, topic := range schemas.Shop().Topics() {
		for _, p := range describe(t, broker, topic.Topic) {
			ends += p.StableEnd
		}
	}
	if ends != cdnow.TotalEvents {
		t.Errorf("the logs hold %d records, want each of the %d events once", ends, cdnow.TotalEvents)
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

// The services die over a log that is complete, so that nothing which a death
// loses is sent again.
func TestKilledAtFailpoint(t *testing.T) {
	data := dataset(2000)
	for _, moment := range []string{"after-poll", "in-transaction", "between-position-and-rows", "after-commit"} {
		t.Run(moment, func(t *testing.T) {
			t.Parallel()
			dir := logOfCleanRun(t, data)
			for _, n := range []int{1, 2} {
				p := startDev(t, dir, fmt.Sprintf("%s:%d", moment, n), "--replay", data)
				p.wantKilled(p.wait())
			}
			s := devUntilIdle(t, dir, "--replay", data)
			if s.Sent.Events != 0 {
				t.Errorf("%d events were sent, want none: the log was complete", s.Sent.Events)
			}
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

	if diff := cmp.Diff(figures.Of(t, data), readFigures(t, dir)); diff != "" {
		t.Errorf("figures (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(cleanRunOf(t, data).hashes(t), hashes(t, dir)); diff != "" {
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
