// Package deadletter is the form of a record that a service set aside: its
// original key, value, headers and partition number, and in further headers, all
// UTF-8 text, where it came from and why (names as in Kafka's KIP-1191):
//
//	__dlq.errors.topic           shop.orders
//	__dlq.errors.topic.id        32 hexadecimal digits
//	__dlq.errors.partition       3
//	__dlq.errors.offset          1234
//	__dlq.errors.group           billing
//	__dlq.errors.delivery.count  1
//	__dlq.errors.class           undecodable
//	__dlq.errors.message         what is wrong with it, never payload
//
// A dead letter may be written twice, when its writer dies between the
// acknowledgement and its own commit. Topic ID, partition and offset identify it.
package deadletter

import (
	"fmt"
	"strconv"
	"strings"

	"firehose/internal/offsets"
)

// The header names.
const (
	prefix          = "__dlq.errors."
	headerTopic     = prefix + "topic"
	headerTopicID   = prefix + "topic.id"
	headerPartition = prefix + "partition"
	headerOffset    = prefix + "offset"
	headerGroup     = prefix + "group"
	headerCount     = prefix + "delivery.count"
	headerClass     = prefix + "class"
	headerMessage   = prefix + "message"
)

// maxMessage bounds the message header, in bytes.
const maxMessage = 1000

// Reason says where a dead letter came from and why it was set aside.
type Reason struct {
	Topic      string          `json:"topic"`
	TopicID    offsets.TopicID `json:"topic_id"`
	Partition  int32           `json:"partition"`
	Offset     int64           `json:"offset"`
	Group      string          `json:"group"`
	Deliveries int             `json:"deliveries"`
	Class      string          `json:"class"`
	Message    string          `json:"message"`
}

// ID identifies the record that was set aside, however often that happened.
type ID struct {
	TopicID   offsets.TopicID
	Partition int32
	Offset    int64
}

// ID returns what identifies the record.
func (r Reason) ID() ID { return ID{r.TopicID, r.Partition, r.Offset} }

// AppendHeaders returns the record's own headers followed by the reason's.
func AppendHeaders[H ~struct {
	Key   string
	Value []byte
}](headers []H, r Reason) []H {
	out := make([]H, 0, len(headers)+8)
	for _, h := range headers {
		if !strings.HasPrefix(header(h).Key, prefix) {
			out = append(out, h)
		}
	}
	for _, h := range []header{
		{headerTopic, []byte(r.Topic)},
		{headerTopicID, []byte(r.TopicID.String())},
		{headerPartition, strconv.AppendInt(nil, int64(r.Partition), 10)},
		{headerOffset, strconv.AppendInt(nil, r.Offset, 10)},
		{headerGroup, []byte(r.Group)},
		{headerCount, strconv.AppendInt(nil, int64(r.Deliveries), 10)},
		{headerClass, []byte(r.Class)},
		{headerMessage, []byte(clip(r.Message))},
	} {
		out = append(out, H(h))
	}
	return out
}

// header has the shape of every Kafka client's header.
type header struct {
	Key   string
	Value []byte
}

// ParseHeaders reads what AppendHeaders wrote. The error names the header that
// is missing or malformed.
func ParseHeaders[H ~struct {
	Key   string
	Value []byte
}](headers []H) (Reason, error) {
	text := map[string]string{}
	for _, h := range headers {
		if h := header(h); strings.HasPrefix(h.Key, prefix) {
			text[h.Key] = string(h.Value)
		}
	}
	r := Reason{
		Topic: text[headerTopic], Group: text[headerGroup],
		Class: text[headerClass], Message: text[headerMessage],
	}
	if r.Topic == "" {
		return r, fmt.Errorf("header %s: missing", headerTopic)
	}
	var err error
	if r.TopicID, err = offsets.ParseTopicID(text[headerTopicID]); err != nil {
		return r, fmt.Errorf("header %s: %w", headerTopicID, err)
	}
	partition, err := strconv.ParseInt(text[headerPartition], 10, 32)
	if err != nil {
		return r, fmt.Errorf("header %s: %w", headerPartition, err)
	}
	r.Partition = int32(partition)
	if r.Offset, err = strconv.ParseInt(text[headerOffset], 10, 64); err != nil {
		return r, fmt.Errorf("header %s: %w", headerOffset, err)
	}
	if r.Deliveries, err = strconv.Atoi(text[headerCount]); err != nil {
		return r, fmt.Errorf("header %s: %w", headerCount, err)
	}
	return r, nil
}

// clip shortens a message to valid UTF-8 of at most maxMessage bytes.
func clip(s string) string {
	if len(s) > maxMessage {
		s = s[:maxMessage]
	}
	return strings.ToValidUTF8(s, "")
}
