package shop

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"firehose/internal/kafka"
	"firehose/producer"
	"firehose/schemas"
)

// Acknowledged is how many events of the data set the replay's checkpoint says
// are acknowledged: all below it.
func (s *Shop) Acknowledged() int64 {
	s.t.Helper()
	var at struct{ Next int64 }
	text, err := os.ReadFile(filepath.Join(s.dir, "replay.checkpoint"))
	if os.IsNotExist(err) {
		return 0
	}
	if err == nil {
		err = json.Unmarshal(text, &at)
	}
	if err != nil {
		s.t.Fatalf("checkpoint: %v", err)
	}
	return at.Next
}

// WantInLog checks that of the first n events of a data set, which were reported
// as acknowledged, each fact and each entity's last version is in the log as it
// was sent. Somebody else's client reads it.
func (s *Shop) WantInLog(dataset string, n int64) {
	s.t.Helper()
	d, err := producer.DatasetNamed(dataset)
	if err != nil {
		s.t.Fatal(err)
	}
	type sent struct {
		id   string
		data any
	}
	want := map[string]map[string]sent{} // by topic, then a fact's ID or an entity's key
	for i, e := range d.Events() {
		if i >= n {
			break
		}
		topic, _ := schemas.Shop().ByType(e.Type)
		if want[topic.Topic] == nil {
			want[topic.Topic] = map[string]sent{}
		}
		fields := fieldsOf(reflect.ValueOf(e.Data)).(map[string]any)
		name := e.ID
		if topic.Kind == schemas.Entity {
			name = fields[topic.Key].(string)
		}
		want[topic.Topic][name] = sent{e.ID, e.Data}
	}
	for topic, events := range want {
		checked, wrong := len(events), 0
		s.ReadWithPython(topic, func(r Read) {
			id := r.Headers["ce_id"]
			name := id
			if e, ok := events[r.Key]; ok && e.id == id {
				name = r.Key
			}
			e, ok := events[name]
			if !ok {
				return // an older version, a repetition, or one that nobody acknowledged
			}
			delete(events, name)
			if diff := cmp.Diff(fieldsOf(reflect.ValueOf(e.data)), decoded(s, r.Value)); diff != "" {
				if wrong++; wrong < 4 {
					s.t.Errorf("%s/%d@%d, event %s (-sent +read):\n%s", topic, r.Partition, r.Offset, id, diff)
				}
			}
		})
		if len(events) > 0 || wrong > 0 {
			s.t.Errorf("%s: of %d acknowledged events %d are not in the log, %d differ", topic, checked, len(events), wrong)
		}
		s.t.Logf("%s: %d acknowledged events read back", topic, checked)
	}
}

// fieldsOf is a value as JSON of it is read, by its Avro names and with
// microseconds for times: our encoder has no part in it.
func fieldsOf(v reflect.Value) any {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	if at, ok := v.Interface().(time.Time); ok {
		return float64(at.UnixMicro())
	}
	switch v.Kind() {
	case reflect.Struct:
		fields := map[string]any{}
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("avro"), ",")
			fields[name] = fieldsOf(v.Field(i))
		}
		return fields
	case reflect.Slice:
		list := []any{}
		for i := range v.Len() {
			list = append(list, fieldsOf(v.Index(i)))
		}
		return list
	case reflect.String:
		return v.String()
	case reflect.Bool:
		return v.Bool()
	default:
		return v.Convert(reflect.TypeFor[float64]()).Interface()
	}
}

func decoded(s *Shop, text []byte) any {
	s.t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		s.t.Fatal(err)
	}
	return v
}

// WantNoDeadLetters checks that nothing was set aside.
func (s *Shop) WantNoDeadLetters() {
	s.t.Helper()
	for _, name := range Services() {
		of := service(s.t, name)
		for _, topic := range of.Topics() {
			infos, err := kafka.DescribeTopics(s.t.Context(), s.cfg.Cluster.Client(), kafka.DeadLetterName(topic, name))
			if err != nil {
				s.t.Fatal(err)
			}
			for _, p := range infos[0].Partitions {
				if p.End > 0 {
					s.t.Errorf("%s/%d: %d dead letters", infos[0].Name, p.ID, p.End)
				}
			}
		}
	}
}

// WantNoLag checks that Kafka's own tool shows each partition of each service at
// lag 0.
func (s *Shop) WantNoLag() {
	s.t.Helper()
	for _, name := range Services() {
		out := s.cfg.Cluster.KafkaTool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", nil, "--describe", "--group", name)
		seen := 0
		for line := range strings.Lines(out) {
			columns := strings.Fields(line) // GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG ...
			if len(columns) < 6 || columns[0] != name {
				continue
			}
			if seen++; columns[5] != "0" || columns[3] != columns[4] {
				s.t.Errorf("consumer-groups --describe: %s", line)
			}
		}
		ends, err := s.Ends(name)
		if err != nil {
			s.t.Fatal(err)
		}
		if seen != len(ends) {
			s.t.Errorf("consumer-groups --describe --group %s shows %d partitions, want %d:\n%s", name, seen, len(ends), out)
		}
	}
}
