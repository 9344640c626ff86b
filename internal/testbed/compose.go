package testbed

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Compose is what a compose file describes, under a name that nobody else uses.
type Compose struct {
	t       testing.TB
	command []string // docker compose -f FILE -p NAME
	env     []string
	label   string
}

var imageLine = regexp.MustCompile(`(?m)^ +image: (\S+)$`)

// ComposeUp starts what a file describes, whose variables are those of env and of
// the environment. All of it is removed after the test, however that ends. The
// test is skipped where no Docker engine answers, images are missing, or there is
// no docker compose.
func ComposeUp(t testing.TB, file string, env []string) *Compose {
	t.Helper()
	_, err := findEngine()
	if errors.Is(err, errMissing) {
		Skip(t, "docker", reason(err))
	}
	if err != nil {
		t.Fatal(err)
	}
	program := composeProgram(t)
	name := "firehose-test-" + strings.ToLower(rand.Text()[:12])
	c := &Compose{
		t: t, command: append(program, "-f", file, "-p", name), env: append(os.Environ(), env...),
		label: "com.docker.compose.project=" + name,
	}
	for _, image := range imageLine.FindAllStringSubmatch(c.Run("config"), -1) {
		if _, err := engineWith(image[1], ` PARTS="kafka registry postgres"`); errors.Is(err, errMissing) {
			Skip(t, "docker", reason(err))
		} else if err != nil {
			t.Fatal(err)
		}
	}
	guard, err := guardLabel(c.label, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := c.Try("logs", "--no-color", "--tail", "15") // nothing more to say without
			t.Log(out)
		}
		guard.end()
	})
	c.Run("up", "-d")
	return c
}

// composeProgram is the plugin, else the program that was before it.
func composeProgram(t testing.TB) []string {
	t.Helper()
	if exec.Command("docker", "compose", "version").Run() == nil {
		return []string{"docker", "compose"}
	}
	if _, err := exec.LookPath("docker-compose"); err != nil {
		Skip(t, "docker", "there is neither docker compose nor docker-compose (on Debian: apt-get install docker-compose)")
	}
	return []string{"docker-compose"}
}

// Try runs a command of docker compose and returns what it prints.
func (c *Compose) Try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.t.Context()), 5*patience)
	defer cancel()
	args = append(c.command[1:len(c.command):len(c.command)], args...)
	cmd := exec.CommandContext(ctx, c.command[0], args...)
	cmd.Env = c.env
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("%s %s: %w\n%s%s", c.command[0], strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out), nil
}

// Run is Try for what must not fail.
func (c *Compose) Run(args ...string) string {
	c.t.Helper()
	out, err := c.Try(args...)
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

// AwaitHealthy waits until the health checks of the services say so.
func (c *Compose) AwaitHealthy(services ...string) {
	c.t.Helper()
	deadline := time.Now().Add(2 * patience)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for _, service := range services {
		id := strings.TrimSpace(c.Run("ps", "-q", service))
		for {
			out, err := exec.Command("docker", "inspect", "--format", "{{.State.Health.Status}}", id).CombinedOutput()
			if err != nil {
				c.t.Fatalf("%s: %v\n%s", service, err, out)
			}
			state := strings.TrimSpace(string(out))
			if state == "healthy" {
				break
			}
			if time.Now().After(deadline) {
				c.t.Fatalf("%s is %s", service, state)
			}
			<-tick.C
		}
	}
}

// Left lists the containers, volumes and networks that are still there.
func (c *Compose) Left() string {
	c.t.Helper()
	var left strings.Builder
	for _, list := range [][]string{{"container", "ls", "-a"}, {"volume", "ls"}, {"network", "ls"}} {
		out, err := exec.Command("docker", append(list, "-q", "--filter", "label="+c.label)...).CombinedOutput()
		if err != nil {
			c.t.Fatalf("docker %s: %v\n%s", list, err, out)
		}
		left.Write(out)
	}
	return left.String()
}
