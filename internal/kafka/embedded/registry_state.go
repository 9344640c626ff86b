package embedded

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
)

// change is one line of the registry's journal, and all that ever changes the
// registry: its state is the fold of its journal. Registrations hold the ID that
// was answered, so that a registry which would now give another one refuses to
// start instead.
type change struct {
	Op        string     `json:"op"`
	Subject   string     `json:"subject,omitempty"`
	Version   int        `json:"version,omitempty"`
	ID        int        `json:"id,omitempty"`
	Schema    *sr.Schema `json:"schema,omitempty"`
	Permanent bool       `json:"permanent,omitempty"`
	Value     string     `json:"value,omitempty"` // compatibility level or mode; "" removes it
}

// What changes.
const (
	opRegister      = "register"
	opDelete        = "delete" // of one version, or of the subject when Version is 0
	opCompatibility = "compatibility"
	opMode          = "mode"
)

const journalName = "registry.journal"

// registryState is srfake and the journal that makes it last. Reads hold mu for
// reading, so that nobody sees a change before it is on disk.
type registryState struct {
	mu      sync.RWMutex
	fake    *srfake.Registry
	changes []change
	file    *os.File // nil when in memory
	size    int64    // of the file, all of it whole lines
}

func newFake() *srfake.Registry {
	return srfake.NewRegistry(srfake.WithGlobalCompat(sr.CompatFullTransitive))
}

// openRegistryState reads the journal in dir. Half a line at its end was never
// answered: it is cut off.
func openRegistryState(dir string) (*registryState, error) {
	s := &registryState{fake: newFake()}
	if dir == "" {
		return s, nil
	}
	path := filepath.Join(dir, journalName)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	s.file = file
	if err := s.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), file.Close())
	}
	if err := syncDir(dir); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return s, nil
}

func (s *registryState) load() error {
	text, err := io.ReadAll(s.file)
	if err != nil {
		return err
	}
	whole := bytes.LastIndexByte(text, '\n') + 1
	s.size = int64(whole)
	if whole < len(text) {
		if err := s.cut(); err != nil {
			return err
		}
	}
	line := 0
	for text := range bytes.Lines(text[:whole]) {
		line++
		var c change
		if err := json.Unmarshal(text, &c); err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
		if err := s.apply(&c); err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
		s.changes = append(s.changes, c)
	}
	return nil
}

// cut removes what lies behind the last whole line.
func (s *registryState) cut() error {
	if err := s.file.Truncate(s.size); err != nil {
		return err
	}
	return s.file.Sync()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (s *registryState) close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

// commit applies a change and writes it down; mu is held. A registration gets
// its ID and version. When it cannot be written, it has not happened.
func (s *registryState) commit(c *change) error {
	err := s.apply(c)
	if err == nil {
		err = s.write(c)
	}
	if err != nil {
		return errors.Join(err, s.rebuild())
	}
	s.changes = append(s.changes, *c)
	return nil
}

func (s *registryState) write(c *change) error {
	if s.file == nil {
		return nil
	}
	line, err := json.Marshal(c)
	if err != nil {
		return err
	}
	line = append(line, '\n')
	if _, err := s.file.WriteAt(line, s.size); err != nil {
		return errors.Join(fmt.Errorf("write registry journal: %w", err), s.cut())
	}
	if err := s.file.Sync(); err != nil {
		return errors.Join(fmt.Errorf("sync registry journal: %w", err), s.cut())
	}
	s.size += int64(len(line))
	return nil
}

// rebuild takes back what was applied, in part or unwritten.
func (s *registryState) rebuild() error {
	s.fake = newFake()
	for i := range s.changes {
		if err := s.apply(&s.changes[i]); err != nil {
			return fmt.Errorf("rebuild registry: %w", err)
		}
	}
	return nil
}

// apply makes the change in srfake.
func (s *registryState) apply(c *change) error {
	subject := url.PathEscape(c.Subject)
	switch c.Op {
	case opRegister:
		if c.Schema == nil {
			return errors.New("register without a schema")
		}
		id, version, err := s.fake.RegisterSchema(c.Subject, *c.Schema)
		if err != nil {
			return err
		}
		if c.ID != 0 && (c.ID != id || c.Version != version) {
			return fmt.Errorf("subject %s: schema was version %d with id %d, would now be version %d with id %d",
				c.Subject, c.Version, c.ID, version, id)
		}
		c.ID, c.Version = id, version
		return nil
	case opDelete:
		permanent := ""
		if c.Permanent {
			permanent = "?permanent=true"
		}
		switch {
		case c.Version != 0:
			return s.do(http.MethodDelete, "/subjects/"+subject+"/versions/"+strconv.Itoa(c.Version)+permanent, nil)
		case c.Permanent:
			return s.do(http.MethodDelete, "/subjects/"+subject+permanent, nil)
		}
		// srfake's deleted subjects cannot be registered again, so its
		// versions are deleted one by one.
		for _, v := range s.versions(c.Subject, active) {
			if err := s.do(http.MethodDelete, "/subjects/"+subject+"/versions/"+strconv.Itoa(v), nil); err != nil {
				return err
			}
		}
		return nil
	case opCompatibility, opMode:
		path, field := "/config", "compatibility"
		if c.Op == opMode {
			path, field = "/mode", "mode"
		}
		if c.Subject != "" {
			path += "/" + subject
		}
		if c.Value == "" {
			return s.do(http.MethodDelete, path, nil)
		}
		return s.do(http.MethodPut, path, map[string]string{field: c.Value})
	default:
		return fmt.Errorf("unknown change %q", c.Op)
	}
}

// which versions of a subject.
type which string

const (
	active  which = ""
	deleted which = "?deletedOnly=true"
	all     which = "?deleted=true"
)

// versions returns the numbers of a subject's versions, in order.
func (s *registryState) versions(subject string, w which) []int {
	var numbers []int
	status, body := s.ask(http.MethodGet, "/subjects/"+url.PathEscape(subject)+"/versions"+string(w), nil)
	if status != http.StatusOK || json.Unmarshal(body, &numbers) != nil {
		return nil
	}
	return numbers
}

// do makes a change through srfake's own handlers.
func (s *registryState) do(method, target string, body any) error {
	status, answer := s.ask(method, target, body)
	if status >= 300 {
		return fmt.Errorf("%s %s: %s", method, target, bytes.TrimSpace(answer))
	}
	return nil
}

// ask sends a request to srfake without a network in between.
func (s *registryState) ask(method, target string, body any) (status int, answer []byte) {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return http.StatusInternalServerError, []byte(err.Error())
		}
	}
	req, err := http.NewRequest(method, target, bytes.NewReader(text))
	if err != nil {
		return http.StatusInternalServerError, []byte(err.Error())
	}
	var rec recorder
	s.fake.Handler().ServeHTTP(&rec, req)
	return rec.status, rec.body.Bytes()
}

// recorder is the answer of a handler that is asked directly.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (r *recorder) Header() http.Header {
	if r.header == nil {
		r.header = http.Header{}
	}
	return r.header
}

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(p)
}
