package hostile_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// withAttributes is a request whose every attribute is a canary.
func withAttributes(path, id, data string) request {
	return request{http.MethodPost, path, []string{"Content-Type", isJSON, "Ce-Id", id, "Ce-Source", "/" + secret,
		"Ce-Correlationid", secret, "Ce-Causationid", person}, strings.NewReader(data)}
}

// Keys, IDs and sources are payload, too: what is said of events that are
// repeated or contradict each other does not show them.
func TestCanaryInConflicts(t *testing.T) {
	t.Parallel()
	dev := startDev(t)
	for _, version := range []int{2, 2, 1, 3} {
		for _, note := range []string{"one", "other"} {
			data := strings.Replace(order(person, version), secret, note+secret, 1)
			if status, _, body := dev.do(withAttributes("/v1/events/shop.order.placed", person+note, data)); status != http.StatusOK {
				t.Fatalf("%d %s", status, body)
			}
		}
	}
	for _, quantity := range []int{1, 1, 2} {
		if status, _, body := dev.do(withAttributes("/v1/events/shop.stock.moved", person, movement(person, secret, quantity))); status != http.StatusOK {
			t.Fatalf("%d %s", status, body)
		}
	}
	dev.applied()
	if n := dev.number("inventory", "SELECT SUM(on_hand) FROM stock"); n != 1 {
		t.Errorf("on hand: %d, want 1: the ID was seen", n)
	}
	for _, service := range []string{"inventory", "replicator", "billing"} {
		if n := dev.number(service, "SELECT COUNT(*) FROM conflicts"); n == 0 {
			t.Errorf("%s: no conflict is recorded: this proves nothing", service)
		}
	}
}

// What is said of events that could not be sent does not show them either.
func TestCanaryWhenNobodyAnswers(t *testing.T) {
	t.Parallel()
	const nobody = "127.0.0.1:1"
	dev := startDev(t)
	for _, tt := range []struct {
		name, broker, registry string
		want                   []int
	}{
		{"no broker", nobody, dev.registry, []int{http.StatusServiceUnavailable, http.StatusGatewayTimeout}},
		{"no registry", dev.broker, "http://" + nobody, []int{http.StatusServiceUnavailable}},
		{"a registry that is none", dev.broker, dev.admin, []int{http.StatusServiceUnavailable, http.StatusConflict}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := []string{"--brokers", tt.broker, "--registry", tt.registry, "--timeout", "500ms"}
			ingest := start(t, "producer", append([]string{"serve", "--listen", "127.0.0.1:0", "--admin", "", "--log-level", "debug"}, args...)...)
			ingest.door = "http://" + ingest.listens()
			status, _, body := ingest.do(request{http.MethodPost, "/v1/events/shop.order.placed", []string{"Content-Type", isJSON}, strings.NewReader(order(person, 1))})
			if !slices.Contains(tt.want, status) {
				t.Errorf("got %d %s, want %d", status, body, tt.want)
			}
			wantNoCanary(t, "answer", body)
			if tt.broker != nobody {
				return
			}
			// It tries for three seconds.
			line := fmt.Sprintf("{\"type\":\"shop.stock.moved\",\"data\":%s}\n{\"type\":%q}\n%s\n", movement(person, secret, 1), "shop.order", secret)
			out, errs, code := ingest.run(strings.NewReader(line), program(t, "producer"), append([]string{"send", "-"}, args...)...)
			if code != 1 {
				t.Errorf("producer send: exit code %d, want 1", code)
			}
			wantNoCanary(t, "producer send", out+errs)
		})
	}
}
