package codec_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/avro"

	"firehose/internal/codec"
)

type shouting string

func (s *shouting) UnmarshalText(text []byte) error {
	*s = shouting(bytes.ToUpper(text))
	return nil
}

type (
	item struct {
		C int64 `avro:"c"`
	}
	Base struct {
		A string `avro:"a"`
	}
	hidden struct {
		B int64
	}
)

// What asks for more than a program does is the library's to read.
func TestReadByTheLibrary(t *testing.T) {
	const list = `{"type":"record","name":"R","fields":[{"name":"a","type":"string"},
		{"name":"b","type":{"type":"array","items":{"type":"record","name":"I","fields":[{"name":"c","type":"long"}]}}}]}`
	field := func(f string) string { return `{"type":"record","name":"R","fields":[` + f + `]}` }
	for name, tc := range map[string]struct {
		schema  string
		payload string
		v       func() any
	}{
		"map": {list, "\x027\x04\x02\x04\x00", func() any { return new(map[string]any) }},
		"any": {list, "\x027\x04\x02\x04\x00", func() any { return new(any) }},
		"text of its own": {list, "\x027\x04\x02\x04\x00", func() any {
			return new(struct {
				A shouting `avro:"a"`
				B []item   `avro:"b"`
			})
		}},
		"number in a text": {list, "\x027\x04\x02\x04\x00", func() any {
			return new(struct {
				A json.Number `avro:"a"`
				B []item      `avro:"b"`
			})
		}},
		"embedded": {list, "\x027\x04\x02\x04\x00", func() any {
			return new(struct {
				Base
				B []item `avro:"b"`
			})
		}},
		"embedded pointer": {list, "\x027\x04\x02\x04\x00", func() any {
			return new(struct {
				*Base
				B []item `avro:"b"`
			})
		}},
		"pointers to items": {list, "\x027\x04\x02\x04\x00", func() any {
			return new(struct {
				A string  `avro:"a"`
				B []*item `avro:"b"`
			})
		}},
		"Go array": {list, "\x027\x04\x02\x04\x00", func() any {
			return new(struct {
				A string  `avro:"a"`
				B [2]item `avro:"b"`
			})
		}},
		"time of day at the field": {field(`{"name":"d","type":"long","logicalType":"time-micros"}`), "\x04", func() any {
			return new(struct {
				D time.Duration `avro:"d"`
			})
		}},
		"time of day at the field, in milliseconds": {field(`{"name":"d","type":"int","logicalType":"time-millis"}`), "\x04", func() any {
			return new(struct {
				D time.Duration `avro:"d"`
			})
		}},
		"optional time of day at the field": {field(`{"name":"d","type":["null","long"],"logicalType":"time-micros"}`), "\x02\x04", func() any {
			return new(struct {
				D *time.Duration `avro:"d"`
			})
		}},
		"time of day at the field of an item": {field(`{"name":"l","type":{"type":"array","items":{"type":"record","name":"I","fields":[
			{"name":"d","type":"long","logicalType":"time-micros"}]}}}`), "\x02\x04\x00", func() any {
			type timed struct {
				D time.Duration `avro:"d"`
			}
			return new(struct {
				L []timed `avro:"l"`
			})
		}},
		"time of day": {field(`{"name":"d","type":{"type":"long","logicalType":"time-micros"}}`), "\x04", func() any {
			return new(struct {
				D time.Duration `avro:"d"`
			})
		}},
		"embedded time": {field(`{"name":"Time","type":{"type":"long","logicalType":"timestamp-millis"}}`), "\x02", func() any {
			return new(struct{ time.Time })
		}},
		"inlined time": {field(`{"name":"At","type":{"type":"long","logicalType":"timestamp-millis"}}`), "\x02", func() any {
			return new(struct {
				At time.Time `avro:",inline"`
			})
		}},
		"inlined by name": {field(`{"name":"in","type":{"type":"record","name":"I","fields":[{"name":"c","type":"long"}]}}`), "\x02", func() any {
			return new(struct {
				In item `avro:"in,inline"`
			})
		}},
		"deeper, but with a tag": {field(`{"name":"X","type":"long"}`), "\x02", func() any {
			return new(struct {
				X  int64
				In struct {
					Y int64 `avro:"X"`
				} `avro:",omitzero,inline"`
			})
		}},
		"embedded with a tag": {field(`{"name":"a","type":"long"}`), "\x02", func() any {
			return new(struct {
				hidden `avro:"a"`
				A2     int64 `avro:"a"`
			})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := avro.MustParse(tc.schema)
			if ok, err := codec.ReadByProgram(s, tc.v()); ok || err != nil {
				t.Errorf("read by a program: %v, %v", ok, err)
			}
			ours, theirs := tc.v(), tc.v()
			err := codec.NewDecoder(fakeRegistry(t, tc.schema), s).Decode(t.Context(), codec.Frame{ID: 1, Payload: []byte(tc.payload)}, ours)
			_, want := s.Decode([]byte(tc.payload), theirs)
			if (err == nil) != (want == nil) {
				t.Fatalf("decoder says %v, library %v", err, want)
			}
			if diff := cmp.Diff(theirs, ours, cmp.Exporter(func(reflect.Type) bool { return true })); diff != "" {
				t.Errorf("library - decoder +\n%s", diff)
			}
		})
	}
}
