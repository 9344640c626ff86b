package event

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
)

// NewID returns a fresh event ID: a UUIDv7 (RFC 9562, section 5.7), which sorts
// by the time it was made. The 12 bits after the milliseconds are the fraction
// of the millisecond (method 3), the other 62 are random. They come from the
// runtime's ChaCha8, not from the system's source: an ID has to be unique, not
// secret, and one is made for every event.
func NewID() string { return NewIDAt(time.Now()) }

// NewIDAt is NewID for a caller who has just read the clock.
func NewIDAt(now time.Time) string {
	var id [16]byte
	nanos := uint64(now.Nanosecond())
	binary.BigEndian.PutUint64(id[:8], uint64(now.UnixMilli())<<16|nanos%1_000_000*4096/1_000_000)
	binary.BigEndian.PutUint64(id[8:], rand.Uint64())
	id[6] = id[6]&0x0f | 0x70
	id[8] = id[8]&0x3f | 0x80
	var text [36]byte
	hex.Encode(text[:8], id[:4])
	hex.Encode(text[9:13], id[4:6])
	hex.Encode(text[14:18], id[6:8])
	hex.Encode(text[19:23], id[8:10])
	hex.Encode(text[24:], id[10:])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}

// idSpace is where DerivedID's namespaces begin: the UUIDv5 of a name that is
// only ours, so that our IDs and anybody else's UUIDv5 of the same data differ.
var idSpace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://firehose.invalid/events"))

// DerivedID returns an event ID made from data (a UUIDv5): the same namespace
// and name give the same ID for ever, so that reading the source again sends
// the same events and not new ones.
func DerivedID(namespace, name string) string {
	return uuid.NewSHA1(uuid.NewSHA1(idSpace, []byte(namespace)), []byte(name)).String()
}
