package docs_test

import (
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// flags of the inner test: the outer one's, so that both share what is built.
var flags []string

// file finds the files of a page: their name in bold, then their text in a block.
var file = regexp.MustCompile("(?m)^\\*\\*`([^`]+)`\\*\\*\n\n```[a-z]*\n((?s:.*?)\n)```$")

// requires finds what a go.mod needs.
var requires = regexp.MustCompile(`(?ms)^require \(.*?^\)\n`)

// maxWiring is what a service may need beyond its projection, in lines.
const maxWiring = 30

func TestNewService(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and tests another module")
	}
	page, err := os.ReadFile("new-service.md")
	if err != nil {
		t.Fatal(err)
	}
	repository, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ours, err := os.ReadFile(filepath.Join(repository, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, m := range file.FindAllStringSubmatch(string(page), -1) {
		files[m[1]] = m[2]
	}
	for _, name := range []string{"go.mod", "web.reviews.v1.avsc", "main.go", "ratings.go", "ratings_test.go", "publish.go"} {
		if files[name] == "" {
			t.Errorf("%s: the page does not have it", name)
		}
	}
	if n := strings.Count(files["main.go"], "\n"); n >= maxWiring {
		t.Errorf("main.go: got %d lines, want fewer than %d", n, maxWiring)
	}
	for name, text := range files {
		if name == "go.mod" {
			// As go mod tidy has it: with all that ours needs, so that no other
			// module has to be looked at, which might have to be fetched.
			text = strings.ReplaceAll(text, "../firehose", filepath.ToSlash(repository)) + "\n" + strings.Join(requires.FindAllString(string(ours), -1), "\n")
		}
		if filepath.Ext(name) == ".go" {
			formatted, err := format.Source([]byte(text))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if string(formatted) != text {
				t.Errorf("%s: is not as gofmt has it", name)
			}
		}
		write(name, text)
	}
	sums, err := os.ReadFile(filepath.Join(repository, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	write("go.sum", string(sums))

	// Nothing is fetched: what the module needs, this one needs too.
	env := append(os.Environ(), "GOFLAGS=-mod=readonly", "GOPROXY=off", "GOWORK=off")
	cmd := exec.CommandContext(t.Context(), "go", append(append([]string{"test", "-count=1"}, flags...), "./...")...)
	cmd.Dir, cmd.Env = dir, env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go test: %v\n%s", err, out)
	}
}
