package firehose

import (
	"math"
	"reflect"
	"time"

	"firehose/internal/consume"
)

// Row is the values of a row's key columns, in the order of the table's Key.
type Row []any

// Changes collects what one event changes. Values are given in the order of the
// table's columns; a value that the column cannot hold sets the event aside.
type Changes struct{ c *consume.Changes }

// Put sets a row of a Rows table. An older event never replaces a newer one.
func (c *Changes) Put(t *Table, row Row, values ...any) {
	c.c.Put(t.table, normalise(row), normalise(values))
}

// Remove deletes a row of a Rows table. A late, older Put cannot bring it back.
func (c *Changes) Remove(t *Table, row Row) { c.c.Remove(t.table, normalise(row)) }

// Add adds to a row of a Counters table, which begins at zero. An entity's
// events may add only from OnChange, which also sees what to take back.
func (c *Changes) Add(t *Table, row Row, deltas ...int64) {
	c.c.Add(t.table, normalise(row), deltas)
}

// Append adds a row to a Log table. Only facts may: a log of an entity's states
// would not survive a rebuild from a compacted topic.
func (c *Changes) Append(t *Table, values ...any) { c.c.Append(t.table, normalise(values)) }

// normalise brings Go values to the few types of a store, in place: integers to
// int64, named types to the plain ones they are made of, pointers to what they
// point at. What has no such type stays, for the check of the column to name.
func normalise(values []any) []any {
	for i, v := range values {
		switch v := v.(type) {
		case nil, string, int64, float64, bool, []byte, time.Time:
		case int:
			values[i] = int64(v)
		case int32:
			values[i] = int64(v)
		default:
			values[i] = plainValue(reflect.ValueOf(v))
		}
	}
	return values
}

func plainValue(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		if t, ok := v.Elem().Interface().(time.Time); ok {
			return t
		}
		return plainValue(v.Elem())
	case reflect.String:
		return v.String()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int()
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if u := v.Uint(); u <= math.MaxInt64 {
			return int64(u)
		}
	case reflect.Float32, reflect.Float64:
		return v.Float()
	case reflect.Bool:
		return v.Bool()
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return v.Bytes()
		}
	}
	return v.Interface()
}
