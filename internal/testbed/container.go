package testbed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	tcnetwork "github.com/testcontainers/testcontainers-go/network"
)

// instanceSpec is a container that tests want. It has a read-only root, no
// capabilities and no way to new privileges: what works so works anywhere.
type instanceSpec struct {
	Image    string
	Args     []string          // after the image's entry point
	Env      map[string]string // variables
	Ports    []int             // TCP ports to reach it at; see instance.Addr
	Tmpfs    []string          // folders that it may write, besides its volumes and /tmp
	Hostname string            // what others on its network call it

	network *testcontainers.DockerNetwork
	at      map[int]int // ports on this machine, where they are fixed before
}

// instance is a container that was started.
type instance struct {
	engine *engine
	id     string
	name   string
	at     map[int]int
}

// run starts a container. Whoever listens on a free port that was found by the
// time the engine wants it, there is another one.
func (e *engine) run(ctx context.Context, spec instanceSpec) (*instance, error) {
	for attempt := 1; ; attempt++ {
		c, err := e.try(ctx, spec)
		if err == nil || attempt == 3 || spec.at != nil {
			return c, err
		}
	}
}

func (e *engine) try(ctx context.Context, spec instanceSpec) (*instance, error) {
	c := &instance{engine: e, name: spec.Image, at: maps.Clone(spec.at)}
	if c.at == nil {
		c.at = map[int]int{}
	}
	bindings := network.PortMap{}
	for _, port := range spec.Ports {
		if c.at[port] == 0 {
			var err error
			if c.at[port], err = freePort(); err != nil {
				return nil, err
			}
		}
		inside, ok := network.PortFrom(uint16(port), network.TCP)
		if !ok {
			return nil, fmt.Errorf("port %d of %s is none", port, spec.Image)
		}
		bindings[inside] = []network.PortBinding{{HostIP: netip.AddrFrom4([4]byte{127, 0, 0, 1}), HostPort: strconv.Itoa(c.at[port])}}
	}
	options := []testcontainers.ContainerCustomizer{
		testcontainers.WithEnv(spec.Env),
		testcontainers.WithLabels(e.labels()),
		testcontainers.WithHostConfigModifier(func(host *container.HostConfig) {
			host.ReadonlyRootfs = true
			host.CapDrop = []string{"ALL"}
			host.SecurityOpt = []string{"no-new-privileges"}
			host.PortBindings = bindings
			host.Tmpfs = map[string]string{"/tmp": "exec"} // Java's native libraries unpack themselves there
			for _, folder := range spec.Tmpfs {
				host.Tmpfs[folder] = ""
			}
		}),
	}
	if len(spec.Args) > 0 {
		options = append(options, testcontainers.WithCmd(spec.Args...))
	}
	for port := range bindings {
		options = append(options, testcontainers.WithExposedPorts(port.String()))
	}
	if spec.network != nil {
		options = append(options, tcnetwork.WithNetwork([]string{spec.Hostname}, spec.network))
	}
	started, err := testcontainers.Run(ctx, spec.Image, options...)
	if started != nil {
		c.id = started.GetContainerID()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting %s: %w", spec.Image, err), c.Remove(context.WithoutCancel(ctx)))
	}
	return c, nil
}

// Addr is where a port of the container is reached from this machine.
func (c *instance) Addr(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(c.at[port]))
}

// Start starts it again after it was stopped or killed, at the same addresses.
func (c *instance) Start(ctx context.Context) error {
	defer c.engine.rest()
	_, err := c.engine.docker.ContainerStart(ctx, c.id, client.ContainerStartOptions{})
	return err
}

// Stop sends a signal, "" is the image's own for that, waits for the end and
// returns the exit code. It is killed after a minute.
func (c *instance) Stop(ctx context.Context, signal string) (code int, err error) {
	defer c.engine.rest()
	if err := c.Thaw(ctx); err != nil { // a frozen one sees no signal
		return 0, err
	}
	seconds := int(patience.Seconds())
	if _, err := c.engine.docker.ContainerStop(ctx, c.id, client.ContainerStopOptions{Signal: signal, Timeout: &seconds}); err != nil {
		return 0, err
	}
	got, err := c.engine.docker.ContainerInspect(ctx, c.id, client.ContainerInspectOptions{})
	if err != nil {
		return 0, err
	}
	return got.Container.State.ExitCode, nil
}

// Kill sends SIGKILL and waits for the end. One that does not run is dead enough.
func (c *instance) Kill(ctx context.Context) error {
	defer c.engine.rest()
	runs, _, err := c.engine.running(ctx, c.id)
	if err != nil || !runs {
		return err
	}
	ended := c.engine.docker.ContainerWait(ctx, c.id, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	if _, err := c.engine.docker.ContainerKill(ctx, c.id, client.ContainerKillOptions{Signal: "KILL"}); err != nil {
		return err
	}
	select {
	case err := <-ended.Error:
		return err
	case <-ended.Result:
		return nil
	}
}

// Freeze stops all that runs in it, which does not notice.
func (c *instance) Freeze(ctx context.Context) error {
	defer c.engine.rest()
	_, err := c.engine.docker.ContainerPause(ctx, c.id, client.ContainerPauseOptions{})
	return err
}

// Thaw lets a frozen one go on.
func (c *instance) Thaw(ctx context.Context) error {
	defer c.engine.rest()
	_, frozen, err := c.engine.running(ctx, c.id)
	if err != nil || !frozen {
		return err
	}
	_, err = c.engine.docker.ContainerUnpause(ctx, c.id, client.ContainerUnpauseOptions{})
	return err
}

// Remove ends and removes it, with its volumes.
func (c *instance) Remove(ctx context.Context) error {
	defer c.engine.rest()
	if c.id == "" {
		return nil
	}
	_, err := c.engine.docker.ContainerRemove(ctx, c.id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	return err
}

// Log is what it has said, on both of its outputs.
func (c *instance) Log(ctx context.Context) (string, error) {
	defer c.engine.rest()
	from, err := c.engine.docker.ContainerLogs(ctx, c.id, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true})
	if err != nil {
		return "", err
	}
	defer from.Close()
	var said bytes.Buffer
	if _, err := stdcopy.StdCopy(&said, &said, from); err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return said.String(), nil
}

// lastLines is the end of its log, or why there is none.
func (c *instance) lastLines(n int) string {
	said, err := c.Log(context.Background())
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace([]byte(said)), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-n):], []byte("\n")))
}

// Await asks until the answer is good, for as long as ctx lasts and the container
// runs.
func (c *instance) Await(ctx context.Context, ask func(ctx context.Context) error) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		asking, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := ask(asking)
		cancel()
		if err == nil {
			return nil
		}
		if runs, _, inspected := c.engine.running(ctx, c.id); inspected == nil && !runs {
			return fmt.Errorf("%s ended while it started:\n%s", c.name, c.lastLines(10))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s does not serve: %w\n%s", c.name, err, c.lastLines(10))
		}
	}
}
