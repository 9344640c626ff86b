package codec_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/avro"

	"firehose/internal/codec"
	"firehose/schemas"
)

// shapes has all that a program reads.
var shapes = avro.MustParse(`{"type": "record", "name": "Shapes", "fields": [
  {"name": "flag", "type": "boolean"},
  {"name": "small", "type": "int"},
  {"name": "widened", "type": "int"},
  {"name": "long", "type": "long"},
  {"name": "single", "type": "float"},
  {"name": "double", "type": "double"},
  {"name": "text", "type": "string"},
  {"name": "raw", "type": "bytes"},
  {"name": "color", "type": {"type": "enum", "name": "Color", "symbols": ["RED", "GREEN", "BLUE"]}},
  {"name": "millis", "type": {"type": "long", "logicalType": "timestamp-millis"}},
  {"name": "micros", "type": {"type": "long", "logicalType": "timestamp-micros"}},
  {"name": "inner", "type": {"type": "record", "name": "Inner", "fields": [
    {"name": "name", "type": "string"}, {"name": "sizes", "type": {"type": "array", "items": "long"}}]}},
  {"name": "inners", "type": {"type": "array", "items": "Inner"}},
  {"name": "words", "type": {"type": "array", "items": "string"}},
  {"name": "first", "type": ["null", "string"]},
  {"name": "last", "type": ["Color", "null"]},
  {"name": "at", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}]}
]}`)

type shape struct {
	Flag    bool         `avro:"flag"`
	Small   int32        `avro:"small"`
	Widened int64        `avro:"widened"`
	Long    int64        `avro:"long"`
	Single  float32      `avro:"single"`
	Double  float64      `avro:"double"`
	Text    string       `avro:"text"`
	Raw     []byte       `avro:"raw"`
	Color   color        `avro:"color"`
	Millis  time.Time    `avro:"millis"`
	Micros  time.Time    `avro:"micros"`
	Inner   innerShape   `avro:"inner"`
	Inners  []innerShape `avro:"inners"`
	Words   []string     `avro:"words"`
	First   *string      `avro:"first"`
	Last    *color       `avro:"last"`
	At      *time.Time   `avro:"at"`
}

type innerShape struct {
	Name  string  `avro:"name"`
	Sizes []int64 `avro:"sizes"`
}

type color string

func someShapes(r *rand.Rand) *shape {
	ints := []int64{0, 1, -1, 63, 64, -64, -65, math.MaxInt32, math.MinInt32, math.MaxInt64, math.MinInt64, r.Int64()}
	long := func() int64 { return ints[r.IntN(len(ints))] }
	text := func() string { return strings.Repeat("ü\x00x", r.IntN(4)*r.IntN(200)) }
	inner := func() innerShape {
		i := innerShape{Name: text(), Sizes: []int64{}}
		for range r.IntN(4) {
			i.Sizes = append(i.Sizes, long())
		}
		return i
	}
	s := &shape{
		Flag: r.IntN(2) == 0, Small: int32(long()), Widened: int64(int32(long())), Long: long(),
		Single: float32(r.NormFloat64()), Double: math.Inf(r.IntN(2)), Text: text(), Raw: []byte(text()),
		Color:  color([]string{"RED", "GREEN", "BLUE"}[r.IntN(3)]),
		Millis: time.UnixMilli(r.Int64N(1 << 45)).UTC(), Micros: time.UnixMicro(-r.Int64N(1 << 50)).UTC(),
		Inner: inner(), Inners: []innerShape{}, Words: []string{},
	}
	for range r.IntN(4) {
		s.Inners, s.Words = append(s.Inners, inner()), append(s.Words, text())
	}
	if r.IntN(2) == 0 {
		first, last, at := text(), color("BLUE"), time.UnixMicro(r.Int64N(1<<50)).UTC()
		s.First, s.Last, s.At = &first, &last, &at
	}
	return s
}

