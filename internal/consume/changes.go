package consume

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"time"

	"firehose/internal/store"
)

// Put sets a row of a Rows table to values, in the order of the table's columns.
// The row's stamp is the event's: an older event never replaces a newer one.
func (c *Changes) Put(t *store.Table, key, values []any) {
	if !c.check(t, store.Rows, key) || !c.values(t, values) {
		return
	}
	c.ops = append(c.ops, op{table: t, kind: opPut, row: encodeKey(key), key: key, values: values, body: c.withBody})
}

// PutRead is Put for the values of a codec.RowReader, whose decimals and JSON
// need not be parsed again to know that they are well-formed.
func (c *Changes) PutRead(t *store.Table, key, values []any) {
	if !c.check(t, store.Rows, key) || !c.valuesBy(store.CheckType, t, values) {
		return
	}
	c.ops = append(c.ops, op{table: t, kind: opPut, row: encodeKey(key), key: key, values: values, body: c.withBody})
}

// Remove deletes a row of a Rows table at the event's stamp.
func (c *Changes) Remove(t *store.Table, key []any) {
	if !c.check(t, store.Rows, key) {
		return
	}
	c.ops = append(c.ops, op{table: t, kind: opRemove, row: encodeKey(key), key: key, body: c.withBody})
}

// Add adds deltas, in the order of the table's columns, to a row of a Counters
// table. An entity's projection must take back what the entity's earlier state
// added, so it needs before and after.
func (c *Changes) Add(t *store.Table, key []any, deltas []int64) {
	if !c.allowAdd && c.misuse == nil {
		c.misuse = fmt.Errorf("%w: table %s: Add from an entity needs its state before and after", ErrMisuse, t.Name)
		return
	}
	if !c.check(t, store.Counters, key) {
		return
	}
	if len(deltas) != len(t.Columns) {
		c.misuse = fmt.Errorf("%w: table %s: %d deltas for %d columns", ErrMisuse, t.Name, len(deltas), len(t.Columns))
		return
	}
	for _, d := range deltas {
		if d != 0 {
			c.ops = append(c.ops, op{table: t, kind: opAdd, row: encodeKey(key), key: key, deltas: deltas})
			return
		}
	}
}

// Append adds a row to a Log table, keyed by the event. Only a fact may: what
// comes of an entity must not depend on its earlier states, which compaction
// takes out of the log.
func (c *Changes) Append(t *store.Table, values []any) {
	if !c.allowAppend && c.misuse == nil {
		c.misuse = fmt.Errorf("%w: table %s: Append from an entity", ErrMisuse, t.Name)
		return
	}
	if !c.check(t, store.Log, nil) || !c.values(t, values) {
		return
	}
	row := c.event.Source + "\x00" + c.event.ID + "\x00" + strconv.Itoa(c.lines)
	c.ops = append(c.ops, op{table: t, kind: opAppend, row: row, values: values, line: c.lines})
	c.lines++
}

// check holds a change against its table; the first problem stays.
func (c *Changes) check(t *store.Table, kind store.Kind, key []any) bool {
	switch {
	case c.misuse != nil || c.err != nil:
		return false
	case t.Kind != kind:
		c.misuse = fmt.Errorf("%w: table %s is of another kind", ErrMisuse, t.Name)
		return false
	case len(key) != len(t.Key):
		c.misuse = fmt.Errorf("%w: table %s: %d key values for %d columns", ErrMisuse, t.Name, len(key), len(t.Key))
		return false
	}
	for i, v := range key {
		if err := store.CheckValue(t.Key[i], v); err != nil {
			c.err = fmt.Errorf("table %s: %w", t.Name, err)
			return false
		}
	}
	return true
}

func (c *Changes) values(t *store.Table, values []any) bool {
	return c.valuesBy(store.CheckValue, t, values)
}

func (c *Changes) valuesBy(check func(store.Column, any) error, t *store.Table, values []any) bool {
	if len(values) != len(t.Columns) {
		c.misuse = fmt.Errorf("%w: table %s: %d values for %d columns", ErrMisuse, t.Name, len(values), len(t.Columns))
		return false
	}
	for i, v := range values {
		if err := check(t.Columns[i], v); err != nil {
			c.err = fmt.Errorf("table %s: %w", t.Name, err)
			return false
		}
	}
	return true
}

// encodeKey makes one string of a key. Strings are ended by 0x00 0x01 (text
// holds no U+0000; bytes escape it), integers are big-endian with the sign bit
// turned, so that the strings sort as the keys do.
func encodeKey(key []any) string {
	if len(key) == 1 {
		if s, ok := key[0].(string); ok {
			return s
		}
	}
	var b []byte
	for _, v := range key {
		switch v := v.(type) {
		case nil:
			b = append(b, 0)
		case string:
			b = append(append(b, 1), v...)
			b = append(b, 0, 1)
		case []byte:
			b = append(b, 2)
			for _, c := range v {
				if b = append(b, c); c == 0 {
					b = append(b, 0xff)
				}
			}
			b = append(b, 0, 1)
		case int64:
			b = binary.BigEndian.AppendUint64(append(b, 3), uint64(v)^1<<63)
		case bool:
			if v {
				b = append(b, 4, 1)
			} else {
				b = append(b, 4, 0)
			}
		case float64:
			bits := math.Float64bits(v)
			if bits>>63 == 1 {
				bits = ^bits
			} else {
				bits |= 1 << 63
			}
			b = binary.BigEndian.AppendUint64(append(b, 5), bits)
		case time.Time:
			b = binary.BigEndian.AppendUint64(append(b, 6), uint64(v.UnixMicro())^1<<63)
		}
	}
	return string(b)
}
