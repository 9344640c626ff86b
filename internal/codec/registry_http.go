package codec

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/sr"
)

// Bounds of what a registry's answer can put into an error.
const (
	maxName   = 128
	maxReason = 512
)

// ask sends one question to the registry: first to the address that answered
// last, then to the others while none answers. The error has one of the
// package's classes.
func (r *Registry) ask(ctx context.Context, question func(context.Context, *sr.Client) error) error {
	first := int(r.first.Load())
	var err error
	for i := range r.clients {
		n := (first + i) % len(r.clients)
		err = r.askOne(ctx, r.clients[n], question)
		if !errors.Is(err, ErrUnavailable) {
			r.first.Store(int32(n))
			return err
		}
		if ctx.Err() != nil {
			return err
		}
	}
	return err
}

func (r *Registry) askOne(ctx context.Context, e endpoint, question func(context.Context, *sr.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	return classify(question(ctx, e.client), e.url)
}

// classify gives an answer its class. Only a registry's own "not found" is one:
// a proxy's 404 must not make a schema unknown.
func classify(err error, address string) error {
	if err == nil {
		return nil
	}
	var answer *sr.ResponseError
	if !errors.As(err, &answer) {
		return fmt.Errorf("%w: %s: %s", ErrUnavailable, address, transportReason(err))
	}
	switch answer.ErrorCode {
	case sr.ErrSubjectNotFound.Code, sr.ErrVersionNotFound.Code, sr.ErrSchemaNotFound.Code:
		return ErrUnknownSchema
	}
	switch {
	case answer.StatusCode == http.StatusConflict,
		answer.StatusCode == http.StatusUnprocessableEntity && answer.ErrorCode == sr.ErrInvalidSchema.Code:
		return fmt.Errorf("%w: %s", ErrIncompatible, clip(answer.Message, maxReason))
	}
	reason := fmt.Sprintf("answers %d", answer.StatusCode)
	if answer.ErrorCode != 0 && answer.ErrorCode != answer.StatusCode {
		reason += fmt.Sprintf(" (%d)", answer.ErrorCode)
	}
	if answer.StatusCode == http.StatusUnauthorized {
		reason += ", wrong user, password or token"
	}
	if answer.ErrorCode != 0 && answer.Message != "" {
		reason += ": " + clip(answer.Message, maxReason)
	}
	return fmt.Errorf("%w: %s %s", ErrUnavailable, address, reason)
}

// transportReason is what went wrong without the request's URL, which the
// caller names.
func transportReason(err error) string {
	var syntax *json.SyntaxError
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, context.Canceled):
		return "given up"
	case errors.Is(err, errAnswerTooLarge):
		return errAnswerTooLarge.Error()
	case errors.As(err, &syntax), errors.As(err, &wrongType), errors.Is(err, io.ErrUnexpectedEOF):
		return "answers what is not a schema registry's"
	}
	var u *url.Error
	if errors.As(err, &u) {
		return clip(u.Err.Error(), maxReason)
	}
	return "unusable answer"
}

var errAnswerTooLarge = errors.New("answer too large")

// boundedTransport ends answers that are larger than max with an error.
type boundedTransport struct {
	next *http.Transport
	max  int64
}

// RoundTrip implements http.RoundTripper.
func (t *boundedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = &boundedBody{ReadCloser: resp.Body, left: t.max}
	return resp, nil
}

// CloseIdleConnections is what http.Client.CloseIdleConnections looks for.
func (t *boundedTransport) CloseIdleConnections() { t.next.CloseIdleConnections() }

type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	// One byte more than allowed is asked for, to tell "exactly" from "more".
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, errAnswerTooLarge
	}
	return n, err
}

// clip makes a foreign text fit for an error: one line, printable, bounded.
func clip(s string, limit int) string {
	cut := len(s) > limit
	if cut {
		s = s[:limit]
		for len(s) > 0 && !utf8.ValidString(s[max(0, len(s)-utf8.UTFMax):]) {
			s = s[:len(s)-1]
		}
	}
	s = strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return ' '
	}, strings.ToValidUTF8(s, "?"))
	if cut {
		s += "..."
	}
	return s
}