// agree has the decoder and the library alone read a payload, into a value that
// held another before, and wants them to say the same.
func agree[T any](t *testing.T, d *codec.Decoder, s *avro.Schema, id int, payload []byte, ours, theirs *T) {
	t.Helper()
	payload = bytes.Clone(payload)
	err := d.Decode(context.Background(), codec.Frame{ID: id, Payload: payload}, ours)
	rest, want := s.Decode(bytes.Clone(payload), theirs)
	if refused := want != nil || len(rest) != 0; refused != (err != nil) {
		// The library alone takes any number of blocks.
		if err == nil || !strings.Contains(err.Error(), "too many small blocks") {
			t.Fatalf("%x: decoder says %v, library %v with %d bytes left", payload, err, want, len(rest))
		}
	}
	if err != nil {
		return
	}
	clear(payload) // nothing of it is kept
	if diff := cmp.Diff(theirs, ours, cmpopts.EquateNaNs()); diff != "" {
		t.Fatalf("library - decoder +\n%s", diff)
	}
}

func TestDecodedAsTheLibraryDoes(t *testing.T) {
	d := codec.NewDecoder(fakeRegistry(t, shapes.String()), shapes)
	r := rand.New(rand.NewPCG(1, 2))
	var ours, theirs shape
	for range 1000 {
		payload, err := shapes.AppendEncode(nil, someShapes(r))
		if err != nil {
			t.Fatal(err)
		}
		agree(t, d, shapes, 1, payload, &ours, &theirs)
		for range 10 { // something is wrong with most of these
			bent := bytes.Clone(payload)
			switch at := r.IntN(len(bent)); r.IntN(3) {
			case 0:
				bent = bent[:at]
			case 1:
				bent[at] = byte(r.Uint32())
			case 2:
				bent = append(bent[:at:at], append([]byte{byte(r.Uint32())}, bent[at:]...)...)
			}
			agree(t, d, shapes, 1, bent, &ours, &theirs)
		}
	}
}

// What nobody writes, but is Avro.
func TestUnusualEncodingsDecode(t *testing.T) {
	list := avro.MustParse(`{"type":"record","name":"R","fields":[{"name":"n","type":["null","int"]},{"name":"a","type":{"type":"array","items":"int"}}]}`)
	d := codec.NewDecoder(fakeRegistry(t, list.String()), list)
	type lists struct {
		N *int32  `avro:"n"`
		A []int32 `avro:"a"`
	}
	for name, payload := range map[string][]byte{
		"one block":                   {2, 14, 4, 2, 4, 0},
		"two blocks":                  {2, 14, 2, 2, 2, 4, 0},
		"a block with its size":       {2, 14, 3, 4, 2, 4, 0},
		"an index in two bytes":       {0x82, 0, 14, 4, 2, 4, 0},
		"a count in two bytes":        {2, 14, 0x84, 0, 2, 4, 0},
		"an int in five bytes":        {2, 0x8e, 0x80, 0x80, 0x80, 0, 4, 2, 4, 0},
		"no items":                    {0, 0},
		"an int in six bytes":         {2, 0x8e, 0x80, 0x80, 0x80, 0x80, 0, 0},
		"an int of 33 bits":           {2, 0xfe, 0xff, 0xff, 0xff, 0x1f, 0},
		"an array without its end":    {0, 2, 2},
		"an index that is not there":  {4, 0},
		"more items than bytes":       append(binary.AppendVarint([]byte{0}, 1<<40), 0),
		"the smallest count there is": append(binary.AppendVarint([]byte{0}, math.MinInt64), 0),
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := lists{A: []int32{9, 9, 9}}, lists{A: []int32{9, 9, 9}}
			agree(t, d, list, 1, payload, &ours, &theirs)
		})
	}
}

