package shop

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"

	"firehose/internal/testbed"
)

// Python runs a script of the folder python, which has Confluent's client, and
// returns what it prints.
func (s *Shop) Python(script string, args ...string) string {
	s.t.Helper()
	var out bytes.Buffer
	s.python(&out, script, args...)
	return out.String()
}

func (s *Shop) python(out *bytes.Buffer, script string, args ...string) {
	s.t.Helper()
	path, err := testbed.Source("internal/testbed/shop/python/" + script)
	if err != nil {
		s.t.Fatal(err)
	}
	python := testbed.Python(s.t, filepath.Join(filepath.Dir(path), "requirements.txt"))
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, python, append([]string{path}, args...)...)
	var stderr strings.Builder
	cmd.Stdout, cmd.Stderr = out, &stderr
	if err := cmd.Run(); err != nil {
		s.t.Fatalf("%s: %v\n%s", script, err, stderr.String())
	}
}

// Read is a record as Confluent's client for Python reads it.
type Read struct {
	Partition int32
	Offset    int64
	Key       string
	Headers   map[string]string
	Value     json.RawMessage // timestamps are microseconds
}

// ReadWithPython reads all of a topic with Confluent's client and deserializer.
func (s *Shop) ReadWithPython(topic string, each func(Read)) {
	s.t.Helper()
	var out bytes.Buffer
	s.python(&out, "read.py", s.brokers(), s.cfg.Registry, topic)
	for decoder := json.NewDecoder(&out); decoder.More(); {
		var r Read
		if err := decoder.Decode(&r); err != nil {
			s.t.Fatalf("what read.py printed of %s: %v", topic, err)
		}
		each(r)
	}
}
