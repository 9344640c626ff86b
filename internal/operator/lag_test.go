package operator_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/offsets"
	"firehose/internal/service"
	"firehose/schemas"
)

// commit commits offsets for a group as a service's mirror or somebody else does.
func (w *world) commit(group string, list ...kadm.Offset) {
	w.t.Helper()
	var of kadm.Offsets
	for _, o := range list {
		of.Add(o)
	}
	if err := kadm.NewClient(w.client).CommitAllOffsets(w.t.Context(), group, of); err != nil {
		w.t.Fatal(err)
	}
}

func at(topic string, partition int32, offset int64, metadata string) kadm.Offset {
	return kadm.Offset{Topic: topic, Partition: partition, At: offset, LeaderEpoch: -1, Metadata: metadata}
}

func TestLag(t *testing.T) {
	w := newWorld(t)
	admin := kadm.NewClient(w.client)
	if _, err := admin.CreateTopics(t.Context(), 3, 1, nil, schemas.TopicPayments, "short"); err != nil {
		t.Fatal(err)
	}
	if got, want := w.ok("lag"), "no group has committed anything with this system's mark; --group shows others\n"; got != want {
		t.Errorf("nothing: got %q", got)
	}
	for range 5 {
		w.produce(&kgo.Record{Topic: schemas.TopicPayments, Value: []byte("x")})
	}
	w.commit("billing",
		at(schemas.TopicPayments, 0, 2, offsets.Mark("active")),
		at(schemas.TopicPayments, 1, 0, offsets.Mark("active")))
	w.commit("stock",
		at(schemas.TopicPayments, 0, 5, offsets.Mark("paused_breaker")),
		at(schemas.TopicPayments, 1, 0, "by hand"),
		at(schemas.TopicPayments, 2, 0, offsets.Mark("stopped_topic_recreated")),
		at("short", 0, 0, offsets.Mark("active")), at("short", 1, 0, offsets.Mark("active")), at("short", 2, 0, offsets.Mark("active")))
	w.commit("theirs", at(schemas.TopicPayments, 0, 1, ""))

	want := `GROUP    TOPIC          PARTITION  COMMITTED  END  LAG  STATE
billing  shop.payments  0          2          5    3    active
billing  shop.payments  1          0          0    0    active
billing  shop.payments  2          -          0    0    ! none
stock    shop.payments  0          5          5    0    ! paused_breaker
stock    shop.payments  1          0          0    0    ! foreign
stock    shop.payments  2          0          0    0    ! stopped_topic_recreated
stock    short          0          0          0    0    active
stock    short          1          0          0    0    active
stock    short          2          0          0    0    active

2 groups, 9 partitions, 3 behind, 4 not active:
! billing: shop.payments/2 is none, 0 behind
! stock: shop.payments/0 is paused breaker, 0 behind
! stock: shop.payments/1 is foreign, 0 behind
! stock: shop.payments/2 is stopped topic recreated, 0 behind
`
	if diff := cmp.Diff(want, w.ok("lag")); diff != "" {
		t.Errorf("all (-want +got):\n%s", diff)
	}

	// What others committed is shown when asked for, as theirs.
	wantJSON := `{"group":"theirs","topic":"shop.payments","partition":0,"committed":1,"end":5,"lag":4,"state":"foreign"}
{"group":"theirs","topic":"shop.payments","partition":1,"committed":-1,"end":0,"lag":0,"state":"none"}
{"group":"theirs","topic":"shop.payments","partition":2,"committed":-1,"end":0,"lag":0,"state":"none"}
`
	if diff := cmp.Diff(wantJSON, w.ok("lag", "--group", "theirs", "-J")); diff != "" {
		t.Errorf("theirs (-want +got):\n%s", diff)
	}
	if got := w.run("", "lag", "-G", "nobody"); got.code != service.ExitFailed || got.stderr != "firehose lag: group nobody: no committed offsets\n" {
		t.Errorf("nobody: got %+v", got)
	}
}

// A transaction that nobody ends holds readers back, and lag counts up to it.
func TestLagEndsAtLastStableOffset(t *testing.T) {
	w := newWorld(t)
	if _, err := kadm.NewClient(w.client).CreateTopic(t.Context(), 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	w.produce(&kgo.Record{Topic: "t", Value: []byte("x")})
	w.commit("g", at("t", 0, 1, offsets.Mark("active")))
	hanging, err := kgo.NewClient(kgo.SeedBrokers(w.broker.Addr()), kgo.TransactionalID("h"))
	if err != nil {
		t.Fatal(err)
	}
	defer hanging.Close()
	if err := hanging.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := hanging.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: []byte("y")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	want := `{"group":"g","topic":"t","partition":0,"committed":1,"end":1,"lag":0,"state":"active"}` + "\n"
	if got := w.ok("lag", "-J"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestLagTopicGone(t *testing.T) {
	w := newWorld(t)
	admin := kadm.NewClient(w.client)
	if _, err := admin.CreateTopics(t.Context(), 1, 1, nil, "stays", "goes"); err != nil {
		t.Fatal(err)
	}
	w.commit("g", at("stays", 0, 0, offsets.Mark("active")), at("goes", 0, 0, offsets.Mark("active")))
	if _, err := admin.DeleteTopic(t.Context(), "goes"); err != nil {
		t.Fatal(err)
	}
	got := w.ok("lag", "-J")
	want := `{"group":"g","topic":"stays","partition":0,"committed":0,"end":0,"lag":0,"state":"active"}` + "\n"
	gone := `{"group":"g","topic":"goes","partition":0,"committed":0,"end":-1,"lag":0,"state":"gone"}` + "\n"
	if got != gone+want && got != want { // brokers may forget the offset with the topic
		t.Errorf("got %s, want %s", got, gone+want)
	}
}
