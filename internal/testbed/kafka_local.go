package testbed

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// errNoBroker is the answer about a broker that the cluster does not have.
var errNoBroker = errors.New("no such broker")

// localKafkaPort is the first of the local cluster that tests start: away from
// where make kafka has its own, so that both can run.
const localKafkaPort = 29092

// namedKafka is the cluster that the environment names. Tests may break it when
// its folder is named, too.
func namedKafka() (*provided, error) {
	named := os.Getenv("FIREHOSE_KAFKA")
	if named == "" {
		return nil, fmt.Errorf("FIREHOSE_KAFKA names no brokers: %w", errMissing)
	}
	found := &provided{brokers: strings.Split(named, ",")}
	folder := os.Getenv("FIREHOSE_KAFKA_TO_BREAK")
	if folder == "" {
		return found, nil
	}
	_, port, err := net.SplitHostPort(found.brokers[0])
	if err != nil {
		return nil, fmt.Errorf("FIREHOSE_KAFKA: %w", err)
	}
	script, err := localScript("kafka")
	if err != nil {
		return nil, err
	}
	found.machinery = &localCluster{script: script, env: []string{"KAFKA_DIR=" + folder, "KAFKA_PORT=" + port}, size: len(found.brokers)}
	return found, nil
}

// localKafka starts the local cluster, or joins those who use it already. Who
// leaves last stops it.
func localKafka() (*provided, error) {
	script, folder, err := localPart("kafka")
	if err != nil {
		return nil, err
	}
	c := &localCluster{script: script, size: 3, env: []string{"KAFKA_DIR=" + folder, "BROKERS=3", "KAFKA_PORT=" + strconv.Itoa(localKafkaPort)}}
	if c.guard, err = startLocal(script, folder, c.env); err != nil {
		return nil, err
	}
	found := &provided{machinery: c}
	for n := range c.size {
		found.brokers = append(found.brokers, net.JoinHostPort("127.0.0.1", strconv.Itoa(localKafkaPort+n)))
	}
	return found, nil
}

// localCluster is one of deploy/kafka/local.
type localCluster struct {
	script string
	env    []string // where it is
	size   int
	guard  *guard // nil where somebody else has started it
}

func (l *localCluster) act(n int32, what string) error {
	if n < 1 || int(n) > l.size {
		return fmt.Errorf("%d: %w", n, errNoBroker)
	}
	return runLocal(l.script, l.env, "broker", strconv.Itoa(int(n)), what)
}

// runLocal runs a script of deploy/kafka/local. What it starts outlives it and
// inherits what it has: a pipe would be waited for.
func runLocal(script string, env []string, args ...string) error {
	cmd := exec.Command(script, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := os.CreateTemp("", "firehose-local")
	if err != nil {
		return err
	}
	defer func() {
		out.Close()
		_ = os.Remove(out.Name()) // a leftover in the temporary folder harms nobody
	}()
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = apart()
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(out.Name()) // the error is told in any case
		return fmt.Errorf("%w: %s", err, said)
	}
	return nil
}

// localPart returns the script of a part in deploy/kafka/local and the folder of
// the one that tests start; errMissing unless that is wanted.
func localPart(name string) (script, folder string, err error) {
	if os.Getenv("FIREHOSE_INTEGRATION") == "" {
		return "", "", fmt.Errorf("FIREHOSE_INTEGRATION is not set, so none is started here: %w", errMissing)
	}
	if script, err = localScript(name); err != nil {
		return "", "", err
	}
	cache, err := cacheFolder()
	return script, filepath.Join(cache, name), err
}

// localScript finds deploy/kafka/local from the package whose test runs.
func localScript(name string) (string, error) { return Source("deploy/kafka/local/" + name) }

// Several processes share one local part. Whoever uses it holds a shared lock,
// and whoever gets the exclusive one at the end was the last. The other lock is
// held while it is started and stopped. What is started must not inherit them.
const (
	localUp = `exec 8>"$DIR.users" 9>"$DIR.lock"
flock 9 && flock -s 8 && "$SCRIPT" start 8>&- 9>&- && flock -u 9`
	localDown = `flock 9
flock -u 8
flock -n 8 && "$SCRIPT" stop 8>&- 9>&-`
)

func startLocal(script, folder string, env []string) (*guard, error) {
	if _, err := exec.LookPath("flock"); err != nil {
		return nil, fmt.Errorf("flock of util-linux, which tells who uses a local part last, is missing: %w", errMissing)
	}
	cmd := exec.Command("bash", "-c", fmt.Sprintf(guardScript, localUp, localDown))
	return startGuard(cmd, append(env, "SCRIPT="+script, "DIR="+folder), folder+".log")
}
