package schemas

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
)

// Set holds the topics that one side knows.
type Set struct {
	byTopic map[string]*Topic
	byType  map[string]*Topic
	topics  []*Topic // sorted by name
}

var fileName = regexp.MustCompile(`^(.+)\.v([1-9][0-9]*)\.avsc$`)

// Load reads every *.avsc below root. Every version of a topic must be able to
// read every other one (FULL_TRANSITIVE), so that readers and writers deploy in
// any order.
func Load(root fs.FS) (*Set, error) {
	var all []*Schema
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) != ".avsc" {
			return err
		}
		m := fileName.FindStringSubmatch(path.Base(name))
		if m == nil {
			return fmt.Errorf("%s: want TOPIC.vN.avsc", name)
		}
		n, err := strconv.Atoi(m[2])
		if err != nil {
			return fmt.Errorf("%s: version: %w", name, err)
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		s, err := Parse(string(text), n)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if s.Topic != m[1] {
			return fmt.Errorf("%s: its topic is %q, want the name of the file", name, s.Topic)
		}
		all = append(all, s)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load schemas: %w", err)
	}
	return NewSet(all...)
}

// MustLoad is Load for schemas that are compiled in: it panics when they are
// wrong, which the first test that imports them shows.
func MustLoad(root fs.FS) *Set {
	set, err := Load(root)
	if err != nil {
		panic(err)
	}
	return set
}

// NewSet gathers schemas into topics and checks that each topic's versions count
// from 1, are compatible with one another and keep the contract, and that no
// event type or table name is claimed twice.
func NewSet(all ...*Schema) (*Set, error) {
	set := &Set{byTopic: map[string]*Topic{}, byType: map[string]*Topic{}}
	slices.SortStableFunc(all, func(a, b *Schema) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.N, b.N))
	})
	for _, s := range all {
		t := set.byTopic[s.Topic]
		if t == nil {
			t = &Topic{}
			set.byTopic[s.Topic] = t
			set.topics = append(set.topics, t)
		}
		if s.N != len(t.Versions)+1 {
			return nil, fmt.Errorf("topic %s: version %d follows version %d", s.Topic, s.N, len(t.Versions))
		}
		for _, older := range t.Versions {
			if err := Compatible(older.Avro, s.Avro); err != nil {
				return nil, fmt.Errorf("topic %s: version %d against %d: %w", s.Topic, s.N, older.N, err)
			}
			if err := keeps(older.Contract, s.Contract); err != nil {
				return nil, fmt.Errorf("topic %s: version %d against %d: %w", s.Topic, s.N, older.N, err)
			}
		}
		t.Versions = append(t.Versions, s)
		t.Contract = s.Contract
	}
	byTable := map[string]*Topic{}
	for _, t := range set.topics {
		if other := byTable[t.Table()]; other != nil {
			return nil, fmt.Errorf("topics %s and %s: both have the table %s", other.Topic, t.Topic, t.Table())
		}
		byTable[t.Table()] = t
		for _, name := range t.Types {
			if other := set.byType[name]; other != nil {
				return nil, fmt.Errorf("event type %s: claimed by topics %s and %s", name, other.Topic, t.Topic)
			}
			set.byType[name] = t
		}
	}
	return set, nil
}

// keeps reports the attribute that a newer version of a contract must not
// change: records written under the older one would get another key, another
// order or another fate.
func keeps(older, newer Contract) error {
	for _, a := range []struct{ name, older, newer string }{
		{"kind", string(older.Kind), string(newer.Kind)},
		{"key", older.Key, newer.Key},
		{"version", older.Version, newer.Version},
		{"origins", string(older.Origins), string(newer.Origins)},
		{"conflict", older.Conflict, newer.Conflict},
	} {
		if a.older != a.newer {
			return fmt.Errorf("%s %q: it was %q and has to stay", a.name, a.newer, a.older)
		}
	}
	for _, t := range older.Types {
		if !slices.Contains(newer.Types, t) {
			return fmt.Errorf("types: %q is gone, but the topic holds such events", t)
		}
	}
	if newer.Partitions < older.Partitions {
		return fmt.Errorf("partitions %d: there are %d, and Kafka cannot take any away", newer.Partitions, older.Partitions)
	}
	return nil
}

// Topics returns all topics, sorted by name.
func (s *Set) Topics() []*Topic { return s.topics }

// Topic returns the topic of that name.
func (s *Set) Topic(name string) (*Topic, bool) {
	t, ok := s.byTopic[name]
	return t, ok
}

// ByType returns the topic that carries events of that type (ce_type).
func (s *Set) ByType(eventType string) (*Topic, bool) {
	t, ok := s.byType[eventType]
	return t, ok
}

// strictUnmarshal refuses keys that the target does not have.
func strictUnmarshal(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	return dec.Decode(v)
}
