// Package offsets says where a service is in the log: the position that its
// store holds, the lag behind the log's end, and the mirror of both in the
// group's committed offsets.
package offsets

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"strings"
)

// NoEpoch is the leader epoch of a position that has applied no record yet.
const NoEpoch int32 = -1

// TopicID identifies one incarnation of a topic (KIP-516). A topic that was
// deleted and created again has another.
type TopicID [16]byte

// String returns the ID as 32 hexadecimal digits.
func (id TopicID) String() string { return hex.EncodeToString(id[:]) }

// ParseTopicID reads what String wrote.
func ParseTopicID(s string) (TopicID, error) {
	var id TopicID
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("topic ID %q: want 32 hexadecimal digits", s)
	}
	copy(id[:], b)
	return id, nil
}

// Partition names one partition of one topic.
type Partition struct {
	Topic string
	ID    int32
}

func (p Partition) String() string { return fmt.Sprintf("%s/%d", p.Topic, p.ID) }

// Position is where a service stands in one partition: the next offset to
// read, never the last one read. It is a row in the service's own store and
// moves in the same transaction as the state that it describes.
type Position struct {
	Topic       string
	Partition   int32
	TopicID     TopicID
	Next        int64
	LeaderEpoch int32 // of the last record applied; NoEpoch before the first
	Generation  int64 // of the last reset
}

// Of returns the partition that the position is in.
func (p Position) Of() Partition { return Partition{p.Topic, p.Partition} }

func (p Position) String() string {
	return fmt.Sprintf("%s/%d@%d", p.Topic, p.Partition, p.Next)
}

// Compare orders partitions by topic, then number.
func Compare(a, b Partition) int {
	return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.ID, b.ID))
}
