package publish_test

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firehose/internal/kafka"
	"firehose/internal/publish"
	"firehose/schemas"
)

// always is a fault of every produce request to the orders.
func always(err *kerr.Error) kfake.Fault {
	return kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: schemas.TopicOrders, Err: err, Count: -1}
}

// stick makes the broker keep produce requests to itself until the returned
// function is called; then it answers them.
func (s *system) stick(t *testing.T) (release func()) {
	held := make(chan struct{})
	s.cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		s.cluster.KeepControl()
		s.cluster.SleepControl(func() { <-held })
		return nil, nil, false
	})
	release = sync.OnceFunc(func() { close(held) })
	t.Cleanup(release)
	return release
}

// A refusal that no attempt can have survived is Rejected, everything else that
// is not an acknowledgement Unknown.
func TestOutcomeOfBrokersAnswer(t *testing.T) {
	for _, test := range []struct {
		err     *kerr.Error
		outcome publish.Outcome
		reason  string
	}{
		{kerr.MessageTooLarge, publish.Rejected, publish.ReasonTooLarge},
		{kerr.RecordListTooLarge, publish.Rejected, publish.ReasonTooLarge},
		{kerr.InvalidRecord, publish.Rejected, publish.ReasonRefused},
		{kerr.InvalidTimestamp, publish.Rejected, publish.ReasonRefused},
		{kerr.PolicyViolation, publish.Rejected, publish.ReasonRefused},
		{kerr.TopicAuthorizationFailed, publish.Rejected, publish.ReasonUnauthorized},
		{kerr.ClusterAuthorizationFailed, publish.Rejected, publish.ReasonUnauthorized},
		{kerr.UnknownTopicOrPartition, publish.Unknown, publish.ReasonBroker}, // the client tried again, and brokers that start say it too
		{kerr.RequestTimedOut, publish.Unknown, publish.ReasonTimeout},
		{kerr.NotLeaderForPartition, publish.Unknown, publish.ReasonTimeout},
		{kerr.NotEnoughReplicas, publish.Unknown, publish.ReasonTimeout},
		{kerr.NotEnoughReplicasAfterAppend, publish.Unknown, publish.ReasonTimeout},
		{kerr.UnknownServerError, publish.Unknown, publish.ReasonBroker},
		{kerr.KafkaStorageError, publish.Unknown, publish.ReasonTimeout},
	} {
		t.Run(test.err.Message, func(t *testing.T) {
			cfg := config()
			if test.reason == publish.ReasonTimeout {
				cfg.Timeout = 150 * time.Millisecond
			}
			s := start(t, cfg)
			fault := s.cluster.Fault(always(test.err))
			e := placed("order-1")
			failure := theError(t, get(t, s.send(t.Context(), e)), test.outcome, test.reason)
			if failure.EventID != e.ID || e.ID == "" {
				t.Errorf("the answer names event %q, want %q", failure.EventID, e.ID)
			}
			fault.Remove()
			if a := get(t, s.send(t.Context(), placed("order-2"))); a.err != nil {
				t.Errorf("after the fault: %v", a.err)
			}
			written := 0
			for _, r := range s.records(t, schemas.TopicOrders) {
				if string(r.Key) == "order-1" {
					written++
				}
			}
			if test.outcome == publish.Rejected && written != 0 {
				t.Error("rejected, and yet written")
			}
			if written > 1 {
				t.Errorf("written %d times", written)
			}
		})
	}
}

// The client sends again what it does not know the fate of, and the broker drops
// the repetition: the answer is the first attempt's place.
func TestAppendedWithTooFewReplicasThenAcknowledged(t *testing.T) {
	s := start(t, config())
	s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicasAfterAppend, Count: 2})
	a := get(t, s.send(t.Context(), placed("order-1")))
	if a.err != nil {
		t.Fatal(a.err)
	}
	records := s.records(t, schemas.TopicOrders)
	if len(records) != 1 || records[0].Offset != a.Offset || records[0].Partition != a.Partition {
		t.Errorf("got %d records and receipt %+v, want one at its place", len(records), a.Receipt)
	}
}

// A refusal after a lost answer says nothing about the attempt before it, where
// it depends on what may have changed in between: permissions, the topic's
// settings, the broker's clock.
func TestRefusalAfterDisconnectIsUnknown(t *testing.T) {
	for _, test := range []struct {
		err    *kerr.Error
		reason string // where nothing is in doubt
	}{
		{kerr.TopicAuthorizationFailed, publish.ReasonUnauthorized},
		{kerr.MessageTooLarge, publish.ReasonTooLarge},
		{kerr.RecordListTooLarge, publish.ReasonTooLarge},
		{kerr.InvalidTimestamp, publish.ReasonRefused},
		{kerr.PolicyViolation, publish.ReasonRefused},
	} {
		t.Run(test.err.Message, func(t *testing.T) {
			s := start(t, config())
			if err := s.Prepare(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
				s.cluster.Fault(always(test.err))
				return nil, errors.New("cut"), true
			})
			wantError(t, get(t, s.send(t.Context(), placed("order-1"))), publish.Unknown, publish.ReasonBroker)
			// The next one was never in doubt.
			wantError(t, get(t, s.send(t.Context(), placed("order-2"))), publish.Rejected, test.reason)
		})
	}
}

