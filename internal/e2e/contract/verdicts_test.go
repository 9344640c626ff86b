// Package contract_test holds the verdict on a new version of a schema against
// what everybody who is asked for one says: the files alone, the embedded
// registry, Apicurio. What we say is the same wherever we are asked, and nothing
// that is let through stops a replica.
package contract_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"
	"go.uber.org/goleak"

	"firehose/internal/codec"
	"firehose/internal/kafka/embedded"
	"firehose/internal/operator"
	"firehose/internal/replica"
	"firehose/internal/service"
	"firehose/internal/testbed"
	"firehose/schemas"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestVerdictsEmbedded(t *testing.T) {
	t.Parallel()
	registry, err := embedded.StartRegistry(embedded.RegistryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { registry.Close() })
	verdicts(t, registry.URL(), func(p pair) bool { return p.refused && !p.avro })
}

func TestVerdictsApicurio(t *testing.T) {
	t.Parallel()
	verdicts(t, testbed.Registry(t), func(p pair) bool { return p.refused && !p.avro && !p.loose })
}

// verdicts asks for all pairs, once as our commands do and once the registry by
// itself, of which refuses tells what it answers.
func verdicts(t *testing.T, url string, refuses func(pair) bool) {
	t.Helper()
	bare := newBare(t, url)
	for i, p := range pairs {
		topic := fmt.Sprintf("contract.p%d-%d", os.Getpid(), i)
		dir := t.TempDir()
		write := func(n int, text string) {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s.v%d.avsc", topic, n)), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(1, p.text(topic, p.old))
		first := firehose(t, "schemas", "register", "--json", "--registry", url, "--schemas", dir)
		if first.code != 0 {
			t.Errorf("%s: the older alone: %s", p.name, first.err)
			continue
		}
		write(2, p.text(topic, p.new))

		offline := firehose(t, "schemas", "check", "--offline", "--schemas", dir)
		if (offline.code != 0) != p.refused {
			t.Errorf("%s: offline: exit code %d %q, refused is to be %v", p.name, offline.code, offline.err, p.refused)
		}
		check := firehose(t, "schemas", "check", "--registry", url, "--schemas", dir)
		register := firehose(t, "schemas", "register", "--json", "--registry", url, "--schemas", dir)
		if check.code != offline.code || register.code != offline.code {
			t.Errorf("%s: offline exit code %d, check at the registry %d %q, register %d %q", p.name, offline.code, check.code, check.err, register.code, register.err)
		}
		if register.code == 0 {
			again := firehose(t, "schemas", "register", "--json", "--registry", url, "--schemas", dir)
			if want := strings.ReplaceAll(register.out, `"new":true`, `"new":false`); again.code != 0 || again.out != want {
				t.Errorf("%s: registered again: exit code %d %q, got %s, want %s", p.name, again.code, again.err, again.out, want)
			}
			if ids := idsIn(t, register.out); (ids[0] == ids[1]) != p.alike {
				t.Errorf("%s: IDs %v, one schema is to be %v", p.name, ids, p.alike)
			}
			replicable(t, p, topic)
		}

		got := bare.refuses(p, topic+"-bare")
		if got != refuses(p) {
			t.Errorf("%s: the registry by itself refuses it: %v, want %v", p.name, got, refuses(p))
		}
	}
}

// replicable fails if the versions have a topic that no replica can be made of.
func replicable(t *testing.T, p pair, topic string) {
	t.Helper()
	var versions []*schemas.Schema
	for i, text := range []string{p.text(topic, p.old), p.text(topic, p.new)} {
		s, err := schemas.Parse(text, i+1)
		if err != nil {
			t.Fatal(err)
		}
		versions = append(versions, s)
	}
	set, err := schemas.NewSet(versions...)
	if err != nil {
		t.Fatal(err)
	}
	if found, _ := set.Topic(topic); found.Kind == schemas.Entity {
		if _, err := replica.New(found, nobody{}); err != nil {
			t.Errorf("%s: no replica can be kept of it: %v", p.name, err)
		}
	}
}

// nobody knows no schema.
type nobody struct{}

func (nobody) Writer(context.Context, codec.Frame) (*avro.Schema, error) {
	return nil, codec.ErrUnknownSchema
}

type call struct {
	code     int
	out, err string
}

// firehose runs the program in this process.
func firehose(t *testing.T, args ...string) call {
	t.Helper()
	var out, errs bytes.Buffer
	root := operator.Command(operator.Streams{In: strings.NewReader(""), Out: &out, Err: &errs})
	code := service.Execute(t.Context(), root, service.Process{Args: args, Stdout: &out, Stderr: &errs})
	return call{code, out.String(), errs.String()}
}

var idPattern = regexp.MustCompile(`"id":\s*(\d+)`)

func idsIn(t *testing.T, out string) []int {
	t.Helper()
	var ids []int
	for _, m := range idPattern.FindAllStringSubmatch(out, -1) {
		id, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if len(ids) != 2 {
		t.Fatalf("IDs in %q: %v, want two", out, ids)
	}
	return ids
}

// bare is a registry that is asked as anybody may.
type bare struct {
	t      *testing.T
	client *sr.Client
}

func newBare(t *testing.T, url string) *bare {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	client, err := sr.NewClient(sr.URLs(url), sr.HTTPClient(&http.Client{Transport: transport}))
	if err != nil {
		t.Fatal(err)
	}
	return &bare{t, client}
}

// refuses registers both versions without asking us.
func (b *bare) refuses(p pair, topic string) bool {
	b.t.Helper()
	subject := topic + "-value"
	if err := b.client.SetCompatibility(b.t.Context(), sr.SetCompatibility{Level: sr.CompatFullTransitive}, subject)[0].Err; err != nil {
		b.t.Fatalf("%s: %v", p.name, err)
	}
	for i, text := range []string{p.text(topic, p.old), p.text(topic, p.new)} {
		_, err := b.client.CreateSchema(b.t.Context(), subject, sr.Schema{Schema: text})
		var answer *sr.ResponseError
		switch {
		case err == nil:
		case i == 1 && errors.As(err, &answer) && answer.StatusCode == http.StatusConflict:
			return true
		default:
			b.t.Fatalf("%s: version %d: %v", p.name, i+1, err)
		}
	}
	return false
}
