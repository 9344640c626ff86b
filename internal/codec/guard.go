package codec

import (
	"encoding/binary"
	"fmt"
)

// Avro writes an array in blocks, each with its count. The decoder grows a slice
// by exactly one block at a time, so that an array of n blocks of one item costs
// n²/2 copies: a megabyte of them keeps a core busy for minutes. Nobody writes
// such arrays; writers that do use blocks fill them with kilobytes.
const (
	// guardFrom is the payload from which the blocks are looked at. Below it
	// the worst array costs a fraction of a millisecond.
	guardFrom = 1 << 10
	// maxCopies bounds how often an item is copied on average.
	maxCopies = 64
)

// guard walks values of one schema to see how their arrays are cut.
type guard struct {
	root *node
}

// newGuard returns nil when no value of the schema holds an array.
func newGuard(root *node) *guard {
	if !root.hasArray(map[*node]bool{}) {
		return nil
	}
	return &guard{root: root}
}

func (n *node) hasArray(seen map[*node]bool) bool {
	if n == nil || seen[n] {
		return false
	}
	seen[n] = true
	if n.kind == kindArray || n.items.hasArray(seen) {
		return true
	}
	for _, b := range n.branches {
		if b.hasArray(seen) {
			return true
		}
	}
	for i := range n.fields {
		if n.fields[i].node.hasArray(seen) {
			return true
		}
	}
	return false
}

// check refuses a payload whose arrays are cut too small. What else is wrong
// with it is left to the decoder, which stops at the same byte.
func (g *guard) check(payload []byte) error {
	if g == nil || len(payload) < guardFrom {
		return nil
	}
	w := walk{left: payload}
	w.value(g.root, 0)
	if w.cut {
		return fmt.Errorf("%w: an array of too many small blocks", ErrUndecodable)
	}
	return nil
}

type walk struct {
	left []byte
	cut  bool // an array was cut too small
}

// value skips one value of n. False: stop, the payload is malformed or refused.
func (w *walk) value(n *node, depth int) bool {
	if depth > 1000 { // as deep as the Avro library decodes
		return false
	}
	switch n.kind {
	case kindNull:
		return true
	case kindBool:
		return w.skip(1)
	case kindInt, kindLong, kindEnum:
		_, ok := w.varint()
		return ok
	case kindFloat:
		return w.skip(4)
	case kindDouble:
		return w.skip(8)
	case kindFixed:
		return w.skip(int64(n.size))
	case kindBytes, kindString:
		size, ok := w.varint()
		return ok && w.skip(size)
	case kindRecord:
		for i := range n.fields {
			if !w.value(n.fields[i].node, depth+1) {
				return false
			}
		}
		return true
	case kindUnion:
		i, ok := w.varint()
		return ok && i >= 0 && i < int64(len(n.branches)) && w.value(n.branches[i], depth+1)
	case kindArray, kindMap:
		return w.blocks(n, depth)
	}
	return false
}

func (w *walk) blocks(n *node, depth int) bool {
	var items, copies int64
	for {
		count, ok := w.varint()
		if !ok || count == 0 {
			return ok
		}
		if count < 0 {
			count = -count
			if _, ok := w.varint(); !ok || count < 0 {
				return false
			}
		}
		if n.kind == kindArray {
			if copies += items; copies > maxCopies*(items+guardFrom) {
				w.cut = true
				return false
			}
		}
		for i := int64(0); i < count; i++ {
			before := len(w.left)
			if n.kind == kindMap {
				size, ok := w.varint()
				if !ok || !w.skip(size) {
					return false
				}
			}
			if !w.value(n.items, depth+1) {
				return false
			}
			if len(w.left) == before {
				break // items without bytes: the decoder bounds their number
			}
		}
		items += count
		if items < 0 {
			return false
		}
	}
}

func (w *walk) skip(n int64) bool {
	if n < 0 || n > int64(len(w.left)) {
		return false
	}
	w.left = w.left[n:]
	return true
}

func (w *walk) varint() (int64, bool) {
	v, n := binary.Varint(w.left)
	if n <= 0 {
		return 0, false
	}
	w.left = w.left[n:]
	return v, true
}
