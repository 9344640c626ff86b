package codec

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
)

// SchemaIDHeader is the record header that holds the schema's ID or GUID when
// the value has no prefix.
const SchemaIDHeader = "__value_schema_id"

// MaxValueBytes bounds a value before it is decoded. It is far above the
// broker's message limit, but a fetched batch may decompress to more.
const MaxValueBytes = 8 << 20

const (
	magicID   = 0x00 // a 4-byte ID follows
	magicGUID = 0x01 // a 16-byte GUID follows

	idPrefix   = 1 + 4
	guidPrefix = 1 + 16
)

// Frame is a value's schema and its Avro binary.
type Frame struct {
	ID      int      // of the schema in the registry, unless ByGUID
	GUID    [16]byte // of the schema, when ByGUID
	ByGUID  bool
	Payload []byte // shares its memory with what was parsed
}

// ParseFrame reads a record's value. header is the value of the record's
// SchemaIDHeader, nil when it has none. The error is an ErrUndecodable.
func ParseFrame(value, header []byte) (Frame, error) {
	if len(value) > MaxValueBytes {
		return Frame{}, fmt.Errorf("%w: %d bytes, over %d", ErrUndecodable, len(value), MaxValueBytes)
	}
	if header != nil {
		f, ok := parsePrefix(header)
		if !ok || len(f.Payload) != 0 {
			return Frame{}, fmt.Errorf("%w: header %s of %d bytes holds no schema ID", ErrUndecodable, SchemaIDHeader, len(header))
		}
		f.Payload = value
		return f, nil
	}
	if len(value) == 0 {
		return Frame{}, fmt.Errorf("%w: empty value", ErrUndecodable)
	}
	f, ok := parsePrefix(value)
	switch {
	case ok:
		return f, nil
	case value[0] > magicGUID:
		return Frame{}, fmt.Errorf("%w: no magic byte", ErrUndecodable)
	default:
		return Frame{}, fmt.Errorf("%w: truncated in the schema ID", ErrUndecodable)
	}
}

func parsePrefix(b []byte) (Frame, bool) {
	switch {
	case len(b) >= idPrefix && b[0] == magicID:
		return Frame{ID: int(binary.BigEndian.Uint32(b[1:])), Payload: b[idPrefix:]}, true
	case len(b) >= guidPrefix && b[0] == magicGUID:
		return Frame{GUID: [16]byte(b[1:guidPrefix]), ByGUID: true, Payload: b[guidPrefix:]}, true
	}
	return Frame{}, false
}

// AppendFrame appends the prefix of a value written with the schema of that ID.
func AppendFrame(dst []byte, id int) []byte {
	dst = append(dst, magicID)
	return binary.BigEndian.AppendUint32(dst, uint32(id))
}

// Schema names the frame's schema: "id 7" or "guid 8a6b...".
func (f Frame) Schema() string { return f.key().String() }

func (f Frame) key() schemaKey {
	if f.ByGUID {
		return schemaKey{guid: f.GUID, byGUID: true}
	}
	return schemaKey{id: f.ID}
}

// schemaKey identifies a schema in the registry.
type schemaKey struct {
	id     int
	guid   [16]byte
	byGUID bool
}

func (k schemaKey) String() string {
	if k.byGUID {
		return "guid " + k.guidText()
	}
	return "id " + strconv.Itoa(k.id)
}

func (k schemaKey) guidText() string {
	g := k.guid
	return fmt.Sprintf("%s-%s-%s-%s-%s", hex.EncodeToString(g[0:4]), hex.EncodeToString(g[4:6]),
		hex.EncodeToString(g[6:8]), hex.EncodeToString(g[8:10]), hex.EncodeToString(g[10:16]))
}
