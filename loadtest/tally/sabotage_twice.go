//go:build sabotage_twice

package tally

import "firehose"

// sabotaged applies one event in 100,000 of a partition twice.
func sabotaged(p projection) projection {
	return func(e firehose.Event[Event], c *firehose.Changes) error {
		if err := p(e, c); err != nil || e.Offset%100_000 != 99_999 {
			return err
		}
		return p(e, c)
	}
}
