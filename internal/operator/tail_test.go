package operator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/codec"
	"firehose/internal/operator"
	"firehose/internal/service"
	"firehose/schemas"
)

// fill puts good and bad records on shop.customers, partition 2.
func fill(w *world) {
	good := w.encode(schemas.TopicCustomers, customer("c-1", 1))
	for _, r := range []*kgo.Record{
		{Key: []byte("c-1"), Value: good, Headers: headers(schemas.CustomerRegistered, "c-1", 1)},
		{Key: []byte("c-1"), Value: w.encode(schemas.TopicCustomers, customer("c-1", 2))}, // no headers, as kcat writes it
		{Key: []byte("c-1"), Headers: headers(schemas.CustomerChanged, "c-1", 3)},
		{Key: []byte("k\x1b[2J\xff"), Value: []byte("hello")},
		{Value: append(bytes.Clone(good), 1)},
		{Key: []byte("c-2"), Value: codec.AppendFrame(nil, 999)},
		{Key: []byte("c-3"), Value: good, Headers: []kgo.RecordHeader{{Key: "ce_sequence", Value: []byte("x")}}},
		{Key: []byte("c-4"), Value: good[5:], Headers: append(headers(schemas.CustomerChanged, "c-4", 4),
			kgo.RecordHeader{Key: codec.SchemaIDHeader, Value: good[:5]})},
	} {
		r.Topic, r.Partition = schemas.TopicCustomers, 2
		w.produce(r)
	}
}

const ada = `{"customer_id":"c-1","version":1,"name":"Ada","email":null,"country":"GB","newsletter":false,"registered_at":"1997-06-30T12:00:00Z","updated_at":"1997-06-30T12:00:00Z"}`

