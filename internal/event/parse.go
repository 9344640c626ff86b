package event

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
	"unsafe"
)

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
	var e Envelope
	size := 0
	var texts [textFields][]byte
	for i := range headers {
		h := (*header)(unsafe.Pointer(&headers[i])) // as in appendHeader
		at := textField(h.Key)
		if at < 0 {
			if err := e.parse(h.Key, h.Value); err != nil {
				return Envelope{}, fmt.Errorf("%w %s: %w", ErrHeader, h.Key, err)
			}
			continue
		}
		if !isPlain(h.Value) || len(h.Value) > maxText {
			err := checkText(h.Value)
			if err != nil && at == traceparent {
				continue // somebody else's header, and no reason to refuse an event
			}
			if err != nil {
				return Envelope{}, fmt.Errorf("%w %s: %w", ErrHeader, h.Key, err)
			}
		}
		size += len(h.Value) - len(texts[at])
		texts[at] = h.Value
	}
	// All texts share one allocation: it is made for every record.
	all := make([]byte, 0, size)
	for i := range texts {
		all = append(all, texts[i]...)
	}
	left := unsafe.String(unsafe.SliceData(all), size) // all is not written any more
	next := func(at int) string {
		n := len(texts[at])
		text := left[:n]
		left = left[n:]
		return text
	}
	e.ID, e.Source, e.Type, e.Subject, e.DataSchema = next(0), next(1), next(2), next(3), next(4)
	e.CorrelationID, e.CausationID, e.Origin, e.Traceparent = next(5), next(6), next(7), next(traceparent)
	return e, nil
}

// traceparent is the index of the last text, of textFields in all.
const (
	traceparent = 8
	textFields  = traceparent + 1
)

// textField returns which text of the envelope a header is, in the order of its
// fields; -1 when it is not taken as it is.
func textField(key string) int {
	switch key {
	case HeaderID:
		return 0
	case HeaderSource:
		return 1
	case HeaderType:
		return 2
	case HeaderSubject:
		return 3
	case HeaderDataSchema:
		return 4
	case HeaderCorrelationID:
		return 5
	case HeaderCausationID:
		return 6
	case HeaderOrigin:
		return 7
	case HeaderTraceparent:
		return traceparent
	}
	return -1
}

// parse reads a header that is no text.
func (e *Envelope) parse(key string, value []byte) error {
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

func checkText(b []byte) error {
	switch {
	case len(b) > maxText:
		return fmt.Errorf("%d bytes, want at most %d", len(b), maxText)
	case bytes.IndexByte(b, 0) >= 0:
		return errors.New("contains U+0000")
	case !utf8.Valid(b):
		return errors.New("is not valid UTF-8")
	}
	return nil
}

// isPlain reports whether b is ASCII without U+0000, as nearly all texts are:
// eight bytes at a time, since it is asked of every text of every record.
func isPlain(b []byte) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	for ; len(b) >= 8; b = b[8:] {
		// Taking one from each byte sets the high bit of one that is 0.
		if x := binary.LittleEndian.Uint64(b); (x|(x-ones))&high != 0 {
			return false
		}
	}
	for _, c := range b {
		if c == 0 || c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func timeValue(b []byte) (time.Time, error) {
	if t, ok := utcTime(b); ok {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339Nano, string(b))
	if err != nil {
		return time.Time{}, errors.New("want a time as in RFC 3339") // err quotes the value
	}
	if t = t.UTC(); t.Year() < 0 || t.Year() > 9999 {
		return time.Time{}, errors.New("year is outside 0 to 9999")
	}
	return t, nil
}

// utcTime reads what appendTime writes. What is not surely that, the end of a
// month included, it leaves to time.Parse.
func utcTime(b []byte) (time.Time, bool) {
	const seconds = len("2006-01-02T15:04:05")
	if len(b) <= seconds || len(b) > seconds+len(".000000Z") || b[len(b)-1] != 'Z' ||
		b[4] != '-' || b[7] != '-' || b[10] != 'T' || b[13] != ':' || b[16] != ':' {
		return time.Time{}, false
	}
	century, year, month, day := twoDigits(b[0:]), twoDigits(b[2:]), twoDigits(b[5:]), twoDigits(b[8:])
	hour, minute, second := twoDigits(b[11:]), twoDigits(b[14:]), twoDigits(b[17:])
	if century|year|month|day|hour|minute|second < 0 ||
		month < 1 || month > 12 || day < 1 || day > 28 || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	nanos := 0
	if fraction := b[seconds : len(b)-1]; len(fraction) > 0 {
		if fraction[0] != '.' || len(fraction) == 1 {
			return time.Time{}, false
		}
		unit := int(time.Second)
		for _, c := range fraction[1:] {
			if c < '0' || c > '9' {
				return time.Time{}, false
			}
			unit /= 10
			nanos += int(c-'0') * unit
		}
	}
	return time.Date(100*century+year, time.Month(month), day, hour, minute, second, nanos, time.UTC), true
}

// twoDigits reads the number that two digits write; -1 when they are none.
func twoDigits(b []byte) int {
	high, low := b[0]-'0', b[1]-'0'
	if high > 9 || low > 9 {
		return -1
	}
	return int(high)*10 + int(low)
}

// number reads decimal digits, nothing else: no sign, no space.
func number(b []byte, most int64) (int64, error) {
	if len(b) == 0 || len(b) > 2*sequenceDigits {
		return 0, errors.New("want decimal digits")
	}
	if len(b) > 16 && string(b[:16]) == "0000000000000000" { // as ce_sequence begins
		b = b[16:]
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
