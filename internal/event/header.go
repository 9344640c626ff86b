package event

import (
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
// done with. With room in both it allocates nothing. It returns
// both slices, grown.
func AppendHeadersTo[H ~struct {
	Key   string
	Value []byte
}](dst []H, buf []byte, e *Envelope) ([]H, []byte) {
	dst = appendHeader(dst, HeaderSpecVersion, specVersion)
	dst = appendText(dst, HeaderID, e.ID)
	dst = appendText(dst, HeaderSource, e.Source)
	dst = appendText(dst, HeaderType, e.Type)
	if !e.Time.IsZero() {
		start := len(buf)
		buf = appendTime(buf, e.Time)
		dst = appendHeader(dst, HeaderTime, buf[start:len(buf):len(buf)])
	}
	dst = appendText(dst, HeaderSubject, e.Subject)
	dst = appendText(dst, HeaderDataSchema, e.DataSchema)
	if e.HasSequence {
		start := len(buf)
		buf = appendSequence(buf, e.Sequence)
		dst = appendHeader(dst, HeaderSequence, buf[start:len(buf):len(buf)])
	}
	dst = appendText(dst, HeaderCorrelationID, e.CorrelationID)
	dst = appendText(dst, HeaderCausationID, e.CausationID)
	dst = appendText(dst, HeaderOrigin, e.Origin)
	if e.Hops > 0 {
		start := len(buf)
		buf = strconv.AppendInt(buf, int64(e.Hops), 10)
		dst = appendHeader(dst, HeaderHops, buf[start:len(buf):len(buf)])
	}
	dst = appendText(dst, HeaderTraceparent, e.Traceparent)
	dst = appendHeader(dst, HeaderContentType, contentType)
	return dst, buf
}

// appendText appends a text as it is: like the values that never change, it is
// only read from here on.
func appendText[H ~struct {
	Key   string
	Value []byte
}](dst []H, key, value string) []H {
	if value == "" {
		return dst
	}
	return appendHeader(dst, key, unsafe.Slice(unsafe.StringData(value), len(value)))
}

// appendHeader is append(dst, H{key, value}), which the compiler builds on the
// stack and copies from there at once: a load of what is still being stored
// stalls the processor for longer than all the rest of a header takes. The
// fields of a type parameter cannot be named, hence the pointer.
func appendHeader[H ~struct {
	Key   string
	Value []byte
}](dst []H, key string, value []byte) []H {
	if len(dst) == cap(dst) {
		dst = slices.Grow(dst, 1)
	}
	dst = dst[:len(dst)+1]
	h := (*header)(unsafe.Pointer(&dst[len(dst)-1])) // H is a struct of these fields, and nothing else
	h.Key, h.Value = key, value
	return dst
}

// appendTime is t.UTC().AppendFormat(dst, timeLayout), written out because it
// runs for every event.
func appendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	if year < 0 || year > 9999 {
		return t.AppendFormat(dst, timeLayout) // Validate refuses it
	}
	const secondsOfDay = 24 * 60 * 60
	clock := t.Unix() % secondsOfDay
	if clock < 0 {
		clock += secondsOfDay
	}
	seconds := uint(clock)
	start := len(dst)
	dst = append(dst, "0000-00-00T00:00:00.000000Z"...)
	b := (*[len("0000-00-00T00:00:00.000000Z")]byte)(dst[start:])
	pair(&b[0], &b[1], uint(year)/100)
	pair(&b[2], &b[3], uint(year)%100)
	pair(&b[5], &b[6], uint(month))
	pair(&b[8], &b[9], uint(day))
	pair(&b[11], &b[12], seconds/3600)
	pair(&b[14], &b[15], seconds/60%60)
	pair(&b[17], &b[18], seconds%60)
	micros := uint(t.Nanosecond()) / 1000
	if micros == 0 {
		dst = dst[:start+len("0000-00-00T00:00:00")]
		return append(dst, 'Z')
	}
	pair(&b[20], &b[21], micros/10_000)
	pair(&b[22], &b[23], micros/100%100)
	pair(&b[24], &b[25], micros%100)
	dst = dst[:len(dst)-1]
	for dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	return append(dst, 'Z')
}

const pairs = "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899"

// pair writes a number below 100 over two bytes.
func pair(high, low *byte, n uint) {
	n = min(2*n, uint(len(pairs)-2)) // so that the compiler knows it, too
	*high, *low = pairs[n], pairs[n+1]
}

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
