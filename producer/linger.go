package producer

import (
	"io"
	"net/http"
	"time"
)

// A caller whose request is refused may still be sending its body, and most
// clients read no answer before they have sent all. A connection that is closed
// over bytes which nobody has read is reset, and the refusal is lost with it. So
// the answer goes out, and then the rest is taken, within bounds; nginx calls it
// lingering_close.
const (
	lingerTime  = 2 * time.Second
	lingerBytes = 32 << 20
)

// linger takes what a refused caller still sends. Its handler has ended, and
// nothing is held for it but the connection.
func linger(w *answerWriter, r *http.Request) {
	if w.code < http.StatusBadRequest || r.Body == nil || r.Body == http.NoBody {
		return
	}
	control := http.NewResponseController(w.ResponseWriter)
	if control.Flush() != nil || control.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, r.Body, lingerBytes) // whatever ends it, the answer is sent
}
