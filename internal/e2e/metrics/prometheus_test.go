package metrics_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"firehose/internal/testbed/shop"
)

// prometheus is a real one, of its own data.
type prometheus struct {
	t    *testing.T
	addr string
}

// startPrometheus starts a Prometheus that scrapes the programs twice a second,
// each as a job with its name, and judges the rules.
func startPrometheus(t *testing.T, program string, rules []byte, programs ...*shop.Process) *prometheus {
	t.Helper()
	dir := t.TempDir()
	var config strings.Builder
	config.WriteString("global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}\nrule_files: [rules.yaml]\nscrape_configs:\n")
	for _, p := range programs {
		fmt.Fprintf(&config, "  - {job_name: %s, static_configs: [{targets: ['%s']}]}\n", p.Name(), p.Admin())
	}
	for name, text := range map[string][]byte{"rules.yaml": rules, "prometheus.yaml": []byte(config.String())} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if promtool, err := exec.LookPath("promtool"); err == nil {
		if out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", filepath.Join(dir, "rules.yaml")).CombinedOutput(); err != nil {
			t.Errorf("promtool check rules: %v\n%s", err, out)
		}
	}
	cmd := exec.Command(program, "--config.file", filepath.Join(dir, "prometheus.yaml"),
		"--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", "127.0.0.1:0", "--log.format", "json")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &prometheus{t: t}
	listens, ended := make(chan string, 1), make(chan struct{})
	var said strings.Builder // read once ended is closed
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			said.WriteString(lines.Text() + "\n")
			var line struct{ Msg, Address string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "Listening on" {
				listens <- line.Address
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
		_ = cmd.Wait() // what it says of a signal is nothing
		if t.Failed() {
			lines := strings.Split(strings.TrimSpace(said.String()), "\n")
			t.Logf("prometheus:\n%s", strings.Join(lines[max(0, len(lines)-10):], "\n"))
		}
	})
	select {
	case p.addr = <-listens:
	case <-ended:
		t.Fatal("prometheus ended by itself")
	case <-time.After(time.Minute):
		t.Fatal("prometheus does not say where it listens")
	}
	shop.Until(t, "prometheus has scraped all programs", func() bool {
		return p.sum("sum(up)") == float64(len(programs))
	})
	return p
}

var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}

// get asks the API; ok is false while it does not answer.
func (p *prometheus) get(path string, query url.Values, into any) (ok bool) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, "http://"+p.addr+"/api/v1/"+path+"?"+query.Encode(), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	var answer struct {
		Error string
		Data  json.RawMessage
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode == http.StatusServiceUnavailable {
		return false
	}
	if answer.Error != "" {
		p.t.Fatalf("prometheus: %s %v: %s", path, query, answer.Error)
	}
	if err := json.Unmarshal(answer.Data, into); err != nil {
		p.t.Fatalf("prometheus: %s: %v", path, err)
	}
	return true
}

// vector is what a query finds: values by labels.
func (p *prometheus) vector(query string) []sample {
	p.t.Helper()
	var found struct {
		Result []struct {
			Metric map[string]string
			Value  [2]any
		}
	}
	p.get("query", url.Values{"query": {query}}, &found)
	var out []sample
	for _, r := range found.Result {
		text, _ := r.Value[1].(string)
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			p.t.Fatalf("prometheus: %s: %v", query, err)
		}
		out = append(out, sample{r.Metric, value})
	}
	return out
}

type sample struct {
	labels map[string]string
	value  float64
}

// sum is the one value of a query, -1 where there is none.
func (p *prometheus) sum(query string) float64 {
	p.t.Helper()
	found := p.vector(query)
	if len(found) != 1 {
		return -1
	}
	return found[0].value
}

// wantSum waits until a query has a value: what is counted reaches Prometheus
// with its next scrape.
func (p *prometheus) wantSum(query string, want float64) {
	p.t.Helper()
	last := 0.0
	deadline := time.Now().Add(20 * time.Second)
	shop.Until(p.t, query, func() bool {
		last = p.sum(query)
		return last == want || time.Now().After(deadline)
	})
	if last != want {
		p.t.Errorf("%s is %v, want %v", query, last, want)
	}
}
