package event

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
	"unicode/utf8"
	"unsafe"
)

// ErrHeader says that a header of ours cannot be read. The record is someone's
// mistake, and will be the same next time.
var ErrHeader = errors.New("malformed header")

// arenaSize is how much memory a Parser takes at once for the texts of many
// records. Whoever keeps one of them keeps that much, not a whole fetch.
const (
	arenaSize  = 4 << 10
	firstArena = 256
)

// Parser reads the headers of one record after another and remembers what they
// have in common. The zero value is ready. It is not safe for concurrent use.
type Parser struct {
	// Shared makes the envelopes' texts parts of the headers' values instead of
	// copies: for who holds the record as long as the envelope.
	Shared bool

	arena    []byte // the texts of many records, one behind the other
	source   string // of the last record
	kind     string // its type
	schema   string
	date     [10]byte // of its time, "2006-01-02"
	midnight int64    // of that date, in seconds since 1970
}

// ParseHeaders reads the envelope from a record's headers. Headers that it does
// not know are ignored, and of several with one name the last counts, as in
// Kafka's own client. A record without any of them gives a zero Envelope. The
// error names the header that is wrong, never its value.
func ParseHeaders[H ~struct {
	Key   string
	Value []byte
}](headers []H) (Envelope, error) {
	var p Parser
	var e Envelope
	err := ParseHeadersTo(&p, &e, headers)
	return e, err
}

// ParseHeadersTo is ParseHeaders into a zero envelope, by a parser that has read
// other records before. On error the envelope is zero.
func ParseHeadersTo[H ~struct {
	Key   string
	Value []byte
}](p *Parser, e *Envelope, headers []H) error {
	for i := range headers {
		h := (*header)(unsafe.Pointer(&headers[i])) // as in appendHeader
		if err := p.read(e, h.Key, h.Value); err != nil {
			*e = Envelope{}
			return fmt.Errorf("%w %s: %w", ErrHeader, h.Key, err)
		}
	}
	return nil
}

// read reads one header.
func (p *Parser) read(e *Envelope, key string, value []byte) (err error) {
	switch key {
	case HeaderID:
		e.ID, err = p.text(value)
	case HeaderSource:
		e.Source, err = p.again(&p.source, value)
	case HeaderType:
		e.Type, err = p.again(&p.kind, value)
	case HeaderTime:
		e.Time, err = p.time(value)
	case HeaderSubject:
		e.Subject, err = p.text(value)
	case HeaderDataSchema:
		e.DataSchema, err = p.again(&p.schema, value)
	case HeaderSequence:
		e.Sequence, err = number(value, 1<<63-1)
		e.HasSequence = true
	case HeaderSpecVersion:
		if string(value) != "1.0" {
			err = errors.New("want 1.0")
		}
	case HeaderCorrelationID:
		e.CorrelationID, err = p.text(value)
	case HeaderCausationID:
		e.CausationID, err = p.text(value)
	case HeaderOrigin:
		e.Origin, err = p.text(value)
	case HeaderHops:
		var n int64
		n, err = number(value, maxHops)
		e.Hops = int(n)
	case HeaderTraceparent:
		// Somebody else's header, and no reason to refuse an event.
		if text, err := p.text(value); err == nil {
			e.Traceparent = text
		}
	}
	return err
}

// text checks a text and, unless it is shared, copies it: the record's own memory
// is a whole fetch.
func (p *Parser) text(value []byte) (string, error) {
	if !IsPlain(value) || len(value) > maxText {
		if err := checkText(value); err != nil {
			return "", err
		}
	}
	if len(value) == 0 {
		return "", nil
	}
	if p.Shared {
		return unsafe.String(&value[0], len(value)), nil
	}
	if cap(p.arena)-len(p.arena) < len(value) {
		size := arenaSize
		if p.arena == nil {
			size = firstArena // there may be no second record
		}
		p.arena = make([]byte, 0, max(size, len(value)))
	}
	start := len(p.arena)
	p.arena = append(p.arena, value...)
	return unsafe.String(&p.arena[start], len(value)), nil // what is in the arena is not written again
}

