package event

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
	"unsafe"
)

// maxText bounds each text of an envelope, in bytes: identifiers, not prose. A
// key is bounded by it too, as its subject.
const maxText = 1024

// The first second that RFC 3339 can write, and the first that it cannot, since
// 1970.
const (
	yearZero        = -62_167_219_200
	yearTenThousand = 253_402_300_800
)

// Validate checks what every store and reader can rely on: texts of at most
// 1024 bytes, valid UTF-8 without U+0000, a type, a time of four-digit year,
// and no negative number. The error names the header, never its value.
func (e *Envelope) Validate() error {
	if !e.plain() {
		if err := e.validateTexts(); err != nil {
			return err
		}
	}
	switch {
	case e.Type == "":
		return errors.New(HeaderType + ": want an event type")
	case e.HasSequence && e.Sequence < 0:
		return errors.New(HeaderSequence + ": want a number that is not negative")
	case e.Hops < 0 || e.Hops > maxHops:
		return fmt.Errorf("%s: want a number from 0 to %d", HeaderHops, maxHops)
	case !e.Time.IsZero() && (e.Time.Unix() < yearZero || e.Time.Unix() >= yearTenThousand):
		return errors.New(HeaderTime + ": year is outside 0 to 9999")
	}
	return nil
}

// plain reports whether all texts are short and of ASCII without U+0000, as they
// nearly always are.
func (e *Envelope) plain() bool {
	return plainText(e.ID) && plainText(e.Subject) && plainText(e.Source) && plainText(e.Type) && plainText(e.DataSchema) &&
		plainText(e.CorrelationID) && plainText(e.CausationID) && plainText(e.Origin) && plainText(e.Traceparent)
}

func plainText(s string) bool {
	return s == "" || len(s) <= maxText && IsPlain(unsafe.Slice(unsafe.StringData(s), len(s)))
}

func (e *Envelope) validateTexts() error {
	for _, f := range [...]struct{ name, value string }{
		{HeaderID, e.ID}, {HeaderSource, e.Source}, {HeaderType, e.Type}, {HeaderSubject, e.Subject},
		{HeaderDataSchema, e.DataSchema}, {HeaderCorrelationID, e.CorrelationID},
		{HeaderCausationID, e.CausationID}, {HeaderOrigin, e.Origin}, {HeaderTraceparent, e.Traceparent},
	} {
		switch {
		case len(f.value) > maxText:
			return fmt.Errorf("%s: %d bytes, want at most %d", f.name, len(f.value), maxText)
		case strings.IndexByte(f.value, 0) >= 0:
			return fmt.Errorf("%s: contains U+0000", f.name)
		case !utf8.ValidString(f.value):
			return fmt.Errorf("%s: is not valid UTF-8", f.name)
		}
	}
	return nil
}
