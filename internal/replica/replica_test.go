package replica_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/avro"

	"firehose/internal/codec"
	"firehose/internal/consume"
	"firehose/internal/event"
	"firehose/internal/replica"
	"firehose/internal/store"
	"firehose/schemas"
)

// registry knows schemas by the IDs 1, 2, 3, ...
type registry []*avro.Schema

func (r registry) Writer(_ context.Context, f codec.Frame) (*avro.Schema, error) {
	if f.ID < 1 || f.ID > len(r) {
		return nil, codec.ErrUnknownSchema
	}
	return r[f.ID-1], nil
}

// version returns a schema of the topic t.things with further fields.
func version(t testing.TB, n int, fields string) *schemas.Schema {
	t.Helper()
	s, err := schemas.Parse(`{"type":"record","name":"Thing","namespace":"t","firehose":{"topic":"t.things","kind":"entity",
		"key":"id","version":"v","types":["t.thing.changed"]},"fields":[{"name":"id","type":"string"},{"name":"v","type":"long"}`+fields+`]}`, n)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func topic(t testing.TB, versions ...*schemas.Schema) *schemas.Topic {
	t.Helper()
	set, err := schemas.NewSet(versions...)
	if err != nil {
		t.Fatal(err)
	}
	return set.Topics()[0]
}

// frame returns a value that the registry's schema id wrote.
func frame(t testing.TB, r registry, id int, v map[string]any) codec.Frame {
	t.Helper()
	payload, err := r[id-1].Encode(v)
	if err != nil {
		t.Fatal(err)
	}
	return codec.Frame{ID: id, Payload: payload}
}

func value(f codec.Frame) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(f.ID)), f.Payload...)
}

func names(table *store.Table) []string {
	var out []string
	for _, c := range append(table.Key[:1:1], table.Columns...) {
		out = append(out, c.Name)
	}
	return out
}