func TestTail(t *testing.T) {
	w := ready(t)
	fill(w)
	want := `PARTITION  OFFSET    SENT                      KEY             TYPE                  VERSION  ID                                    VALUE
2          0         1997-06-30T13:00:00.000Z  c-1             shop.customer.registered  1        id-c-1                                ` + ada + `
2          1         1997-06-30T13:00:00.000Z  c-1             -                     2        -                                     ` + strings.Replace(ada, `"version":1`, `"version":2`, 1) + `
2          2         1997-06-30T13:00:00.000Z  c-1             shop.customer.changed  3        id-c-1                                (deleted)
2          3         1997-06-30T13:00:00.000Z  k\x1b[2J\xff    -                     -        -                                     ! undecodable: no magic byte
2          4         1997-06-30T13:00:00.000Z  -               -                     -        -                                     ! undecodable: 1 trailing bytes
2          5         1997-06-30T13:00:00.000Z  c-2             -                     -        -                                     ! unknown_schema: id 999
2          6         1997-06-30T13:00:00.000Z  c-3             -                     1        -                                     ` + ada + `  ! bad_header: malformed header ce_sequence: want decimal digits
2          7         1997-06-30T13:00:00.000Z  c-4             shop.customer.changed  4        id-c-4                                ` + ada + `
`
	if diff := cmp.Diff(want, w.ok("tail", schemas.TopicCustomers)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, test := range []struct {
		args []string
		want []int64
	}{
		{[]string{"-o", "beginning", "-c", "2"}, []int64{0, 1}},
		{[]string{"-o", "-3"}, []int64{5, 6, 7}},
		{[]string{"-o", "5", "-p", "2"}, []int64{5, 6, 7}},
		{[]string{"-o", "99"}, nil},
		{[]string{"-p", "0,1", "-o", "beginning"}, nil},
		{[]string{"-p", "1", "-p", "2", "-o", "-1"}, []int64{7}},
	} {
		var got []int64
		for line := range strings.Lines(w.ok(append([]string{"tail", schemas.TopicCustomers, "-J"}, test.args...)...)) {
			var r struct{ Offset int64 }
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			got = append(got, r.Offset)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%v: offsets (-want +got):\n%s", test.args, diff)
		}
	}
	wantJSON := `{"topic":"shop.customers","partition":2,"offset":0,"timestamp":"1997-06-30T13:00:00Z","key":"c-1","id":"id-c-1","type":"shop.customer.registered","source":"/service/test","time":"1997-06-30T12:00:00Z","version":1,"schema_id":1,"value":` + ada + `}
`
	if diff := cmp.Diff(wantJSON, w.ok("tail", schemas.TopicCustomers, "-J", "-o", "0", "-c", "1")); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
}

func TestTailRefuses(t *testing.T) {
	w := ready(t)
	for _, test := range []struct {
		args []string
		code int
		says string
	}{
		{nil, service.ExitUsage, "want one topic"},
		{[]string{"a", "b"}, service.ExitUsage, "want one topic"},
		{[]string{"shop.orders", "-o", "tomorrow"}, service.ExitUsage, `--offset "tomorrow"`},
		{[]string{"shop.orders", "-o", "end"}, service.ExitUsage, "without --follow"},
		{[]string{"shop.orders", "-p", "x"}, service.ExitUsage, `--partition "x"`},
		{[]string{"shop.orders", "-c", "-1"}, service.ExitUsage, "--count -1"},
		{[]string{"shop.orders", "-p", "8"}, service.ExitFailed, "no partition 8: it has 8"},
		{[]string{"shop.nothing"}, service.ExitFailed, "shop.nothing: unknown topic"},
	} {
		got := w.run("", append([]string{"tail"}, test.args...)...)
		if got.code != test.code || !strings.Contains(got.stderr, test.says) {
			t.Errorf("%v: got %d, %q, want %d, %q", test.args, got.code, got.stderr, test.code, test.says)
		}
	}
}

// A transaction that was aborted is not shown, and its marker at the log's end
// does not keep the reader waiting.
func TestTailTransactions(t *testing.T) {
	w := ready(t)
	producer, err := kgo.NewClient(kgo.SeedBrokers(w.broker.Addr()), kgo.TransactionalID("t"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	value := w.encode(schemas.TopicPayments, payment("p-1"))
	for i, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort} {
		if err := producer.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		r := &kgo.Record{Topic: schemas.TopicPayments, Value: value, Headers: headers(schemas.PaymentReceived, "p", int64(i+1))}
		if err := producer.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := producer.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	got := w.ok("tail", schemas.TopicPayments, "-o", "beginning", "-J")
	if strings.Count(got, "\n") != 1 || !strings.Contains(got, `"version":1`) {
		t.Errorf("got %s, want the committed one", got)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("took %s: it waited for records behind the marker", took)
	}
}

// lineWriter gives each line that is written to a channel.
type lineWriter chan string

func (w lineWriter) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		w <- line
	}
	return len(p), nil
}

func TestTailFollow(t *testing.T) {
	w := ready(t)
	fill(w)
	lines := lineWriter(make(chan string, 10))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan int, 1)
	go func() {
		root := operator.Command(operator.Streams{Out: lines, Err: io.Discard})
		done <- service.Execute(ctx, root, service.Process{Stdout: io.Discard, Stderr: io.Discard, Args: []string{
			"tail", schemas.TopicCustomers, "-f", "-o", "-1", "-J", "-b", w.broker.Addr(), "--registry", w.registry.URL(),
		}})
	}()
	if got := <-lines; !strings.Contains(got, `"offset":7`) {
		t.Errorf("first: got %s", got)
	}
	w.produce(&kgo.Record{Topic: schemas.TopicCustomers, Partition: 5, Key: []byte("new"), Value: w.encode(schemas.TopicCustomers, customer("new", 1))})
	if got := <-lines; !strings.Contains(got, `"partition":5,"offset":0`) {
		t.Errorf("second: got %s", got)
	}
	cancel()
	if code := <-done; code != service.ExitDone {
		t.Errorf("exit code %d, want %d: Ctrl-C is how following ends", code, service.ExitDone)
	}
}

// With the registry away, records still show where they are and whose.
func TestTailRegistryAway(t *testing.T) {
	w := ready(t)
	fill(w)
	got := execute(t.Context(), nil, "tail", schemas.TopicCustomers, "-c", "1", "-b", w.broker.Addr(), "--registry", "http://127.0.0.1:1")
	if got.code != service.ExitDone || !strings.Contains(got.stdout, "id-c-1") || !strings.Contains(got.stdout, "! registry_unavailable") {
		t.Errorf("got %+v", got)
	}
}
