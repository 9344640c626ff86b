package embedded

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/sr"
)

const registryContentType = "application/vnd.schemaregistry.v1+json"

// handler serves what srfake answers as Confluent's registry does, and ours
// where it does not.
func (r *Registry) handler() http.Handler {
	s := r.state
	mux := http.NewServeMux()
	read := func(pattern string, h func(*http.Request) (any, error)) {
		mux.Handle(pattern, r.serve(s.mu.RLocker(), h))
	}
	write := func(pattern string, h func(*http.Request) (any, error)) {
		mux.Handle(pattern, r.serve(&s.mu, h))
	}
	read("/", func(*http.Request) (any, error) {
		return nil, refuse(http.StatusNotFound, http.StatusNotFound, "HTTP 404 Not Found")
	})
	read("GET /{$}", func(*http.Request) (any, error) { return struct{}{}, nil })

	read("GET /schemas/types", func(*http.Request) (any, error) { return []string{"AVRO"}, nil })
	read("GET /schemas", s.pass)
	read("GET /schemas/ids/{id}", s.byID)
	read("GET /schemas/ids/{id}/schema", s.textByID)
	read("GET /schemas/ids/{id}/versions", s.byID)
	read("GET /schemas/ids/{id}/subjects", s.byID)
	read("GET /schemas/guids/{guid}", s.pass)
	read("GET /schemas/guids/{guid}/ids", s.pass)
	read("GET /contexts", s.pass)

	read("GET /subjects", s.listSubjects)
	read("POST /subjects/{subject}", s.lookup)
	read("GET /subjects/{subject}/versions", s.listVersions)
	read("GET /subjects/{subject}/versions/{version}", s.version)
	read("GET /subjects/{subject}/versions/{version}/schema", s.versionText)
	read("GET /subjects/{subject}/versions/{version}/referencedby", s.version)
	write("POST /subjects/{subject}/versions", s.register)
	write("DELETE /subjects/{subject}", s.deleteSubject)
	write("DELETE /subjects/{subject}/versions/{version}", s.deleteVersion)

	read("POST /compatibility/subjects/{subject}/versions", s.compatible)
	read("POST /compatibility/subjects/{subject}/versions/{version}", s.compatible)

	read("GET /config", s.pass)
	write("PUT /config", s.setLevel)
	write("DELETE /config", s.resetLevel)
	read("GET /config/{subject}", s.level)
	write("PUT /config/{subject}", s.setLevel)
	write("DELETE /config/{subject}", s.resetLevel)
	read("GET /mode", s.pass)
	write("PUT /mode", s.setMode)
	write("DELETE /mode", s.resetMode)
	read("GET /mode/{subject}", s.mode)
	write("PUT /mode/{subject}", s.setMode)
	write("DELETE /mode/{subject}", s.resetMode)
	return mux
}

// locker is a lock or the reading side of one.
type locker interface {
	Lock()
	Unlock()
}

// verbatim is an answer that is JSON, or a schema's text, already.
type verbatim []byte

// serve reads a bounded request, calls h under the lock and writes what it
// answers. The request is read before the lock is taken: a slow client holds up
// nobody.
func (r *Registry) serve(lock locker, h func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		answer, err := func() (any, error) {
			body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxRequestBody))
			var tooLarge *http.MaxBytesError
			switch {
			case errors.As(err, &tooLarge):
				return nil, refuse(http.StatusRequestEntityTooLarge, http.StatusRequestEntityTooLarge, "Request is larger than %d bytes", maxRequestBody)
			case err != nil:
				return nil, refuse(http.StatusBadRequest, http.StatusBadRequest, "Request could not be read")
			}
			req.Body = io.NopCloser(bytes.NewReader(body))
			lock.Lock()
			defer lock.Unlock()
			return h(req)
		}()
		status := http.StatusOK
		if err != nil {
			var no *refusal
			if !errors.As(err, &no) {
				r.log.Error("embedded registry", "err", err)
				no = &refusal{status: http.StatusInternalServerError, code: sr.ErrStoreError.Code, message: "Error in the backend data store"}
			}
			status = no.status
			answer = map[string]any{"error_code": no.code, "message": no.message}
		}
		text, ok := answer.(verbatim)
		if !ok {
			if text, err = json.Marshal(answer); err != nil {
				status, text = http.StatusInternalServerError, nil
			}
		}
		w.Header().Set("Content-Type", registryContentType)
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		w.WriteHeader(status)
		_, _ = w.Write(text) // a client that has gone
	})
}

