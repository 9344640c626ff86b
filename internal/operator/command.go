// Package operator is the operator's command line: topics and schemas applied
// from their declarations, events and dead letters shown as people read them,
// and how far each service is.
//
//	func main() { os.Exit(service.Main(ctx, operator.Command(operator.Process()))) }
//
// Commands print for people by default, aligned; with -J one JSON object a line.
// Only records themselves (tail, decode) and dead letters (dlq show) show what
// events hold; everything else keeps to names, numbers and reasons.
package operator

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"firehose/internal/codec"
	"firehose/internal/kafka"
	"firehose/internal/service"
	"firehose/schemas"
)

// Streams is where commands read and write.
type Streams struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
}

// Process returns the streams of the process.
func Process() Streams { return Streams{os.Stdin, os.Stdout, os.Stderr} }

// Command returns the program firehose; more are its further commands, which
// come first in its help.
func Command(s Streams, more ...*service.Command) *service.Command {
	return &service.Command{
		Name:    "firehose",
		Summary: "operate event topics, schemas and the services that read them",
		Example: "firehose topics apply\nfirehose schemas register\nfirehose tail shop.orders\nfirehose lag",
		Commands: append(more,
			topicsCommand(s), schemasCommand(s), tailCommand(s), decodeCommand(s), lagCommand(s), dlqCommand(s)),
	}
}

// answerTime bounds the wait for the first answer of a cluster: a command that
// somebody waits for should say soon that nobody is there.
const answerTime = 5 * time.Second

// brokers are the flags of a cluster.
type brokers struct{ service.Cluster }

func (b *brokers) config() kafka.Config { return b.Config("firehose-operator", nil) }

// open returns a client that has reached a broker.
func (b *brokers) open(ctx context.Context) (*kafka.Client, error) {
	client, err := kafka.NewClient(b.config())
	if err != nil {
		return nil, &service.UsageError{Err: err} // nothing was asked yet
	}
	first, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if err := client.Ping(first); err != nil {
		client.Close()
		return nil, fmt.Errorf("brokers %s: %w", strings.Join(b.Brokers, ","), kafka.Explain(err))
	}
	return client, nil
}

// registry are the flags of a schema registry.
type registry struct{ service.Registry }

func (r *registry) open() (*codec.Registry, error) {
	reg, err := codec.NewRegistry(r.Config())
	if err != nil {
		return nil, &service.UsageError{Err: err}
	}
	return reg, nil
}

// schemaDir is the flag --schemas.
type schemaDir string

func (d *schemaDir) register(f *service.Flags) {
	f.StringVar((*string)(d), "schemas", "", "`directory` of .avsc files, TOPIC.vN.avsc; default is the shop's, built in")
}

// load reads the schemas, which checks each version against all others.
func (d schemaDir) load() (*schemas.Set, error) {
	if d == "" {
		return schemas.Shop(), nil
	}
	info, err := os.Stat(string(d))
	switch {
	case err != nil:
		return nil, service.Usagef("--schemas: %w", err)
	case !info.IsDir():
		return nil, service.Usagef("--schemas: %s: want a directory", string(d))
	}
	set, err := schemas.Load(os.DirFS(string(d)))
	if err != nil {
		return nil, fmt.Errorf("--schemas %s: %w", string(d), err)
	}
	if len(set.Topics()) == 0 {
		return nil, fmt.Errorf("--schemas %s: no .avsc file in it", string(d))
	}
	return set, nil
}

func registerJSON(f *service.Flags, p *bool) {
	f.BoolVar(p, "json", false, "print JSON, one object a line")
	f.Short("J", "json")
}
