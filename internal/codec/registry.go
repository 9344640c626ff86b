package codec

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"
	"golang.org/x/sync/singleflight"
)

// RegistryConfig says how a schema registry is reached.
type RegistryConfig struct {
	// URLs are the registry's addresses, all of one registry; the next is asked
	// when one is away. Without a scheme http:// is meant. At least one.
	URLs []string
	// Access is how the client shows who it is; default: it does not.
	Access RegistryAccess
	// Timeout bounds each request; default 5 s.
	Timeout time.Duration
	// UnknownTTL is how long the answer "unknown" is believed; default 1 s. It
	// is well below the time for which a service asks again (--schema-patience),
	// so that a schema registered just after its first record is found, and
	// costs one request per unknown schema and second.
	UnknownTTL time.Duration
	// MaxAnswer bounds an answer's size in bytes; default 1 MiB.
	MaxAnswer int64
}

func (c *RegistryConfig) validate() error {
	if len(c.URLs) == 0 {
		return errors.New("registry URLs: want at least one")
	}
	urls := make([]string, len(c.URLs))
	for i, raw := range c.URLs {
		if !strings.Contains(raw, "://") {
			raw = "http://" + raw
		}
		u, err := url.Parse(raw)
		switch {
		case err != nil:
			return fmt.Errorf("registry URL %d: not a URL", i+1) // it may hold a password
		case u.User != nil:
			return fmt.Errorf("registry URL %d: holds credentials, which would end up in logs and headers", i+1)
		case u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.RawQuery != "", u.Fragment != "":
			return fmt.Errorf("registry URL %d: want http(s)://HOST[:PORT][/PATH] and no more", i+1) // a query may hold a key
		}
		urls[i] = strings.TrimRight(u.String(), "/")
	}
	c.URLs = urls
	if err := c.Access.validate(urls); err != nil {
		return err
	}
	if c.Timeout < 0 || c.UnknownTTL < 0 || c.MaxAnswer < 0 {
		return errors.New("registry timeout, unknown TTL and maximum answer: want 0 (the default) or more")
	}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	if c.UnknownTTL == 0 {
		c.UnknownTTL = time.Second
	}
	if c.MaxAnswer == 0 {
		c.MaxAnswer = 1 << 20
	}
	return nil
}

// Registry is a client of a schema registry that speaks Confluent's API. It
// remembers schemas, so that a registry that goes away stops nobody who only
// meets schemas that it has met. It is safe for concurrent use.
type Registry struct {
	cfg     RegistryConfig
	clients []endpoint
	http    *http.Client
	first   atomic.Int32 // index of the client that answered last

	schemas cache[schemaKey, writer]
	unknown cache[schemaKey, time.Time] // until when it is believed
	flights singleflight.Group

	// Requests that several callers wait for outlive each of them, so they
	// have a context of their own, which Close ends.
	stop    chan struct{}
	closing sync.Mutex // held while running grows or closed changes
	closed  bool
	running sync.WaitGroup
}

type endpoint struct {
	url    string
	client *sr.Client
}

// writer is a schema that the registry has: usable, or not and why.
type writer struct {
	schema *avro.Schema
	err    error
}

