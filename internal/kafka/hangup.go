package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// hangUp says that the other side ended a connection before it said anything. A
// broker does so that wants TLS or a login, but so does a proxy whose broker is
// just starting, so that by itself it refuses nothing.
type hangUp struct{ text string }

func (h *hangUp) Error() string { return h.text }

// asHangUp returns the hangUp in a client's error, nil where there is none.
func asHangUp(err error) *hangUp {
	var h *hangUp
	var first *kgo.ErrFirstReadEOF
	switch {
	case errors.As(err, &h):
		return h
	case errors.As(err, &first):
		return &hangUp{"the broker hangs up at once: it may want TLS or SASL on this port, or none"}
	}
	return nil
}

const (
	// hangUpPatience is how long a member tries again where the brokers hang up:
	// longer than one takes to be served behind a proxy once it listens.
	hangUpPatience = 5 * time.Second
	hangUpPause    = 200 * time.Millisecond
)

// patiently asks again as long as the answer is that somebody hangs up. One that
// still does when the patience ends refuses: the error is then an ErrDenied. One
// that did and then does not answer in time may be busy: it is asked once more, for as
// long again.
func patiently(ctx context.Context, patience time.Duration, ask func() error) error {
	until := time.Now().Add(patience)
	hungUp, askedMore := false, false
	for {
		err := Explain(ask())
		h := asHangUp(err)
		switch {
		case h == nil && hungUp && !askedMore && isTimeout(err):
			askedMore = true
			until = time.Now().Add(patience) // its silence used up what there was
		case h == nil:
			return err
		case time.Until(until) < hangUpPause:
			return fmt.Errorf("%w: %w", ErrDenied, h)
		default:
			hungUp = true
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(hangUpPause):
		}
	}
}

// isTimeout reports whether there was no answer in time.
func isTimeout(err error) bool {
	var e net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &e) && e.Timeout()
}
