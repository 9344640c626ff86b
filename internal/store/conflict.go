package store

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"firehose/internal/conflict"
)

// ID identifies a loser by its stamp and its state, for one stamp may have
// several: of a row by its values, since the bytes of its event are not kept with
// it and are missing when it is displaced. It has 16 bytes.
func (c *Conflict) ID() []byte {
	h := sha256.New()
	text := func(s string) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	stamp := func(s conflict.Stamp) {
		var n [16]byte
		binary.BigEndian.PutUint64(n[:8], uint64(s.Version))
		binary.BigEndian.PutUint64(n[8:], uint64(s.Time))
		h.Write(n[:])
		text(s.Origin)
		text(s.EventID)
	}
	text(c.Policy)
	text(c.From.Topic)
	text(c.Key)
	stamp(c.Loser)
	if c.Row == (Hash{}) {
		h.Write(c.Body)
	} else {
		h.Write(c.Row[:])
	}
	return h.Sum(nil)[:16]
}

// RenderRow writes a stored row of t as a conflict keeps it, whose event is not
// there any more: as a JSON object by column ("columns"), bytes in base64, or as
// nothing when it was removed ("none").
func RenderRow(t *Table, r *Row) (encoding string, body []byte, err error) {
	if r.Deleted {
		return "none", nil, nil
	}
	object := make(map[string]any, len(r.Values))
	for i, c := range t.Columns {
		switch v := r.Values[i].(type) {
		case int64:
			object[c.Name] = v
			if c.Type == Bool {
				object[c.Name] = v != 0
			}
		case string:
			object[c.Name] = v
			if c.Type == JSON && json.Valid([]byte(v)) {
				object[c.Name] = json.RawMessage(v)
			}
		case float64:
			object[c.Name] = jsonFloat(v)
		case time.Time:
			object[c.Name] = FormatTimestamp(v)
		default:
			object[c.Name] = v
		}
	}
	body, err = json.Marshal(object)
	return "columns", body, err
}

// jsonFloat writes the infinities, which JSON has no number for, as text.
func jsonFloat(f float64) any {
	if f-f != 0 {
		return fmt.Sprint(f)
	}
	return f
}

// KeyText is a key as conflicts shows it: a single text or whole number as the
// record's key has it, anything else as JSON.
func KeyText(key []any) (string, error) {
	if len(key) == 1 {
		switch v := key[0].(type) {
		case string:
			return v, nil
		case int64:
			return strconv.FormatInt(v, 10), nil
		}
	}
	b, err := json.Marshal(key)
	return string(b), err
}
