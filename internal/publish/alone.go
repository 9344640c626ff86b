package publish

import (
	"time"

	"firehose/internal/codec"
	"firehose/schemas"
)

// Stamp stamps e, an event of t, and returns its encoded value, nil for a
// tombstone: what Publish does before it sends, for those who send nothing. e
// has its ID and source already.
func Stamp(t *schemas.Topic, e *Event, enc *codec.Encoder) ([]byte, error) {
	state := &topic{Contract: t.Contract, schema: t.Latest(), fields: codec.FieldsOf(t.Latest())}
	if rejected := stamp(state, e, time.Now()); rejected != nil {
		return nil, rejected
	}
	if rejected := validate(state, e); rejected != nil {
		return nil, rejected
	}
	if e.Tombstone {
		return nil, nil
	}
	value, err := enc.AppendEncode(nil, e.Data)
	if err != nil {
		return nil, reject(ReasonData, err)
	}
	if err := codec.CheckValue(t.Latest().Avro, e.Data); err != nil {
		return nil, reject(ReasonData, err)
	}
	return value, nil
}
