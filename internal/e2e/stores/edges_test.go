// Package stores_test folds the same events into each kind of store and compares
// what they then hold.
package stores_test

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/avro"

	"firehose"
	"firehose/firehosetest"
	"firehose/internal/store"
	"firehose/internal/testbed"
	"firehose/schemas"
)

func TestMain(m *testing.M) { firehosetest.Main(m) }

// every is an entity with a field of each type that a replica has a column for.
const every = `{"type":"record","name":"Every","namespace":"t","firehose":{"topic":"t.every","kind":"entity",
	"key":"id","version":"v","types":["t.every.changed"]},"fields":[
	{"name":"id","type":"string"},
	{"name":"v","type":"long"},
	{"name":"nothing","type":"null"},
	{"name":"bool","type":"boolean"},
	{"name":"int","type":"int"},
	{"name":"long","type":"long"},
	{"name":"float","type":"float"},
	{"name":"double","type":"double"},
	{"name":"string","type":"string"},
	{"name":"bytes","type":"bytes"},
	{"name":"enum","type":{"type":"enum","name":"E","symbols":["A","B"]}},
	{"name":"fixed","type":{"type":"fixed","name":"F","size":2}},
	{"name":"decimal","type":{"type":"bytes","logicalType":"decimal","precision":38,"scale":10}},
	{"name":"uuid","type":{"type":"string","logicalType":"uuid"}},
	{"name":"ts_millis","type":{"type":"long","logicalType":"timestamp-millis"}},
	{"name":"ts_micros","type":{"type":"long","logicalType":"timestamp-micros"}},
	{"name":"ts_nanos","type":{"type":"long","logicalType":"timestamp-nanos"}},
	{"name":"local_millis","type":{"type":"long","logicalType":"local-timestamp-millis"}},
	{"name":"local_micros","type":{"type":"long","logicalType":"local-timestamp-micros"}},
	{"name":"local_nanos","type":{"type":"long","logicalType":"local-timestamp-nanos"}},
	{"name":"date","type":{"type":"int","logicalType":"date"}},
	{"name":"time_millis","type":{"type":"int","logicalType":"time-millis"}},
	{"name":"time_micros","type":{"type":"long","logicalType":"time-micros"}},
	{"name":"duration","type":{"type":"fixed","name":"D","size":12,"logicalType":"duration"}},
	{"name":"record","type":{"type":"record","name":"R","fields":[{"name":"s","type":"string"},{"name":"d","type":"double"},{"name":"l","type":"long"},
		{"name":"at","type":{"type":"long","logicalType":"timestamp-micros"}}]}},
	{"name":"array","type":{"type":"array","items":"long"}},
	{"name":"map","type":{"type":"map","values":"string"}},
	{"name":"optional","type":["null","string"]},
	{"name":"either","type":["null","long","string"]}]}`

// bare is the same record without its logical types, so that a test can write
// any bytes that Avro allows in their place.
func bare(t *testing.T) *avro.Schema {
	t.Helper()
	s, err := avro.Parse(regexp.MustCompile(`,"logicalType":"[a-z-]+"(,"precision":38,"scale":10)?`).ReplaceAllString(every, ""))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ordinary returns an entity without any edge.
func ordinary(id string) map[string]any {
	return map[string]any{
		"id": id, "v": int64(1), "nothing": nil, "bool": true, "int": int32(1), "long": int64(1), "float": float32(1.5), "double": 1.5,
		"string": "text", "bytes": []byte("bytes"), "enum": "A", "fixed": []byte{1, 2}, "decimal": []byte{1},
		"uuid": "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "ts_millis": int64(1), "ts_micros": int64(1), "ts_nanos": int64(1),
		"local_millis": int64(1), "local_micros": int64(1), "local_nanos": int64(1), "date": int32(1), "time_millis": int32(1),
		"time_micros": int64(1), "duration": make([]byte, 12), "record": nested("s", 1.5, 1, 1), "array": []int64{1},
		"map": map[string]string{"k": "v"}, "optional": "o", "either": int64(1),
	}
}

func nested(s string, d float64, l, at int64) map[string]any {
	return map[string]any{"s": s, "d": d, "l": l, "at": at}
}

func TestEdgesOfEveryType(t *testing.T) {
	s, err := schemas.Parse(every, 1)
	if err != nil {
		t.Fatal(err)
	}
	set, err := schemas.NewSet(s)
	if err != nil {
		t.Fatal(err)
	}
	address := testbed.Postgres(t)
	cluster := firehosetest.Start(t, set)
	run := func(name, store string) *firehosetest.Service {
		replica := firehose.Service{Name: name, Schemas: set, Projections: []firehose.Projection{firehose.Replica("t.every")}}
		return cluster.Run(replica, func(c *firehose.Config) { c.Store = store })
	}
	services := []*firehosetest.Service{run("edges-sqlite", ""), run("edges-postgres", address)}

	writer, id := bare(t), cluster.SchemaID("t.every")
	var records []firehosetest.Record
	want := map[string]bool{} // whether a row is refused
	number := map[string]int{}
	for _, e := range edges() {
		for _, value := range e.values {
			key := fmt.Sprintf("%s %d", e.field, number[e.field])
			number[e.field]++
			entity := ordinary(key)
			entity[e.field] = value
			payload, err := writer.Encode(entity)
			if err != nil {
				t.Fatalf("%s: %v", key, err)
			}
			records = append(records, firehosetest.Record{Topic: "t.every", Key: key,
				Value: append(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), payload...)})
			want[key] = e.refused
		}
	}
	cluster.Produce(records...)

	var held []map[string]string
	var refused []map[string]string
	for _, service := range services {
		service.Wait()
		held = append(held, rows(service))
		aside := map[string]string{}
		for _, letter := range service.DeadLetters() {
			aside[letter.Key] = letter.Class + ": " + letter.Message
		}
		refused = append(refused, aside)
	}
	if diff := cmp.Diff(held[0], held[1]); diff != "" {
		t.Errorf("rows differ (-SQLite +PostgreSQL):\n%s", diff)
	}
	if diff := cmp.Diff(refused[0], refused[1]); diff != "" {
		t.Errorf("what is refused differs (-SQLite +PostgreSQL):\n%s", diff)
	}
	if sqlite, postgres := services[0].Hash(), services[1].Hash(); sqlite != postgres {
		t.Errorf("hashes differ: %s in SQLite, %s in PostgreSQL", sqlite, postgres)
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		_, row := held[0][key]
		message, aside := refused[0][key]
		field, _, _ := strings.Cut(key, " ")
		switch {
		case row == aside:
			t.Errorf("%s: a row: %v, a dead letter: %v", key, row, aside)
		case aside != want[key]:
			t.Errorf("%s: refused: %v (%s), want %v", key, aside, message, want[key])
		case aside && !strings.Contains(message, field):
			t.Errorf("%s: %q does not name the field", key, message)
		}
	}
	t.Logf("%d rows alike, %d refused alike", len(held[0]), len(refused[0]))
}

// rows returns the canonical hash of each row, by its key. The view's columns
// are read, and what the store keeps of the event beside them.
func rows(s *firehosetest.Service) map[string]string {
	out := map[string]string{}
	for _, row := range s.Query("SELECT * FROM firehose_t_every") {
		d := store.NewDigest()
		d.Row(row)
		out[row[0].(string)] = d.Sum()[:16]
	}
	return out
}

// unhex returns the bytes of a two's complement number.
func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}
