package producer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// lineReader cuts NDJSON into chunks of lines. A line that is too long becomes a
// problem and the next one is read: its length costs no memory.
type lineReader struct {
	r      *bufio.Reader
	file   string // for the answers; empty where there is only one input
	max    int    // bytes of a line
	number int    // of the last line read
	err    error  // met after some lines, to be returned after them
}

func newLineReader(r io.Reader, file string, max int) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, 64<<10), file: file, max: max}
}

// next returns some lines, nil at the end. It waits for the first line only:
// what has arrived is not held back until there is more.
func (l *lineReader) next() (*chunk, error) {
	if l.err != nil {
		return nil, l.end()
	}
	c := &chunk{}
	var arena []byte
	var ends []int
	for len(c.lines) < chunkLines && len(arena) < chunkBytes {
		if len(c.lines) > 0 && !l.buffered() {
			break
		}
		start := len(arena)
		var long bool
		arena, long, l.err = l.appendLine(arena)
		if l.err != nil && (!errors.Is(l.err, io.EOF) || len(arena) == start && !long) {
			break
		}
		l.number++
		if !long && len(bytes.TrimSpace(arena[start:])) == 0 {
			arena = arena[:start]
			if l.err != nil {
				break
			}
			continue
		}
		added := line{number: l.number}
		added.answer.File = l.file
		if long {
			arena = arena[:start]
			added.answer.Problem = newProblem(tooLarge, "", fmt.Sprintf("a line may have %d bytes", l.max))
		}
		c.lines = append(c.lines, added)
		ends = append(ends, len(arena))
		if l.err != nil {
			break
		}
	}
	if len(c.lines) == 0 {
		return nil, l.end()
	}
	start := 0
	for i, end := range ends {
		c.lines[i].text = arena[start:end:end]
		start = end
	}
	return c, nil
}

func (l *lineReader) end() error {
	if errors.Is(l.err, io.EOF) {
		return nil
	}
	return fmt.Errorf("read after line %d: %w", l.number, l.err)
}

// buffered reports whether a whole line can be had without waiting.
func (l *lineReader) buffered() bool {
	text, _ := l.r.Peek(l.r.Buffered()) // what is buffered can be peeked
	return bytes.IndexByte(text, '\n') >= 0
}

// appendLine appends the next line without its newline. Of one that is too long
// it appends a part and skips the rest.
func (l *lineReader) appendLine(dst []byte) (out []byte, long bool, err error) {
	start := len(dst)
	for {
		part, err := l.r.ReadSlice('\n')
		if !long {
			dst = append(dst, part...)
		}
		switch {
		case err == nil && !long:
			dst = dst[:len(dst)-1]
			return dst, len(dst)-start > l.max, nil
		case err == nil:
			return dst, long, nil
		case errors.Is(err, bufio.ErrBufferFull):
			long = long || len(dst)-start > l.max
		default:
			return dst, long || len(dst)-start > l.max, err
		}
	}
}
