package store

import (
	"errors"
	"fmt"
	"strings"

	"firehose/internal/offsets"
)

// The classes of errors of a store, to be asked with errors.Is.
var (
	// ErrFenced: a position is not where the batch came from; see FencedError.
	ErrFenced = errors.New("position moved by somebody else")
	// ErrChanged: an event ID or an image is not what the batch was merged
	// from. Nothing was written: look up, merge and apply again.
	ErrChanged = errors.New("store changed since it was read")
	// ErrTransient: the database is away, locked or full. Nothing is known to
	// be written: read the positions again, then retry.
	ErrTransient = errors.New("store unavailable")
	// ErrRefused: the database refuses the content of some record of the batch
	// and would refuse it again. Nothing was written.
	ErrRefused = errors.New("store refuses the content")
	// ErrFatal: the store cannot be used until an operator acts (corrupt, a
	// newer format).
	ErrFatal = errors.New("store unusable")
)

// FencedError names the partitions whose position did not match. It is an
// ErrFenced.
type FencedError struct{ Partitions []offsets.Partition }

func (e *FencedError) Error() string {
	names := make([]string, len(e.Partitions))
	for i, p := range e.Partitions {
		names[i] = p.String()
	}
	return fmt.Sprintf("%v: %s", ErrFenced, strings.Join(names, ", "))
}

// Is makes errors.Is(err, ErrFenced) hold.
func (e *FencedError) Is(target error) bool { return target == ErrFenced }

// Owned is the ErrFatal of a database that another group has made its own. Two
// groups in one database would move one set of positions, and each would pass
// over the events that the other has read.
func Owned(by, asks string) error {
	return fmt.Errorf("%w: it belongs to group %s, whose positions it holds: group %s wants a database, a schema or a file of its own", ErrFatal, by, asks)
}
