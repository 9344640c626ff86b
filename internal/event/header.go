package event

import (
	"encoding/binary"
	"slices"
	"strconv"
	"time"
	"unsafe"
)

// The names of the headers. A record may carry others; they are left alone.
const (
	HeaderSpecVersion   = "ce_specversion"
	HeaderID            = "ce_id"
	HeaderSource        = "ce_source"
	HeaderType          = "ce_type"
	HeaderTime          = "ce_time"
	HeaderSubject       = "ce_subject"
	HeaderDataSchema    = "ce_dataschema"
	HeaderSequence      = "ce_sequence"
	HeaderCorrelationID = "ce_correlationid"
	HeaderCausationID   = "ce_causationid"
	HeaderOrigin        = "ce_origin"
	HeaderHops          = "ce_hops"
	HeaderTraceparent   = "traceparent"
	HeaderContentType   = "content-type"
)

// sequenceDigits is the width of ce_sequence: every int64 that is not negative
// fits, and text of one width sorts as the numbers do.
const sequenceDigits = 20

// timeLayout is RFC 3339 in UTC with the microseconds that Avro's finest
// timestamp can hold, and no more digits than are needed.
const timeLayout = "2006-01-02T15:04:05.999999Z07:00"

// maxHops bounds what ParseHeaders accepts; a count beyond it is a loop.
const maxHops = 1 << 20

// maxHeaders is how many an envelope has at the most.
const maxHeaders = 14

// header is the shape of a Kafka client's header type.
type header = struct {
	Key   string
	Value []byte
}

// numberBytes is the room that time, sequence and hops take.
const numberBytes = len(timeLayout) + 2*sequenceDigits

// The values that never change are shared by all records: nothing may write to
// them, and Kafka clients do not.
var (
	specVersion = []byte("1.0")
	contentType = []byte(ContentType)
)

// AppendHeaders appends the envelope's headers to dst. H is the Kafka client's
// header type (kgo.RecordHeader, say), which this package does not import. Texts
// are not copied, and nothing may write to the values; the others share a single
// allocation.
func AppendHeaders[H ~struct {
	Key   string
	Value []byte
}](dst []H, e *Envelope) []H {
	dst, _ = AppendHeadersTo(dst, make([]byte, 0, numberBytes), e)
	return dst
}

// AppendHeadersTo is AppendHeaders with the memory of what is no text given by the
// caller: it is appended to buf, so buf must not be reused before the headers are
// done with. With room in both, for 14 headers, it allocates nothing. It
// returns both slices, grown.
func AppendHeadersTo[H ~struct {
	Key   string
	Value []byte
}](dst []H, buf []byte, e *Envelope) ([]H, []byte) {
	dst = slices.Grow(dst, maxHeaders)
	first := len(dst)
	dst = dst[:first+maxHeaders]
	// H is a struct of these fields, and nothing else; the fields of a type
	// parameter cannot be named.
	h := (*[maxHeaders]header)(unsafe.Pointer(&dst[first]))
	set(&h[0], HeaderSpecVersion, specVersion)
	n := 1
	n = setText(h, n, HeaderID, e.ID)
	n = setText(h, n, HeaderSource, e.Source)
	n = setText(h, n, HeaderType, e.Type)
	if !e.Time.IsZero() {
		start := len(buf)
		buf = appendTime(buf, e.Time)
		set(&h[n], HeaderTime, buf[start:len(buf):len(buf)])
		n++
	}
	n = setText(h, n, HeaderSubject, e.Subject)
	n = setText(h, n, HeaderDataSchema, e.DataSchema)
	if e.HasSequence {
		start := len(buf)
		buf = appendSequence(buf, e.Sequence)
		set(&h[n], HeaderSequence, buf[start:len(buf):len(buf)])
		n++
	}
	n = setText(h, n, HeaderCorrelationID, e.CorrelationID)
	n = setText(h, n, HeaderCausationID, e.CausationID)
	n = setText(h, n, HeaderOrigin, e.Origin)
	if e.Hops > 0 {
		start := len(buf)
		buf = strconv.AppendInt(buf, int64(e.Hops), 10)
		set(&h[n], HeaderHops, buf[start:len(buf):len(buf)])
		n++
	}
	n = setText(h, n, HeaderTraceparent, e.Traceparent)
	set(&h[n], HeaderContentType, contentType)
	return dst[:first+n+1], buf
}