// NewRegistry returns a client. It connects when it is first asked something.
func NewRegistry(cfg RegistryConfig) (*Registry, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	var err error
	if transport.TLSClientConfig, err = cfg.Access.tls(); err != nil {
		return nil, err
	}
	if cfg.Access.CAFile != "" {
		transport.DialTLSContext = cfg.Access.dialTLS
	}
	r := &Registry{
		cfg: cfg,
		http: &http.Client{
			Transport:     &authorizedTransport{next: &boundedTransport{next: transport, max: cfg.MaxAnswer}, access: cfg.Access},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		stop: make(chan struct{}),
	}
	for _, u := range cfg.URLs {
		client, err := sr.NewClient(sr.URLs(u), sr.HTTPClient(r.http), sr.UserAgent("firehose"), sr.LogLevel(sr.LogLevelNone))
		if err != nil {
			return nil, fmt.Errorf("registry client: %w", err)
		}
		r.clients = append(r.clients, endpoint{url: u, client: client})
	}
	return r, nil
}

// Close ends what is under way and drops idle connections. What is remembered
// can still be read.
func (r *Registry) Close() {
	r.closing.Lock()
	if !r.closed {
		r.closed = true
		close(r.stop)
	}
	r.closing.Unlock()
	r.running.Wait()
	r.http.CloseIdleConnections()
}

// Address returns where the registry shows the schema of that ID, for
// ce_dataschema.
func (r *Registry) Address(id int) string {
	return r.clients[0].url + "/schemas/ids/" + strconv.Itoa(id)
}

// Writer returns the schema that the frame's value was written with.
func (r *Registry) Writer(ctx context.Context, f Frame) (*avro.Schema, error) {
	k := f.key()
	if w, ok := r.schemas.get(k); ok {
		return w.schema, w.err
	}
	if until, ok := r.unknown.get(k); ok {
		if time.Now().Before(until) {
			return nil, fmt.Errorf("%w: %s", ErrUnknownSchema, k)
		}
		r.unknown.drop(k)
	}
	w, err := fly(ctx, r, "writer "+k.String(), func(ctx context.Context) (writer, error) {
		return r.fetch(ctx, k)
	})
	if err != nil {
		return nil, err
	}
	return w.schema, w.err
}

// fetch asks the registry for a schema and remembers the answer.
func (r *Registry) fetch(ctx context.Context, k schemaKey) (writer, error) {
	var found sr.Schema
	err := r.ask(ctx, func(ctx context.Context, cl *sr.Client) (err error) {
		if k.byGUID {
			var s sr.SubjectSchema
			s, err = cl.SchemaByGUID(ctx, k.guidText())
			found = s.Schema
		} else {
			found, err = cl.SchemaByID(ctx, k.id)
		}
		return err
	})
	var schema *avro.Schema
	if err == nil {
		if schema, err = r.parse(ctx, found); errors.Is(err, ErrIncompatible) {
			// What the registry has will not become another schema.
			w := writer{err: fmt.Errorf("%w: %s", err, k)}
			r.schemas.put(k, w)
			return w, nil
		}
	}
	if err != nil {
		if errors.Is(err, ErrUnknownSchema) { // it, or one that it refers to
			r.unknown.put(k, time.Now().Add(r.cfg.UnknownTTL))
		}
		return writer{}, fmt.Errorf("%w: %s", err, k)
	}
	w := writer{schema: schema}
	r.schemas.put(k, w)
	return w, nil
}

// maxReferences bounds the schemas that one schema may refer to, directly or
// not.
const maxReferences = 64

// parse reads a schema and what it refers to.
func (r *Registry) parse(ctx context.Context, s sr.Schema) (*avro.Schema, error) {
	var named avro.SchemaCache
	left := maxReferences
	return r.parseInto(ctx, &named, s, &left, map[string]bool{})
}

func (r *Registry) parseInto(ctx context.Context, named *avro.SchemaCache, s sr.Schema, left *int, done map[string]bool) (*avro.Schema, error) {
	if s.Type != sr.TypeAvro {
		return nil, fmt.Errorf("%w: it is %s, want AVRO", ErrIncompatible, s.Type)
	}
	for _, ref := range s.References {
		name := ref.Subject + "\x00" + strconv.Itoa(ref.Version)
		if done[name] {
			continue
		}
		done[name] = true
		if *left--; *left < 0 {
			return nil, fmt.Errorf("%w: more than %d references", ErrIncompatible, maxReferences)
		}
		var found sr.SubjectSchema
		err := r.ask(ctx, func(ctx context.Context, cl *sr.Client) (err error) {
			found, err = cl.SchemaByVersion(ctx, ref.Subject, ref.Version)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("reference %s: %w", clip(ref.Name, maxName), err)
		}
		if _, err := r.parseInto(ctx, named, found.Schema, left, done); err != nil {
			return nil, fmt.Errorf("reference %s: %w", clip(ref.Name, maxName), err)
		}
	}
	schema, err := named.Parse(s.Schema)
	if err != nil {
		return nil, fmt.Errorf("%w: not an Avro schema: %s", ErrIncompatible, clip(err.Error(), maxReason))
	}
	return schema, nil
}

// fly runs ask once for all callers that want the same thing, and lets each
// leave when its own context ends.
func fly[T any](ctx context.Context, r *Registry, key string, ask func(context.Context) (T, error)) (T, error) {
	var zero T
	if err := ctx.Err(); err != nil {
		return zero, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	done := r.flights.DoChan(key, func() (any, error) {
		r.closing.Lock()
		if r.closed {
			r.closing.Unlock()
			return zero, fmt.Errorf("%w: client is closed", ErrUnavailable)
		}
		r.running.Add(1)
		r.closing.Unlock()
		defer r.running.Done()

		ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		defer cancel()
		landed := make(chan struct{})
		defer close(landed)
		r.running.Go(func() {
			select {
			case <-r.stop:
				cancel()
			case <-landed:
			}
		})
		return ask(ctx)
	})
	select {
	case <-ctx.Done():
		return zero, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	case answer := <-done:
		v, _ := answer.Val.(T)
		return v, answer.Err
	}
}
