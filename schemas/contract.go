// Package schemas is the contract between services: Avro schemas whose
// "firehose" attribute says everything else about their topic.
//
//	{
//	  "type": "record", "name": "Order", "namespace": "shop",
//	  "firehose": {
//	    "topic":    "shop.orders",       // <domain>.<entities>
//	    "kind":     "entity",            // or "fact"
//	    "key":      "order_id",          // field that is the record's key
//	    "version":  "version",           // field that orders an entity's events; entities only
//	    "time":     "updated_at",        // field that is ce_time; optional
//	    "origins":  "one",               // or "many" writers
//	    "conflict": "newest",            // what wins; entities only
//	    "types":    ["shop.order.placed", "shop.order.paid", "shop.order.shipped"],
//	    "dedup":    "168h",              // how long a fact's ID is remembered, 1s or more; facts only
//	    "partitions": 8
//	  },
//	  "fields": [...]
//	}
//
// A file is named TOPIC.vN.avsc, N counting from 1 without gaps; the highest is
// what is written today, all of them can be read for ever.
package schemas

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/twmb/avro"
)

// Kind is what the events of a topic are.
type Kind string

// The kinds of topic.
const (
	Entity Kind = "entity" // each event carries the whole state after it; the latest version wins
	Fact   Kind = "fact"   // append-only
)

// Origins says how many writers a topic has.
type Origins string

// One writer or many. Only single-origin entity topics are compacted.
const (
	One  Origins = "one"
	Many Origins = "many"
)

// DefaultDedup is how long a fact's event ID is remembered when its contract
// does not say.
const DefaultDedup = 7 * 24 * time.Hour

// minDedup is what a store refuses less than: it has a table per horizon of time.
const minDedup = time.Second

// DefaultPartitions is the number of partitions of a topic whose contract does
// not say.
const DefaultPartitions = 8

// Contract is the "firehose" attribute of a schema.
type Contract struct {
	Topic      string
	Kind       Kind
	Key        string        // name of the key field: a string, or an int or long written in decimal
	Version    string        // name of the version field (long); entities only
	Time       string        // name of the time field (timestamp-millis or -micros), or empty
	Origins    Origins       // default One
	Conflict   string        // default "newest"; entities only
	Types      []string      // event types (ce_type) that the topic carries, at least one
	Dedup      time.Duration // horizon of a fact's event IDs; facts only
	Partitions int           // default DefaultPartitions
}

// Compacted reports whether the topic keeps only the last record of each key.
func (c Contract) Compacted() bool { return c.Kind == Entity && c.Origins == One }

// Schema is one version of a topic's schema.
type Schema struct {
	Contract
	N    int    // version, from 1
	Text string // the .avsc, verbatim
	Avro *avro.Schema
}

// Topic is a topic's contract and every version of its schema, oldest first.
type Topic struct {
	Contract // of the latest version
	Versions []*Schema
}

// Latest returns the version that is written today.
func (t *Topic) Latest() *Schema { return t.Versions[len(t.Versions)-1] }

// Table returns the name of a replica's table: the topic's, with _ for . and -.
func (c Contract) Table() string { return tableName.Replace(c.Topic) }

var tableName = strings.NewReplacer(".", "_", "-", "_")

// Subject returns the topic's subject in a schema registry (TopicNameStrategy).
func (t *Topic) Subject() string { return t.Topic + "-value" }

// maxTopicName leaves room below Kafka's 249 characters for a group's name and
// the suffix of its dead-letter topic.
const maxTopicName = 150

var (
	topicName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*(\.[a-z0-9][a-z0-9-]*)+$`)
	typeName  = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*(\.[a-z0-9][a-z0-9_-]*)+$`)
)

// attribute is the JSON form of Contract.
type attribute struct {
	Topic      string   `json:"topic"`
	Kind       Kind     `json:"kind"`
	Key        string   `json:"key"`
	Version    string   `json:"version,omitempty"`
	Time       string   `json:"time,omitempty"`
	Origins    Origins  `json:"origins,omitempty"`
	Conflict   string   `json:"conflict,omitempty"`
	Types      []string `json:"types"`
	Dedup      string   `json:"dedup,omitempty"`
	Partitions *int     `json:"partitions,omitempty"`
}

// Parse reads one schema and its contract. n is its version. The error names
// the attribute that is wrong.
func Parse(text string, n int) (*Schema, error) {
	parsed, err := avro.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("parse schema: %w", err)
	}
	root := parsed.Root()
	if root.Type != "record" {
		return nil, fmt.Errorf("schema is %s, want a record", root.Type)
	}
	raw, ok := root.Props["firehose"]
	if !ok {
		return nil, errors.New(`schema has no "firehose" attribute`)
	}
	c, err := parseContract(raw)
	if err != nil {
		return nil, fmt.Errorf("firehose attribute of %s: %w", root.Name, err)
	}
	if err := c.validate(root); err != nil {
		return nil, fmt.Errorf("firehose attribute of %s: %w", root.Name, err)
	}
	return &Schema{Contract: c, N: n, Text: text, Avro: parsed}, nil
}

