package testbed

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firehose/internal/kafka"
)

// securedKafkaPort is the secured broker's, beside those of the local cluster.
const securedKafkaPort = 29192

// Secured is a real Kafka with TLS, SCRAM-SHA-512 and an authorizer: one broker,
// new for each test, which may do with its users and permissions what it wants.
type Secured struct {
	*Cluster
	dir string
}

// KafkaSecured starts deploy/kafka/local with SECURE=1. Its users may do what the
// manifests of the programs in folder bin ask for. Client and Admin are the
// cluster's administrator.
func KafkaSecured(t testing.TB, bin string) *Secured {
	t.Helper()
	script, dir, err := localPart("kafka")
	if errors.Is(err, errMissing) {
		Skip(t, "kafka", reason(err))
	}
	if err != nil {
		t.Fatal(err)
	}
	dir += "-secured"
	lock(t, dir, exclusive)
	if err := removeAllBut(dir, "libs-"); err != nil {
		t.Fatal(err)
	}
	l := &localCluster{script: script, size: 1, env: []string{"KAFKA_DIR=" + dir, "BROKERS=1", "SECURE=1",
		"KAFKA_PORT=" + strconv.Itoa(securedKafkaPort), "FIREHOSE_BIN=" + bin}}
	if l.guard, err = startLocal(script, dir, l.env); errors.Is(err, errMissing) {
		Skip(t, "kafka", reason(err))
	}
	if err != nil {
		t.Fatalf("secured Kafka: %v", err)
	}
	t.Cleanup(l.guard.end)
	found := &provided{machinery: l, brokers: []string{net.JoinHostPort("127.0.0.1", strconv.Itoa(securedKafkaPort))}}
	s := &Secured{dir: dir}
	s.Cluster = &Cluster{t: t, found: found, size: 1}
	cfg := s.Config()
	cfg.TLS = kafka.TLS{CAFile: s.File("ca.pem")}
	cfg.SASL = kafka.SASL{Mechanism: "SCRAM-SHA-512", User: "admin", PasswordFile: s.File("passwords/admin")}
	if s.client, err = kafka.NewClient(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.client.Close)
	s.admin = kadm.NewClient(s.client)
	return s
}

// In is the same cluster for a subtest, which fails in its place.
func (s *Secured) In(t testing.TB) *Secured {
	of := *s.Cluster
	of.t = t
	return &Secured{&of, s.dir}
}

// removeAllBut empties a folder of what does not begin with keep.
func removeAllBut(dir, keep string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), keep) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

// File is the path of a file that the cluster comes with: ca.pem,
// clients/USER.yaml, passwords/USER.
func (s *Secured) File(name string) string { return filepath.Join(s.dir, filepath.FromSlash(name)) }

// SetPassword gives a user another password, at the brokers alone.
func (s *Secured) SetPassword(user, password string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	done, err := s.admin.AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{{User: user, Mechanism: kadm.ScramSha512, Iterations: 4096, Password: password}})
	if err == nil {
		err = done.Error()
	}
	if err != nil {
		s.t.Fatalf("password of %s: %v", user, err)
	}
}

// Permission is what a user may do with a topic or a group.
type Permission struct {
	User, Resource, Name, Operation string
}

func (p Permission) String() string { return p.Operation + " on " + p.Resource + " " + p.Name }

func (p Permission) acl() (*kadm.ACLBuilder, error) {
	operation, err := kmsg.ParseACLOperation(p.Operation)
	if err != nil {
		return nil, err
	}
	b := kadm.NewACLs().Allow("User:" + p.User).AllowHosts("*").Operations(operation).ResourcePatternType(kadm.ACLPatternLiteral)
	if p.Resource == "group" {
		return b.Groups(p.Name), nil
	}
	return b.Topics(p.Name), nil
}

// Permit allows what the brokers did not.
func (s *Secured) Permit(p Permission) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.t.Context()), patience)
	defer cancel()
	b, err := p.acl()
	if err != nil {
		s.t.Fatal(err)
	}
	made, err := s.admin.CreateACLs(ctx, b)
	if err == nil && (len(made) != 1 || made[0].Err != nil) {
		err = errors.New("not one was made")
	}
	if err != nil {
		s.t.Fatalf("permit %s: %v", p, err)
	}
}

// Forbid takes a permission back, which must be there.
func (s *Secured) Forbid(p Permission) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	b, err := p.acl()
	if err != nil {
		s.t.Fatal(err)
	}
	gone, err := s.admin.DeleteACLs(ctx, b)
	if err == nil && (len(gone) != 1 || gone[0].Err != nil || len(gone[0].Deleted) != 1) {
		err = errors.New("it was not there")
	}
	if err != nil {
		s.t.Fatalf("forbid %s: %v", p, err)
	}
}
