package codec

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"
)

// Registered is one version of a subject as a registry has it.
type Registered struct {
	Version int
	ID      int
	Text    string
	Schema  *avro.Schema // nil when Err is set
	Err     error        // an ErrIncompatible: not an Avro schema that we can read
}

// Versions returns what the registry has in a subject, oldest first. An
// ErrUnknownSchema when it has no such subject.
func (r *Registry) Versions(ctx context.Context, subject string) ([]Registered, error) {
	all, err := fly(ctx, r, "versions "+subject, func(ctx context.Context) ([]Registered, error) {
		return r.inspect(ctx, subject)
	})
	if err != nil {
		return nil, fmt.Errorf("versions of subject %s: %w", subject, err)
	}
	return all, nil
}

func (r *Registry) inspect(ctx context.Context, subject string) ([]Registered, error) {
	var numbers []int
	err := r.ask(ctx, func(ctx context.Context, cl *sr.Client) (err error) {
		numbers, err = cl.SubjectVersions(ctx, subject)
		return err
	})
	if err != nil {
		return nil, err
	}
	all := make([]Registered, 0, len(numbers))
	for _, n := range numbers {
		var s sr.SubjectSchema
		err := r.ask(ctx, func(ctx context.Context, cl *sr.Client) (err error) {
			s, err = cl.SchemaByVersion(ctx, subject, n)
			return err
		})
		if errors.Is(err, ErrUnknownSchema) {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, err
		}
		v := Registered{Version: n, ID: s.ID, Text: s.Schema.Schema}
		if v.Schema, v.Err = r.parse(ctx, s.Schema); v.Err != nil && !errors.Is(v.Err, ErrIncompatible) {
			return nil, v.Err
		}
		all = append(all, v)
	}
	return all, nil
}

// Same reports whether two schemas are the same to us, however a registry
// spells them: by canonical form and attributes, not by text.
func Same(a, b *avro.Schema) (bool, error) {
	x, err := identity(a)
	if err != nil {
		return false, err
	}
	y, err := identity(b)
	return x == y, err
}