func parseContract(raw any) (Contract, error) {
	var a attribute
	encoded, err := json.Marshal(raw)
	if err != nil {
		return Contract{}, err
	}
	if err := strictUnmarshal(encoded, &a); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) && wrong.Field != "" {
			return Contract{}, fmt.Errorf("%s: got %s, want %s", wrong.Field, wrong.Value, jsonType(wrong.Type))
		}
		return Contract{}, err
	}
	c := Contract{
		Topic: a.Topic, Kind: a.Kind, Key: a.Key, Version: a.Version, Time: a.Time,
		Origins: a.Origins, Conflict: a.Conflict, Types: a.Types, Partitions: DefaultPartitions,
	}
	if c.Origins == "" {
		c.Origins = One
	}
	if a.Partitions != nil {
		c.Partitions = *a.Partitions
	}
	switch {
	case c.Kind == Entity && c.Conflict == "":
		c.Conflict = "newest"
	case c.Kind == Fact:
		c.Dedup = DefaultDedup
	}
	if a.Dedup != "" {
		if c.Dedup, err = time.ParseDuration(a.Dedup); err != nil || c.Dedup < minDedup {
			return Contract{}, fmt.Errorf("dedup %q: want a duration such as \"168h\", at least %v", a.Dedup, minDedup)
		}
	}
	return c, nil
}

func (c Contract) validate(root *avro.SchemaNode) error {
	if !topicName.MatchString(c.Topic) || len(c.Topic) > maxTopicName {
		return fmt.Errorf("topic %q: want <domain>.<entities> in lower case, at most %d characters", c.Topic, maxTopicName)
	}
	if c.Kind != Entity && c.Kind != Fact {
		return fmt.Errorf("kind %q: want %q or %q", c.Kind, Entity, Fact)
	}
	if c.Origins != One && c.Origins != Many {
		return fmt.Errorf("origins %q: want %q or %q", c.Origins, One, Many)
	}
	if c.Partitions < 1 {
		return fmt.Errorf("partitions %d: want at least 1", c.Partitions)
	}
	if len(c.Types) == 0 {
		return errors.New("types: want at least one event type")
	}
	for i, t := range c.Types {
		if !typeName.MatchString(t) {
			return fmt.Errorf("types: %q is not a dotted lower-case name", t)
		}
		if slices.Contains(c.Types[:i], t) {
			return fmt.Errorf("types: %q is there twice", t)
		}
	}
	if err := wantField(root, "key", c.Key, "string", "int", "long"); err != nil {
		return err
	}
	switch c.Kind {
	case Entity:
		if c.Dedup != 0 {
			return errors.New("dedup: only facts have one, an entity's version does its work")
		}
		if c.Conflict != "newest" {
			return fmt.Errorf("conflict %q: want \"newest\"", c.Conflict)
		}
		if err := wantField(root, "version", c.Version, "int", "long"); err != nil {
			return err
		}
	case Fact:
		if c.Version != "" {
			return fmt.Errorf("version %q: only entities have one", c.Version)
		}
		if c.Conflict != "" {
			return fmt.Errorf("conflict %q: only entities have one, facts never disagree", c.Conflict)
		}
	}
	if c.Time != "" {
		i := slices.IndexFunc(root.Fields, func(f avro.SchemaField) bool { return f.Name == c.Time })
		if i < 0 || (root.Fields[i].Type.LogicalType != "timestamp-millis" && root.Fields[i].Type.LogicalType != "timestamp-micros") {
			return fmt.Errorf("time %q: want a field of logical type timestamp-millis or timestamp-micros", c.Time)
		}
	}
	return nil
}

// jsonType names the JSON type that a Go type is read from.
func jsonType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Slice:
		return "an array"
	case reflect.Int:
		return "a whole number"
	default:
		return "a string"
	}
}

// wantField checks that the attribute names a field of one of the given types,
// which has no other meaning (a date is an int to Avro, but no key).
func wantField(root *avro.SchemaNode, attribute, field string, types ...string) error {
	i := slices.IndexFunc(root.Fields, func(f avro.SchemaField) bool { return f.Name == field })
	if i < 0 {
		return fmt.Errorf("%s %q: no such field", attribute, field)
	}
	got := root.Fields[i].Type
	if !slices.Contains(types, got.Type) {
		return fmt.Errorf("%s %q: field is %s, want one of %v", attribute, field, got.Type, types)
	}
	if got.LogicalType != "" && got.LogicalType != "uuid" {
		return fmt.Errorf("%s %q: field has the logical type %s, want none", attribute, field, got.LogicalType)
	}
	return nil
}
