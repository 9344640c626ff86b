package event

import (
	"github.com/google/uuid"
)

// NewID returns a fresh event ID: a UUIDv7, which sorts by the time it was made.
func NewID() string {
	id, err := uuid.NewV7()
	if err != nil {
		// The system's source of randomness never fails since Go 1.24: the
		// program ends before this can be reached.
		panic(err)
	}
	return id.String()
}

// idSpace is where DerivedID's namespaces begin: the UUIDv5 of a name that is
// only ours, so that our IDs and anybody else's UUIDv5 of the same data differ.
var idSpace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://firehose.invalid/events"))

// DerivedID returns an event ID made from data (a UUIDv5): the same namespace
// and name give the same ID for ever, so that reading the source again sends
// the same events and not new ones.
func DerivedID(namespace, name string) string {
	return uuid.NewSHA1(uuid.NewSHA1(idSpace, []byte(namespace)), []byte(name)).String()
}