// A field that the schema does not have keeps what it held, as the library leaves it.
func TestItemsWithAFieldMoreDecode(t *testing.T) {
	s := avro.MustParse(`{"type":"record","name":"R","fields":[{"name":"b","type":{"type":"array","items":{"type":"record","name":"I","fields":[{"name":"c","type":"long"}]}}}]}`)
	d := codec.NewDecoder(fakeRegistry(t, s.String()), s)
	type more struct {
		C    int64  `avro:"c"`
		Kept string `avro:"-"`
	}
	type list struct {
		B []more `avro:"b"`
	}
	for _, payload := range [][]byte{{2, 4, 0}, {6, 2, 4, 6, 0}, {2, 4, 2, 6, 0}, {2}} {
		ours, theirs := list{B: []more{{C: 9, Kept: "a"}, {Kept: "b"}}}, list{B: []more{{C: 9, Kept: "a"}, {Kept: "b"}}}
		agree(t, d, s, 1, payload, &ours, &theirs)
	}
}

// The services' events, and all the shapes there are, are read by programs.
func TestReadByPrograms(t *testing.T) {
	for _, tc := range []struct {
		topic string
		v     any
	}{
		{schemas.TopicOrders, new(schemas.Order)},
		{schemas.TopicPayments, new(schemas.Payment)},
		{schemas.TopicStockMovements, new(schemas.StockMovement)},
		{"", new(shape)},
	} {
		s := shapes
		if topic, ok := schemas.Shop().Topic(tc.topic); ok {
			s = topic.Latest().Avro
		}
		if ok, err := codec.ReadByProgram(s, tc.v); !ok || err != nil {
			t.Errorf("%T is not read by a program: %v", tc.v, err)
		}
	}
}

// Few bytes that claim many items take no memory.
func TestClaimedItemsTakeNoMemory(t *testing.T) {
	s := avro.MustParse(`{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"array","items":"double"}}]}`)
	d := codec.NewDecoder(fakeRegistry(t, s.String()), s)
	payload := binary.AppendVarint(nil, 1<<20-16)
	payload = append(payload, make([]byte, 1<<20-len(payload))...)
	var v struct {
		A []float64 `avro:"a"`
	}
	if err := d.Decode(t.Context(), codec.Frame{ID: 1, Payload: payload}, &v); !errors.Is(err, codec.ErrUndecodable) {
		t.Fatalf("got %v, want an ErrUndecodable", err)
	}
	if cap(v.A) != 0 {
		t.Errorf("took room for %d items", cap(v.A))
	}
}

// A schema that a registry spells in its own way, with other docs, is the same.
func TestSchemasSpeltDifferentlyDecode(t *testing.T) {
	other := strings.Replace(orders(t).Latest().Text, `"doc":`, `"doc": "x", "note":`, 1)
	for _, text := range []string{orders(t).Latest().Text, other} {
		d := codec.NewDecoder(fakeRegistry(t, text), orders(t).Latest().Avro)
		payload, err := orders(t).Latest().Avro.AppendEncode(nil, anOrder())
		if err != nil {
			t.Fatal(err)
		}
		var got schemas.Order
		if err := d.Decode(t.Context(), codec.Frame{ID: 1, Payload: payload}, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(anOrder(), &got); diff != "" {
			t.Errorf("want - got +\n%s", diff)
		}
	}
}

func TestDecodeDoesNotAllocateForUsedSlices(t *testing.T) {
	s := orders(t).Latest()
	d := codec.NewDecoder(fakeRegistry(t, s.Text), s.Avro)
	order := anOrder()
	payload, err := s.Avro.AppendEncode(nil, order)
	if err != nil {
		t.Fatal(err)
	}
	// Its texts have a kilobyte in common with those of others.
	if n := testing.AllocsPerRun(1000, func() {
		if err := d.Decode(context.Background(), codec.Frame{ID: 1, Payload: payload}, order); err != nil {
			t.Fatal(err)
		}
	}); n > 1 {
		t.Errorf("got %v allocations, want at most one", n)
	}
}
