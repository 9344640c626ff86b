// Package secured_test runs the real binaries on a cluster with TLS, passwords
// and permissions.
package secured_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firehose"
	"firehose/internal/testbed"
	"firehose/internal/testbed/shop"
)

func TestMain(m *testing.M) { os.Exit(shop.Main(m)) }

// secured is a shop on a secured cluster, where each program logs in as itself.
type secured struct {
	*shop.Shop
	t        *testing.T
	cluster  *testbed.Secured
	registry string
}

func start(t *testing.T) *secured {
	t.Helper()
	s := &secured{t: t, registry: testbed.Registry(t)} // without one no program need be built
	s.cluster = testbed.KafkaSecured(t, filepath.Dir(shop.Program(t, "producer")))
	s.Shop = shop.New(t, shop.Config{Cluster: s.cluster.Cluster, Registry: s.registry, As: s.as})
	return s
}

// in is the same shop for a subtest.
func (s *secured) in(t *testing.T) *secured {
	return &secured{Shop: s.In(t), t: t, cluster: s.cluster.In(t), registry: s.registry}
}

// as is the file with the settings of a program's user.
func (s *secured) as(program string) string {
	if program == "firehose" {
		program = "operator"
	}
	return s.cluster.File("clients/" + program + ".yaml")
}

// refused starts a service, or the producer, with its user's settings but for
// those in more, and returns why it gives up.
func (s *secured) refused(program string, more ...string) string {
	s.t.Helper()
	return s.Refused(program, s.start(program, more)...)
}

// misused is refused of what cannot be meant, whatever the cluster says.
func (s *secured) misused(program string, more ...string) string {
	s.t.Helper()
	return s.Misused(program, s.start(program, more)...)
}

// start is how a program is started as its user, on files of its own.
func (s *secured) start(program string, more []string) []string {
	args := append([]string{"--config", s.as(program), "--registry", s.registry}, more...)
	if program == "producer" {
		args = append([]string{"replay", "cdnow:10", "--checkpoint", filepath.Join(s.t.TempDir(), "c")}, args...)
	} else {
		args = append(args, "--store", "sqlite:"+filepath.Join(s.t.TempDir(), "s.db"), "--log-format", "json")
	}
	return args
}

// permissions are what a program's manifest asks for.
func (s *secured) permissions(program string) (all []testbed.Permission) {
	s.t.Helper()
	var m firehose.Manifest
	if err := json.Unmarshal([]byte(s.Run(nil, program, "manifest", "-J")), &m); err != nil {
		s.t.Fatal(err)
	}
	for _, a := range m.ACLs {
		for _, o := range a.Operations {
			all = append(all, testbed.Permission{User: program, Resource: a.Resource, Name: a.Name, Operation: o})
		}
	}
	return all
}

func programs() []string { return append([]string{"producer"}, shop.Services()...) }

// With what the manifests ask for everything works; with any one of it less the
// program says at its start what it lacks: nothing is asked for that is not
// needed.
func TestManifestIsExact(t *testing.T) {
	s := start(t)
	for _, program := range programs() {
		for _, p := range s.permissions(program) {
			t.Run(program+" without "+p.String(), func(t *testing.T) {
				s := s.in(t)
				s.cluster.Forbid(p)
				defer s.cluster.Permit(p)
				line := s.refused(program)
				if want := "access denied: the user lacks permissions: " + p.String(); !strings.HasPrefix(line, program) || !strings.HasSuffix(line, want) {
					t.Errorf("got %q, want %s: ... %s", line, program, want)
				}
			})
		}
	}
	for _, service := range shop.Services() {
		s.Start(service)
	}
	s.Replay("cdnow:500").WantDone()
	s.AwaitApplied()
	s.WantFigures("cdnow:500")
}