// again is text for one that is often that of the last record.
func (p *Parser) again(last *string, value []byte) (string, error) {
	if *last == string(value) {
		return *last, nil
	}
	text, err := p.text(value)
	if err == nil {
		*last = text
	}
	return text, err
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

// IsPlain reports whether b is ASCII without U+0000, as nearly all texts are:
// eight bytes at a time, since it is asked of every text of every record. What
// is plain is also valid UTF-8.
func IsPlain(b []byte) bool {
	if len(b) < 8 {
		for _, c := range b {
			if c == 0 || c >= utf8.RuneSelf {
				return false
			}
		}
		return true
	}
	last := b[len(b)-8:] // once more what is left over, with some before it
	for ; len(b) > 8; b = b[8:] {
		if notPlain(b) {
			return false
		}
	}
	return !notPlain(last)
}

// notPlain looks at eight bytes. Taking one from each sets the high bit of one
// that is 0.
func notPlain(b []byte) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	x := binary.LittleEndian.Uint64(b)
	return (x|(x-ones))&high != 0
}

func (p *Parser) time(b []byte) (time.Time, error) {
	if t, ok := p.utcTime(b); ok {
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
func (p *Parser) utcTime(b []byte) (time.Time, bool) {
	const seconds, most = len("2006-01-02T15:04:05"), len("2006-01-02T15:04:05.000000Z")
	if len(b) <= seconds || len(b) > most || b[len(b)-1] != 'Z' || b[10] != 'T' || !p.day(b[:10]) {
		return time.Time{}, false
	}
	clock, ok := digits(binary.LittleEndian.Uint64(b[11:]), 0x30303a30303a3030) // "00:00:00"
	hour, minute, second := twoDigits(clock), twoDigits(clock>>24), twoDigits(clock>>48)
	if !ok || clock&0x0000ff0000ff0000 != 0 || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	nanos := int64(0)
	if n := len(b) - 1 - seconds; n > 0 { // a point and digits
		// As many of the eight bytes before the Z as are digits; the noughts
		// that make them eight come in behind.
		spare := 8 * (9 - n)
		fraction, ok := digits(binary.LittleEndian.Uint64(b[len(b)-9:])>>spare, zeros>>spare)
		if !ok || n == 1 || b[seconds] != '.' {
			return time.Time{}, false
		}
		nanos = 10 * eightDigits(fraction)
	}
	return time.Unix(p.midnight+(hour*60+minute)*60+second, nanos).UTC(), true
}

// day remembers the beginning of a date, often that of the last record.
func (p *Parser) day(b []byte) bool {
	if string(b) == string(p.date[:]) {
		return true
	}
	year, ok := digits(uint64(binary.LittleEndian.Uint32(b)), zeros>>32)
	rest, fine := digits(uint64(binary.LittleEndian.Uint32(b[4:]))|uint64(binary.LittleEndian.Uint16(b[8:]))<<32, 0x30302d30302d) // "-00-00"
	month, day := twoDigits(rest>>8), twoDigits(rest>>32)
	if !ok || !fine || rest&0xff0000ff != 0 || month < 1 || month > 12 || day < 1 || day > 28 {
		return false
	}
	p.date = [10]byte(b)
	p.midnight = time.Date(int(100*twoDigits(year)+twoDigits(year>>16)), time.Month(month), int(day), 0, 0, 0, 0, time.UTC).Unix()
	return true
}

const zeros = 0x3030303030303030 // eight times '0'

// digits takes pattern, which is '0' where a digit is wanted, from the bytes of
// x, and reports whether each that remains is at most 9.
func digits(x, pattern uint64) (uint64, bool) {
	x ^= pattern
	return x, (x|(x+0x7676767676767676))&0x8080808080808080 == 0
}

// twoDigits is the number of the lowest two digits, of which the lower byte
// comes first.
func twoDigits(x uint64) int64 { return int64(x&0xff)*10 + int64(x>>8&0xff) }

// eightDigits is the number of eight digits: of pairs, of pairs of pairs, of all.
func eightDigits(x uint64) int64 {
	x = (x*10 + x>>8) & 0x00ff00ff00ff00ff
	x = (x*100 + x>>16) & 0x0000ffff0000ffff
	return int64((x*10_000 + x>>32) & 0xffffffff)
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
	for i, c := range b {
		if c < '0' || c > '9' {
			return 0, errors.New("want decimal digits")
		}
		d := int64(c - '0')
		if i >= 18 && n > (math.MaxInt64-d)/10 { // 18 digits fit
			return 0, fmt.Errorf("larger than %d", most)
		}
		n = n*10 + d
	}
	if n > most {
		return 0, fmt.Errorf("larger than %d", most)
	}
	return n, nil
}
