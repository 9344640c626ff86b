package operator

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"firehose/internal/codec"
	"firehose/internal/service"
)

// decode is `firehose decode`.
type decode struct {
	Streams
	registry
}

func decodeCommand(s Streams) *service.Command {
	c := &decode{Streams: s}
	return &service.Command{
		Name:    "decode",
		Summary: "turn what kcat writes into JSON, so that any kcat can show Avro",
		Help: "Reads what `kcat -f '%R%s'` writes: each value behind its length, 4 bytes\n" +
			"big-endian, -1 for a tombstone. Writes a line of JSON for each, null for a tombstone.\n" +
			"A value that cannot be decoded is named on standard error by its number in the input,\n" +
			"counted from 1, and the exit code is 1 at the end.",
		Example: "kcat -C -e -q -b 127.0.0.1:9092 -t shop.orders -f '%R%s' | firehose decode",
		Register: func(f *service.Flags) {
			c.registry.Register(f)
		},
		Run: c.run,
	}
}

// maxFrame is more than any broker lets through: a longer one means that the
// input is something else.
const maxFrame = 64 << 20

// nullLength is the length that kcat writes for a tombstone.
const nullLength = math.MaxUint32

func (c *decode) run(ctx context.Context, _ []string) error {
	reg, err := c.registry.open()
	if err != nil {
		return err
	}
	defer reg.Close()
	values := newValues(reg)
	in, out := bufio.NewReaderSize(c.In, 64<<10), bufio.NewWriter(c.Out)
	refused := 0
	for n := 1; ; n++ {
		value, err := readFrame(in)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return errors.Join(fmt.Errorf("record %d: %w", n, err), out.Flush())
		}
		if err := c.write(ctx, values, out, value); err != nil {
			if err := errors.Join(ctx.Err(), out.Flush()); err != nil {
				return err
			}
			refused++
			fmt.Fprintf(c.Err, "record %d: %s\n", n, printable(err.Error()))
		}
		// kcat may be following: show what there is before waiting for more.
		if in.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if refused > 0 {
		return service.ErrFailed
	}
	return nil
}

func (c *decode) write(ctx context.Context, values *values, out *bufio.Writer, value []byte) error {
	text := []byte("null")
	if value != nil {
		var err error
		if _, text, _, err = values.decode(ctx, value, nil); err != nil {
			return err
		}
	}
	if _, err := out.Write(append(text, '\n')); err != nil {
		return err
	}
	return nil
}

// nullText is what kcat -Z writes for a tombstone's value, behind its length. As
// a length it would be beyond maxFrame, so it cannot be the next record.
const nullText = "NULL"

// readFrame reads one length and its value; nil is a tombstone. io.EOF is the
// end between two values.
func readFrame(in *bufio.Reader) ([]byte, error) {
	length := [4]byte([]byte(nullText))
	for string(length[:]) == nullText {
		switch n, err := io.ReadFull(in, length[:]); {
		case errors.Is(err, io.EOF) && n == 0:
			return nil, io.EOF
		case err != nil:
			return nil, fmt.Errorf("%w: the input ends in a length", codec.ErrUndecodable)
		}
	}
	n := binary.BigEndian.Uint32(length[:])
	if n == nullLength {
		return nil, nil
	}
	if n > maxFrame {
		return nil, fmt.Errorf("length of %d bytes: the input is not what `kcat -f '%%R%%s'` writes", n)
	}
	value := make([]byte, n)
	if _, err := io.ReadFull(in, value); err != nil {
		return nil, fmt.Errorf("%w: the input ends in a value of %d bytes", codec.ErrUndecodable, n)
	}
	return value, nil
}
