package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Definitions is what others bring to a cluster.
type Definitions struct {
	CRDs    map[string][]byte // CustomResourceDefinitions by file name, YAML
	Scalers []byte            // keys of KEDA's triggers, as KEDA generates them from its code
}

// module is a Go module whose files are read, not compiled.
type module struct {
	path, version string
	sum           string            // of the module's zip, as go.sum has it
	files         map[string]string // path in the module → name in the cache
}

const scalers = "scalers.json"

var modules = []module{
	{
		path: "github.com/kedacore/keda/v2", version: "v2.21.0",
		sum: "h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps=",
		files: map[string]string{
			"config/crd/bases/keda.sh_scaledobjects.yaml":          "scaledobjects.yaml",
			"config/crd/bases/keda.sh_triggerauthentications.yaml": "triggerauthentications.yaml",
			"schema/generated/scalers-schema.json":                 scalers,
		},
	},
	{
		path: "github.com/prometheus-operator/prometheus-operator", version: "v0.94.1",
		sum: "h1:QEIb2wenPH+SdMN1xMf8l4Pmj00YYXXI6HlbLlQWkww=",
		files: map[string]string{
			"example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml":     "podmonitors.yaml",
			"example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml": "prometheusrules.yaml",
		},
	},
}

// Fetch returns the definitions, of exactly the versions that are named here.
// What is in the cache is not asked for again; nothing of it is committed.
func Fetch(ctx context.Context, cache string, out io.Writer) (*Definitions, error) {
	cache, err := filepath.Abs(cache)
	if err != nil {
		return nil, err
	}
	d := &Definitions{CRDs: map[string][]byte{}}
	for _, m := range modules {
		name := fmt.Sprintf("%s-%s-%d", filepath.Base(strings.TrimSuffix(m.path, "/v2")), m.version, len(m.files))
		files, err := cached(cache, name, out, func(dir string) error { return m.fetch(ctx, dir) })
		if err != nil {
			return nil, fmt.Errorf("definitions of %s: %w", name, err)
		}
		maps.Copy(d.CRDs, files)
	}
	d.Scalers = d.CRDs[scalers]
	delete(d.CRDs, scalers)

	version, err := strimziVersion()
	if err != nil {
		return nil, err
	}
	files, err := cached(cache, "strimzi-"+version, out, func(dir string) error { return fetchStrimzi(ctx, cache, dir, out) })
	if err != nil {
		return nil, fmt.Errorf("definitions of Strimzi %s: %w", version, err)
	}
	maps.Copy(d.CRDs, files)
	return d, nil
}

// cached returns the files of cache/name, which fetch fills when it is not
// there.
func cached(cache, name string, out io.Writer, fetch func(dir string) error) (map[string][]byte, error) {
	dir := filepath.Join(cache, name)
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		fmt.Fprintf(out, "fetching the definitions of %s\n", name)
		if err := fill(dir, fetch); err != nil {
			return nil, err
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, e := range entries {
		if files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// fill makes dir with what fetch writes, or leaves nothing behind that looks
// complete.
func fill(dir string, fetch func(dir string) error) (err error) {
	cache := filepath.Dir(dir)
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	unfinished, err := os.MkdirTemp(cache, "unfinished-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(unfinished)) }()
	if err := fetch(unfinished); err != nil {
		return err
	}
	return os.Rename(unfinished, dir)
}

// fetch copies the module's files into dir.
func (m module) fetch(ctx context.Context, dir string) error {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", m.path+"@"+m.version)
	cmd.Dir = dir // outside of our module, whose requirements it is not one of
	text, err := cmd.Output()
	if err != nil {
		return commandError(cmd, err)
	}
	var answer struct{ Dir, Sum string }
	if err := json.Unmarshal(text, &answer); err != nil {
		return fmt.Errorf("go mod download: %w", err)
	}
	if answer.Sum != m.sum {
		return fmt.Errorf("the module's sum is %s, want %s", answer.Sum, m.sum)
	}
	for _, from := range slices.Sorted(maps.Keys(m.files)) {
		text, err := os.ReadFile(filepath.Join(answer.Dir, from))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, m.files[from]), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// commandError says which command failed and what it said.
func commandError(cmd *exec.Cmd, err error) error {
	said := ""
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		said = ": " + strings.TrimSpace(string(exit.Stderr))
	}
	return fmt.Errorf("%s: %w%s", filepath.Base(cmd.Path), err, said)
}
