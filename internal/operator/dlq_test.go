package operator_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/deadletter"
	"firehose/internal/offsets"
	"firehose/internal/service"
	"firehose/schemas"
)

const deadLetters = "shop.orders.billing-dlt"

// setAside writes a dead letter of shop.orders/partition@offset.
func (w *world) setAside(partition int32, offset int64, class string, r *kgo.Record) {
	w.t.Helper()
	r.Topic, r.Partition = deadLetters, partition
	r.Headers = deadletter.AppendHeaders(r.Headers, deadletter.Reason{
		Topic: schemas.TopicOrders, TopicID: offsets.TopicID{15: 7}, Partition: partition, Offset: offset,
		Group: "billing", Deliveries: 1, Class: class, Message: "because of " + class,
	})
	w.produce(r)
}

func withLetters(t *testing.T) *world {
	t.Helper()
	w := ready(t)
	if got := w.run(manifests, "topics", "apply", "-"); got.code != service.ExitDone {
		t.Fatal(got.stderr)
	}
	for range 2 { // a crash between acknowledgement and commit
		w.setAside(3, 12, "undecodable", &kgo.Record{Key: []byte("o-1"), Value: []byte("hello"), Headers: headers(schemas.OrderPlaced, "o-1", 1)})
	}
	w.setAside(3, 13, "undecodable", &kgo.Record{Key: []byte("o-2"), Value: []byte(strings.Repeat("x", 1000))})
	w.setAside(1, 12, "bad_key", &kgo.Record{Value: w.encode(schemas.TopicCustomers, customer("c-1", 1))})
	w.setAside(1, 14, "bad_version", &kgo.Record{Key: []byte("o-3")})
	w.produce(&kgo.Record{Topic: deadLetters, Partition: 7, Value: []byte("by hand")})
	return w
}

func TestDLQList(t *testing.T) {
	w := withLetters(t)
	want := `TOPIC                           CLASS        RECORDS  LAST
shop.orders.billing-dlt         undecodable  2        1997-06-30T13:00:00Z
shop.orders.billing-dlt         bad_key      1        1997-06-30T13:00:00Z
shop.orders.billing-dlt         bad_version  1        1997-06-30T13:00:00Z
shop.orders.billing-dlt         unreadable   1        1997-06-30T13:00:00Z
shop.stock-movements.stock-dlt  -            0        -
`
	if diff := cmp.Diff(want, w.ok("dlq", "list")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	wantJSON := `{"topic":"shop.stock-movements.stock-dlt","class":"","records":0}` + "\n"
	if diff := cmp.Diff(wantJSON, w.ok("dlq", "list", "--group", "stock", "-J")); diff != "" {
		t.Errorf("one group (-want +got):\n%s", diff)
	}
	if got := w.ok("dlq", "list", "--group", "nobody"); !strings.HasPrefix(got, "no dead-letter topic") {
		t.Errorf("no group: got %s", got)
	}
}

func TestDLQShow(t *testing.T) {
	w := withLetters(t)
	want := `shop.orders.billing-dlt/3@0  undecodable
  from      shop.orders/3@12, topic ID 00000000000000000000000000000007
  group     billing, delivered once
  reason    because of undecodable
  set aside 1997-06-30T13:00:00.000Z
  key       o-1
  type      shop.order.placed
  version   1
  id        id-o-1
  source    /service/test
  value     5 bytes, no magic byte
            68656c6c6f

shop.orders.billing-dlt/3@2  undecodable
  from      shop.orders/3@13, topic ID 00000000000000000000000000000007
  group     billing, delivered once
  reason    because of undecodable
  set aside 1997-06-30T13:00:00.000Z
  key       o-2
  value     1000 bytes, no magic byte
            ` + strings.Repeat("78", 256) + `…

`
	if diff := cmp.Diff(want, w.ok("dlq", "show", deadLetters, "-p", "3")); diff != "" {
		t.Errorf("partition 3 (-want +got):\n%s", diff)
	}
	got := w.ok("dlq", "show", deadLetters, "-p", "1,7")
	for _, part := range []string{"  value     " + ada + "\n", "  value     null, a tombstone\n", deadLetters + "/7@0  unreadable\n  reason    header __dlq.errors.topic: missing\n"} {
		if !strings.Contains(got, part) {
			t.Errorf("got\n%s\nwant %q in it", got, part)
		}
	}

	var letter struct {
		Reason struct {
			Topic   string
			TopicID string `json:"topic_id"`
			Offset  int64
			Class   string
		}
		Record struct{ Error struct{ Class string } }
		Bytes  int    `json:"value_bytes"`
		Hex    string `json:"value_hex"`
	}
	line := w.ok("dlq", "show", deadLetters, "-J", "-c", "1", "-p", "3")
	if err := json.Unmarshal([]byte(line), &letter); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	if r := letter.Reason; r.Topic != "shop.orders" || r.TopicID != "00000000000000000000000000000007" || r.Offset != 12 ||
		r.Class != "undecodable" || letter.Record.Error.Class != "undecodable" || letter.Bytes != 5 || letter.Hex != "68656c6c6f" {
		t.Errorf("JSON: got %s", line)
	}
	if help := w.run("", "dlq", "show", "--help").stdout; !strings.Contains(help, "PERSONAL DATA") {
		t.Errorf("the help does not warn:\n%s", help)
	}
}

// Every command says what it is for, with an example.
func TestHelp(t *testing.T) {
	for _, name := range []string{"topics apply", "topics list", "schemas check", "schemas register", "schemas list", "schemas verify",
		"tail", "decode", "lag", "dlq list", "dlq show"} {
		got := execute(t.Context(), nil, append(strings.Fields(name), "--help")...)
		if got.code != service.ExitDone || !strings.Contains(got.stdout, "Example:\n  ") || strings.Contains(got.stdout, "%!") {
			t.Errorf("%s: exit %d\n%s", name, got.code, got.stdout)
		}
	}
}
