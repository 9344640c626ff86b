package contract_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

const page = "../../../docs/registry.md"

var update = flag.Bool("update", false, "rewrite the table of docs/registry.md")

// The page shows the verdicts that the other tests hold everybody to.
func TestPage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), header)
	if !found {
		t.Fatalf("%s: no table that begins with %q", page, header)
	}
	_, after, _ := strings.Cut(rest, "\n\n")
	var b strings.Builder
	b.WriteString(before + header)
	for _, p := range pairs {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", p.name, verdict(p.refused), verdict(p.refused && !p.avro), verdict(p.refused && !p.avro && !p.loose))
	}
	b.WriteString("\n" + after)
	switch {
	case b.String() == string(text):
	case !*update:
		t.Errorf("%s: the table is not that of the tests: go test ./internal/e2e/contract -run Page -update", page)
	default:
		if err := os.WriteFile(page, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

const header = `| what changes | ours | Avro's rules | Apicurio by itself |
| --- | --- | --- | --- |
`

func verdict(refused bool) string {
	if refused {
		return "refused"
	}
	return "yes"
}
