package event

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
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

// The values that never change are shared by all records: nothing may write to
// them, and Kafka clients do not.
var (
	specVersion = []byte("1.0")
	contentType = []byte(ContentType)
)

// AppendHeaders appends the envelope's headers to dst. H is the Kafka client's
// header type (kgo.RecordHeader, say), which this package does not import. The
// values of one call share a single allocation.
func AppendHeaders[H ~struct {
	Key   string
	Value []byte
}](dst []H, e *Envelope) []H {
	dst, _ = AppendHeadersTo(dst, make([]byte, 0, e.headerBytes()), e)
	return dst
}

// AppendHeadersTo is AppendHeaders with the values' memory given by the caller:
// they are appended to buf and point into it, so buf must not be reused before
// the headers are done with. With room in both it allocates nothing. It returns
// both slices, grown.
func AppendHeadersTo[H ~struct {
	Key   string
	Value []byte
}](dst []H, buf []byte, e *Envelope) ([]H, []byte) {
	text := func(key, value string) {
		if value != "" {
			start := len(buf)
			buf = append(buf, value...)
			dst = append(dst, H(header{key, buf[start:len(buf):len(buf)]}))
		}
	}
	dst = append(dst, H(header{HeaderSpecVersion, specVersion}))
	text(HeaderID, e.ID)
	text(HeaderSource, e.Source)
	text(HeaderType, e.Type)
	if !e.Time.IsZero() {
		start := len(buf)
		buf = appendTime(buf, e.Time)
		dst = append(dst, H(header{HeaderTime, buf[start:len(buf):len(buf)]}))
	}
	text(HeaderSubject, e.Subject)
	text(HeaderDataSchema, e.DataSchema)
	if e.HasSequence {
		start := len(buf)
		buf = appendSequence(buf, e.Sequence)
		dst = append(dst, H(header{HeaderSequence, buf[start:len(buf):len(buf)]}))
	}
	text(HeaderCorrelationID, e.CorrelationID)
	text(HeaderCausationID, e.CausationID)
	text(HeaderOrigin, e.Origin)
	if e.Hops > 0 {
		start := len(buf)
		buf = strconv.AppendInt(buf, int64(e.Hops), 10)
		dst = append(dst, H(header{HeaderHops, buf[start:len(buf):len(buf)]}))
	}
	text(HeaderTraceparent, e.Traceparent)
	dst = append(dst, H(header{HeaderContentType, contentType}))
	return dst, buf
}

// headerBytes is the room that the values of e take, rounded up.
func (e *Envelope) headerBytes() int {
	return len(e.ID) + len(e.Source) + len(e.Type) + len(e.Subject) + len(e.DataSchema) +
		len(e.CorrelationID) + len(e.CausationID) + len(e.Origin) + len(e.Traceparent) +
		len(timeLayout) + 2*sequenceDigits
}

// appendTime is t.UTC().AppendFormat(dst, timeLayout), written out because it
// runs for every event.
func appendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	if year < 0 || year > 9999 {
		return t.AppendFormat(dst, timeLayout) // Validate refuses it
	}
	hour, minute, second := t.Clock()
	dst = appendDigits(dst, year, 4)
	dst = appendDigits(append(dst, '-'), int(month), 2)
	dst = appendDigits(append(dst, '-'), day, 2)
	dst = appendDigits(append(dst, 'T'), hour, 2)
	dst = appendDigits(append(dst, ':'), minute, 2)
	dst = appendDigits(append(dst, ':'), second, 2)
	if micros := t.Nanosecond() / 1000; micros > 0 {
		dst = appendDigits(append(dst, '.'), micros, 6)
		for dst[len(dst)-1] == '0' {
			dst = dst[:len(dst)-1]
		}
	}
	return append(dst, 'Z')
}

func appendDigits(dst []byte, n, width int) []byte {
	start := len(dst)
	for range width {
		dst = append(dst, '0')
	}
	for i := start + width - 1; i >= start && n > 0; i-- {
		dst[i] += byte(n % 10)
		n /= 10
	}
	return dst
}

