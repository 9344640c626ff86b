package testbed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
)

// postgres is a server of this process, in a folder of its own.
type postgres struct {
	bin, dir string
	port     int
	runAs    []string // what runs a command as a user who may run PostgreSQL
	guard    *guard
}

const (
	postgresUp = `"$BIN/initdb" -D "$DIR/data" -U firehose -A trust -E UTF8 --locale=C --no-sync &&
cp "$DIR/conf" "$DIR/data/postgresql.auto.conf" &&
"$BIN/pg_ctl" -D "$DIR/data" -l "$LOG" -w start`
	postgresDown = `"$BIN/pg_ctl" -D "$DIR/data" -m immediate stop
rm -rf "$DIR"`
)

// startPostgres makes and starts a server with the given settings on top of
// PostgreSQL's defaults. Whoever listens on the free port that was found by the
// time the server wants it, there is another one.
func startPostgres(settings ...string) (*postgres, error) {
	var err error
	for range 3 {
		var p *postgres
		if p, err = tryPostgres(settings); err == nil || errors.Is(err, errMissing) {
			return p, err
		}
	}
	return nil, err
}

func tryPostgres(settings []string) (p *postgres, err error) {
	p = &postgres{}
	if p.bin, err = findPostgres(); err != nil {
		return nil, err
	}
	if p.dir, err = os.MkdirTemp("", "firehose-postgres"); err != nil {
		return nil, err
	}
	if os.Getuid() == 0 {
		if err := p.lowerRights(); err != nil {
			return nil, errors.Join(err, os.RemoveAll(p.dir))
		}
	}
	if p.port, err = freePort(); err != nil {
		return nil, err
	}
	settings = append(settings, "listen_addresses = '127.0.0.1'", "port = "+strconv.Itoa(p.port),
		"unix_socket_directories = ''", "max_connections = 200")
	if err := os.WriteFile(filepath.Join(p.dir, "conf"), []byte(strings.Join(settings, "\n")+"\n"), 0o644); err != nil {
		return nil, err
	}
	cmd := p.command("sh", "-c", fmt.Sprintf(guardScript, postgresUp, postgresDown))
	if p.guard, err = startGuard(cmd, []string{"BIN=" + p.bin, "DIR=" + p.dir}, filepath.Join(p.dir, "log")); err != nil {
		return nil, err
	}
	return p, nil
}

// lowerRights lets user postgres run the server: PostgreSQL refuses root.
func (p *postgres) lowerRights() error {
	who, err := user.Lookup("postgres")
	if err != nil {
		return fmt.Errorf("PostgreSQL does not run as root, and there is no user postgres: %w", errMissing)
	}
	uid, err := strconv.Atoi(who.Uid)
	if err != nil {
		return err
	}
	p.runAs = []string{"setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"}
	return os.Chown(p.dir, uid, -1)
}

// command is one of the server's user, in the server's folder: that user need
// not have rights in ours.
func (p *postgres) command(args ...string) *exec.Cmd {
	args = append(p.runAs[:len(p.runAs):len(p.runAs)], args...)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = p.dir
	return cmd
}

// ctl runs pg_ctl on the server.
func (p *postgres) ctl(args ...string) error {
	out, err := p.command(append([]string{filepath.Join(p.bin, "pg_ctl"), "-D", filepath.Join(p.dir, "data"),
		"-l", filepath.Join(p.dir, "log"), "-s", "-w", "-t", "60"}, args...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("pg_ctl %s: %w\n%s", args[0], err, out)
	}
	return nil
}

func (p *postgres) stop(mode string) error { return p.ctl("stop", "-m", mode) }
func (p *postgres) start() error           { return p.ctl("start") }

func (p *postgres) end() error {
	p.guard.end()
	return nil
}

func (p *postgres) url() string {
	return fmt.Sprintf("postgres://firehose@127.0.0.1:%d/postgres?sslmode=disable", p.port)
}

// findPostgres returns the folder of the newest server's programs. Debian keeps
// them out of the path.
func findPostgres() (string, error) {
	if path, err := exec.LookPath("pg_ctl"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil && hasPostgres(filepath.Dir(path)) {
			return filepath.Dir(path), nil
		}
	}
	found, newest := "", 0
	folders, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	for _, folder := range folders {
		version, err := strconv.Atoi(filepath.Base(filepath.Dir(folder)))
		if err == nil && version > newest && hasPostgres(folder) {
			found, newest = folder, version
		}
	}
	if found == "" {
		return "", fmt.Errorf("FIREHOSE_TEST_POSTGRES names no server, and initdb, pg_ctl and postgres are not here "+
			"(on Debian: apt-get install postgresql): %w", errMissing)
	}
	return found, nil
}

func hasPostgres(folder string) bool {
	for _, name := range []string{"initdb", "pg_ctl", "postgres"} {
		if _, err := os.Stat(filepath.Join(folder, name)); err != nil {
			return false
		}
	}
	return true
}

// freePort finds a port of loopback that nobody listens on now.
func freePort() (int, error) {
	ports, err := freePorts(1)
	if err != nil {
		return 0, err
	}
	return ports[0], nil
}

// freePorts finds n different ones.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // not before the last is found
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
