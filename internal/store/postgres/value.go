package postgres

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"firehose/internal/store"
)

// copyBuffer is a stream for COPY … FROM STDIN (FORMAT binary), as the manual of
// COPY describes it: a signature, per row the number of fields and for each its
// length and its bytes, and a trailer.
type copyBuffer struct {
	b    []byte
	rows int
}

var copySignature = []byte("PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00") // flags and extension are empty

func (c *copyBuffer) row(fields int) {
	if c.rows == 0 {
		c.b = append(c.b, copySignature...)
	}
	c.rows++
	c.b = binary.BigEndian.AppendUint16(c.b, uint16(fields))
}

func (c *copyBuffer) end() []byte { return binary.BigEndian.AppendUint16(c.b, math.MaxUint16) }

func (c *copyBuffer) null() { c.b = binary.BigEndian.AppendUint32(c.b, math.MaxUint32) }

func (c *copyBuffer) int32(n int32) {
	c.b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(c.b, 4), uint32(n))
}

func (c *copyBuffer) int64(n int64) {
	c.b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(c.b, 8), uint64(n))
}

func (c *copyBuffer) bool(v bool) {
	c.b = append(c.b, 0, 0, 0, 1, 0)
	if v {
		c.b[len(c.b)-1] = 1
	}
}

func (c *copyBuffer) text(s string) {
	c.b = append(binary.BigEndian.AppendUint32(c.b, uint32(len(s))), s...)
}

func (c *copyBuffer) bytes(b []byte) {
	c.b = append(binary.BigEndian.AppendUint32(c.b, uint32(len(b))), b...)
}

// epoch is where PostgreSQL's timestamps begin, in microseconds since 1970.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

// values appends a row's values, which have been checked.
func (c *copyBuffer) values(values []any) {
	for _, v := range values {
		switch v := v.(type) {
		case nil:
			c.null()
		case string:
			c.text(v)
		case int64:
			c.int64(v)
		case float64:
			c.int64(int64(math.Float64bits(v)))
		case bool:
			c.bool(v)
		case []byte:
			c.bytes(v)
		case time.Time:
			c.int64(v.UnixMicro() - epoch)
		}
	}
}

// checkValues refuses what PostgreSQL would refuse or bend.
func checkValues(columns []store.Column, values []any) error {
	if len(values) != len(columns) {
		return fmt.Errorf("%w: %d values for %d columns", store.ErrRefused, len(values), len(columns))
	}
	for i, v := range values {
		if err := store.CheckType(columns[i], v); err != nil {
			return err
		}
	}
	return nil
}

// appendArgs appends values as arguments of a statement.
func appendArgs(args, values []any) []any {
	for _, v := range values {
		switch x := v.(type) {
		case []byte:
			if x == nil {
				v = []byte{} // nil would become NULL
			}
		case time.Time:
			v = x.UTC().Truncate(time.Microsecond)
		}
		args = append(args, v)
	}
	return args
}

// stageType is a column's type in a staging table. A decimal comes as text,
// since the binary form of numeric is its own.
func stageType(t store.Type) string {
	if t == store.Decimal {
		return "text"
	}
	return sqlType(t)
}

// fromStage reads a column from a staging table, or from an argument.
func fromStage(name string, t store.Type) string {
	if t == store.Decimal {
		return name + "::numeric"
	}
	return name
}

// shown is a column as it is read back: with the Go types that the contract has
// for them.
func shown(name string, t store.Type) string {
	switch t {
	case store.Decimal, store.JSON:
		return name + "::text"
	default:
		return name
	}
}
