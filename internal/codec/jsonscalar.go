package codec

import (
	"encoding/base64"
	"math"
	"slices"
	"strconv"

	"github.com/twmb/avro"
)

// numeric reads a number as a value of n.
func (p *parser) numeric(n *node) (any, error) {
	text, whole, err := p.number()
	if err != nil {
		return nil, err
	}
	switch n.kind {
	case kindFloat, kindDouble:
		bits := 64
		if n.kind == kindFloat {
			bits = 32
		}
		f, err := strconv.ParseFloat(text, bits)
		if err != nil || math.IsInf(f, 0) {
			return nil, p.fail("number out of range for %s", n.name)
		}
		if n.kind == kindFloat {
			return float32(f), nil
		}
		return f, nil
	case kindInt, kindLong:
		if !whole {
			return nil, p.fail("want %s, got a number that is not whole", n.want())
		}
		bits := 64
		if n.kind == kindInt {
			bits = 32
		}
		i, err := strconv.ParseInt(text, 10, bits)
		if err != nil {
			return nil, p.fail("number out of range for %s", n.name)
		}
		v, problem := n.fromUnits(i)
		if problem != "" {
			return nil, p.fail("%s", problem)
		}
		return v, nil
	default:
		return p.decimal(n, text)
	}
}

func (p *parser) decimal(n *node, text string) (any, error) {
	r, problem := parseDecimal(n, text)
	if problem != "" {
		return nil, p.fail("%s", problem)
	}
	return r, nil
}

func (p *parser) textual(n *node, text string) (any, error) {
	switch n.logical {
	case logicalDecimal, logicalBigDecimal:
		return p.decimal(n, text)
	case logicalDate, logicalTime, logicalTimestamp, logicalLocalTimestamp:
		v, ok := n.parseTime(text)
		if !ok {
			return nil, p.fail("want %s", n.want())
		}
		return v, nil
	case logicalUUID:
		id, ok := parseUUID(text)
		if !ok {
			return nil, p.fail("want %s", n.want())
		}
		if n.kind == kindFixed {
			return id, nil
		}
		return text, nil
	case logicalNone, logicalDuration:
	}
	switch n.kind {
	case kindEnum:
		if !slices.Contains(n.symbols, text) {
			return nil, p.fail("unknown symbol, want %s", n.want())
		}
		return text, nil
	case kindBytes, kindFixed:
		raw, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil || n.kind == kindFixed && len(raw) != n.size {
			return nil, p.fail("want %s", n.want())
		}
		return raw, nil
	default:
		return text, nil
	}
}

// duration reads {"months":1,"days":2,"milliseconds":3}; what is left out is 0.
func (p *parser) duration() (any, error) {
	var d avro.Duration
	parts := map[string]*uint32{"months": &d.Months, "days": &d.Days, "milliseconds": &d.Milliseconds}
	err := p.members(func(name string) error {
		part, ok := parts[name]
		p.push(step{name: printable(name)})
		if !ok {
			return p.fail("unknown or twice")
		}
		delete(parts, name)
		if p.class() != classNumber {
			return p.fail("want a whole number")
		}
		text, _, err := p.number()
		if err != nil {
			return err
		}
		v, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return p.fail("want a whole number from 0 to %d", uint32(math.MaxUint32))
		}
		*part = uint32(v)
		p.pop()
		return nil
	})
	return d, err
}
