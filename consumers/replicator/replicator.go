// Package replicator is the service that keeps a table of every entity topic it
// is given, without code for any of them: shop.orders becomes the view
// shop_orders. Topics that are not the shop's are known from the registry.
package replicator

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"

	"firehose"
	"firehose/schemas"
)

const name = "replicator"

// Topics are the shop's entity topics: what is replicated unless told otherwise.
func Topics() []string {
	var names []string
	for _, t := range schemas.Shop().Topics() {
		if t.Kind == schemas.Entity {
			names = append(names, t.Topic)
		}
	}
	return names
}

// Service returns the replicator of these topics; of Topics, when there are
// none.
func Service(topics ...string) firehose.Service {
	if len(topics) == 0 {
		topics = Topics()
	}
	s := firehose.Service{Name: name, Schemas: schemas.Shop()}
	for _, t := range topics {
		s.Projections = append(s.Projections, firehose.Replica(t))
	}
	return s
}

// Program returns the replicator's command line, which has the flag --topics.
func Program() firehose.Program {
	var chosen topics
	return firehose.Program{
		Name:    name,
		Summary: "tables of entity topics, kept up to date without code",
		Flags: func(f *flag.FlagSet) {
			chosen = topics{names: Topics()}
			f.Var(&chosen, "topics", "comma-separated entity `topics` to keep tables of")
		},
		Service: func() (firehose.Service, error) { return Service(chosen.names...), nil },
	}
}

// topics is a flag of several names, comma-separated or given one by one. The
// first time it is set replaces the default.
type topics struct {
	names []string
	set   bool
}

func (t *topics) String() string { return strings.Join(t.names, ",") }

func (t *topics) Set(s string) error {
	if !t.set {
		t.names, t.set = nil, true
	}
	for topic := range strings.SplitSeq(s, ",") {
		topic = strings.TrimSpace(topic)
		switch {
		case topic == "":
			return errors.New("empty topic in the list")
		case slices.Contains(t.names, topic):
			return fmt.Errorf("topic %s is there twice", topic)
		}
		t.names = append(t.names, topic)
	}
	return nil
}
