package loadtest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// system is the processes that a run starts for itself: each by itself, so that
// what it uses can be told from what the generator uses. They end with this
// process, however it ends: their standard input closes.
type system struct {
	program string // this one
	dir     string // of their data and logs
	fail    context.CancelCauseFunc

	mu       sync.Mutex
	stopping bool
	children []*child
}

type child struct {
	name string
	cmd  *exec.Cmd
	hold io.WriteCloser
	log  string
	done chan struct{}
}

// first is what a child prints when others can use it.
type first struct {
	Brokers  []string `json:"brokers,omitempty"`
	Registry []string `json:"registry,omitempty"`
	Door     string   `json:"door,omitempty"`
}

// start starts this program with other arguments. With answers set it waits until
// the child says where it listens.
func (s *system) start(ctx context.Context, name string, answers bool, args ...string) (first, error) {
	c := &child{name: name, cmd: exec.Command(s.program, args...), log: filepath.Join(s.dir, name+".log"), done: make(chan struct{})}
	log, err := os.Create(c.log)
	if err != nil {
		return first{}, err
	}
	defer log.Close()
	c.cmd.Stderr = log
	c.cmd.SysProcAttr = apart()
	if c.hold, err = c.cmd.StdinPipe(); err != nil {
		return first{}, err
	}
	said := make(chan string, 1)
	var reading sync.WaitGroup
	if answers {
		out, err := c.cmd.StdoutPipe()
		if err != nil {
			return first{}, err
		}
		reading.Go(func() {
			line, _ := bufio.NewReader(out).ReadString('\n')
			said <- line
		})
	}
	if err := c.cmd.Start(); err != nil {
		return first{}, fmt.Errorf("start %s: %w", name, err)
	}
	s.mu.Lock()
	s.children = append(s.children, c)
	s.mu.Unlock()
	go s.wait(c, &reading)
	if !answers {
		return first{}, nil
	}
	select {
	case line := <-said:
		var f first
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			return first{}, fmt.Errorf("%s did not start:\n%s", name, c.lastWords())
		}
		return f, nil
	case <-ctx.Done():
		return first{}, context.Cause(ctx)
	}
}

// wait waits for a child's end, which ends the run unless it was told to end.
func (s *system) wait(c *child, reading *sync.WaitGroup) {
	defer close(c.done)
	reading.Wait()   // of its output, before Wait closes it
	_ = c.cmd.Wait() // its state tells
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopping {
		s.fail(fmt.Errorf("%s has ended by itself: %s:\n%s", c.name, c.cmd.ProcessState, c.lastWords()))
	}
}

// lastWords are the last lines of a child's log.
func (c *child) lastWords() string {
	text, err := os.ReadFile(c.log)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte{'\n'})
	return string(bytes.Join(lines[max(0, len(lines)-5):], []byte{'\n'}))
}

// watches are the children by what they are.
func (s *system) watches() []Watch {
	s.mu.Lock()
	defer s.mu.Unlock()
	by := map[string]int{}
	var out []Watch
	for _, c := range s.children {
		name, _, _ := strings.Cut(c.name, "-")
		i, ok := by[name]
		if !ok {
			i = len(out)
			by[name] = i
			out = append(out, Watch{Name: name})
		}
		out[i].PIDs = append(out[i].PIDs, c.cmd.Process.Pid)
	}
	return out
}

// stopGrace is how long a child may take to stop.
const stopGrace = 30 * time.Second

// stop ends the children, the last one first, and waits for them.
func (s *system) stop() error {
	s.mu.Lock()
	s.stopping = true
	children := s.children
	s.mu.Unlock()
	var errs []error
	for i := len(children) - 1; i >= 0; i-- {
		c := children[i]
		c.hold.Close()
		late := time.NewTimer(stopGrace)
		select {
		case <-c.done:
		case <-late.C:
			errs = append(errs, fmt.Errorf("%s did not stop within %s and was killed", c.name, stopGrace), c.cmd.Process.Kill())
			<-c.done
		}
		late.Stop()
	}
	return errors.Join(errs...)
}

// withParent returns a context that ends when standard input closes: whoever
// started this process is gone, or wants it to stop.
func withParent(ctx context.Context, stdin io.Reader) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	// A read cannot be called off: this goroutine ends with the process.
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		cancel()
	}()
	return ctx, cancel
}