func TestColumnsOfEveryType(t *testing.T) {
	long := strings.Repeat("n", 60)
	s := version(t, 1, `,{"name":"n","type":"null"},{"name":"b","type":"boolean"},{"name":"i","type":"int"},{"name":"d","type":["null","double"]}
		,{"name":"by","type":"bytes"},{"name":"e","type":{"type":"enum","name":"E","symbols":["A"]}},{"name":"f","type":{"type":"fixed","name":"F","size":2}}
		,{"name":"de","type":{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}},{"name":"u","type":{"type":"string","logicalType":"uuid"}}
		,{"name":"ts","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"tn","type":{"type":"long","logicalType":"timestamp-nanos"}}
		,{"name":"da","type":{"type":"int","logicalType":"date"}},{"name":"lt","type":{"type":"long","logicalType":"local-timestamp-micros"}}
		,{"name":"du","type":{"type":"fixed","name":"D","size":12,"logicalType":"duration"}}
		,{"name":"r","type":["null",{"type":"record","name":"R","fields":[]}]},{"name":"a","type":{"type":"array","items":"int"}}
		,{"name":"un","type":["int","string"]},{"name":"order","type":"string"},{"name":"Firehose_time","type":"string"},{"name":"ctid","type":"int"}
		,{"name":"`+long+`","type":"string"}`)
	r, err := replica.New(topic(t, s), registry{s.Avro})
	if err != nil {
		t.Fatal(err)
	}
	got := r.Table()
	last := got.Columns[len(got.Columns)-1]
	if len(last.Name) != store.MaxIdentifier || !strings.HasPrefix(last.Name, long[:45]+"_") {
		t.Errorf("column of a long name: got %s", last.Name)
	}
	want := &store.Table{Name: "t_things", Kind: store.Rows, Key: []store.Column{{Name: "id"}}, Columns: []store.Column{
		{Name: "v", Type: store.Int}, {Name: "n", Nullable: true}, {Name: "b", Type: store.Bool}, {Name: "i", Type: store.Int},
		{Name: "d", Type: store.Float, Nullable: true}, {Name: "by", Type: store.Bytes}, {Name: "e"}, {Name: "f", Type: store.Bytes},
		{Name: "de", Type: store.Decimal}, {Name: "u"}, {Name: "ts", Type: store.Timestamp}, {Name: "tn"}, {Name: "da"}, {Name: "lt"},
		{Name: "du", Type: store.JSON}, {Name: "r", Type: store.JSON, Nullable: true}, {Name: "a", Type: store.JSON},
		{Name: "un", Type: store.JSON}, {Name: "order"}, {Name: "field_Firehose_time"}, {Name: "field_ctid", Type: store.Int},
		{Name: last.Name},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

func TestSchemasThatComeLater(t *testing.T) {
	v1 := version(t, 1, `,{"name":"a","type":"int"}`)
	tests := []struct {
		name   string
		fields string
		want   []string // columns; nil: its records are refused
	}{
		{"the same", `,{"name":"a","type":"int"}`, []string{"id", "v", "a"}},
		{"a field more", `,{"name":"a","type":"int"},{"name":"b","type":"string","default":"x"}`, []string{"id", "v", "a", "b"}},
		{"before the others", `,{"name":"b","type":"string","default":"x"},{"name":"a","type":"int"}`, []string{"id", "v", "a", "b"}},
		{"without a default", `,{"name":"a","type":"int"},{"name":"b","type":"string"}`, nil},
		{"a field less", ``, nil},
		{"another type", `,{"name":"a","type":"string"}`, nil},
		{"may be null now", `,{"name":"a","type":["null","int"]}`, nil},
		{"a name that differs by case", `,{"name":"a","type":"int"},{"name":"A","type":"int","default":1}`, nil},
		{"a default that no store keeps", `,{"name":"a","type":"int"},{"name":"b","type":"string","default":"\u0000"}`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v2 := version(t, 2, tt.fields)
			writers := registry{v1.Avro, v2.Avro}
			r, err := replica.New(topic(t, v1), writers)
			if err != nil {
				t.Fatal(err)
			}
			_, err = r.Handler().Decode(t.Context(), frame(t, writers, 2, map[string]any{"id": "1", "v": int64(1), "a": zero(tt.fields), "b": "y", "A": 2}))
			if tt.want == nil {
				if !errors.Is(err, codec.ErrIncompatible) {
					t.Errorf("got %v, want ErrIncompatible", err)
				}
				if got := names(r.Table()); !cmp.Equal(got, []string{"id", "v", "a"}) {
					t.Errorf("columns of a refused schema: got %v", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, names(r.Table())); diff != "" {
				t.Errorf("columns (-want +got):\n%s", diff)
			}
		})
	}
}

// zero is a value for the field a of whatever type it has.
func zero(fields string) any {
	if strings.Contains(fields, `"a","type":"string"`) {
		return ""
	}
	return 0
}

// fold folds values into a replica's table; each has its schema's ID in front.
func fold(t *testing.T, r *replica.Replica, values ...[]byte) (*consume.Fold, []error) {
	t.Helper()
	f := consume.NewFold([]*consume.Handler{r.Handler()}, []*store.Table{r.Table()})
	var errs []error
	for i, v := range values {
		env := event.Envelope{ID: fmt.Sprint(i), Source: "/t", Type: "t.thing.changed", Subject: "1"}
		if v == nil {
			env.Sequence, env.HasSequence = int64(i), true
		}
		errs = append(errs, f.Apply(t.Context(), "t.things", &env, v))
	}
	return f, errs
}

// A symbol that this program does not know stays what it is: the row depends on
// the event alone.
func TestValuesAreReadAsTheyWereWritten(t *testing.T) {
	enum := func(symbols string) string {
		return `,{"name":"e","type":{"type":"enum","name":"E","symbols":[` + symbols + `],"default":"U"}}`
	}
	v1 := version(t, 1, enum(`"U","A"`))
	v2 := version(t, 2, enum(`"U","A","NEW"`))
	writers := registry{v1.Avro, v2.Avro}
	r, err := replica.New(topic(t, v1), writers)
	if err != nil {
		t.Fatal(err)
	}
	f, errs := fold(t, r, value(frame(t, writers, 2, map[string]any{"id": "1", "v": int64(1), "e": "NEW"})))
	if errs[0] != nil {
		t.Fatal(errs[0])
	}
	if diff := cmp.Diff([][]any{{"1", int64(1), "NEW"}}, f.Rows("t_things")); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// Avro lets a field change between string and bytes; its column does not.
func TestTextAndBytes(t *testing.T) {
	v1 := version(t, 1, `,{"name":"x","type":"string"}`)
	v2 := version(t, 2, `,{"name":"x","type":"bytes"}`)
	writers := registry{v1.Avro, v2.Avro}
	r, err := replica.New(topic(t, v1), writers)
	if err != nil {
		t.Fatal(err)
	}
	f, errs := fold(t, r,
		value(frame(t, writers, 2, map[string]any{"id": "1", "v": int64(1), "x": []byte("text")})),
		value(frame(t, writers, 2, map[string]any{"id": "1", "v": int64(2), "x": []byte{0xff}})))
	var failure *consume.Failure
	if errs[0] != nil || !errors.As(errs[1], &failure) || failure.Class != consume.ClassValueRefused {
		t.Errorf("got %v, want the second one refused for its value", errs)
	}
	if diff := cmp.Diff([][]any{{"1", int64(1), "text"}}, f.Rows("t_things")); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestDeletedAndBack(t *testing.T) {
	s := version(t, 1, "")
	writers := registry{s.Avro}
	r, err := replica.New(topic(t, s), writers)
	if err != nil {
		t.Fatal(err)
	}
	at := func(v int64) []byte { return value(frame(t, writers, 1, map[string]any{"id": "1", "v": v})) }
	f, errs := fold(t, r, at(0), nil, at(0)) // the delete is at version 1
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if got := f.Rows("t_things"); len(got) != 0 {
		t.Errorf("got %v, want no row: a late state brings nothing back", got)
	}
	f, errs = fold(t, r, at(0), nil, at(2))
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]any{{"1", int64(2)}}, f.Rows("t_things")); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestFactsHaveNoReplica(t *testing.T) {
	movements, _ := schemas.Shop().Topic(schemas.TopicStockMovements)
	if _, err := replica.New(movements, registry{}); err == nil {
		t.Error("got no error, want one: only an entity has a row")
	}
}

// Records of several schemas are decoded at once, and each schema is met first
// by any of them.
func TestDecodeSideBySide(t *testing.T) {
	const versions = 8
	v1 := version(t, 1, "")
	writers := registry{v1.Avro}
	fields := ""
	for n := 2; n <= versions; n++ {
		fields += fmt.Sprintf(`,{"name":"f%d","type":"int","default":%d}`, n, n)
		writers = append(writers, version(t, n, fields).Avro)
	}
	r, err := replica.New(topic(t, v1), writers)
	if err != nil {
		t.Fatal(err)
	}
	decode := r.Handler().Decode
	var group sync.WaitGroup
	for id := versions; id >= 1; id-- {
		data := map[string]any{"id": "1", "v": int64(1)}
		for n := 2; n <= id; n++ {
			data[fmt.Sprintf("f%d", n)] = 0
		}
		f := frame(t, writers, id, data)
		group.Go(func() {
			for range 50 {
				if _, err := decode(t.Context(), f); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if got := len(r.Table().Columns); got != versions {
		t.Errorf("got %d columns, want %d", got, versions)
	}
}

func BenchmarkDecodeOrder(b *testing.B) {
	orders, _ := schemas.Shop().Topic(schemas.TopicOrders)
	writers := registry{orders.Latest().Avro}
	payload, err := writers[0].Encode(&schemas.Order{OrderID: "o-1", Version: 1, CustomerID: "c-1", Status: schemas.OrderStatusPaid,
		Lines:    []schemas.OrderLine{{SKU: "CD-01177", Quantity: 1}, {SKU: "CD-01178", Quantity: 2}, {SKU: "CD-01179", Quantity: 3}},
		Currency: "USD", Channel: schemas.ChannelWeb})
	if err != nil {
		b.Fatal(err)
	}
	f := codec.Frame{ID: 1, Payload: payload}
	b.Run("replica", func(b *testing.B) {
		r, err := replica.New(orders, writers)
		if err != nil {
			b.Fatal(err)
		}
		decode := r.Handler().Decode
		b.ReportAllocs()
		for b.Loop() {
			if _, err := decode(b.Context(), f); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("typed", func(b *testing.B) {
		d := codec.NewDecoder(writers, writers[0])
		b.ReportAllocs()
		for b.Loop() {
			if err := d.Decode(b.Context(), f, new(schemas.Order)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
