package producer

import (
	"errors"
	"strings"

	"firehose/internal/codec"
	"firehose/internal/publish"
)

// outcomeProblem says what the publisher's answer means to whoever sent the
// event: nil when it was acknowledged. Causes that are this system's own (hosts,
// the registry's words) stay in its log.
func outcomeProblem(err error, id string) *Problem {
	if err == nil {
		return nil
	}
	p := classify(err)
	p.ID = id
	return p
}

func classify(err error) *Problem {
	var e *publish.Error
	switch {
	case errors.Is(err, publish.ErrFull):
		return newProblem(overloaded, "", "")
	case errors.Is(err, publish.ErrUnknown):
		return newProblem(outcomeUnknown, "", "")
	case errors.Is(err, publish.ErrClosed):
		return newProblem(shuttingDown, "", "")
	case !errors.As(err, &e):
		// Nothing is known about it, so nothing may be claimed.
		return newProblem(outcomeUnknown, "", "")
	}
	switch e.Reason {
	case publish.ReasonUnknownType:
		return newProblem(unknownType, "type", "")
	case publish.ReasonEnvelope:
		field, detail, _ := strings.Cut(e.Err.Error(), ": ")
		return newProblem(badAttribute, strings.TrimPrefix(field, "ce_"), detail)
	case publish.ReasonData:
		var field *codec.FieldError
		if errors.As(err, &field) {
			return newProblem(invalidData, field.Field, field.Problem)
		}
		return newProblem(invalidData, "", "does not fit the schema")
	case publish.ReasonTooLarge:
		return newProblem(tooLarge, "data", "the event, encoded, is over the topic's limit")
	case publish.ReasonUnregistered, publish.ReasonIncompatible:
		return newProblem(notCompatible, "type", "")
	case publish.ReasonUnavailable:
		if errors.Is(err, codec.ErrUnavailable) {
			return newProblem(registryUnavailable, "", "")
		}
		return newProblem(brokerUnavailable, "", "")
	case publish.ReasonFull, publish.ReasonCanceled:
		return newProblem(overloaded, "", "")
	case publish.ReasonUnknownTopic:
		return newProblem(brokerUnavailable, "", "the event type's topic does not exist: `firehose topics apply` creates it")
	case publish.ReasonUnauthorized:
		return newProblem(brokerUnavailable, "", "this server may not write to the event type's topic")
	}
	return newProblem(rejected, "", "the broker refused it")
}