// So it is after an answer that leaves open what was written, whichever it was.
func TestRefusalAfterAnAttemptThatMayHaveBeenWrittenIsUnknown(t *testing.T) {
	for _, first := range []*kerr.Error{
		kerr.NotEnoughReplicasAfterAppend, kerr.RequestTimedOut, kerr.NotLeaderForPartition, kerr.KafkaStorageError,
	} {
		t.Run(first.Message, func(t *testing.T) {
			s := start(t, config())
			if a := get(t, s.send(t.Context(), placed("order-1"))); a.err != nil { // the client knows the topic
				t.Fatal(a.err)
			}
			s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: first})
			s.cluster.Fault(always(kerr.TopicAuthorizationFailed))
			wantError(t, get(t, s.send(t.Context(), placed("order-1"))), publish.Unknown, publish.ReasonBroker)
			want := 1
			if first == kerr.NotEnoughReplicasAfterAppend || first == kerr.RequestTimedOut {
				want = 2 // the one in doubt is there; kfake appends at no other error
			}
			if got := len(s.records(t, schemas.TopicOrders)); got != want {
				t.Errorf("got %d records, want %d", got, want)
			}
		})
	}
}

// Doubt ends with what was in flight: one lost answer does not make unknown what is
// published and refused from then on, however much of it there is.
func TestDoubtDoesNotFeedItself(t *testing.T) {
	s := start(t, config(), kgo.MetadataMinAge(time.Minute))
	if a := get(t, s.send(t.Context(), placed("order-0"))); a.err != nil {
		t.Fatal(a.err)
	}
	s.cluster.Fault(always(kerr.TopicAuthorizationFailed))
	var n atomic.Int64
	s.cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		s.cluster.KeepControl()
		if n.Add(1) == 20 {
			return nil, errors.New("cut"), true
		}
		s.cluster.SleepControl(func() { <-time.After(time.Millisecond) })
		return nil, nil, false
	})
	var rejected, unknown, row atomic.Int64 // row: rejected since one was unknown
	deadline := time.Now().Add(15 * time.Second)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			pace := time.NewTicker(time.Millisecond) // so that some are always on their way while others fail
			defer pace.Stop()
			for i := 0; (unknown.Load() == 0 || row.Load() < 2000) && time.Now().Before(deadline); i++ {
				<-pace.C
				s.Publish(t.Context(), placed(fmt.Sprintf("order-%d", i%50)), func(_ publish.Receipt, err error) {
					if errors.Is(err, publish.ErrRejected) {
						rejected.Add(1)
						row.Add(1)
					} else {
						unknown.Add(1)
						row.Store(0)
					}
				})
			}
		})
	}
	all.Wait()
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d rejected, %d unknown", rejected.Load(), unknown.Load())
	if unknown.Load() == 0 || row.Load() < 2000 {
		t.Errorf("%d rejected in a row at the end, want 2,000: one answer was lost", row.Load())
	}
	if most := int64(6000); unknown.Load() > most { // that many are on their way at most
		t.Errorf("%d are unknown, want at most the %d on their way when the answer was lost", unknown.Load(), most)
	}
}

// writes counts the produce requests that a client has written.
type writes struct{ n atomic.Int64 }

func (w *writes) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if key == int16(kmsg.Produce) && err == nil {
		w.n.Add(1)
	}
}

// reach waits until there were n.
func (w *writes) reach(n int64) {
	for deadline := time.Now().Add(10 * time.Second); w.n.Load() < n && time.Now().Before(deadline); {
		runtime.Gosched()
	}
}

