package producer

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds how deep the JSON of an event may nest.
const maxDepth = 64

var (
	errNotJSON  = errors.New("not valid JSON")
	errTooDeep  = fmt.Errorf("nested deeper than %d", maxDepth)
	errTrailing = errors.New("something follows the JSON object")
	errUTF8     = errors.New("not valid UTF-8")
	errNUL      = errors.New("contains U+0000")
)

// scanObject walks the members of the one JSON object in text and hands each
// name and its raw value to member. It checks the object's own syntax and finds
// where nested values end; whoever takes a value checks what is inside. A member
// given twice is member's to refuse.
func scanObject(text []byte, member func(name string, value []byte) error) error {
	i := skipSpace(text, 0)
	if i == len(text) || text[i] != '{' {
		return errNotJSON
	}
	i = skipSpace(text, i+1)
	for first := true; ; first = false {
		if i == len(text) {
			return errNotJSON
		}
		if text[i] == '}' && first {
			i++
			break
		}
		end, err := skipString(text, i)
		if err != nil {
			return err
		}
		name, err := unquote(text[i:end])
		if err != nil {
			return fmt.Errorf("a member's name: %w", err)
		}
		i = skipSpace(text, end)
		if i == len(text) || text[i] != ':' {
			return errNotJSON
		}
		i = skipSpace(text, i+1)
		end, err = skipValue(text, i)
		if err != nil {
			return err
		}
		if err := member(name, text[i:end]); err != nil {
			return err
		}
		i = skipSpace(text, end)
		if i == len(text) {
			return errNotJSON
		}
		if text[i] == '}' {
			i++
			break
		}
		if text[i] != ',' {
			return errNotJSON
		}
		i = skipSpace(text, i+1)
	}
	if skipSpace(text, i) != len(text) {
		return errTrailing
	}
	return nil
}

func skipSpace(text []byte, i int) int {
	for i < len(text) && (text[i] == ' ' || text[i] == '\t' || text[i] == '\n' || text[i] == '\r') {
		i++
	}
	return i
}

// skipString returns the index after the string that starts at i.
func skipString(text []byte, i int) (int, error) {
	if i >= len(text) || text[i] != '"' {
		return 0, errNotJSON
	}
	for i++; ; {
		n := bytes.IndexByte(text[i:], '"')
		if n < 0 {
			return 0, errNotJSON
		}
		// The quote ends the string unless an odd number of backslashes is before it.
		slashes := 0
		for j := i + n - 1; j >= i && text[j] == '\\'; j-- {
			slashes++
		}
		i += n + 1
		if slashes%2 == 0 {
			return i, nil
		}
	}
}

// skipValue returns the index after the value that starts at i. Brackets are
// counted, not matched: what is between them is checked by whoever reads it.
func skipValue(text []byte, i int) (int, error) {
	if i >= len(text) {
		return 0, errNotJSON
	}
	switch text[i] {
	case '"':
		return skipString(text, i)
	case '{', '[':
	default:
		start := i
		for i < len(text) && strings.IndexByte(",}] \t\r\n", text[i]) < 0 {
			i++
		}
		if i == start {
			return 0, errNotJSON
		}
		return i, nil
	}
	for depth := 0; i < len(text); {
		switch text[i] {
		case '"':
			end, err := skipString(text, i)
			if err != nil {
				return 0, err
			}
			i = end
			continue
		case '{', '[':
			if depth++; depth > maxDepth {
				return 0, errTooDeep
			}
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1, nil
			}
		}
		i++
	}
	return 0, errNotJSON
}

// unquote returns the text of a JSON string, quotes included in raw. Unlike
// encoding/json it refuses bad UTF-8 and lone surrogates where that one puts
// U+FFFD in their place, and U+0000, which a store may refuse.
func unquote(raw []byte) (string, error) {
	if len(raw) < 2 || raw[0] != '"' || raw[len(raw)-1] != '"' {
		return "", errors.New("want a string")
	}
	raw = raw[1 : len(raw)-1]
	if !utf8.Valid(raw) {
		return "", errUTF8
	}
	plain := true
	for _, c := range raw {
		if c < ' ' {
			return "", errNotJSON
		}
		plain = plain && c != '\\'
	}
	if plain {
		return string(raw), nil
	}
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			i++
			continue
		}
		if i+1 == len(raw) {
			return "", errNotJSON
		}
		switch c := raw[i+1]; c {
		case '"', '\\', '/':
			out = append(out, c)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, n, err := unescape(raw[i:])
			if err != nil {
				return "", err
			}
			out = utf8.AppendRune(out, r)
			i += n
			continue
		default:
			return "", errNotJSON
		}
		i += 2
	}
	return string(out), nil
}

// unescape reads the \uXXXX at the start of text, or the two of a surrogate
// pair, and returns how many bytes it took.
func unescape(text []byte) (rune, int, error) {
	unit := func(at int) (rune, bool) {
		if len(text) < at+6 || text[at] != '\\' || text[at+1] != 'u' {
			return 0, false
		}
		n, err := strconv.ParseUint(string(text[at+2:at+6]), 16, 16)
		return rune(n), err == nil
	}
	r, ok := unit(0)
	switch {
	case !ok:
		return 0, 0, errNotJSON
	case r == 0:
		return 0, 0, errNUL
	case !utf16.IsSurrogate(r):
		return r, 6, nil
	}
	low, ok := unit(6)
	if pair := utf16.DecodeRune(r, low); ok && pair != utf8.RuneError {
		return pair, 12, nil
	}
	return 0, 0, errUTF8
}
