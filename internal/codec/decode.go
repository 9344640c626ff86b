package codec

import (
	"context"
	"fmt"

	"github.com/twmb/avro"

	"firehose/schemas"
)

// Writers knows the schemas that values were written with, as a Registry does.
type Writers interface {
	Writer(ctx context.Context, f Frame) (*avro.Schema, error)
}

// Decoder reads values into the layout of one schema, whichever schema wrote
// them. It is safe for concurrent use.
type Decoder struct {
	writers Writers
	reader  *avro.Schema
	byID    cache[int, resolved]
	byGUID  cache[[16]byte, resolved]
}

// resolved is how values of one writer's schema are read: by a schema, or not
// at all.
type resolved struct {
	schema   *avro.Schema
	guard    *guard
	programs *programs // nil when the reader's schema is another
	err      error
}

// NewDecoder returns a decoder into the layout of reader, which asks w for the
// schemas that values were written with. A nil reader reads every value in the
// layout in which it was written.
func NewDecoder(w Writers, reader *avro.Schema) *Decoder {
	return &Decoder{writers: w, reader: reader}
}

// Decode reads the frame's payload into v, a pointer to a struct with avro tags
// or to an any. What v held before is overwritten; its slices are used again.
// The registry is asked once per schema.
func (d *Decoder) Decode(ctx context.Context, f Frame, v any) error {
	var r resolved
	var ok bool
	if f.ByGUID {
		r, ok = d.byGUID.get(f.GUID)
	} else {
		r, ok = d.byID.get(f.ID)
	}
	if !ok {
		var err error
		if r, err = d.resolve(ctx, f); err != nil {
			return err
		}
	}
	if r.err != nil {
		return r.err
	}
	if len(f.Payload) > MaxValueBytes {
		return fmt.Errorf("%w: %d bytes, over %d", ErrUndecodable, len(f.Payload), MaxValueBytes)
	}
	if r.programs.read(f.Payload, v) {
		return nil
	}
	if err := r.guard.check(f.Payload); err != nil {
		return err
	}
	rest, err := r.schema.Decode(f.Payload, v)
	if err != nil {
		return fmt.Errorf("%w: %s", ErrUndecodable, avroError(err))
	}
	if len(rest) != 0 {
		return fmt.Errorf("%w: %d trailing bytes", ErrUndecodable, len(rest))
	}
	return nil
}

// resolve finds out how values with f's schema are read. What is known for good
// is kept; the registry's own errors are not.
func (d *Decoder) resolve(ctx context.Context, f Frame) (resolved, error) {
	writer, err := d.writers.Writer(ctx, f)
	if err != nil {
		return resolved{}, err
	}
	wire, err := nodeOf(writer)
	if err != nil {
		return resolved{}, fmt.Errorf("%w: %s: %w", ErrIncompatible, f.Schema(), err)
	}
	r := resolved{schema: writer, guard: newGuard(wire)}
	same := true
	if d.reader != nil {
		if r.schema, err = avro.Resolve(writer, d.reader); err != nil {
			r = resolved{err: fmt.Errorf("%w: %s: %s", ErrIncompatible, f.Schema(), clip(err.Error(), maxReason))}
		}
		same, _ = Same(writer, d.reader) // what cannot be compared is the library's to read
	}
	if same {
		r.programs = &programs{from: wire}
	}
	if f.ByGUID {
		d.byGUID.put(f.GUID, r)
	} else {
		d.byID.put(f.ID, r)
	}
	return r, nil
}

// Encoder writes values of one schema. It is safe for concurrent use.
type Encoder struct {
	schema *avro.Schema
	id     int
}

// NewEncoder returns an encoder for s, which the registry knows under id.
func NewEncoder(s *schemas.Schema, id int) *Encoder {
	return &Encoder{schema: s.Avro, id: id}
}

// ID returns the schema's ID in the registry.
func (e *Encoder) ID() int { return e.id }

// AppendEncode appends the framed value v to dst: a pointer to a struct with
// avro tags, or a map[string]any. It does not allocate for a struct when dst
// has room. On error dst is returned as it was and the error is a *FieldError.
//
// It writes what Avro can hold. Whether every store can hold it, too, says
// CheckValue.
func (e *Encoder) AppendEncode(dst []byte, v any) ([]byte, error) {
	out, err := e.schema.AppendEncode(AppendFrame(dst, e.id), v)
	if err != nil {
		return dst, encodeError(err)
	}
	if n := len(out) - len(dst); n > MaxValueBytes {
		return dst, &FieldError{Problem: fmt.Sprintf("%d bytes, over %d", n, MaxValueBytes)}
	}
	return out, nil
}
