package testbed

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// Slow returns an address that leads to another one, host:port, through
// toxiproxy, which holds each answer back for the given time: a server that is
// further away than the loopback. It ends with the test.
func Slow(t testing.TB, to string, latency time.Duration) string {
	t.Helper()
	module, err := Source("tools/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	folder := fetched(t, "toxiproxy", module, "go", func(folder string) error {
		return quietly("go", "build", "-modfile="+module, "-o", filepath.Join(folder, "toxiproxy"), "github.com/Shopify/toxiproxy/v2/cmd/server")
	})
	api, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(folder, "toxiproxy"), "-host", "127.0.0.1", "-port", strconv.Itoa(api))
	cmd.Env = append(os.Environ(), "LOG_LEVEL=error")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it holds nothing
		_ = cmd.Wait()
	})
	p := &proxies{t: t, url: "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(api))}
	p.await()
	var made struct{ Listen string }
	p.post("/proxies", map[string]any{"name": "slow", "listen": "127.0.0.1:0", "upstream": to, "enabled": true}, &made)
	p.post("/proxies/slow/toxics", map[string]any{"type": "latency", "stream": "downstream",
		"attributes": map[string]any{"latency": latency.Milliseconds()}}, nil)
	return made.Listen
}

// proxies is toxiproxy's API.
type proxies struct {
	t   testing.TB
	url string
}

// await waits until toxiproxy answers.
func (p *proxies) await() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/version", nil)
		if err != nil {
			p.t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = resp.Body.Close()
			return
		}
		select {
		case <-ctx.Done():
			p.t.Fatalf("toxiproxy does not answer: %v", err)
		case <-again.C:
		}
	}
}

func (p *proxies) post(path string, body, into any) {
	p.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		p.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.url+path, bytes.NewReader(text))
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode >= 300 {
		p.t.Fatal(fmt.Errorf("toxiproxy: POST %s: %s", path, resp.Status))
	}
	if into == nil {
		return
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		p.t.Fatalf("toxiproxy: POST %s: %v", path, err)
	}
}