// set writes the fields one by one: a struct would be built on the stack and copied
// from there at once, and a load of what is still being stored stalls the processor
// for longer than all the rest of a header takes.
func set(h *header, key string, value []byte) {
	h.Key, h.Value = key, value
}

// setText sets the nth header to a text, if there is one, and returns which is next.
// The text is not copied: like the values that never change, it is only read from
// here on.
func setText(h *[maxHeaders]header, n int, key, value string) int {
	if value == "" {
		return n
	}
	set(&h[n], key, unsafe.Slice(unsafe.StringData(value), len(value)))
	return n + 1
}

// appendTime is t.UTC().AppendFormat(dst, timeLayout), written out because it
// runs for every event.
func appendTime(dst []byte, t time.Time) []byte {
	seconds := t.Unix()
	if seconds < yearZero || seconds >= yearTenThousand {
		return t.UTC().AppendFormat(dst, timeLayout) // Validate refuses it
	}
	const secondsOfDay = 24 * 60 * 60
	sinceZero := uint64(seconds - yearZero)
	year, month, day := civil(uint32(sinceZero / secondsOfDay))
	clock := uint32(sinceZero % secondsOfDay)
	start := len(dst)
	dst = append(dst, "0000-00-00T00:00:00.000000Z"...)
	b := (*[len("0000-00-00T00:00:00.000000Z")]byte)(dst[start:])
	pair(b[0:2], year/100)
	pair(b[2:4], year%100)
	pair(b[5:7], month)
	pair(b[8:10], day)
	pair(b[11:13], clock/3600)
	pair(b[14:16], clock/60%60)
	pair(b[17:19], clock%60)
	micros := uint32(t.Nanosecond()) / 1000
	if micros == 0 {
		dst = dst[:start+len("0000-00-00T00:00:00")]
		return append(dst, 'Z')
	}
	pair(b[20:22], micros/10_000)
	pair(b[22:24], micros/100%100)
	pair(b[24:26], micros%100)
	dst = dst[:len(dst)-1]
	for dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	return append(dst, 'Z')
}

// civil is the date of a day since 0000-01-01: Howard Hinnant's civil_from_days
// (chrono-Compatible Low-Level Date Algorithms), whose years begin in March, from
// the year -400 on, so that nothing is below zero.
func civil(days uint32) (year, month, day uint32) {
	const daysOfEra = 146_097
	z := days + daysOfEra - 60 // since March 1st of the year -400
	era, ofEra := z/daysOfEra, z%daysOfEra
	yearOfEra := (ofEra - ofEra/1460 + ofEra/36_524 - ofEra/146_096) / 365
	ofYear := ofEra - (365*yearOfEra + yearOfEra/4 - yearOfEra/100)
	sinceMarch := (5*ofYear + 2) / 153 // months
	year, month, day = era*400+yearOfEra-400, sinceMarch+3, ofYear-(153*sinceMarch+2)/5+1
	if sinceMarch >= 10 {
		year, month = year+1, month-12
	}
	return year, month, day
}

// digitPairs are the numbers below 100, the first digit in the lower byte.
var digitPairs = func() (pairs [100]uint16) {
	for i := range pairs {
		pairs[i] = uint16('0'+i/10) | uint16('0'+i%10)<<8
	}
	return pairs
}()

// pair writes a number below 100 over two bytes.
func pair(b []byte, n uint32) { binary.LittleEndian.PutUint16(b, digitPairs[n]) }

// appendSequence writes n zero-padded. A negative one, which Validate refuses,
// comes out as it is, so that it is noticed and not bent.
func appendSequence(dst []byte, n int64) []byte {
	if n < 0 {
		return strconv.AppendInt(dst, n, 10)
	}
	dst = append(dst, "00000000000000000000"...)
	for i := len(dst) - 1; n > 0; i-- {
		dst[i] += byte(n % 10)
		n /= 10
	}
	return dst
}
