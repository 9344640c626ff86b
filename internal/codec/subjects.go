package codec

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"

	"firehose/schemas"
)

// registered is one version of a subject.
type registered struct {
	id       int
	identity string // empty when it is not a schema that we can read
}

// Lookup returns the ID under which the registry has s in its topic's subject.
// An ErrUnknownSchema when it has not.
func (r *Registry) Lookup(ctx context.Context, s *schemas.Schema) (int, error) {
	want, err := identity(s.Avro)
	if err != nil {
		return 0, err
	}
	subject := s.Topic + "-value"
	id, err := fly(ctx, r, "lookup "+subject+"\x00"+want, func(ctx context.Context) (int, error) {
		return r.find(ctx, subject, s.Text, want)
	})
	if err != nil {
		return 0, fmt.Errorf("look up version %d in subject %s: %w", s.N, subject, err)
	}
	r.schemas.put(schemaKey{id: id}, writer{schema: s.Avro})
	return id, nil
}

// find asks for the schema by its text, which is one request where the registry
// keeps texts, and else compares every version of the subject.
func (r *Registry) find(ctx context.Context, subject, text, want string) (int, error) {
	var hit sr.SubjectSchema
	err := r.ask(ctx, func(ctx context.Context, cl *sr.Client) (err error) {
		hit, err = cl.LookupSchema(ctx, subject, sr.Schema{Schema: text})
		return err
	})
	// Registries that compare loosely answer with another version here.
	if err == nil && hit.ID > 0 {
		if parsed, err := avro.Parse(hit.Schema.Schema); err == nil {
			if got, err := identity(parsed); err == nil && got == want {
				return hit.ID, nil
			}
		}
	}
	if errors.Is(err, ErrUnavailable) {
		return 0, err
	}
	versions, err := r.versions(ctx, subject)
	if err != nil {
		return 0, err
	}
	for i := len(versions) - 1; i >= 0; i-- {
		if versions[i].identity == want {
			return versions[i].id, nil
		}
	}
	return 0, ErrUnknownSchema
}

// versions returns the subject's versions, oldest first.
func (r *Registry) versions(ctx context.Context, subject string) ([]registered, error) {
	found, err := r.inspect(ctx, subject)
	if err != nil {
		return nil, err
	}
	all := make([]registered, len(found))
	for i, v := range found {
		all[i].id = v.ID
		if v.Err == nil {
			if all[i].identity, err = identity(v.Schema); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// Register makes every version of the topic's schema known to the registry,
// oldest first, after making FULL_TRANSITIVE the subject's compatibility, and
// returns their IDs. What is known already stays as it is. An ErrIncompatible
// says why the registry refuses a version.
func (r *Registry) Register(ctx context.Context, t *schemas.Topic) ([]int, error) {
	ids, err := fly(ctx, r, "register "+t.Subject(), func(ctx context.Context) ([]int, error) {
		return r.register(ctx, t)
	})
	if err != nil {
		return nil, fmt.Errorf("register subject %s: %w", t.Subject(), err)
	}
	return ids, nil
}

func (r *Registry) register(ctx context.Context, t *schemas.Topic) ([]int, error) {
	subject := t.Subject()
	if err := r.ensureCompatibility(ctx, subject); err != nil {
		return nil, fmt.Errorf("compatibility: %w", err)
	}
	known, err := r.versions(ctx, subject)
	if err != nil && !errors.Is(err, ErrUnknownSchema) {
		return nil, err
	}
	ids := make([]int, 0, len(t.Versions))
	for _, s := range t.Versions {
		id, err := r.registerVersion(ctx, subject, s, known)
		if err != nil {
			return nil, fmt.Errorf("version %d: %w", s.N, err)
		}
		r.schemas.put(schemaKey{id: id}, writer{schema: s.Avro})
		r.unknown.drop(schemaKey{id: id})
		ids = append(ids, id)
	}
	return ids, nil
}

func (r *Registry) registerVersion(ctx context.Context, subject string, s *schemas.Schema, known []registered) (int, error) {
	want, err := identity(s.Avro)
	if err != nil {
		return 0, err
	}
	for i := len(known) - 1; i >= 0; i-- {
		if known[i].identity == want {
			return known[i].id, nil
		}
	}
	var id int
	err = r.ask(ctx, func(ctx context.Context, cl *sr.Client) (err error) {
		id, err = cl.RegisterSchema(ctx, subject, sr.Schema{Schema: s.Text}, -1, -1)
		return err
	})
	if err != nil {
		return 0, err
	}
	if id <= 0 {
		return 0, fmt.Errorf("%w: it gave no ID", ErrUnavailable)
	}
	return id, r.confirm(ctx, id, want)
}

// confirm asks what an ID that was just given stands for. Some registries answer
// with the ID of a schema that they hold to be the same; what we would write
// under it would be read as something else.
func (r *Registry) confirm(ctx context.Context, id int, want string) error {
	var found sr.Schema
	err := r.ask(ctx, func(ctx context.Context, cl *sr.Client) (err error) {
		found, err = cl.SchemaByID(ctx, id)
		return err
	})
	if err != nil {
		return err
	}
	parsed, err := r.parse(ctx, found)
	if err != nil {
		return err
	}
	got, err := identity(parsed)
	if err == nil && got != want {
		err = fmt.Errorf("%w: the registry answered with ID %d, which it has given to another schema", ErrIncompatible, id)
	}
	return err
}

func (r *Registry) ensureCompatibility(ctx context.Context, subject string) error {
	return r.ask(ctx, func(ctx context.Context, cl *sr.Client) error {
		now := cl.Compatibility(ctx, subject)[0]
		if now.Err == nil && now.Level == sr.CompatFullTransitive {
			return nil
		}
		return cl.SetCompatibility(ctx, sr.SetCompatibility{Level: sr.CompatFullTransitive}, subject)[0].Err
	})
}

// Subjects returns the names of all subjects.
func (r *Registry) Subjects(ctx context.Context) ([]string, error) {
	names, err := fly(ctx, r, "subjects", func(ctx context.Context) (names []string, err error) {
		err = r.ask(ctx, func(ctx context.Context, cl *sr.Client) (err error) {
			names, err = cl.Subjects(ctx)
			return err
		})
		return names, err
	})
	if err != nil {
		return nil, fmt.Errorf("list subjects: %w", err)
	}
	return names, nil
}

// Latest returns the latest version of a subject with its contract, and its ID:
// what a service needs that follows a topic it has no schema of.
func (r *Registry) Latest(ctx context.Context, subject string) (*schemas.Schema, int, error) {
	found, err := fly(ctx, r, "latest "+subject, func(ctx context.Context) (found sr.SubjectSchema, err error) {
		err = r.ask(ctx, func(ctx context.Context, cl *sr.Client) (err error) {
			found, err = cl.SchemaByVersion(ctx, subject, -1)
			return err
		})
		return found, err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("latest version of subject %s: %w", subject, err)
	}
	s, err := schemas.Parse(found.Schema.Schema, max(found.Version, 1))
	if err != nil {
		return nil, 0, fmt.Errorf("latest version of subject %s: %w: %s", subject, ErrIncompatible, clip(err.Error(), maxReason))
	}
	r.schemas.put(schemaKey{id: found.ID}, writer{schema: s.Avro})
	return s, found.ID, nil
}
