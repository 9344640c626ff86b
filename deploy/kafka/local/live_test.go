package local_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"firehose/internal/testbed"
)

// live is a part that runs, of a tree of its own, until the test ends.
type live struct {
	place
	t      *testing.T
	script string
	env    []string
}

// startLive starts a part, or skips the test where it is not wanted or one of the
// programs that it needs is not there.
func startLive(t *testing.T, script string, need []string, env ...string) *live {
	t.Helper()
	if os.Getenv("FIREHOSE_INTEGRATION") == "" {
		testbed.Skip(t, script, "FIREHOSE_INTEGRATION is not set, so none is started here")
	}
	for _, name := range need {
		if _, err := exec.LookPath(name); err != nil {
			testbed.Skip(t, script, "there is no "+name)
		}
	}
	l := &live{place: newPlace(t), t: t, script: script}
	// PostgreSQL's user has to reach the folder.
	dir, err := os.MkdirTemp("/tmp", "firehose-"+script) //nolint:usetesting // a test's own folder is private
	if err != nil {
		t.Fatal(err)
	}
	part := strings.ToUpper(script)
	l.dir = filepath.Join(dir, "data")
	l.env = append([]string{part + "_DIR=" + l.dir, part + "_PORT=" + freePort(t)}, env...)
	if err := errors.Join(os.Chmod(dir, 0o755), os.Symlink(l.build(), filepath.Join(l.path, "..", "bin"))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if out, err := l.do(context.Background(), "stop"); err != nil {
			t.Errorf("stop: %v\n%s", err, out)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	l.must("start")
	return l
}

// build makes the binaries whose manifests a secured cluster is made from.
func (l *live) build() string {
	bin := l.t.TempDir()
	if l.script != "kafka" {
		return bin
	}
	for _, name := range []string{"producer", "replicator", "inventory", "billing"} {
		build := exec.CommandContext(l.t.Context(), "go", "build", "-trimpath", "-o", filepath.Join(bin, name), "firehose/cmd/"+name)
		build.Env = append(os.Environ(), "CGO_ENABLED=0") // as make build does it, which may have compiled it
		if out, err := build.CombinedOutput(); err != nil {
			l.t.Fatalf("building %s: %v\n%s", name, err, out)
		}
	}
	return bin
}

func (l *live) do(ctx context.Context, act string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(l.scripts, l.script), act)
	cmd.Env = append(os.Environ(), l.env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// must runs a command of the script and returns what it prints.
func (l *live) must(act string) string {
	l.t.Helper()
	out, err := l.do(l.t.Context(), act)
	if err != nil {
		l.t.Fatalf("%s %s: %v\n%s", l.script, act, err, out)
	}
	return out
}

// kill sends SIGKILL to the process of a pid file and makes sure that the script
// sees it.
func (l *live) kill(file string) {
	l.t.Helper()
	text, err := os.ReadFile(filepath.Join(l.dir, file))
	if err != nil {
		l.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.SplitN(string(text), "\n", 2)[0])
	if err != nil {
		l.t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		l.t.Fatal(err)
	}
	if out, err := l.do(l.t.Context(), "status"); err == nil {
		l.t.Errorf("status after the kill: %s", out)
	}
}

// A registry that is killed has what it has acknowledged, and gives no ID twice.
func TestRegistryIsKilled(t *testing.T) {
	l := startLive(t, "registry", []string{"mvn"})
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	_, url, _ := strings.Cut(l.must("start"), "runs already: ")
	url = strings.TrimSpace(url)
	register := func(subject, schema string) (id int) {
		t.Helper()
		body, err := json.Marshal(map[string]string{"schema": schema})
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.Post(url+"/subjects/"+subject+"/versions", "application/json", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		var got struct{ ID int }
		if err := json.NewDecoder(answer.Body).Decode(&got); err != nil || answer.StatusCode != http.StatusOK || got.ID == 0 {
			t.Fatalf("%s: %s, %v", subject, answer.Status, err)
		}
		return got.ID
	}
	schema := func(n int) string {
		return fmt.Sprintf(`{"type":"record","name":"R%d","fields":[{"name":"a","type":"string"}]}`, n)
	}
	ids := map[int]int{} // of schemas
	for n := range 20 {
		ids[register(fmt.Sprint("s", n), schema(n))] = n
	}
	l.kill("pid")
	l.must("start")
	for id, n := range ids {
		if got := register(fmt.Sprint("s", n), schema(n)); got != id {
			t.Errorf("schema %d has ID %d, and had %d", n, got, id)
		}
	}
	if n, used := ids[register("new", schema(100))]; used {
		t.Errorf("a new schema has the ID of schema %d", n)
	}
	// Its rule: what no reader can do without is refused.
	body := `{"schema":"{\"type\":\"record\",\"name\":\"R0\",\"fields\":[{\"name\":\"b\",\"type\":\"string\"}]}"}`
	answer, err := http.Post(url+"/subjects/s0/versions", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusConflict {
		t.Errorf("a field without a default: %s, want 409", answer.Status)
	}
}

// A database that is killed has what was committed; each service's is its own.
func TestPostgresIsKilled(t *testing.T) {
	l := startLive(t, "postgres", nil)
	urls := map[string]string{}
	for _, line := range strings.Split(l.must("status"), "\n") {
		if url := strings.TrimSpace(line); strings.HasPrefix(url, "postgres://") {
			name, _, _ := strings.Cut(strings.TrimPrefix(url, "postgres://"), "@")
			urls[name] = url
		}
	}
	open := func(url string) *sql.DB {
		t.Helper()
		db, err := sql.Open("pgx", url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		return db
	}
	for _, name := range []string{"replicator", "inventory", "billing"} {
		if _, err := open(urls[name]).ExecContext(t.Context(), "CREATE TABLE t AS SELECT 42 AS n"); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if err := open(strings.Replace(urls["billing"], "/billing?", "/inventory?", 1)).PingContext(t.Context()); err == nil {
		t.Error("billing may enter the database of inventory")
	}
	if info, err := os.Stat(filepath.Join(l.dir, "passwords")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("passwords: %v %v, want mode 0600", info.Mode(), err)
	}
	l.kill("server/data/postmaster.pid")
	l.must("start")
	var n int
	if err := open(urls["billing"]).QueryRowContext(t.Context(), "SELECT n FROM t").Scan(&n); err != nil || n != 42 {
		t.Errorf("after the kill: %d, %v, want 42", n, err)
	}
}

// secured is a broker with TLS, passwords and permissions.
type secured struct {
	*live
	ca *x509.CertPool
}

// as returns a client that is user with a password.
func (s secured) as(user, password string) *kgo.Client {
	s.t.Helper()
	client, err := kgo.NewClient(
		kgo.SeedBrokers("localhost:"+strings.TrimPrefix(s.env[1], "KAFKA_PORT=")),
		kgo.DialTLSConfig(&tls.Config{RootCAs: s.ca}),
		kgo.SASL(scram.Auth{User: user, Pass: password}.AsSha512Mechanism()),
		kgo.ConsumeTopics("shop.orders"), kgo.RetryTimeout(20*time.Second))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(client.Close)
	return client
}

func (s secured) password(user string) string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, "passwords", user))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// Users of a secured cluster may do what their manifests say, and what was
// written and allowed is there after a kill.
func TestSecuredKafka(t *testing.T) {
	l := startLive(t, "kafka", []string{"java", "mvn", "openssl"}, "BROKERS=1", "SECURE=1", "KAFKA_CONTROLLER_PORT="+freePort(t),
		// The default has this to spare, with the collector that has least.
		"KAFKA_HEAP=208m", "KAFKA_JVM_PERFORMANCE_OPTS=-XX:+UseSerialGC -XX:TieredStopAtLevel=1")
	pem, err := os.ReadFile(filepath.Join(l.dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	s := secured{l, x509.NewCertPool()}
	s.ca.AppendCertsFromPEM(pem)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()

	if _, err := kadm.NewClient(s.as("operator", s.password("operator"))).CreateTopic(ctx, 1, 1, nil, "shop.orders"); err != nil {
		t.Fatalf("operator: %v", err)
	}
	record := &kgo.Record{Topic: "shop.orders", Value: []byte("v")}
	if err := s.as("producer", s.password("producer")).ProduceSync(ctx, record).FirstErr(); err != nil {
		t.Errorf("producer: %v", err)
	}
	for user, want := range map[string]error{
		"replicator": kerr.TopicAuthorizationFailed,
		"operator":   kerr.ClusterAuthorizationFailed, // who may write no topic gets no producer ID
	} {
		if err := s.as(user, s.password(user)).ProduceSync(ctx, record).FirstErr(); !errors.Is(err, want) {
			t.Errorf("%s writes: %v, want %v", user, err, want)
		}
	}
	if _, err := kadm.NewClient(s.as("billing", "wrong")).ListBrokers(ctx); !errors.Is(err, kerr.SaslAuthenticationFailed) {
		t.Errorf("wrong password: %v", err)
	}
	controllers := "127.0.0.1:" + strings.TrimPrefix(l.env[4], "KAFKA_CONTROLLER_PORT=")
	if conn, err := tls.Dial("tcp", controllers, &tls.Config{RootCAs: s.ca}); err == nil {
		// The server asks for a certificate after its own handshake is done.
		if _, err := conn.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("a controller answers whoever has no certificate: %v", err)
		}
		conn.Close()
	}
	for _, private := range []string{"tls", "passwords", "clients", "1/server.properties"} {
		if info, err := os.Stat(filepath.Join(l.dir, private)); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v %v, want it to be ours alone", private, info.Mode(), err)
		}
	}

	l.kill("1/pid")
	l.must("start")
	fetches := s.as("replicator", s.password("replicator")).PollFetches(ctx)
	if err := fetches.Err(); err != nil || fetches.NumRecords() != 1 {
		t.Errorf("after the kill: %d records, %v, want 1", fetches.NumRecords(), err)
	}
	if fetches := s.as("inventory", s.password("inventory")).PollFetches(ctx); !errors.Is(fetches.Err(), kerr.TopicAuthorizationFailed) {
		t.Errorf("inventory reads what it does not ask for: %v", fetches.Err())
	}
}
