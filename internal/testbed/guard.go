package testbed

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// errMissing is why a part cannot be started on this machine: something is not
// installed, or nobody asked for it. The text says what.
var errMissing = errors.New("not on this machine")

// reason is the text of an errMissing for people.
func reason(err error) string { return strings.TrimSuffix(err.Error(), ": "+errMissing.Error()) }

// guard is a shell that starts a part and ends it when this process ends,
// however it does: it waits for the end of a pipe that only this process holds
// and which closes with it, also after a SIGKILL. Whoever starts a guard keeps
// it: collected as garbage it closes the pipe.
type guard struct {
	cmd  *exec.Cmd
	hold io.WriteCloser
}

// What the part says goes to a log. The output is a pipe to this process until
// the part is up, which nothing that lives longer may hold.
const guardScript = `
trap : INT TERM HUP PIPE
{
%s
} </dev/null >>"$LOG" 2>&1 && echo ready
exec >/dev/null 2>&1
cat
%s
`

// startGuard runs cmd, a shell with guardScript of the commands that start the
// part and of those that end it. They find their settings in env. log is the file
// of what they say, and part of the error when they cannot start the part.
func startGuard(cmd *exec.Cmd, env []string, log string) (*guard, error) {
	cmd.Env = append(append(os.Environ(), env...), "LOG="+log)
	cmd.SysProcAttr = apart()
	g := &guard{cmd: cmd}
	var err error
	if g.hold, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if line, _ := bufio.NewReader(out).ReadString('\n'); line == "ready\n" {
		return g, nil
	}
	said, _ := os.ReadFile(log) // it is about to be gone: as much as there is
	g.end()
	return nil, fmt.Errorf("%s:\n%s", filepath.Base(filepath.Dir(log)), said)
}

// end runs the commands that end the part, and waits for them.
func (g *guard) end() {
	g.hold.Close()
	_ = g.cmd.Wait() // it tells how its last command ended, often the removal of a folder
}
