package hostile_test

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"firehose/internal/deadletter"
	"firehose/internal/kafka"
)

// letterCount is a line of firehose dlq list.
type letterCount struct {
	Topic   string `json:"topic"`
	Class   string `json:"class"`
	Records int    `json:"records"`
}

// groupLag is a line of firehose lag.
type groupLag struct {
	Group     string `json:"group"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Records   int64  `json:"lag"`
	State     string `json:"state"`
}

// applied waits until every service has passed everything.
func (p *process) applied() {
	p.t.Helper()
	until(p.t, "the lag to be gone", func() bool {
		lags := firehose[groupLag](p, "lag")
		return len(lags) > 0 && !slices.ContainsFunc(lags, func(l groupLag) bool { return l.Records != 0 || l.State != "active" })
	})
}

// letters reads a dead-letter topic.
func (h *hand) letters(p *process, topic string) map[deadletter.ID]*kafka.Record {
	h.t.Helper()
	all := map[deadletter.ID]*kafka.Record{}
	err := kafka.Read(h.t.Context(), kafka.Config{Brokers: []string{p.broker}}, kafka.ReadConfig{Topic: topic}, func(r *kafka.Record) (bool, error) {
		reason, err := deadletter.ParseHeaders(r.Headers)
		if err == nil {
			all[reason.ID()] = r
		}
		return true, err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}

// wantLetters checks that a dead-letter topic has exactly these, each as it was.
func (p *process) wantLetters(h *hand, topic string, partition int32, want map[int64]badRecord) {
	p.t.Helper()
	left := make(map[int64]badRecord, len(want))
	for offset, b := range want {
		left[offset] = b
	}
	for id, r := range h.letters(p, topic) {
		b, ok := left[id.Offset]
		delete(left, id.Offset)
		if !ok || id.Partition != partition || r.Partition != partition {
			p.t.Errorf("%s: holds %v on partition %d, which is not bad", topic, id, r.Partition)
			continue
		}
		reason, err := deadletter.ParseHeaders(r.Headers)
		if err != nil {
			p.t.Fatal(err)
		}
		if reason.Class != b.class {
			p.t.Errorf("%s: %s: class %s, want %s: %s", topic, b.name, reason.Class, b.class, reason.Message)
		}
		if string(r.Value) != string(b.value) || (r.Value == nil) != (b.value == nil) || len(r.Key) == 0 {
			p.t.Errorf("%s: %s: key or value is not what it was", topic, b.name)
		}
		if b.header.Key != "" && string(r.Header(b.header.Key)) != string(b.header.Value) {
			p.t.Errorf("%s: %s: header %s is not what it was", topic, b.name, b.header.Key)
		}
		for _, header := range r.Headers {
			if strings.HasPrefix(header.Key, "__dlq.") {
				wantNoCanary(p.t, topic+", "+b.name+", "+header.Key, string(header.Value))
			}
		}
	}
	for _, b := range left {
		p.t.Errorf("%s: %s: is not set aside", topic, b.name)
	}
}

// wantCounts checks what firehose dlq list says.
func (p *process) wantCounts(want []letterCount) {
	p.t.Helper()
	got := firehose[letterCount](p, "dlq", "list")
	got = slices.DeleteFunc(got, func(c letterCount) bool { return c.Class == "" })
	order := func(a, b letterCount) int { return strings.Compare(a.Topic+a.Class, b.Topic+b.Class) }
	slices.SortFunc(got, order)
	slices.SortFunc(want, order)
	if diff := cmp.Diff(want, got); diff != "" {
		p.t.Errorf("firehose dlq list (-want +got):\n%s", diff)
	}
}

// wantSecretsInValuesOnly is how this is known to look for something that is
// there: the dead letters' values hold the canaries, their reasons do not.
func (p *process) wantSecretsInValuesOnly(topic string) {
	p.t.Helper()
	out, errs, code := p.run(nil, program(p.t, "firehose"), "dlq", "show", topic, "-J", "--brokers", p.broker, "--registry", p.registry)
	if code != 0 {
		p.t.Fatalf("firehose dlq show: exit code %d: %s", code, errs)
	}
	if !strings.Contains(out, person) {
		p.t.Errorf("firehose dlq show %s: shows no value", topic)
	}
	for line := range strings.Lines(out) {
		var letter struct {
			Reason json.RawMessage `json:"reason"`
		}
		if err := json.Unmarshal([]byte(line), &letter); err != nil {
			p.t.Fatal(err)
		}
		wantNoCanary(p.t, "reason of a dead letter", string(letter.Reason))
	}
}
