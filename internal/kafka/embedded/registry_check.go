package embedded

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"

	"firehose/schemas"
)

// refusal is an answer other than 200: Confluent's status, code and a message.
type refusal struct {
	status  int
	code    int
	message string
}

func (r *refusal) Error() string { return r.message }

func refuse(status, code int, format string, args ...any) error {
	return &refusal{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

func notFound(e *sr.Error, format string, args ...any) error {
	return refuse(http.StatusNotFound, e.Code, format, args...)
}

func unprocessable(e *sr.Error, format string, args ...any) error {
	return refuse(http.StatusUnprocessableEntity, e.Code, format, args...)
}

func errNoSubject(subject string) error {
	return notFound(sr.ErrSubjectNotFound, "Subject '%s' not found.", subject)
}

func checkSubject(subject string) error {
	if subject == "" || len(subject) > 255 || !utf8.ValidString(subject) || strings.ContainsFunc(subject, unicode.IsControl) {
		return unprocessable(sr.ErrInvalidSubject, "The specified subject is not a valid one: want 1 to 255 bytes without control characters")
	}
	return nil
}

// maxReferences bounds what one schema may refer to, directly or not.
const maxReferences = 64

// parse reads a schema and what it refers to. What is not Avro is refused.
func (s *registryState) parse(schema sr.Schema) (*avro.Schema, error) {
	var named avro.SchemaCache
	left := maxReferences
	return s.parseInto(&named, schema, &left, map[sr.SchemaReference]bool{})
}

func (s *registryState) parseInto(named *avro.SchemaCache, schema sr.Schema, left *int, done map[sr.SchemaReference]bool) (*avro.Schema, error) {
	if schema.Type != sr.TypeAvro {
		return nil, unprocessable(sr.ErrInvalidSchema, "Invalid schema type %s: this registry holds AVRO", schema.Type)
	}
	if strings.TrimSpace(schema.Schema) == "" {
		return nil, unprocessable(sr.ErrInvalidSchema, "Empty schema")
	}
	for _, ref := range schema.References {
		key := sr.SchemaReference{Subject: ref.Subject, Version: ref.Version}
		if done[key] {
			continue
		}
		done[key] = true
		if *left--; *left < 0 {
			return nil, unprocessable(sr.ErrInvalidSchema, "More than %d references", maxReferences)
		}
		found, ok := s.fake.GetSchema(ref.Subject, ref.Version)
		if !ok {
			return nil, unprocessable(sr.ErrInvalidSchema, "No schema reference found for subject %q and version %d", ref.Subject, ref.Version)
		}
		if _, err := s.parseInto(named, found.Schema, left, done); err != nil {
			return nil, err
		}
	}
	parsed, err := named.Parse(schema.Schema)
	if err != nil {
		return nil, unprocessable(sr.ErrInvalidSchema, "Invalid schema of type AVRO: %s", err)
	}
	return parsed, nil
}

// earlier is a version that a new schema is compared with.
type earlier struct {
	version int
	schema  *avro.Schema
}

// earlierVersions returns the subject's active versions, oldest first.
func (s *registryState) earlierVersions(subject string) ([]earlier, error) {
	var list []earlier
	for _, v := range s.versions(subject, active) {
		e, err := s.earlierVersion(subject, v)
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, nil
}

func (s *registryState) earlierVersion(subject string, version int) (earlier, error) {
	found, ok := s.fake.GetSchema(subject, version)
	if !ok {
		return earlier{}, notFound(sr.ErrVersionNotFound, "Version %d not found.", version)
	}
	parsed, err := s.parse(found.Schema)
	return earlier{version: version, schema: parsed}, err
}

// incompatibilities says why a schema does not go with the versions before it,
// oldest first; nothing when it does. The levels that are not transitive look at
// the last one only.
func incompatibilities(level sr.CompatibilityLevel, candidate *avro.Schema, before []earlier) []string {
	var backward, forward, transitive bool
	switch level {
	case sr.CompatBackward, sr.CompatBackwardTransitive:
		backward = true
	case sr.CompatForward, sr.CompatForwardTransitive:
		forward = true
	case sr.CompatFull, sr.CompatFullTransitive:
		backward, forward = true, true
	case sr.CompatNone:
	}
	switch level {
	case sr.CompatBackwardTransitive, sr.CompatForwardTransitive, sr.CompatFullTransitive:
		transitive = true
	case sr.CompatNone, sr.CompatBackward, sr.CompatForward, sr.CompatFull:
	}
	if !transitive && len(before) > 1 {
		before = before[len(before)-1:]
	}
	var reasons []string
	for _, e := range slices.Backward(before) {
		if backward {
			if err := schemas.Readable(e.schema, candidate); err != nil {
				reasons = append(reasons, fmt.Sprintf("the new schema cannot read version %d: %s", e.version, err))
			}
		}
		if forward {
			if err := schemas.Readable(candidate, e.schema); err != nil {
				reasons = append(reasons, fmt.Sprintf("version %d cannot read the new schema: %s", e.version, err))
			}
		}
	}
	return reasons
}

// versionNumber reads a version in a path: a number from 1, "latest" or -1.
// latest is 0.
func versionNumber(text string) (int, error) {
	if text == "latest" || text == "-1" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 1 {
		return 0, unprocessable(sr.ErrInvalidVersion,
			"The specified version '%s' is not a valid version id. Allowed values are between [1, 2^31-1] and the string \"latest\"", text)
	}
	return int(n), nil
}

// pickVersion finds the version that a path names.
func (s *registryState) pickVersion(subject, text string, w which) (int, error) {
	n, err := versionNumber(text)
	if err != nil {
		return 0, err
	}
	numbers := s.versions(subject, w)
	switch {
	case len(numbers) == 0:
		return 0, errNoSubject(subject)
	case n == 0:
		return numbers[len(numbers)-1], nil
	case !slices.Contains(numbers, n):
		return 0, notFound(sr.ErrVersionNotFound, "Version %d not found.", n)
	}
	return n, nil
}
