// Package local_test runs the scripts of this folder as users do.
package local_test

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// place is a copy of the scripts in a tree of its own, where nothing is built,
// and a machine on which nothing is installed that the test did not ask for.
type place struct {
	scripts string // the folder of the scripts
	path    string // the only folder of PATH
	dir     string // for the script's data; it is not there yet
	port    int    // of a listener that is there until the test ends
}

func newPlace(t *testing.T) place {
	t.Helper()
	root := t.TempDir()
	p := place{
		scripts: filepath.Join(root, "deploy", "kafka", "local"), path: filepath.Join(root, "path"),
		dir: filepath.Join(root, "data"),
	}
	files, err := filepath.Glob("*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		p.write(t, filepath.Join(p.scripts, file), string(text))
	}
	if err := os.MkdirAll(p.path, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"awk", "base64", "bash", "cat", "chmod", "comm", "cut", "dirname", "find", "grep", "head", "id", "ls",
		"mkdir", "mv", "ps", "readlink", "rm", "sed", "setpriv", "sleep", "sort", "ss", "tail", "tr", "xargs",
	} {
		if found, err := exec.LookPath(name); err == nil {
			p.link(t, found, name)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	p.port = listener.Addr().(*net.TCPAddr).Port
	return p
}

func (p place) link(t *testing.T, found, name string) {
	t.Helper()
	if err := os.Symlink(found, filepath.Join(p.path, name)); err != nil {
		t.Fatal(err)
	}
}

func (place) write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// install puts a program in the path that prints a text and fails for anything
// but the question for its version.
func (p place) install(t *testing.T, name, version string) {
	t.Helper()
	p.write(t, filepath.Join(p.path, name), "#!/usr/bin/env bash\ncase $1 in *version) echo '"+version+"' ;; *) exit 7 ;; esac\n")
}

// run runs a script and returns what it says when it refuses.
func (p place) run(t *testing.T, command string, env ...string) string {
	t.Helper()
	args := strings.Fields(command)
	cmd := exec.CommandContext(t.Context(), filepath.Join(p.scripts, args[0]), args[1:]...)
	cmd.Dir = p.scripts
	cmd.Env = []string{"PATH=" + p.path, "HOME=" + p.path, "JVM_FOLDER=" + p.dir, "POSTGRES_PROGRAMS=" + p.dir}
	for _, part := range []string{"KAFKA", "REGISTRY", "POSTGRES"} {
		cmd.Env = append(cmd.Env, part+"_DIR="+p.dir)
	}
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Fatalf("%s: %v, want exit code 1\n%s", command, err, out)
	}
	return string(out)
}

const (
	java17 = `openjdk version "17.0.15" 2025-04-15`
	java11 = `openjdk version "11.0.2" 2019-01-15`
	java21 = `openjdk version "21.0.3" 2024-04-16 LTS`
)

// What is missing, stale or taken is told in one line that names it and what to
// do, before anything is made or fetched.
func TestRefusals(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("there is no bash")
	}
	for _, test := range []struct {
		name    string
		command string
		prepare prepare
		want    []string // {dir}, {port} and {jdk} stand for the place's
	}{
		{"no Java", "kafka start", nothing, []string{"needs Java 17 or later, and there is no java", "apt-get install"}},
		{"old Java", "kafka start", installed("java", java11), []string{"needs Java 17 or later; java is 11"}},
		{"JAVA_HOME without Java", "kafka start", setting("JAVA_HOME", "{dir}"), []string{"JAVA_HOME={dir} has no bin/java"}},
		{"no Maven", "kafka start", installed("java", java17), []string{"there is no mvn", "apt-get install maven"}},
		{"Maven that fetches nothing", "kafka start", both(installed("java", java17), installed("mvn", "")), []string{"Maven could not fetch", "{dir}/maven.log"}},
		{"taken port", "kafka start", both(installed("java", java17), setting("KAFKA_PORT", "{port}")), []string{"port {port}, for broker 1, is taken", "KAFKA_PORT=19092"}},
		{"no port", "kafka start", setting("KAFKA_PORT", "99999"), []string{"KAFKA_PORT=99999: want a number"}},
		{"ports that overlap", "kafka start", both(setting("KAFKA_PORT", "9092"), setting("KAFKA_CONTROLLER_PORT", "9093")), []string{"overlap"}},
		{"no heap", "kafka start", setting("KAFKA_HEAP", "much"), []string{"KAFKA_HEAP=much: want a size"}},
		{"no number of brokers", "kafka start", setting("BROKERS", "three"), []string{"BROKERS=three"}},
		{"SECURE=yes", "kafka start", setting("SECURE", "yes"), []string{"SECURE=yes: want 1 or 0"}},
		{"folder with a space", "kafka start", setting("KAFKA_DIR", "/tmp/my kafka"), []string{"without spaces"}},
		{"folder of something else", "kafka start", both(installed("java", java17), file("letters.txt", "")), []string{"{dir} is there and holds nothing that kafka made", "KAFKA_DIR"}},
		{"other number of brokers", "kafka start", both(file("cluster", "id 3 4.3.1 plain"), setting("BROKERS", "1")), []string{"{dir} holds a cluster of 3 broker(s), and BROKERS=1 was asked for", "remove {dir}"}},
		{"secure, and plain is there", "kafka start", both(file("cluster", "id 3 4.3.1 plain"), setting("SECURE", "1")), []string{"{dir} holds a plain cluster, and a secure one was asked for"}},
		{"plain, and secure is there", "kafka start", both(file("cluster", "id 3 4.3.1 secure"), setting("SECURE", "0")), []string{"{dir} holds a secure cluster, and a plain one was asked for"}},
		{"other version", "kafka start", file("cluster", "id 3 3.9.0 plain"), []string{"{dir} holds a cluster of Kafka 3.9.0, and this is 4"}},
		{"torn file", "kafka start", file("cluster", "id"), []string{"{dir}/cluster is not what this script wrote"}},
		{"data of another cluster", "kafka start", both(formatted("1", "another"), installed("java", java17)), []string{"{dir}/1/data is not of broker 1 of cluster id"}},
		{"data without its mark", "kafka start", both(formatted("1", ""), installed("java", java17)), []string{"{dir}/1/data holds records and has lost its meta.properties"}},
		{"storage that cannot be formatted", "kafka start", both(file("cluster", "id 1 4.3.1 plain"), file("libs-4.3.1/x", ""), installed("java", java17)), []string{"the storage of broker 1 could not be formatted"}},
		{"secure without openssl", "kafka start", both(installed("java", java17), setting("SECURE", "1")), []string{"openssl", "apt-get install"}},
		{"secure and nothing built", "kafka start", both(installed("java", java17), installed("openssl", ""), setting("SECURE", "1")), []string{"bin/producer is not there: make build"}},
		{"status of nothing", "kafka status", nothing, []string{"there is no cluster in {dir}"}},
		{"broker of nothing", "kafka broker 1 kill", nothing, []string{"there is no cluster in {dir}"}},
		{"broker that is not", "kafka broker 4 kill", nothing, []string{"broker 4: want 1 to 3"}},

		{"no Java 21, no pip", "registry start", both(installed("java", java17), fetchedRegistry), []string{"needs Java 21 or later; there is none here, nor pip", "JAVA21_HOME"}},
		{"pip that fetches nothing", "registry start", both(installed("pip3", ""), fetchedRegistry), []string{"pip could not fetch a Java 21", "{dir}/pip.log"}},
		{"JAVA21_HOME without Java", "registry start", setting("JAVA21_HOME", "{dir}"), []string{"JAVA21_HOME={dir} has no bin/java"}},
		{"JAVA21_HOME too old", "registry start", both(installed("jdk/bin/java", java17), setting("JAVA21_HOME", "{jdk}")), []string{"needs Java 21 or later; JAVA21_HOME={jdk} is 17"}},
		{"registry without Maven", "registry start", installed("java", java21), []string{"there is no mvn"}},
		{"registry that ends", "registry start", both(installed("java", java21), fetchedRegistry), []string{"it ended while it started", "{dir}/registry.log"}},
		{"registry's port", "registry start", setting("REGISTRY_PORT", "{port}"), []string{"port {port} is taken", "REGISTRY_PORT"}},
		{"registry of another version", "registry start", file("registry.version", "2.6.13"), []string{"{dir} holds what Apicurio 2.6.13 wrote"}},
		{"registry's folder", "registry start", file("letters.txt", ""), []string{"{dir} is there and holds nothing that registry made"}},
		{"registry's status", "registry status", nothing, []string{"there is no registry in {dir}"}},

		{"no PostgreSQL", "postgres start", nothing, []string{"initdb, postgres and psql are not here", "apt-get install postgresql"}},
		{"PostgreSQL of another version", "postgres start", file("server/data/PG_VERSION", "9"), []string{"{dir} was made by PostgreSQL 9, which is not installed"}},
		{"PostgreSQL's port", "postgres start", both(programs, setting("POSTGRES_PORT", "{port}")), []string{"port {port} is taken", "POSTGRES_PORT=15432"}},
		{"PostgreSQL's folder", "postgres start", both(programs, file("letters.txt", "")), []string{"{dir} is there and holds nothing that postgres made"}},
		{"PostgreSQL's data", "postgres start", both(programs, file("server/data/letters.txt", "")), []string{"{dir}/server/data is not what PostgreSQL made"}},
		{"PostgreSQL's status", "postgres status", nothing, []string{"there is no database in {dir}"}},
		{"names of databases", "postgres start", setting("POSTGRES_DATABASES", "a;b"), []string{"POSTGRES_DATABASES: a;b: want lower-case names"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			fill := strings.NewReplacer("{dir}", p.dir, "{port}", strconv.Itoa(p.port), "{jdk}", filepath.Join(p.path, "jdk"))
			// Where the test wants a port it is the listener's; any other is left alone.
			env := []string{"KAFKA_PORT=" + freePort(t), "REGISTRY_PORT=" + freePort(t), "POSTGRES_PORT=" + freePort(t)}
			for _, e := range test.prepare(t, p) {
				name, value, _ := strings.Cut(e, "=")
				env = append(env, name+"="+fill.Replace(value))
			}
			got := p.run(t, test.command, env...)
			for _, want := range test.want {
				if want = fill.Replace(want); !strings.Contains(got, want) {
					t.Errorf("got %q, want %q", got, want)
				}
			}
			if n := strings.Count(got, "\n"); n > 4 {
				t.Errorf("%d lines, want a line and at most three of what went wrong:\n%s", n, got)
			}
		})
	}
}