// A batch whose first attempt was written is refused when it is repeated. The one
// behind it is on its way by then, follows on what was written, and is taken; the
// client answers it with the refusal all the same.
func TestRefusalBeforeIsNoRefusalOfWhatFollows(t *testing.T) {
	wrote := &writes{}
	s := start(t, config(), kgo.WithHooks(wrote))
	n := 0 // of produce requests; one goroutine asks
	nth := func(want int, err *kerr.Error) kfake.Fault {
		return kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: err, Count: -1, When: func(kmsg.Request) bool { return n == want }}
	}
	s.cluster.Fault(nth(2, kerr.RequestTimedOut)) // it is written
	s.cluster.Fault(nth(5, kerr.TopicAuthorizationFailed))
	repeated := make(chan struct{})
	s.cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		s.cluster.KeepControl()
		switch n++; n {
		case 2: // until the one behind it is on its way, too
			s.cluster.SleepControl(func() { wrote.reach(3) })
		case 5:
			close(repeated)
			s.cluster.SleepControl(func() { wrote.reach(6) })
		}
		return nil, nil, false
	})
	send := func(requests int64) <-chan answer {
		answers := s.send(t.Context(), placed("order-1"))
		wrote.reach(requests)
		return answers
	}
	if a := get(t, send(1)); a.err != nil {
		t.Fatal(a.err)
	}
	timedOut, refused := send(2), send(3)
	<-repeated
	follows := send(6)
	if a := get(t, timedOut); a.err != nil {
		t.Errorf("answered at the second attempt: %v", a.err)
	}
	wantError(t, get(t, refused), publish.Unknown, publish.ReasonBroker)
	wantError(t, get(t, follows), publish.Unknown, publish.ReasonBroker)
	got := 0 // the last one's answer did not wait for the broker
	for deadline := time.Now().Add(10 * time.Second); got < 4 && time.Now().Before(deadline); {
		got = len(s.records(t, schemas.TopicOrders))
	}
	if got != 4 {
		t.Errorf("got %d records, want all 4 in the log", got)
	}
}

func TestDisconnectedForGoodIsUnknown(t *testing.T) {
	cfg := config()
	cfg.Timeout = 150 * time.Millisecond
	s := start(t, cfg)
	s.cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		s.cluster.KeepControl()
		return nil, errors.New("cut"), true
	})
	wantError(t, get(t, s.send(t.Context(), placed("order-1"))), publish.Unknown, publish.ReasonTimeout)
}

func TestStuckBrokerAnsweredByOurClockAndLateAckCounted(t *testing.T) {
	registry := prometheus.NewRegistry()
	cfg := config()
	cfg.Timeout = 150 * time.Millisecond
	cfg.MaxRecords = 1
	cfg.Metrics = registry
	s := start(t, cfg)
	release := s.stick(t)
	answers := s.send(t.Context(), placed("order-1"))
	wantError(t, get(t, answers), publish.Unknown, publish.ReasonTimeout)
	// The client still holds it, and its place with it.
	if err := s.TryPublish(t.Context(), placed("order-2"), func(publish.Receipt, error) {}); !errors.Is(err, publish.ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
	release()
	if a := get(t, s.send(t.Context(), placed("order-3"))); a.err != nil { // waits for the place
		t.Errorf("after the broker is back: %v", a.err)
	}
	if got := counter(t, registry, "firehose_producer_late_total"); got != 1 {
		t.Errorf("late_total is %v, want 1", got)
	}
	select {
	case a := <-answers:
		t.Errorf("answered again: %+v", a)
	default:
	}
	if got := len(s.records(t, schemas.TopicOrders)); got != 2 {
		t.Errorf("got %d records, want the late one and the one after it", got)
	}
}

func TestDeletedTopicIsRejectedAndRecreatedOneFound(t *testing.T) {
	s := start(t, config())
	before := get(t, s.send(t.Context(), placed("order-1")))
	if before.err != nil {
		t.Fatal(before.err)
	}
	if err := s.cluster.DeleteTopic(schemas.TopicOrders); err != nil {
		t.Fatal(err)
	}
	if a := get(t, s.send(t.Context(), placed("order-2"))); a.err == nil { // tried more than once: not known
		t.Error("acknowledged by a deleted topic")
	}
	wantError(t, get(t, s.send(t.Context(), placed("order-2"))), publish.Rejected, publish.ReasonUnknownTopic)
	topic, _ := schemas.Shop().Topic(schemas.TopicOrders)
	if _, err := kafka.ApplyTopics(t.Context(), s.client, []kafka.Topic{kafka.EventTopic(topic.Contract, 1)}); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		a := get(t, s.send(t.Context(), placed("order-3")))
		if a.err == nil {
			if a.TopicID == before.TopicID || a.TopicID != fmt.Sprintf("%x", s.cluster.TopicInfo(schemas.TopicOrders).TopicID) {
				t.Errorf("topic ID %s, was %s before", a.TopicID, before.TopicID)
			}
			break
		}
		if !errors.Is(a.err, publish.ErrRejected) || time.Now().After(deadline) {
			t.Fatalf("recreated topic: %v", a.err)
		}
	}
	for _, r := range s.records(t, schemas.TopicOrders) {
		if string(r.Key) != "order-3" {
			t.Errorf("%s is there", r.Key)
		}
	}
}

func counter(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}
