package producer

import (
	"encoding/json"
	"strconv"

	"firehose/internal/publish"
)

// Answer is what became of one event: a receipt, or a problem. Its JSON is a
// line of a batch's answer and of `producer send`:
//
//	{"line":1,"id":"…","topic":"shop.orders","topic_id":"…","partition":3,"offset":42}
//	{"type":"/problems/invalid-data","title":"…","status":422,"field":"lines[0].sku",…,"line":3}
type Answer struct {
	ID      string // of the event; empty only where it could not be read
	File    string // of the NDJSON input; empty where there is only one
	Line    int    // of the NDJSON input, from 1; 0 for a single event
	Receipt publish.Receipt
	Problem *Problem // nil when the event was acknowledged
}

// append writes the answer as one line of JSON to dst.
func (a *Answer) append(dst []byte) []byte {
	if a.Problem != nil {
		p := *a.Problem
		p.ID, p.File, p.Line = a.ID, a.File, a.Line
		line, err := json.Marshal(&p)
		if err != nil { // strings and ints only
			panic(err)
		}
		return append(append(dst, line...), '\n')
	}
	dst = append(dst, '{')
	if a.File != "" {
		dst = append(dst, `"file":`...)
		dst = appendString(dst, a.File)
		dst = append(dst, ',')
	}
	if a.Line > 0 {
		dst = append(dst, `"line":`...)
		dst = strconv.AppendInt(dst, int64(a.Line), 10)
		dst = append(dst, ',')
	}
	dst = append(dst, `"id":`...)
	dst = appendString(dst, a.ID)
	dst = append(dst, `,"topic":`...)
	dst = appendString(dst, a.Receipt.Topic)
	dst = append(dst, `,"topic_id":"`...)
	dst = append(dst, a.Receipt.TopicID...)
	dst = append(dst, `","partition":`...)
	dst = strconv.AppendInt(dst, int64(a.Receipt.Partition), 10)
	dst = append(dst, `,"offset":`...)
	dst = strconv.AppendInt(dst, a.Receipt.Offset, 10)
	return append(dst, '}', '\n')
}

// appendString writes s as a JSON string: at once where nothing needs escaping,
// as in every ID that we make.
func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			quoted, err := json.Marshal(s)
			if err != nil { // a string always has a JSON form
				panic(err)
			}
			return append(dst, quoted...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}
