package publish

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/codec"
)

// Outcome is what is known about an event once it is answered.
type Outcome int

// The outcomes.
const (
	Acknowledged Outcome = iota // it is in the log, on all in-sync replicas
	Rejected                    // it is not in the log and never will be
	Unknown                     // it may be in the log; sending the same ID again is safe
)

func (o Outcome) String() string {
	switch o {
	case Acknowledged:
		return "acknowledged"
	case Rejected:
		return "rejected"
	case Unknown:
		return "unknown"
	}
	return fmt.Sprintf("Outcome(%d)", int(o))
}

// What errors.Is finds in the errors of this package.
var (
	ErrRejected = errors.New("event rejected")
	ErrUnknown  = errors.New("event's outcome is unknown")
	ErrFull     = errors.New("too many events wait to be acknowledged")
	ErrClosed   = errors.New("publisher is closed")
)

// The reasons of an Error: stable, few, fit to be a label.
const (
	// Of rejected events, the event's own fault.
	ReasonUnknownType = "unknown_type" // no topic carries the type
	ReasonEnvelope    = "envelope"     // an attribute is wrong, or contradicts the data
	ReasonData        = "data"         // the data does not fit the schema; often a *codec.FieldError
	ReasonTooLarge    = "too_large"

	// Of rejected events, not the event's fault.
	ReasonUnregistered = "unregistered" // the registry does not have the schema
	ReasonIncompatible = "incompatible" // the registry has another one under the subject
	ReasonUnavailable  = "unavailable"  // registry or Kafka did not answer; nothing was sent
	ReasonFull         = "full"
	ReasonUnknownTopic = "unknown_topic"
	ReasonUnauthorized = "unauthorized"
	ReasonRefused      = "refused" // another refusal of the broker

	// Of rejected and of unknown ones.
	ReasonClosed   = "closed"
	ReasonCanceled = "canceled" // ctx ended before the event was taken

	// Of unknown ones.
	ReasonTimeout = "timeout" // no answer in time
	ReasonBroker  = "broker"  // an answer that leaves it open, or none
)

// Error says why an event has no receipt. It never quotes the event's data.
type Error struct {
	Outcome Outcome // Rejected or Unknown
	Reason  string
	EventID string // also when the publisher made it
	Err     error  // the cause
}

func (e *Error) Error() string {
	return fmt.Sprintf("event %s (%s): %v", e.Outcome, e.Reason, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is finds ErrRejected and ErrUnknown.
func (e *Error) Is(target error) bool {
	return target == ErrRejected && e.Outcome == Rejected || target == ErrUnknown && e.Outcome == Unknown
}

func reject(reason string, err error) *Error {
	return &Error{Outcome: Rejected, Reason: reason, Err: err}
}

// admission is the answer to an event that found no room.
func admission(err error, id string) *Error {
	reason := ReasonCanceled
	switch {
	case errors.Is(err, ErrClosed):
		reason = ReasonClosed
	case errors.Is(err, ErrFull):
		reason = ReasonFull
	}
	return &Error{Outcome: Rejected, Reason: reason, EventID: id, Err: err}
}

// unready is the answer to an event of a topic that cannot be written yet.
func unready(err error) *Error {
	switch {
	case errors.Is(err, codec.ErrUnknownSchema):
		return reject(ReasonUnregistered, err)
	case errors.Is(err, codec.ErrIncompatible):
		return reject(ReasonIncompatible, err)
	case errors.Is(err, context.Canceled):
		return reject(ReasonCanceled, err)
	case isUnknownTopic(err):
		return reject(ReasonUnknownTopic, err)
	case isAuthorization(err):
		return reject(ReasonUnauthorized, err)
	}
	return reject(ReasonUnavailable, err)
}

// byContent are the refusals that depend on nothing but the batch's bytes: had an
// earlier attempt been made it would have been refused as well, so the batch is
// certainly not in the log.
//
// The client fails all that it holds for the partition together with the batch
// that was refused. What of it was already sent carries later sequence numbers
// of the same idempotent producer, which the broker does not take with a gap
// before them; and the client pipelines only after a first acknowledgement, so
// the broker does know the producer. One is missed: a broker forgets a producer
// that was idle for producer.id.expiration.ms, a day by default, and then takes
// any number. Of two batches that end that pause together, the first refused and
// the second taken, both are called rejected.
var byContent = []*kerr.Error{
	kerr.InvalidRecord, kerr.InvalidTopicException, kerr.InvalidRequiredAcks, kerr.InvalidRequest,
	kerr.UnsupportedForMessageFormat, kerr.UnsupportedCompressionType, kerr.UnsupportedVersion,
}

// bySituation are the refusals that come and go, with permissions, the topic's
// settings and the broker's clock: this attempt wrote nothing, but one before it
// may have, if its answer was lost.
var bySituation = []*kerr.Error{
	kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.SaslAuthenticationFailed,
	kerr.UnknownTopicOrPartition, kerr.UnknownTopicID, kerr.NotEnoughReplicas, kerr.CorruptMessage,
	kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidTimestamp, kerr.PolicyViolation,
}

// classify says what a client's error means. doubtful reports that an attempt before
// the one that failed may have been written.
func classify(err error, doubtful bool) (Outcome, string) {
	switch {
	case errors.Is(err, kgo.ErrMaxBuffered):
		return Rejected, ReasonFull // never buffered
	case isAny(err, byContent):
		return Rejected, ReasonRefused
	case isAny(err, bySituation) && !doubtful:
		switch {
		case isUnknownTopic(err):
			return Rejected, ReasonUnknownTopic
		case isAuthorization(err):
			return Rejected, ReasonUnauthorized
		case errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.RecordListTooLarge):
			return Rejected, ReasonTooLarge
		}
		return Rejected, ReasonRefused
	case errors.Is(err, kgo.ErrClientClosed):
		return Unknown, ReasonClosed
	case errors.Is(err, kgo.ErrRecordTimeout) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, kerr.RequestTimedOut):
		return Unknown, ReasonTimeout
	}
	return Unknown, ReasonBroker
}

func isAny(err error, list []*kerr.Error) bool {
	var broker *kerr.Error
	if !errors.As(err, &broker) {
		return false
	}
	for _, e := range list {
		if e == broker {
			return true
		}
	}
	return false
}

func isAuthorization(err error) bool {
	return errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.ClusterAuthorizationFailed) ||
		errors.Is(err, kerr.SaslAuthenticationFailed)
}
