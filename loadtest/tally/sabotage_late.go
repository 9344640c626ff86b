//go:build sabotage_late

package tally

import (
	"time"

	"firehose"
)

// sabotaged applies every event two seconds after it was sent.
func sabotaged(p projection) projection {
	return func(e firehose.Event[Event], c *firehose.Changes) error {
		if wait := time.Until(e.Sent.Add(2 * time.Second)); wait > 0 {
			<-time.After(wait)
		}
		return p(e, c)
	}
}
