package containers_test

import (
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"firehose/internal/e2e/figures"
	"firehose/internal/testbed"
	"firehose/internal/testbed/shop"
)

const moved = `{"movement_id":"try-1","sku":"try-me","quantity":5,"reason":"RECEIVED","moved_at":"2026-01-02T15:04:05Z"}`

// deploy/kafka/compose.yaml brings the whole up on the images that were built
// here: events through the door and a replay of purchases are in the services'
// databases, and nothing is left when it is taken down.
func TestCompose(t *testing.T) {
	file, err := testbed.Source("deploy/kafka/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	passwords := filepath.Join(t.TempDir(), "passwords")
	if out, err := exec.Command(filepath.Join(filepath.Dir(file), "compose", "passwords"), passwords).CombinedOutput(); err != nil {
		t.Fatalf("passwords: %v\n%s", err, out)
	}
	at := addresses(t, "KAFKA_1_PORT", "KAFKA_2_PORT", "KAFKA_3_PORT", "REGISTRY_PORT", "POSTGRES_PORT", "PRODUCER_PORT")
	env := []string{"PASSWORDS=" + passwords}
	for variable, addr := range at {
		_, port, _ := net.SplitHostPort(addr) // it was made by one
		env = append(env, variable+"="+port)
	}
	c := testbed.ComposeUp(t, file, env)
	c.AwaitHealthy(append(shop.Services(), "producer")...)

	post(t, "http://"+at["PRODUCER_PORT"]+"/v1/events/shop.stock.moved", moved)
	const data = "cdnow:1000"
	t.Log(c.Run("run", "--rm", "--no-deps", "-T", "producer", "replay", data, "--checkpoint", "/data/checkpoint"))

	want := figures.Of(t, data)
	want.OnHand += 5
	psql := func(database, query string) string {
		out, err := c.Try("exec", "-T", "postgres", "psql", "-U", "postgres", "-d", database, "-Atc", query)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(out)
	}
	for _, one := range []struct{ service, query, want string }{
		{"replicator", "SELECT count(*), min(version), max(version) FROM shop_orders", "1000|3|3"},
		{"inventory", "SELECT on_hand FROM stock WHERE sku = 'try-me'", "5"},
		{"billing", "SELECT sum(cents) FROM balances", "0"},
	} {
		shop.Until(t, one.service+": "+one.query, func() bool { return psql(one.service, one.query) == one.want })
	}
	store := func(service string) string {
		password, err := os.ReadFile(filepath.Join(passwords, service))
		if err != nil {
			t.Fatal(err)
		}
		return "postgres://" + service + ":" + string(password) + "@" + at["POSTGRES_PORT"] + "/" + service + "?sslmode=disable"
	}
	var diff string
	defer func() {
		if t.Failed() {
			t.Logf("figures (-want +got):\n%s", diff)
		}
	}()
	shop.Until(t, "the figures of the purchases", func() bool {
		diff = cmp.Diff(want, figures.Read(t, store))
		return diff == ""
	})

	c.Run("down", "--volumes")
	if left := c.Left(); left != "" {
		t.Errorf("taken down, and still there: %s", left)
	}
}

// addresses finds one of loopback, which nobody listens on, for each name.
func addresses(t *testing.T, names ...string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, name := range names {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // not before the last is found
		found[name] = l.Addr().String()
	}
	return found
}

// post sends an event, which must be acknowledged.
func post(t *testing.T, url, event string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(event))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if said, _ := io.ReadAll(resp.Body); resp.StatusCode/100 != 2 {
		t.Fatalf("%s: %s\n%s", url, resp.Status, said)
	}
}
