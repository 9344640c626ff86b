package codec

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// scanner reads JSON text (RFC 8259) token by token. Unlike encoding/json it
// refuses invalid UTF-8, lone surrogates and U+0000 instead of replacing or
// passing them, and knows where in the value it is.
type scanner struct {
	data []byte
	pos  int
	path []step
}

// step is one part of a field's path.
type step struct {
	name  string // of a field
	index int    // of an array's item, when name is empty; anyKey of a map
}

// anyKey stands for a map's key in a path: a key is payload.
const anyKey = -1

func (s *scanner) push(st step) { s.path = append(s.path, st) }
func (s *scanner) pop()         { s.path = s.path[:len(s.path)-1] }

// fail returns an error about the value that is being read.
func (s *scanner) fail(format string, args ...any) error {
	return &FieldError{Field: joinPath(s.path), Problem: fmt.Sprintf(format, args...)}
}

func joinPath(path []step) string {
	var b strings.Builder
	for _, st := range path {
		switch {
		case st.name != "":
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(st.name)
		case st.index == anyKey:
			b.WriteString("[*]")
		default:
			b.WriteString("[" + strconv.Itoa(st.index) + "]")
		}
	}
	return clip(b.String(), 4*maxName)
}

// notJSON returns an error about the text itself.
func (s *scanner) notJSON() error {
	if s.pos >= len(s.data) {
		return s.fail("not JSON: ends too early")
	}
	return s.fail("not JSON at byte %d", s.pos)
}

func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// peek skips space and returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	s.space()
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

// take skips space and consumes c.
func (s *scanner) take(c byte) bool {
	if s.peek() != c || s.pos >= len(s.data) {
		return false
	}
	s.pos++
	return true
}

// class is what kind of JSON value comes next.
type class uint8

const (
	classNone class = iota
	classNull
	classBool
	classNumber
	classString
	classArray
	classObject
)

// got names the class in an error.
func (c class) got() string {
	return [...]string{"nothing", "null", "a boolean", "a number", "a string", "an array", "an object"}[c]
}

func (s *scanner) class() class {
	switch c := s.peek(); {
	case c == '{':
		return classObject
	case c == '[':
		return classArray
	case c == '"':
		return classString
	case c == '-' || c >= '0' && c <= '9':
		return classNumber
	case c == 't' || c == 'f':
		return classBool
	case c == 'n':
		return classNull
	}
	return classNone
}

func (s *scanner) literal(word string) error {
	for i := range len(word) {
		if s.pos >= len(s.data) || s.data[s.pos] != word[i] {
			return s.notJSON()
		}
		s.pos++
	}
	return nil
}

// number reads a number and reports whether it is written as a whole one.
func (s *scanner) number() (text string, whole bool, err error) {
	start := s.pos
	digits := func() bool {
		from := s.pos
		for s.pos < len(s.data) && s.data[s.pos] >= '0' && s.data[s.pos] <= '9' {
			s.pos++
		}
		return s.pos > from
	}
	at := func(set string) bool {
		if s.pos < len(s.data) && strings.IndexByte(set, s.data[s.pos]) >= 0 {
			s.pos++
			return true
		}
		return false
	}
	at("-")
	whole = true
	if !at("0") && !digits() {
		return "", false, s.notJSON()
	}
	if at(".") {
		whole = false
		if !digits() {
			return "", false, s.notJSON()
		}
	}
	if at("eE") {
		whole = false
		at("+-")
		if !digits() {
			return "", false, s.notJSON()
		}
	}
	if s.pos < len(s.data) && s.data[s.pos] >= '0' && s.data[s.pos] <= '9' {
		return "", false, s.notJSON() // 01
	}
	if s.pos-start > maxNumber {
		return "", false, s.fail("number of %d characters", s.pos-start)
	}
	return string(s.data[start:s.pos]), whole, nil
}

// maxNumber bounds a number's text. The longest that a double needs has 767
// significant digits.
const maxNumber = 1100

// text reads a string.
func (s *scanner) text() (string, error) {
	if !s.take('"') {
		return "", s.notJSON()
	}
	start := s.pos
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; {
		case c == '"':
			raw := s.data[start:s.pos]
			s.pos++
			if !utf8.Valid(raw) {
				return "", s.fail("invalid UTF-8")
			}
			return string(raw), nil
		case c == '\\':
			return s.escaped(start)
		case c == 0:
			return "", s.fail("holds U+0000")
		case c < 0x20:
			return "", s.notJSON()
		}
		s.pos++
	}
	return "", s.notJSON()
}

// escaped reads on in a string that has an escape.
func (s *scanner) escaped(start int) (string, error) {
	out := append([]byte(nil), s.data[start:s.pos]...)
	for s.pos < len(s.data) {
		c := s.data[s.pos]
		switch {
		case c == '"':
			s.pos++
			if !utf8.Valid(out) {
				return "", s.fail("invalid UTF-8")
			}
			return string(out), nil
		case c == 0:
			return "", s.fail("holds U+0000")
		case c < 0x20:
			return "", s.notJSON()
		case c != '\\':
			out = append(out, c)
			s.pos++
			continue
		}
		s.pos++
		if s.pos >= len(s.data) {
			return "", s.notJSON()
		}
		if s.data[s.pos] == 'u' {
			r, err := s.unicode()
			if err != nil {
				return "", err
			}
			out = utf8.AppendRune(out, r)
			continue
		}
		i := strings.IndexByte(`"\/bfnrt`, s.data[s.pos])
		if i < 0 {
			return "", s.notJSON()
		}
		out = append(out, "\"\\/\b\f\n\r\t"[i])
		s.pos++
	}
	return "", s.notJSON()
}

// unicode reads uXXXX, and the second half of a surrogate pair.
func (s *scanner) unicode() (rune, error) {
	r, err := s.hex4()
	switch {
	case err != nil:
		return 0, err
	case r == 0:
		return 0, s.fail("holds U+0000")
	case !utf16.IsSurrogate(r):
		return r, nil
	}
	if s.pos+1 >= len(s.data) || s.data[s.pos] != '\\' || s.data[s.pos+1] != 'u' {
		return 0, s.fail("half of a surrogate pair")
	}
	s.pos++
	low, err := s.hex4()
	if err != nil {
		return 0, err
	}
	if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
		return 0, s.fail("half of a surrogate pair")
	}
	return r, nil
}

func (s *scanner) hex4() (rune, error) {
	s.pos++ // the u
	if s.pos+4 > len(s.data) {
		s.pos = len(s.data)
		return 0, s.notJSON()
	}
	v, err := strconv.ParseUint(string(s.data[s.pos:s.pos+4]), 16, 32)
	if err != nil {
		return 0, s.notJSON()
	}
	s.pos += 4
	return rune(v), nil
}
