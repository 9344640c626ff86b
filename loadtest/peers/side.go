package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/pprof"

	"github.com/twmb/franz-go/pkg/kadm"

	"firehose/internal/codec"
	"firehose/internal/kafka"
	"firehose/internal/service"
)

// side is one contender's process: this program, called anew, so that its memory
// and processor time are its own.
type side struct {
	brokers         []string
	registry, topic string
	store, group    string
	compression     string
	events          int
	instances       int
	senders         int
	url, file       string // of an HTTP door, and what is posted to it
}

// report is what a side that knows its own time prints.
type report struct {
	Events  int     `json:"events"`
	Seconds float64 `json:"seconds"`

	Figures map[string]float64 `json:"figures,omitempty"`
}

func (s *side) say(r report) error { return json.NewEncoder(os.Stdout).Encode(r) }

var sides = map[string]func(context.Context, *side) error{
	"publish-ours":    publishOurs,
	"publish-raw":     publishRaw,
	"replicate-ours":  replicateOurs,
	"count-ours":      countOurs,
	"several-ours":    severalOurs,
	"read-raw":        readRaw,
	"post":            post,
	"bare-postgres-1": func(ctx context.Context, s *side) error { return runBare(ctx, s, 1, openBarePostgres(s)) },
	"bare-postgres":   func(ctx context.Context, s *side) error { return runBare(ctx, s, 2, openBarePostgres(s)) },
	"bare-sqlite":     func(ctx context.Context, s *side) error { return runBare(ctx, s, 1, openBareSQLite(s)) },
}

func sideCommand() *service.Command {
	s := &side{}
	var profile string
	return &service.Command{
		Name:      "side",
		Summary:   "be one contender; run calls this",
		Arguments: "NAME",
		Register: func(f *service.Flags) {
			f.List(&s.brokers, "brokers", nil, "`addresses` of brokers")
			f.StringVar(&s.registry, "registry", "", "`URL` of the registry")
			f.StringVar(&s.topic, "topic", "", "`topic` to read")
			f.StringVar(&s.store, "store", "", "`database` to write")
			f.StringVar(&s.group, "group", "", "consumer `group`")
			f.StringVar(&s.compression, "compression", "none", "`name` of the compression")
			f.IntVar(&s.instances, "instances", 1, "`processes` of the service")
			f.IntVar(&s.senders, "senders", 1, "`number` of goroutines that send")
			f.StringVar(&s.url, "url", "", "`URL` to post to")
			f.StringVar(&s.file, "file", "", "`file` of lines to post")
			f.IntVar(&s.events, "events", 0, "`number` of events")
			f.StringVar(&profile, "cpu-profile", "", "`file` to write a profile of the processor time to")
		},
		Run: func(ctx context.Context, args []string) error {
			if len(args) != 1 || sides[args[0]] == nil {
				return fmt.Errorf("side %q: there is none", args)
			}
			if profile == "" {
				return sides[args[0]](ctx, s)
			}
			file, err := os.Create(profile)
			if err != nil {
				return err
			}
			if err := pprof.StartCPUProfile(file); err != nil {
				return err
			}
			err = sides[args[0]](ctx, s)
			pprof.StopCPUProfile()
			return errors.Join(err, file.Close())
		},
	}
}

// ends are the log's ends by partition.
func (s *side) ends(ctx context.Context) (map[int32]int64, error) {
	client, err := kafka.NewClient(kafka.Config{Brokers: s.brokers})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	listed, err := kadm.NewClient(client).ListEndOffsets(ctx, s.topic)
	if err != nil {
		return nil, err
	}
	ends := map[int32]int64{}
	for p, o := range listed[s.topic] {
		if o.Err != nil {
			return nil, o.Err
		}
		ends[p] = o.Offset
	}
	return ends, nil
}

// encoding is of a topic whose schema is registered.
func (s *side) encoding(ctx context.Context, topic string) (encoding, error) {
	set, err := contracts()
	if err != nil {
		return encoding{}, err
	}
	reg, err := codec.NewRegistry(codec.RegistryConfig{URLs: []string{s.registry}})
	if err != nil {
		return encoding{}, err
	}
	defer reg.Close()
	t, _ := set.Topic(topic)
	id, err := reg.Lookup(ctx, t.Latest())
	if err != nil {
		return encoding{}, err
	}
	return encoding{codec.NewEncoder(t.Latest(), id), reg.Address(id)}, nil
}
