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
	arena    []byte // the texts of many records, one behind the other
	source   string // of the last record
	kind     string // its type
	schema   string
	date     string // of its time, "2006-01-02"
	midnight time.Time
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

// text checks a text and copies it: the record's own memory is a whole fetch.
func (p *Parser) text(value []byte) (string, error) {
	if !isPlain(value) || len(value) > maxText {
		if err := checkText(value); err != nil {
			return "", err
		}
	}
	if len(value) == 0 {
		return "", nil
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
	const seconds = len("2006-01-02T15:04:05")
	if len(b) <= seconds || len(b) > seconds+len(".000000Z") || b[len(b)-1] != 'Z' ||
		b[4] != '-' || b[7] != '-' || b[10] != 'T' || b[13] != ':' || b[16] != ':' {
		return time.Time{}, false
	}
	midnight, ok := p.day(b[:len("2006-01-02")])
	hour, minute, second := twoDigits(b[11:]), twoDigits(b[14:]), twoDigits(b[17:])
	if !ok || hour|minute|second < 0 || hour > 23 || minute > 59 || second > 59 {
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
	return midnight.Add(time.Duration((hour*60+minute)*60+second)*time.Second + time.Duration(nanos)), true
}

// day returns the beginning of a date, often that of the last record.
func (p *Parser) day(b []byte) (time.Time, bool) {
	if p.date == string(b) {
		return p.midnight, true
	}
	century, year, month, day := twoDigits(b[0:]), twoDigits(b[2:]), twoDigits(b[5:]), twoDigits(b[8:])
	if century|year|month|day < 0 || month < 1 || month > 12 || day < 1 || day > 28 {
		return time.Time{}, false
	}
	p.date, p.midnight = string(b), time.Date(100*century+year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	return p.midnight, true
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
