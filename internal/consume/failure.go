package consume

import (
	"errors"
	"fmt"

	"firehose/internal/codec"
)

// The classes of permanent failure of one record: labels of metrics, of dead
// letters and of logs, so they are stable.
const (
	ClassUndecodable     = "undecodable"      // not framed, truncated, bytes left over, too large
	ClassUnknownSchema   = "unknown_schema"   // the registry does not know its schema
	ClassIncompatible    = "incompatible"     // its schema cannot be read as ours
	ClassBadHeader       = "bad_header"       // a ce_ header that is not what it says
	ClassBadKey          = "bad_key"          // empty, not UTF-8, holds U+0000, or not the value's key field
	ClassBadVersion      = "bad_version"      // ce_sequence and the value disagree, or there is none
	ClassMissingID       = "missing_id"       // a fact without an event ID
	ClassTombstone       = "tombstone"        // a delete on a fact topic
	ClassValueRefused    = "value_refused"    // outside of what every store can hold
	ClassProjectionError = "projection_error" // the service's projection refuses it
	ClassStoreRefused    = "store_refused"    // violates the store's constraints
)

// Classes returns all of them.
func Classes() []string {
	return []string{
		ClassUndecodable, ClassUnknownSchema, ClassIncompatible, ClassBadHeader, ClassBadKey, ClassBadVersion,
		ClassMissingID, ClassTombstone, ClassValueRefused, ClassProjectionError, ClassStoreRefused,
	}
}

// Failure is a permanent failure of one record. Its text never holds payload.
type Failure struct {
	Class string
	Err   error
}

func (f *Failure) Error() string { return f.Class + ": " + f.Err.Error() }

func (f *Failure) Unwrap() error { return f.Err }

func fail(class string, format string, args ...any) *Failure {
	return &Failure{Class: class, Err: fmt.Errorf(format, args...)}
}

// ErrMisuse is a mistake in the service's own code, such as a Put with too few
// values. It stops the service: setting events aside would hide it.
var ErrMisuse = errors.New("projection misuses the store")

// decodeFailure turns an error of the codec into a Failure, or returns nil when
// the error says nothing about the record (the registry is away).
func decodeFailure(err error) *Failure {
	var field *codec.FieldError
	switch {
	case errors.As(err, &field):
		return &Failure{Class: ClassValueRefused, Err: err}
	case errors.Is(err, codec.ErrUnknownSchema):
		return &Failure{Class: ClassUnknownSchema, Err: err}
	case errors.Is(err, codec.ErrIncompatible):
		return &Failure{Class: ClassIncompatible, Err: err}
	case errors.Is(err, codec.ErrUnavailable):
		return nil
	default:
		return &Failure{Class: ClassUndecodable, Err: err}
	}
}

// Refusal is a projection's own word for why it does not take an event. It is
// published, so it never holds payload.
type Refusal struct{ Reason string }

func (r *Refusal) Error() string { return r.Reason }

// publishable returns what may be told of a projection's error: a refusal's
// reason, without what was wrapped around it. Any other error may quote the event,
// as those of strconv do, so its type has to do.
func publishable(err error) error {
	var r *Refusal
	if errors.As(err, &r) {
		return r
	}
	return fmt.Errorf("an error of type %T; use firehose.Refuse to say more", err)
}

// heldError says that a claim has to wait, and the others need not.
type heldError struct {
	c   *claim
	err error
}

func (e *heldError) Error() string { return e.err.Error() }

func (e *heldError) Unwrap() error { return e.err }
