package embedded_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"

	"firehose/internal/kafka/embedded"
)

const registryDirVar = "FIREHOSE_TEST_REGISTRY_DIR"

// TestRegistryProcess is the process that TestRegistrySurvivesSIGKILL kills.
func TestRegistryProcess(t *testing.T) {
	dir := os.Getenv(registryDirVar)
	if dir == "" {
		t.Skip("runs as a process of another test")
	}
	r, err := embedded.StartRegistry(embedded.RegistryConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("url " + r.URL())
	select {}
}

// Every registration that was answered is there after a SIGKILL, under its ID,
// and no ID is given twice.
func TestRegistrySurvivesSIGKILL(t *testing.T) {
	dir := t.TempDir()
	texts := map[int]string{}
	n := 0
	for range 3 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRegistryProcess$")
		cmd.Env = append(os.Environ(), registryDirVar+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		url := ""
		for lines := bufio.NewScanner(out); url == "" && lines.Scan(); {
			url, _ = strings.CutPrefix(lines.Text(), "url ")
		}
		cl, err := sr.NewClient(sr.URLs(url))
		if err != nil {
			t.Fatal(err)
		}
		for id, text := range texts {
			if got, err := cl.SchemaByID(t.Context(), id); err != nil || got.Schema != text {
				t.Errorf("id %d: got %q, %v, want %q", id, got.Schema, err, text)
			}
		}
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			for {
				n++
				text := strings.Replace(thingV2, `"default":0`, fmt.Sprintf(`"default":%d`, n), 1)
				id, err := cl.RegisterSchema(t.Context(), fmt.Sprintf("t%d-value", n), sr.Schema{Schema: text}, -1, -1)
				if err != nil {
					return // killed
				}
				if other, ok := texts[id]; ok {
					t.Errorf("id %d given twice, for %s and %s", id, other, text)
				}
				texts[id] = text
				if len(texts)%10 == 0 {
					_ = cmd.Process.Kill() // in the midst of the next one
				}
			}
		}()
		<-answered
		_ = cmd.Wait()
	}
	if len(texts) < 30 {
		t.Errorf("got %d registrations, want at least 30", len(texts))
	}
}

// Half a line at the journal's end was never answered. A line that is not what
// we wrote is not passed over.
func TestRegistryJournalIsTorn(t *testing.T) {
	dir := t.TempDir()
	r := startRegistry(t, dir)
	cl := registryClient(t, r)
	register(t, cl, "x-value", thingV1)
	register(t, cl, "x-value", thingV2)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "registry.journal")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	first := bytes.IndexByte(whole, '\n') + 1
	for cut := first; cut < len(whole); cut += 7 {
		if err := os.WriteFile(path, whole[:cut], 0o644); err != nil {
			t.Fatal(err)
		}
		r := startRegistry(t, dir)
		cl := registryClient(t, r)
		if got, err := cl.SubjectVersions(t.Context(), "x-value"); err != nil || len(got) != 1 {
			t.Errorf("cut at %d: got versions %v, %v, want the first", cut, got, err)
		}
		if got := register(t, cl, "x-value", thingV2); got.ID != 2 {
			t.Errorf("cut at %d: got id %d, want 2", cut, got.ID)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"garbage":      "garbage\n" + string(whole),
		"another id":   strings.Replace(string(whole), `"id":2`, `"id":3`, 1),
		"unknown line": `{"op":"dance"}` + "\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		r, err := embedded.StartRegistry(embedded.RegistryConfig{Dir: dir})
		if err == nil {
			err = errors.Join(errors.New("it started"), r.Close())
		}
		if !strings.Contains(err.Error(), "registry.journal: line ") {
			t.Errorf("%s: got %v, want a refusal that names the line", name, err)
		}
	}
}