// appendSequence writes n zero-padded. A negative one, which Validate refuses,
// comes out as it is, so that it is noticed and not bent.
func appendSequence(dst []byte, n int64) []byte {
	if n < 0 {
		return strconv.AppendInt(dst, n, 10)
	}
	start := len(dst)
	for range sequenceDigits {
		dst = append(dst, '0')
	}
	for i := start + sequenceDigits - 1; n > 0; i-- {
		dst[i] += byte(n % 10)
		n /= 10
	}
	return dst
}

// ErrHeader says that a header of ours cannot be read. The record is someone's
// mistake, and will be the same next time.
var ErrHeader = errors.New("malformed header")

// ParseHeaders reads the envelope from a record's headers. Headers that it does
// not know are ignored, and of several with one name the last counts, as in
// Kafka's own client. A record without any of them gives a zero Envelope. The
// error names the header that is wrong, never its value.
func ParseHeaders[H ~struct {
	Key   string
	Value []byte
}](headers []H) (Envelope, error) {
	// All texts share one allocation: it is made for every record.
	var texts strings.Builder
	size := 0
	for i := range headers {
		if h := header(headers[i]); isText(h.Key) {
			size += min(len(h.Value), maxText)
		}
	}
	texts.Grow(size)
	var e Envelope
	for i := range headers {
		h := header(headers[i])
		if err := e.parse(&texts, h.Key, h.Value); err != nil {
			return Envelope{}, fmt.Errorf("%w %s: %w", ErrHeader, h.Key, err)
		}
	}
	return e, nil
}

func (e *Envelope) parse(texts *strings.Builder, key string, value []byte) error {
	if isText(key) {
		s, err := textValue(texts, value)
		switch key {
		case HeaderID:
			e.ID = s
		case HeaderSource:
			e.Source = s
		case HeaderType:
			e.Type = s
		case HeaderSubject:
			e.Subject = s
		case HeaderDataSchema:
			e.DataSchema = s
		case HeaderCorrelationID:
			e.CorrelationID = s
		case HeaderCausationID:
			e.CausationID = s
		case HeaderOrigin:
			e.Origin = s
		case HeaderTraceparent:
			e.Traceparent = s
			return nil // somebody else's header, and no reason to refuse an event
		}
		return err
	}
	var err error
	switch key {
	case HeaderSpecVersion:
		if string(value) != "1.0" {
			err = errors.New("want 1.0")
		}
	case HeaderTime:
		e.Time, err = timeValue(value)
	case HeaderSequence:
		e.Sequence, err = number(value, 1<<63-1)
		e.HasSequence = true
	case HeaderHops:
		var n int64
		n, err = number(value, maxHops)
		e.Hops = int(n)
	}
	return err
}

// isText reports whether the header's value is taken as it is.
func isText(key string) bool {
	switch key {
	case HeaderID, HeaderSource, HeaderType, HeaderSubject, HeaderDataSchema,
		HeaderCorrelationID, HeaderCausationID, HeaderOrigin, HeaderTraceparent:
		return true
	}
	return false
}

func textValue(texts *strings.Builder, b []byte) (string, error) {
	if len(b) > maxText {
		return "", fmt.Errorf("%d bytes, want at most %d", len(b), maxText)
	}
	if bytes.IndexByte(b, 0) >= 0 {
		return "", errors.New("contains U+0000")
	}
	if !utf8.Valid(b) {
		return "", errors.New("is not valid UTF-8")
	}
	start := texts.Len()
	texts.Write(b)
	return texts.String()[start:], nil
}

func timeValue(b []byte) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, string(b))
	if err != nil {
		return time.Time{}, errors.New("want a time as in RFC 3339") // err quotes the value
	}
	if t = t.UTC(); t.Year() < 0 || t.Year() > 9999 {
		return time.Time{}, errors.New("year is outside 0 to 9999")
	}
	return t, nil
}

// number reads decimal digits, nothing else: no sign, no space.
func number(b []byte, most int64) (int64, error) {
	if len(b) == 0 || len(b) > 2*sequenceDigits {
		return 0, errors.New("want decimal digits")
	}
	var n int64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, errors.New("want decimal digits")
		}
		d := int64(c - '0')
		if n > (most-d)/10 {
			return 0, fmt.Errorf("larger than %d", most)
		}
		n = n*10 + d
	}
	return n, nil
}
