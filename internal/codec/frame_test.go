package codec_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"firehose/internal/codec"
)

func TestParseFrame(t *testing.T) {
	guid := [16]byte{0x8a, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xff}
	byID := append([]byte{0}, 0, 0, 1, 2)
	byGUID := append([]byte{1}, guid[:]...)
	with := func(prefix []byte, payload string) []byte { return append(bytes.Clone(prefix), payload...) }

	for _, tc := range []struct {
		name          string
		value, header []byte
		want          codec.Frame
		wantErr       string
	}{
		{name: "id", value: with(byID, "abc"), want: codec.Frame{ID: 258, Payload: []byte("abc")}},
		{name: "id of a record without bytes", value: byID, want: codec.Frame{ID: 258, Payload: []byte{}}},
		{name: "highest id", value: []byte{0, 0xff, 0xff, 0xff, 0xff}, want: codec.Frame{ID: 1<<32 - 1, Payload: []byte{}}},
		{name: "guid", value: with(byGUID, "abc"), want: codec.Frame{GUID: guid, ByGUID: true, Payload: []byte("abc")}},
		{name: "guid in the header", value: []byte("abc"), header: byGUID, want: codec.Frame{GUID: guid, ByGUID: true, Payload: []byte("abc")}},
		{name: "id in the header", value: []byte("abc"), header: byID, want: codec.Frame{ID: 258, Payload: []byte("abc")}},
		{name: "the header comes first", value: with(byID, "abc"), header: byGUID, want: codec.Frame{GUID: guid, ByGUID: true, Payload: with(byID, "abc")}},

		{name: "nil", wantErr: "undecodable: empty value"},
		{name: "empty", value: []byte{}, wantErr: "undecodable: empty value"},
		{name: "no magic byte", value: []byte("{\"a\":1}"), wantErr: "undecodable: no magic byte"},
		{name: "truncated id", value: []byte{0, 1, 2, 3}, wantErr: "undecodable: truncated in the schema ID"},
		{name: "truncated guid", value: byGUID[:16], wantErr: "undecodable: truncated in the schema ID"},
		{name: "empty header", value: []byte("abc"), header: []byte{}, wantErr: "undecodable: header __value_schema_id of 0 bytes holds no schema ID"},
		{name: "long header", value: []byte("abc"), header: with(byGUID, "x"), wantErr: "undecodable: header __value_schema_id of 18 bytes holds no schema ID"},
		{name: "too large", value: make([]byte, codec.MaxValueBytes+1), wantErr: "undecodable: 8388609 bytes, over 8388608"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := codec.ParseFrame(tc.value, tc.header)
			if tc.wantErr != "" {
				if err == nil || err.Error() != tc.wantErr || !errors.Is(err, codec.ErrUndecodable) {
					t.Fatalf("got error %v, want %s", err, tc.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("want - got +\n%s", diff)
			}
		})
	}
}

func TestFrameNamesItsSchema(t *testing.T) {
	f, err := codec.ParseFrame(codec.AppendFrame(nil, 7), nil)
	if err != nil || f.Schema() != "id 7" {
		t.Errorf("got %q, %v, want id 7", f.Schema(), err)
	}
	f, err = codec.ParseFrame(append([]byte{1}, 0x8a, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), nil)
	if want := "guid 8a010203-0405-0607-0809-0a0b0c0d0e0f"; err != nil || f.Schema() != want {
		t.Errorf("got %q, %v, want %s", f.Schema(), err, want)
	}
}

// Whatever the bytes: a frame or an ErrUndecodable, and a frame by ID is the
// bytes that it was parsed from.
func FuzzParseFrame(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 1, 2}, []byte(nil))
	f.Add([]byte{1, 0, 0, 0, 1, 2}, []byte(nil))
	f.Add([]byte("abc"), append([]byte{1}, make([]byte, 16)...))
	f.Add([]byte{}, []byte{0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, value, header []byte) {
		if len(header) == 0 {
			header = nil
		}
		frame, err := codec.ParseFrame(value, header)
		if err != nil {
			if !errors.Is(err, codec.ErrUndecodable) {
				t.Fatalf("got %v, want an ErrUndecodable", err)
			}
			return
		}
		if header == nil && !frame.ByGUID {
			if got := append(codec.AppendFrame(nil, frame.ID), frame.Payload...); !bytes.Equal(got, value) {
				t.Errorf("got %x back, want %x", got, value)
			}
		}
	})
}
