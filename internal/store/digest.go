package store

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"math"
	"time"
)

// Digest is the canonical hash of a service's tables, the same for every store:
// tables in the order of their names, in each the rows in the order of their
// keys (text by its UTF-8 bytes), in each row its values in the order of their
// columns' names. Every value is written with its kind and its length, so that
// no two contents have one hash.
type Digest struct {
	h   hash.Hash
	buf []byte
}

// NewDigest returns the digest of nothing.
func NewDigest() *Digest { return &Digest{h: sha256.New()} }

// Table begins a table with the names of the values of its rows.
func (d *Digest) Table(name string, columns []string) {
	d.text('T', name)
	for _, c := range columns {
		d.text('C', c)
	}
	d.flush()
}

// Row adds a row. Its values are nil, int64 (bools as 0 and 1), float64, string
// (times as TimestampLayout has them) or []byte.
func (d *Digest) Row(values []any) {
	d.buf = append(d.buf, 'R')
	for _, v := range values {
		switch v := v.(type) {
		case nil:
			d.buf = append(d.buf, 'n')
		case int64:
			d.buf = binary.BigEndian.AppendUint64(append(d.buf, 'i'), uint64(v))
		case float64:
			if v == 0 {
				v = 0 // there is no -0 on disk
			}
			d.buf = binary.BigEndian.AppendUint64(append(d.buf, 'f'), math.Float64bits(v))
		case string:
			d.text('s', v)
		case []byte:
			d.buf = binary.BigEndian.AppendUint64(append(d.buf, 'b'), uint64(len(v)))
			d.buf = append(d.buf, v...)
		}
	}
	d.flush()
}

// Sum returns the hash in hexadecimal.
func (d *Digest) Sum() string { return hex.EncodeToString(d.h.Sum(nil)) }

func (d *Digest) text(kind byte, s string) {
	d.buf = binary.BigEndian.AppendUint64(append(d.buf, kind), uint64(len(s)))
	d.buf = append(d.buf, s...)
}

func (d *Digest) flush() {
	d.h.Write(d.buf)
	d.buf = d.buf[:0]
}

// TimestampLayout is how a Timestamp is written as text: in UTC, always with six
// digits of a second, so that the text sorts as the times do.
const TimestampLayout = "2006-01-02T15:04:05.000000Z"

// FormatTimestamp writes a Timestamp as TimestampLayout has it, in a third of the
// time that time.Format takes.
func FormatTimestamp(t time.Time) string {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	var b [len(TimestampLayout)]byte
	copy(b[:], TimestampLayout)
	digits(b[0:4], year)
	digits(b[5:7], int(month))
	digits(b[8:10], day)
	digits(b[11:13], hour)
	digits(b[14:16], minute)
	digits(b[17:19], second)
	digits(b[20:26], t.Nanosecond()/1000)
	return string(b[:])
}

func digits(b []byte, n int) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
}