// prepare makes a place what a test wants it to be, and returns settings.
type prepare = func(t *testing.T, p place) (env []string)

func nothing(*testing.T, place) []string { return nil }

func both(first prepare, others ...prepare) prepare {
	return func(t *testing.T, p place) []string {
		t.Helper()
		env := first(t, p)
		for _, other := range others {
			env = append(env, other(t, p)...)
		}
		return env
	}
}

func setting(name, value string) prepare {
	return func(*testing.T, place) []string { return []string{name + "=" + value} }
}

func installed(name, version string) prepare {
	return func(t *testing.T, p place) []string {
		t.Helper()
		p.install(t, name, version)
		return nil
	}
}

// file puts a file into the script's folder.
func file(name, text string) prepare {
	return func(t *testing.T, p place) []string {
		t.Helper()
		p.write(t, filepath.Join(p.dir, name), text+"\n")
		return nil
	}
}

// formatted is the folder of a cluster named id, of one broker, whose data says
// that it is of another one, or says nothing.
func formatted(node, cluster string) prepare {
	parts := []prepare{file("libs-4.3.1/x", ""), file(node+"/data/__cluster_metadata-0/x", "")}
	if cluster != "" {
		parts = append(parts, file(node+"/data/meta.properties", "cluster.id="+cluster+"\nnode.id="+node))
	}
	return both(file("cluster", "id 1 4.3.1 plain"), parts...)
}

var fetchedRegistry = both(file("app-3.3.3/quarkus-run.jar", ""), file("registry.version", "3.3.3"))

var programs = both(installed("initdb", ""), installed("pg_ctl", ""), installed("psql", ""), installed("postgres", "postgres (PostgreSQL) 15.1"))

// freePort finds one that nobody listens on now.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
}