// pass lets srfake answer.
func (s *registryState) pass(req *http.Request) (any, error) {
	status, body := s.ask(req.Method, req.URL.RequestURI(), nil)
	body = bytes.TrimSpace(body)
	if status == http.StatusOK {
		if string(body) == "null" {
			body = []byte("[]") // lists that are empty
		}
		return verbatim(body), nil
	}
	var no struct {
		Code    int    `json:"error_code"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal(body, &no); err != nil {
		return nil, refuse(http.StatusNotFound, http.StatusNotFound, "HTTP 404 Not Found")
	}
	return nil, refuse(status, no.Code, "%s", no.Message)
}

func (s *registryState) byID(req *http.Request) (any, error) {
	if _, err := strconv.ParseInt(req.PathValue("id"), 10, 32); err != nil {
		return nil, refuse(http.StatusNotFound, http.StatusNotFound, "HTTP 404 Not Found")
	}
	return s.pass(req)
}

// textByID answers the schema's text as it is, where srfake quotes it.
func (s *registryState) textByID(req *http.Request) (any, error) {
	answer, err := s.byID(req)
	if err != nil {
		return nil, err
	}
	quoted, _ := answer.(verbatim)
	var text string
	if err := json.Unmarshal(quoted, &text); err != nil {
		return nil, fmt.Errorf("schema text: %w", err)
	}
	return verbatim(text), nil
}

// whichOf reads the parameters deleted and deletedOnly.
func whichOf(req *http.Request) which {
	q := req.URL.Query()
	switch {
	case q.Get("deletedOnly") == "true":
		return deleted
	case q.Get("deleted") == "true":
		return all
	}
	return active
}

// listSubjects leaves out what srfake lists only because it has a setting.
func (s *registryState) listSubjects(req *http.Request) (any, error) {
	answer, err := s.pass(req)
	if err != nil {
		return nil, err
	}
	var names []string
	text, _ := answer.(verbatim)
	if err := json.Unmarshal(text, &names); err != nil {
		return nil, fmt.Errorf("subjects: %w", err)
	}
	w := whichOf(req)
	if w == deleted { // srfake means subjects that it deleted; ours are never
		_, text := s.ask(http.MethodGet, "/subjects?subjectPrefix="+url.QueryEscape(req.URL.Query().Get("subjectPrefix")), nil)
		if err := json.Unmarshal(text, &names); err != nil {
			return nil, fmt.Errorf("subjects: %w", err)
		}
	}
	return slices.DeleteFunc(names, func(name string) bool {
		return len(s.versions(name, w)) == 0 || w == deleted && len(s.versions(name, active)) > 0
	}), nil
}

func (s *registryState) listVersions(req *http.Request) (any, error) {
	numbers := s.versions(req.PathValue("subject"), whichOf(req))
	if len(numbers) == 0 {
		return nil, errNoSubject(req.PathValue("subject"))
	}
	return numbers, nil
}

func (s *registryState) version(req *http.Request) (any, error) {
	w := whichOf(req)
	if w == deleted {
		w = all
	}
	n, err := s.pickVersion(req.PathValue("subject"), req.PathValue("version"), w)
	if err != nil {
		return nil, err
	}
	// "latest" and -1 are numbers from here on.
	inner := req.Clone(req.Context())
	tail := ""
	if i := strings.LastIndexByte(req.URL.Path, '/'); req.URL.Path[i+1:] != req.PathValue("version") {
		tail = req.URL.Path[i:]
	}
	inner.URL = &url.URL{
		Path:     "/subjects/" + req.PathValue("subject") + "/versions/" + strconv.Itoa(n) + tail,
		RawPath:  "/subjects/" + url.PathEscape(req.PathValue("subject")) + "/versions/" + strconv.Itoa(n) + tail,
		RawQuery: req.URL.RawQuery,
	}
	return s.pass(inner)
}

// versionText likewise; srfake answers an object.
func (s *registryState) versionText(req *http.Request) (any, error) {
	answer, err := s.version(req)
	if err != nil {
		return nil, err
	}
	object, _ := answer.(verbatim)
	var found sr.Schema
	if err := json.Unmarshal(object, &found); err != nil {
		return nil, fmt.Errorf("schema text: %w", err)
	}
	return verbatim(found.Schema), nil
}

// schemaRequest is the body of a registration, a lookup or a check.
type schemaRequest struct {
	sr.Schema
	ID      int `json:"id"`
	Version int `json:"version"`
}

func readSchema(req *http.Request) (sr.Schema, error) {
	var body schemaRequest
	if err := readJSON(req, &body); err != nil {
		return sr.Schema{}, unprocessable(sr.ErrInvalidSchema, "Invalid request: %s", err)
	}
	if body.ID > 0 || body.Version > 0 {
		return sr.Schema{}, unprocessable(sr.ErrOperationNotPermitted, "This registry gives ids and versions itself: it has no IMPORT mode")
	}
	return body.Schema, nil
}

func readJSON(req *http.Request, v any) error {
	dec := json.NewDecoder(req.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("text after the JSON value")
	}
	return nil
}

// lookup finds a schema in a subject.
func (s *registryState) lookup(req *http.Request) (any, error) {
	subject := req.PathValue("subject")
	schema, err := readSchema(req)
	if err != nil {
		return nil, err
	}
	if len(s.versions(subject, whichOf(req))) == 0 {
		return nil, errNoSubject(subject)
	}
	if _, err := s.parse(schema); err != nil {
		return nil, err
	}
	return s.find(subject, schema, whichOf(req))
}

func (s *registryState) find(subject string, schema sr.Schema, w which) (any, error) {
	status, body := s.ask(http.MethodPost, "/subjects/"+url.PathEscape(subject)+string(w), schema)
	if status != http.StatusOK {
		return nil, notFound(sr.ErrSchemaNotFound, "Schema not found")
	}
	return verbatim(bytes.TrimSpace(body)), nil
}

// register adds a schema to a subject, if it is Avro and compatible.
func (s *registryState) register(req *http.Request) (any, error) {
	subject := req.PathValue("subject")
	if err := checkSubject(subject); err != nil {
		return nil, err
	}
	schema, err := readSchema(req)
	if err != nil {
		return nil, err
	}
	candidate, err := s.parse(schema)
	if err != nil {
		return nil, err
	}
	if known, err := s.find(subject, schema, active); err == nil {
		var found sr.SubjectSchema
		text, _ := known.(verbatim)
		if err := json.Unmarshal(text, &found); err != nil {
			return nil, fmt.Errorf("lookup: %w", err)
		}
		return map[string]int{"id": found.ID}, nil
	}
	if mode := s.effectiveMode(subject); mode != sr.ModeReadWrite {
		return nil, unprocessable(sr.ErrOperationNotPermitted, "Subject %s is in %s mode", subject, mode)
	}
	level := s.effectiveLevel(subject)
	if level != sr.CompatNone {
		before, err := s.earlierVersions(subject)
		if err != nil {
			return nil, err
		}
		if reasons := incompatibilities(level, candidate, before); len(reasons) > 0 {
			return nil, refuse(http.StatusConflict, sr.ErrIncompatibleSchema.Code,
				"Schema being registered is incompatible with an earlier schema for subject %q, details: [%s; compatibility: %s]",
				subject, strings.Join(reasons, "; "), level)
		}
	}
	c := change{Op: opRegister, Subject: subject, Schema: &schema}
	if err := s.commit(&c); err != nil {
		return nil, err
	}
	return map[string]int{"id": c.ID}, nil
}

// compatible tells whether a schema could be registered, as far as the versions
// before it go.
func (s *registryState) compatible(req *http.Request) (any, error) {
	subject, text := req.PathValue("subject"), req.PathValue("version")
	schema, err := readSchema(req)
	if err != nil {
		return nil, err
	}
	candidate, err := s.parse(schema)
	if err != nil {
		return nil, err
	}
	var before []earlier
	if text == "" {
		before, err = s.earlierVersions(subject)
	} else {
		var n int
		var no *refusal
		switch n, err = s.pickVersion(subject, text, active); {
		case err == nil:
			var e earlier
			e, err = s.earlierVersion(subject, n)
			before = []earlier{e}
		case errors.As(err, &no) && no.code == sr.ErrSubjectNotFound.Code:
			// Nothing is there to be incompatible with.
			if latest, _ := versionNumber(text); latest == 0 {
				err = nil
			} else {
				err = notFound(sr.ErrVersionNotFound, "Version %s not found.", text)
			}
		}
	}
	if err != nil {
		return nil, err
	}
	reasons := incompatibilities(s.effectiveLevel(subject), candidate, before)
	answer := map[string]any{"is_compatible": len(reasons) == 0}
	if req.URL.Query().Get("verbose") == "true" {
		answer["messages"] = slices.Concat([]string{}, reasons)
	}
	return answer, nil
}
