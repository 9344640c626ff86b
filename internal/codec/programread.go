package codec

import (
	"encoding/binary"
	"math"
	"reflect"
	"sync"
	"time"
	"unsafe"
)

// reader executes programs. Texts are copied into a buffer that many values
// share, so that a value of many short texts is not as many allocations; what is
// handed out of it is never written again.
type reader struct {
	data []byte
	at   int
	text []byte // what is left of the buffer
}

const (
	textBuffer = 1024           // bytes
	longText   = textBuffer / 4 // what does not fit in and is longer is allocated by itself
)

var readers = sync.Pool{New: func() any { return &reader{} }}

// run fills the struct at base. False: the library has to read the value.
func (r *reader) run(p program, base unsafe.Pointer) bool {
	for i := range p {
		in := &p[i]
		to := unsafe.Add(base, in.offset)
		ok := false
		switch in.do {
		case readInt64:
			*(*int64)(to), ok = r.long()
		case readText:
			*(*string)(to), ok = r.string()
		case readInt32:
			var n int64
			n, ok = r.int()
			*(*int32)(to) = int32(n)
		case readSymbol:
			var n int64
			if n, ok = r.int(); ok {
				if n < 0 || n >= int64(len(in.symbols)) {
					return false
				}
				*(*string)(to) = in.symbols[n]
			}
		case readMicros:
			var n int64
			n, ok = r.long()
			*(*time.Time)(to) = fromEpoch(n, micros)
		case readMillis:
			var n int64
			n, ok = r.long()
			*(*time.Time)(to) = fromEpoch(n, millis)
		case readArray:
			ok = r.array(in, to)
		case readOptional:
			ok = r.optional(in, to)
		case readIntAsInt64:
			*(*int64)(to), ok = r.int()
		case readBool:
			var b []byte
			if b, ok = r.take(1); ok {
				*(*bool)(to) = b[0] == 1
			}
		case readFloat32:
			var b []byte
			if b, ok = r.take(4); ok {
				*(*float32)(to) = math.Float32frombits(binary.LittleEndian.Uint32(b))
			}
		case readFloat64:
			var b []byte
			if b, ok = r.take(8); ok {
				*(*float64)(to) = math.Float64frombits(binary.LittleEndian.Uint64(b))
			}
		case readBytes:
			var b []byte
			if b, ok = r.sized(); ok {
				*(*[]byte)(to) = append(make([]byte, 0, len(b)), b...)
			}
		}
		if !ok {
			return false
		}
	}
	return true
}

// long reads a zigzag varint.
func (r *reader) long() (int64, bool) {
	if r.at < len(r.data) {
		if b := r.data[r.at]; b < 0x80 {
			r.at++
			return int64(b>>1) ^ -int64(b&1), true
		}
	}
	n, size := binary.Varint(r.data[r.at:])
	r.at += size
	return n, size > 0
}

// int reads a zigzag varint of 32 bits, which has five bytes at the most.
func (r *reader) int() (int64, bool) {
	from := r.at
	n, ok := r.long()
	return n, ok && r.at-from <= binary.MaxVarintLen32 && n == int64(int32(n))
}

func (r *reader) take(n int64) ([]byte, bool) {
	if n < 0 || n > int64(len(r.data)-r.at) {
		return nil, false
	}
	b := r.data[r.at : r.at+int(n)]
	r.at += int(n)
	return b, true
}

// sized reads bytes behind their number.
func (r *reader) sized() ([]byte, bool) {
	n, ok := r.long()
	if !ok {
		return nil, false
	}
	return r.take(n)
}

func (r *reader) string() (string, bool) {
	b, ok := r.sized()
	if !ok {
		return "", false
	}
	if len(b) > len(r.text) {
		if len(b) > longText {
			return string(b), true
		}
		r.text = make([]byte, textBuffer)
	}
	kept := r.text[:len(b)]
	r.text = r.text[len(b):]
	copy(kept, b)
	return unsafe.String(unsafe.SliceData(kept), len(kept)), true
}

// optional reads null or a scalar. What the pointer points to is used again.
func (r *reader) optional(in *instruction, to unsafe.Pointer) bool {
	index, ok := r.take(1)
	if !ok {
		return false
	}
	switch index[0] {
	case in.present:
		at := *(*unsafe.Pointer)(to)
		if at == nil {
			at = reflect.New(in.typ).UnsafePointer()
			*(*unsafe.Pointer)(to) = at
		}
		return r.run(in.inner, at)
	case 2 - in.present:
		*(*unsafe.Pointer)(to) = nil
		return true
	}
	return false
}

// slice is how Go lays out a slice of anything.
type slice struct {
	data     unsafe.Pointer
	len, cap int
}

// array reads an array that was written in one block, of a positive count: what
// every writer writes of arrays that fit into memory.
func (r *reader) array(in *instruction, to unsafe.Pointer) bool {
	count, ok := r.long()
	if !ok || count < 0 || count > int64((len(r.data)-r.at)/in.least) {
		return false
	}
	s, n := (*slice)(to), int(count)
	if s.cap < n || s.data == nil {
		s.data, s.cap = reflect.MakeSlice(in.typ, n, n).UnsafePointer(), n
	}
	s.len = n
	for i := range n {
		if !r.run(in.inner, unsafe.Add(s.data, uintptr(i)*in.size)) {
			return false
		}
	}
	if n == 0 {
		return true
	}
	end, ok := r.take(1)
	return ok && end[0] == 0
}
