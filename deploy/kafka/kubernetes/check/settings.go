package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Programs are the binaries that the containers run, built from the source that
// the manifests lie beside.
type Programs struct {
	dir   string
	flags map[string]map[string]bool // by command line, such as "producer serve"
}

// Build builds the programs into the cache.
func Build(ctx context.Context, cache string) (*Programs, error) {
	dir, err := filepath.Abs(filepath.Join(cache, "programs"))
	if err != nil {
		return nil, err
	}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", dir+string(filepath.Separator), "./cmd/...")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as make build does it, which may have compiled it
	build.Dir = "../../../.."
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	return &Programs{dir: dir, flags: map[string]map[string]bool{}}, nil
}

var helpFlag = regexp.MustCompile(`(?m)^ +(?:-[A-Za-z], )?--([a-z][a-z0-9-]*)`)

// known returns the flags of a command, as its --help lists them.
func (p *Programs) known(ctx context.Context, program string, command []string) (map[string]bool, error) {
	line := strings.TrimSpace(program + " " + strings.Join(command, " "))
	if flags, ok := p.flags[line]; ok {
		return flags, nil
	}
	help := exec.CommandContext(ctx, filepath.Join(p.dir, program), append(slices.Clone(command), "--help")...)
	out, err := help.Output()
	if err != nil {
		return nil, fmt.Errorf("%s --help: %w", line, err)
	}
	_, text, found := strings.Cut(string(out), "\nFlags:\n")
	if !found {
		return nil, fmt.Errorf("%s is no command that runs", line)
	}
	flags := map[string]bool{}
	for _, m := range helpFlag.FindAllStringSubmatch(text, -1) {
		flags[m[1]] = true
	}
	p.flags[line] = flags
	return flags, nil
}

// checkSettings checks that a container's arguments and variables are settings
// of the program that it runs: one that is unknown keeps the pod from starting.
func (i *inventory) checkSettings(ctx context.Context, programs *Programs, p pod) []Problem {
	var problems []Problem
	wrong := func(field, reason string, args ...any) {
		problems = append(problems, Problem{p.owner, p.path + "." + field, fmt.Sprintf(reason, args...)})
	}
	for n, c := range p.Spec.Containers {
		at := fmt.Sprintf("spec.containers[%d].", n)
		program, _, _ := strings.Cut(path.Base(c.Image), ":")
		command := c.Args
		for m, arg := range c.Args {
			if strings.HasPrefix(arg, "-") {
				command = c.Args[:m]
				break
			}
		}
		flags, err := programs.known(ctx, program, command)
		if err != nil {
			wrong(at+"args", "%v", err)
			continue
		}
		for m, arg := range c.Args[len(command):] {
			flag, long := strings.CutPrefix(arg, "--")
			flag, _, _ = strings.Cut(flag, "=")
			if long && !flags[flag] {
				wrong(fmt.Sprintf("%sargs[%d]", at, len(command)+m), "%s knows no --%s", program, flag)
			}
		}
		for where, variable := range i.variables(c) {
			flag, ours := strings.CutPrefix(variable, "FIREHOSE_")
			if flag = strings.ToLower(strings.ReplaceAll(flag, "_", "-")); ours && !flags[flag] {
				wrong(at+where, "%s knows no %s", program, variable)
			}
		}
	}
	return problems
}

// variables returns the names of the variables that a container has, by the
// field that gives them.
func (i *inventory) variables(c corev1.Container) map[string]string {
	found := map[string]string{}
	for n, e := range c.Env {
		found[fmt.Sprintf("env[%d].name", n)] = e.Name
	}
	for n, from := range c.EnvFrom {
		for _, m := range i.configs {
			if from.ConfigMapRef == nil || from.ConfigMapRef.Name != m.Name {
				continue
			}
			for key := range m.Data {
				found[fmt.Sprintf("envFrom[%d].%s", n, key)] = key
			}
		}
	}
	return found
}
