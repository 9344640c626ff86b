package codec

import (
	"fmt"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/twmb/avro"
)

// Form is what a RowReader makes of a field.
type Form uint8

// The forms, with the Go type of their values. A JSON value is in the form of
// AppendJSON, the keys of maps sorted.
const (
	FormNull    Form = iota // nil, always: the field's type is null
	FormBool                // bool
	FormInt                 // int64: int and long
	FormFloat               // float64: float and double
	FormText                // string: string, enum, uuid, and times that are no instant in microseconds
	FormBytes               // []byte: bytes and fixed
	FormTime                // time.Time: timestamp-millis and timestamp-micros
	FormDecimal             // string such as "-12.50": decimal and big-decimal
	FormJSON                // string: record, array, map, duration, unions of several types
)

// RowField is one field of a record, as a RowReader gives it.
type RowField struct {
	Name       string
	Form       Form
	Nullable   bool // its values may be nil
	HasDefault bool
	Default    any // in the field's form
}

// RowReader reads records straight into rows, one value per field, without a
// Go type for them: scalars as they are, what is nested as plain JSON. It is
// several times as fast as decoding into maps, and gives every value exactly as
// it was written: nothing depends on who reads it. It is safe for concurrent
// use.
type RowReader struct {
	fields []rowField
	public []RowField
}

type rowField struct {
	name     string
	node     *node // of the value, beneath an optional
	form     Form
	union    bool  // an index comes first, below branches
	null     int64 // which index means nil; -1 for none
	branches int
}

// NewRowReader returns a reader of the records that s writes.
func NewRowReader(s *avro.Schema) (*RowReader, error) {
	n, err := nodeOf(s)
	if err != nil {
		return nil, err
	}
	if n.kind != kindRecord {
		return nil, fmt.Errorf("schema is %s, want a record", n.want())
	}
	r := newRowReader(n)
	return r, r.readDefaults(s)
}

func newRowReader(n *node) *RowReader {
	r := &RowReader{}
	for i := range n.fields {
		f := &n.fields[i]
		at := rowField{name: f.name, node: f.node, null: -1}
		public := RowField{Name: f.name, HasDefault: f.hasDefault}
		if f.node.kind == kindUnion {
			for b, branch := range f.node.branches {
				if branch.kind == kindNull {
					at.null, public.Nullable = int64(b), true
				}
			}
			if one := f.node.only(); one != nil {
				at.node, at.union, at.branches = one, true, len(f.node.branches)
			}
		}
		at.form = at.node.form()
		public.Form = at.form
		public.Nullable = public.Nullable || at.form == FormNull
		r.fields = append(r.fields, at)
		r.public = append(r.public, public)
	}
	return r
}

// Fields returns the record's fields, in order.
func (r *RowReader) Fields() []RowField { return r.public }

func (n *node) form() Form {
	switch n.logical {
	case logicalDecimal, logicalBigDecimal:
		return FormDecimal
	case logicalTimestamp:
		if n.unit != nanos {
			return FormTime
		}
		return FormText
	case logicalDate, logicalTime, logicalLocalTimestamp, logicalUUID:
		return FormText
	case logicalDuration:
		return FormJSON
	case logicalNone:
	}
	switch n.kind {
	case kindNull:
		return FormNull
	case kindBool:
		return FormBool
	case kindInt, kindLong:
		return FormInt
	case kindFloat, kindDouble:
		return FormFloat
	case kindString, kindEnum:
		return FormText
	case kindBytes, kindFixed:
		return FormBytes
	case kindArray, kindMap, kindRecord, kindUnion:
	}
	return FormJSON
}

// readDefaults brings the defaults into their fields' forms: it has a record of
// nothing but defaults written, and reads it.
func (r *RowReader) readDefaults(s *avro.Schema) error {
	root, err := nodeOf(s)
	if err != nil {
		return err
	}
	only := *s.Root()
	fields := only.Fields
	only.Fields = nil
	values := map[string]any{}
	var at []int
	for i, f := range fields {
		if f.HasDefault {
			only.Fields = append(only.Fields, f)
			values[f.Name] = root.fields[i].value
			at = append(at, i)
		}
	}
	if len(at) == 0 {
		return nil
	}
	written, err := only.Schema()
	if err != nil {
		return fmt.Errorf("defaults of %s: %w", root.name, err)
	}
	payload, err := written.Encode(values)
	if err != nil {
		return fmt.Errorf("defaults of %s: %w", root.name, encodeError(err))
	}
	n, err := nodeOf(written)
	if err != nil {
		return err
	}
	row := make([]any, len(fields))
	if err := newRowReader(n).Read(payload, row, at); err != nil {
		return fmt.Errorf("defaults of %s: %w", root.name, err)
	}
	for _, i := range at {
		r.public[i].Default = row[i]
	}
	return nil
}

