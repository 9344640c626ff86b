package testbed

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/log"
	"github.com/testcontainers/testcontainers-go/network"
)

// engine is the Docker engine that answers, with what this process runs on it.
type engine struct {
	docker *testcontainers.DockerClient
	label  string // of all that this process makes there
	guard  *guard
}

// containerLabel is on everything that tests make on an engine; its value is the
// process's own.
const containerLabel = "firehose.testbed"

// What a process leaves on the engine goes when it ends, however it does.
// Testcontainers has a container of its own for that, Ryuk, whose image would
// have to be pulled; it is told not to use it.
const engineDown = `for kind in container volume network; do
	list=$(docker $kind ls -q $([ $kind = container ] && echo -a) --filter "label=$LABEL")
	[ -z "$list" ] || docker $kind rm $([ $kind = network ] || echo -f) $([ $kind = container ] && echo -v) $list
done
rm -f "$LOG"`

// findEngine looks once in a process for an engine that answers.
var findEngine = sync.OnceValues(func() (*engine, error) {
	if os.Getenv("FIREHOSE_INTEGRATION") == "" {
		return nil, fmt.Errorf("FIREHOSE_INTEGRATION is not set, so no container is started: %w", errMissing)
	}
	if _, err := exec.LookPath("docker"); err != nil {
		return nil, fmt.Errorf("there is no docker (on Debian: apt-get install docker.io): %w", errMissing)
	}
	if err := exec.Command("docker", "version").Run(); err != nil {
		return nil, fmt.Errorf("no Docker engine answers: %w", errMissing)
	}
	// The only way to say so; it is read when testcontainers is first used, below.
	if err := os.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true"); err != nil {
		return nil, err
	}
	log.SetDefault(log.NewNoopLogger()) // a test that fails shows the container's own log
	e := &engine{label: strings.ToLower(rand.Text()[:12])}
	var err error
	if e.docker, err = testcontainers.NewDockerClientWithOpts(context.Background()); err != nil {
		return nil, fmt.Errorf("docker engine: %w", err)
	}
	e.guard, err = guardLabel(containerLabel+"="+e.label, e.label)
	return e, err
})

// guardLabel starts the shell that removes what has the label when it is told to,
// or when this process ends.
func guardLabel(label, name string) (*guard, error) {
	cmd := exec.Command("sh", "-c", fmt.Sprintf(guardScript, ":", engineDown))
	return startGuard(cmd, []string{"LABEL=" + label}, filepath.Join(os.TempDir(), "firehose-test-"+name+".log"))
}

// engineWith returns the engine where it has an image; make images builds it with
// the given argument.
func engineWith(image, argument string) (*engine, error) {
	e, err := findEngine()
	if err != nil {
		return nil, err
	}
	defer e.rest()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := e.docker.ImageInspect(ctx, image); err != nil {
		return nil, fmt.Errorf("the Docker engine has no image %s (make images%s builds it): %w", image, argument, errMissing)
	}
	return e, nil
}

// inContainers tells whether parts are wanted in containers, and not otherwise.
func inContainers() bool { return os.Getenv("FIREHOSE_CONTAINERS") != "" }

// partFor is what a skip names that happens for want of a part.
func partFor(part string) string {
	if inContainers() {
		return "docker"
	}
	return part
}

// imageOf is the name of a part's image, as for make images.
func imageOf(variable, fallback string) string { return cmp.Or(os.Getenv(variable), fallback) }

// labels mark what is this process's.
func (e *engine) labels() map[string]string { return map[string]string{containerLabel: e.label} }

// network makes one that containers find each other on by name.
func (e *engine) network(ctx context.Context) (*testcontainers.DockerNetwork, error) {
	return network.New(ctx, network.WithLabels(e.labels()))
}

// running tells whether a container runs, and whether it is frozen.
func (e *engine) running(ctx context.Context, id string) (runs, frozen bool, err error) {
	defer e.rest()
	got, err := e.docker.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return false, false, err
	}
	if got.Container.State == nil {
		return false, false, errors.New("the engine does not tell the container's state")
	}
	return got.Container.State.Running, got.Container.State.Paused, nil
}

// rest closes connections that are idle: they would be goroutines left behind
// when a package's tests end.
func (e *engine) rest() { _ = e.docker.Close() } // it has no way to fail
