package codec

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/avro"
)

// json reads any value as plain JSON, as AppendJSON writes it.
func (s *scan) json(dst []byte, n *node, depth int) ([]byte, error) {
	if depth > maxScanDepth {
		return dst, undecodable("nested too deep")
	}
	switch n.kind {
	case kindNull:
		return append(dst, "null"...), nil
	case kindUnion:
		i, err := s.index(len(n.branches))
		if err != nil {
			return dst, err
		}
		return s.json(dst, n.branches[i], depth+1)
	case kindRecord:
		dst = append(dst, '{')
		s.path = append(s.path, step{})
		for i := range n.fields {
			f := &n.fields[i]
			s.path[len(s.path)-1] = step{name: f.name}
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendString(dst, f.name), ':')
			var err error
			if dst, err = s.json(dst, f.node, depth+1); err != nil {
				return dst, err
			}
		}
		s.path = s.path[:len(s.path)-1]
		return append(dst, '}'), nil
	case kindArray:
		dst = append(dst, '[')
		s.path = append(s.path, step{})
		err := s.blocks(func(i int) (err error) {
			s.path[len(s.path)-1] = step{index: i}
			if i > 0 {
				dst = append(dst, ',')
			}
			dst, err = s.json(dst, n.items, depth+1)
			return s.bounded(dst, err)
		})
		if err != nil {
			return dst, err
		}
		s.path = s.path[:len(s.path)-1]
		return append(dst, ']'), nil
	case kindMap:
		return s.object(dst, n, depth)
	default:
		return s.scalar(dst, n)
	}
}

func (s *scan) bounded(dst []byte, err error) error {
	if err == nil && len(dst) > maxScanJSON {
		return s.fail(fmt.Sprintf("over %d bytes as JSON", maxScanJSON))
	}
	return err
}

// blocks calls item for each item of an array or map, which come in blocks.
func (s *scan) blocks(item func(i int) error) error {
	for i := 0; ; {
		n, err := s.long()
		if err != nil || n == 0 {
			return err
		}
		if n < 0 { // the block's size in bytes follows
			if _, err := s.long(); err != nil {
				return err
			}
			n = -n
		}
		if n < 0 {
			return undecodable("number out of range")
		}
		for ; n > 0; n-- {
			from := s.at
			if err := item(i); err != nil {
				return err
			}
			if i++; s.at == from {
				if s.empty++; s.empty > maxEmpty {
					return undecodable("too many items without bytes")
				}
			}
		}
	}
}

// object reads a map. Of two values under one key the last one counts.
func (s *scan) object(dst []byte, n *node, depth int) ([]byte, error) {
	type entry struct {
		key      string
		from, to int
	}
	var entries []entry
	start := len(dst)
	s.path = append(s.path, step{index: anyKey})
	err := s.blocks(func(int) error {
		key, err := s.text()
		if err != nil {
			return err
		}
		from := len(dst)
		dst, err = s.json(dst, n.items, depth+1)
		entries = append(entries, entry{key, from - start, len(dst) - start})
		return s.bounded(dst, err)
	})
	if err != nil {
		return dst, err
	}
	s.path = s.path[:len(s.path)-1]
	values := slices.Clone(dst[start:])
	slices.SortStableFunc(entries, func(a, b entry) int { return strings.Compare(a.key, b.key) })
	dst = append(dst[:start], '{')
	for i, e := range entries {
		if i+1 < len(entries) && entries[i+1].key == e.key {
			continue
		}
		if len(dst) > start+1 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, e.key), ':')
		dst = append(dst, values[e.from:e.to]...)
	}
	return append(dst, '}'), nil
}

// scalar reads what is neither null, union, record, array nor map.
func (s *scan) scalar(dst []byte, n *node) ([]byte, error) {
	switch n.logical {
	case logicalDecimal, logicalBigDecimal:
		text, err := s.decimal(n)
		return appendString(dst, text), err
	case logicalUUID:
		text, err := s.textOf(n)
		return appendString(dst, text), err
	case logicalDuration:
		return s.duration(dst)
	case logicalNone:
	default:
		i, err := s.integer(n)
		if err != nil {
			return dst, err
		}
		return appendInstant(dst, n, i), nil
	}
	switch n.kind {
	case kindBool:
		v, err := s.boolean()
		return strconv.AppendBool(dst, v), err
	case kindInt, kindLong:
		v, err := s.integer(n)
		return strconv.AppendInt(dst, v, 10), err
	case kindFloat, kindDouble:
		v, err := s.float(n)
		bits := 64
		if n.kind == kindFloat {
			bits = 32
		}
		return appendFloat(dst, v, bits), err
	case kindBytes, kindFixed:
		v, err := s.bytesOf(n)
		dst = append(dst, '"')
		return append(base64.StdEncoding.AppendEncode(dst, []byte(v)), '"'), err
	default:
		v, err := s.textOf(n)
		return appendString(dst, v), err
	}
}

// appendInstant writes a date or time as AppendJSON does.
func appendInstant(dst []byte, n *node, i int64) []byte {
	switch n.logical {
	case logicalTime:
		dst, _ = appendScalar(dst, n, time.Duration(i)*time.Duration(n.unit))
	case logicalDate:
		dst, _ = appendTime(dst, n, time.Unix(i*secondsPerDay, 0))
	default:
		dst, _ = appendTime(dst, n, fromEpoch(i, n.unit))
	}
	return dst
}

func (s *scan) duration(dst []byte) ([]byte, error) {
	b, err := s.take(12, "fixed")
	if err != nil {
		return dst, err
	}
	part := func(i int) uint32 {
		return uint32(b[i]) | uint32(b[i+1])<<8 | uint32(b[i+2])<<16 | uint32(b[i+3])<<24
	}
	dst, _ = appendScalar(dst, &node{logical: logicalDuration},
		avro.Duration{Months: part(0), Days: part(4), Milliseconds: part(8)})
	return dst, nil
}