var scans = sync.Pool{New: func() any { return &scan{} }}

// Read reads one record, all of payload, into row: field i into row[at[i]]. An
// ErrUndecodable when the bytes are no such record; a *FieldError when they are
// but no store could keep a value: text with U+0000 or that is not UTF-8, NaN,
// dates outside the years 1 to 9999. Texts are parts of payload, not copies: it
// must not change as long as they are held.
func (r *RowReader) Read(payload []byte, row []any, at []int) error {
	if len(payload) > MaxValueBytes {
		return fmt.Errorf("%w: %d bytes, over %d", ErrUndecodable, len(payload), MaxValueBytes)
	}
	s := scans.Get().(*scan)
	s.data, s.at, s.empty, s.path = unsafe.String(unsafe.SliceData(payload), len(payload)), 0, 0, s.path[:0]
	err := r.read(s, row, at)
	s.data = ""
	if cap(s.out) <= 64<<10 { // one huge value must not stay for ever
		scans.Put(s)
	}
	return err
}

func (r *RowReader) read(s *scan, row []any, at []int) error {
	for i := range r.fields {
		v, err := s.field(&r.fields[i])
		if err != nil {
			return err
		}
		row[at[i]] = v
	}
	if left := len(s.data) - s.at; left != 0 {
		return fmt.Errorf("%w: %d trailing bytes", ErrUndecodable, left)
	}
	return nil
}

// field reads one field's value in its form.
func (s *scan) field(f *rowField) (any, error) {
	s.path = append(s.path[:0], step{name: f.name})
	if f.union {
		i, err := s.index(f.branches)
		if err != nil || i == f.null {
			return nil, err
		}
	}
	n := f.node
	switch f.form {
	case FormNull:
		return nil, nil
	case FormBool:
		return s.boolean()
	case FormInt:
		return s.integer(n)
	case FormFloat:
		return s.float(n)
	case FormText:
		return s.textOf(n)
	case FormBytes:
		b, err := s.bytesOf(n)
		return []byte(b), err
	case FormTime:
		i, err := s.long()
		return fromEpoch(i, n.unit), err
	case FormDecimal:
		return s.decimal(n)
	case FormJSON:
	}
	if n.kind == kindUnion && f.null >= 0 {
		// A null of the union is the column's NULL, not the JSON value null.
		from := s.at
		i, err := s.long()
		if err != nil || i == f.null {
			return nil, err
		}
		s.at = from
	}
	out, err := s.json(s.out[:0], n, 0)
	s.out = out[:0]
	if err != nil {
		return nil, err
	}
	return string(out), nil
}

// textOf reads what is shown as text.
func (s *scan) textOf(n *node) (string, error) {
	switch {
	case n.kind == kindEnum:
		return s.symbol(n)
	case n.logical == logicalUUID && n.kind == kindFixed:
		b, err := s.take(16, "fixed")
		if err != nil {
			return "", err
		}
		k := schemaKey{guid: [16]byte([]byte(b))}
		return k.guidText(), nil
	case n.kind == kindString:
		return s.text()
	}
	i, err := s.integer(n)
	if err != nil {
		return "", err
	}
	t, form := time.Time{}, fraction(n.unit)
	switch n.logical {
	case logicalDate:
		t, form = time.Unix(i*secondsPerDay, 0).UTC(), dateForm
	case logicalTime:
		if i < 0 || i >= int64(day)/int64(n.unit) {
			return "", s.fail("time of day out of range")
		}
		return time.Unix(0, i*int64(n.unit)).UTC().Format("15:04:05" + form), nil
	case logicalLocalTimestamp:
		t, form = fromEpoch(i, n.unit), "2006-01-02T15:04:05"+form
	default:
		t, form = fromEpoch(i, n.unit), "2006-01-02T15:04:05"+form+"Z"
	}
	if y := t.Year(); y < 1 || y > 9999 {
		return "", s.fail("time outside the years 1 to 9999")
	}
	return t.Format(form), nil
}

const secondsPerDay = int64(day) / int64(time.Second)

// fraction is the digits of a second that a unit counts, always all of them, so
// that the text sorts as the times do.
func fraction(u unit) string {
	switch u {
	case millis:
		return ".000"
	case micros:
		return ".000000"
	default:
		return "." + strings.Repeat("0", 9)
	}
}
