package producer

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"sync"
)

// firstRead is how much of a body is read before its buffer grows.
const firstRead = 4 << 10

var gzipReaders sync.Pool // of *gzip.Reader

// readBody reads a request's body, at most limit bytes of it both as sent and
// decompressed. Every byte of the buffer is taken from held before it is
// allocated: what a body claims to be costs nothing, a bomb costs limit at most,
// and one that trickles in costs what has arrived. With it is taken what the
// events in it will weigh, of which no more than parsed bytes of text are there
// at once: what was admitted and read is not refused for want of room.
func readBody(w http.ResponseWriter, r *http.Request, limit, parsed int64, held *hold) ([]byte, *Problem) {
	compressed, p := contentEncoding(r.Header)
	if p != nil {
		return nil, p
	}
	size := max(r.ContentLength, 0)
	if size > limit {
		return nil, bodyTooLarge(limit)
	}
	if k := held.room(size + parsedCost*min(size, parsed)); k != nil {
		return nil, newProblem(k, "", "")
	}
	first := int64(firstRead)
	if size > 0 && !compressed {
		first = min(first, size+1) // one more, for the end to be seen
	}
	var body io.Reader = http.MaxBytesReader(w, r.Body, limit)
	if compressed {
		zr, _ := gzipReaders.Get().(*gzip.Reader)
		if zr == nil {
			zr = new(gzip.Reader)
		}
		defer gzipReaders.Put(zr)
		if err := zr.Reset(body); err != nil {
			return nil, bodyProblem(err, limit, compressed)
		}
		body = zr
	}
	var buf []byte
	for {
		if len(buf) == cap(buf) {
			had := int64(cap(buf))
			grown := min(max(2*had, first), limit+1)
			k := held.take(grown - had)
			if k == nil {
				k = held.takeParsed(min(grown, parsed) - min(had, parsed))
			}
			if k != nil {
				return nil, newProblem(k, "", "")
			}
			buf = append(make([]byte, 0, grown), buf...)
		}
		n, err := body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if int64(len(buf)) > limit {
			w.Header().Set("Connection", "close")
			return nil, bodyTooLarge(limit)
		}
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return nil, bodyProblem(err, limit, compressed)
		}
	}
}

func bodyTooLarge(limit int64) *Problem {
	return newProblem(tooLarge, "", fmt.Sprintf("the body may have %d bytes", limit))
}

// bodyProblem says what an error while reading a body means to its sender.
func bodyProblem(err error, limit int64, compressed bool) *Problem {
	var tooMany *http.MaxBytesError
	var network net.Error
	switch {
	case errors.As(err, &tooMany):
		return bodyTooLarge(limit)
	case errors.As(err, &network) && network.Timeout():
		return newProblem(bodyTimeout, "", "")
	case compressed && (errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum)):
		return newProblem(malformed, "", "the body is not valid gzip")
	case compressed:
		return newProblem(malformed, "", "the body is not valid gzip, or was cut off")
	}
	return newProblem(malformed, "", "the body was cut off or is not valid HTTP")
}

// contentEncoding reports whether the body is compressed.
func contentEncoding(h http.Header) (compressed bool, p *Problem) {
	switch encodings := h.Values("Content-Encoding"); {
	case len(encodings) == 0:
		return false, nil
	case len(encodings) == 1 && strings.EqualFold(encodings[0], "gzip"):
		return true, nil
	case len(encodings) == 1 && strings.EqualFold(encodings[0], "identity"):
		return false, nil
	}
	return false, newProblem(unsupportedMediaType, "Content-Encoding", "want gzip or none")
}

// mediaType returns the request's media type without parameters, in lower case.
// A charset other than UTF-8 is refused: JSON has no other.
func mediaType(h http.Header) (string, *Problem) {
	const field = "Content-Type"
	values := h.Values(field)
	if len(values) != 1 {
		return "", newProblem(unsupportedMediaType, field, "want exactly one")
	}
	media, params, err := mime.ParseMediaType(values[0])
	if err != nil {
		return "", newProblem(unsupportedMediaType, field, "not a media type")
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return "", newProblem(unsupportedMediaType, field, "want charset utf-8")
	}
	return media, nil
}
