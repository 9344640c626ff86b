package service_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"firehose/internal/service"
)

// get returns an answer's status code and body.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, strings.TrimSpace(string(body))
}

func TestAdmin(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	metrics := service.NewMetrics()
	applied := prometheus.NewCounter(prometheus.CounterOpts{Name: "firehose_applied_total", Help: "Events applied."})
	metrics.MustRegister(applied)
	applied.Add(3)
	health := service.NewHealth()
	var state error
	health.Check("consume", func(context.Context) error { return state })

	group := service.NewGroup(ctx, time.Minute)
	var log bytes.Buffer
	admin := service.Admin{Addr: "127.0.0.1:0"}
	if err := admin.Start(group, health, metrics, slog.New(slog.NewJSONHandler(&log, nil))); err != nil {
		t.Fatal(err)
	}
	stopped, finish := make(chan struct{}), make(chan struct{})
	group.Go("consume", func(stop, _ context.Context) error {
		<-stop.Done()
		close(stopped)
		<-finish
		return nil
	})
	if strings.HasSuffix(admin.Addr, ":0") || !strings.Contains(log.String(), admin.Addr) {
		t.Errorf("got address %s, log %s, want the address taken in both", admin.Addr, log.String())
	}
	base := "http://" + admin.Addr

	ready := func(code int, body string) {
		t.Helper()
		gotCode, gotBody := get(t, base+"/readyz")
		if gotCode != code || gotBody != body {
			t.Errorf("got readiness %d %s, want %d %s", gotCode, gotBody, code, body)
		}
		if gotCode, gotBody = get(t, base+"/healthz"); gotCode != http.StatusOK || gotBody != `{"status":"ok"}` {
			t.Errorf("got health %d %s, want it well whatever the dependencies are", gotCode, gotBody)
		}
	}
	ready(200, `{"status":"ready"}`)
	state = errors.New("shop.orders/3 paused_breaker")
	ready(503, `{"status":"unready","reasons":[{"check":"consume","reason":"shop.orders/3 paused_breaker"}]}`)
	state = errors.Join(errors.New("a"), errors.New("b"))
	health.Check("broker", func(context.Context) error { return errors.New("away") })
	ready(503, `{"status":"unready","reasons":[{"check":"broker","reason":"away"},{"check":"consume","reason":"a"},{"check":"consume","reason":"b"}]}`)
	health.Check("broker", func(context.Context) error { return nil })
	state = nil

	code, body := get(t, base+"/metrics")
	for _, want := range []string{"firehose_applied_total 3", "go_goroutines", "go_build_info"} {
		if code != 200 || !strings.Contains(body, want) {
			t.Errorf("got metrics %d without %s", code, want)
		}
	}
	if code, _ = get(t, base+"/debug/pprof/goroutine?debug=1"); code != 200 {
		t.Errorf("got profile %d, want 200", code)
	}

	cancel()
	<-stopped
	ready(503, `{"status":"unready","reasons":[{"check":"process","reason":"stopping"}]}`)
	close(finish)
	if err := group.Wait(); err != nil {
		t.Errorf("got %v, want a clean stop", err)
	}
}

func TestAdminOff(t *testing.T) {
	group := service.NewGroup(t.Context(), time.Minute)
	admin := service.Admin{}
	if err := admin.Start(group, service.NewHealth(), service.NewMetrics(), slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	group.Go("done", func(_, _ context.Context) error { return nil })
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

func TestListenOnTakenPort(t *testing.T) {
	first, err := service.Listen(t.Context(), "listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	addr := first.Addr().String()
	_, err = service.Listen(t.Context(), "listen", addr)
	if err == nil || !strings.HasPrefix(err.Error(), "--listen "+addr+": the address is in use") {
		t.Errorf("got %v, want an error that names the flag, the address and what is wrong", err)
	}
	if _, err = service.Listen(t.Context(), "admin", "127.0.0.1:http-ish"); err == nil || !strings.HasPrefix(err.Error(), "--admin ") {
		t.Errorf("got %v, want an error that names the flag", err)
	}
}

func TestServeDrains(t *testing.T) {
	entered, finish := make(chan struct{}), make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-finish
		_, _ = io.WriteString(w, "done")
	})
	listener, err := service.Listen(t.Context(), "listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	server := service.NewHTTPServer(handler, slog.New(slog.DiscardHandler))
	server.RegisterOnShutdown(func() { close(finish) }) // the answer is written only once the stop has begun
	go func() { served <- service.Serve(ctx, listener, server, time.Minute) }()
	go func() {
		<-entered
		cancel()
	}()
	if code, body := get(t, "http://"+listener.Addr().String()); code != 200 || body != "done" {
		t.Errorf("got %d %q, want the request in flight answered", code, body)
	}
	if err := <-served; err != nil {
		t.Errorf("got %v, want a clean stop", err)
	}
}

func TestServeGivesUpOnSlowRequests(t *testing.T) {
	entered := make(chan struct{})
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	})
	listener, err := service.Listen(t.Context(), "listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		req, _ := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodGet, "http://"+listener.Addr().String(), nil)
		if res, err := client.Do(req); err == nil {
			res.Body.Close()
		}
	}()
	go func() {
		<-entered
		cancel()
	}()
	err = service.Serve(ctx, listener, service.NewHTTPServer(handler, slog.New(slog.DiscardHandler)), time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "still in flight after 1ms") {
		t.Errorf("got %v, want it to say that requests were cut", err)
	}
}

func TestLog(t *testing.T) {
	var out bytes.Buffer
	log := service.Log{Format: "auto"}
	log.Logger(&out).Info("applied", "key_hash", service.KeyHash([]byte("anna@example.org")), "offset", 7)
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("off a terminal: %v in %s", err, out.String())
	}
	delete(line, "time")
	want := map[string]any{"level": "INFO", "msg": "applied", "key_hash": "7c0d8a7f4b1c2d3e", "offset": 7.0}
	if hash, _ := line["key_hash"].(string); len(hash) == 16 && !strings.Contains(out.String(), "anna") {
		want["key_hash"] = hash
	}
	if diff := cmp.Diff(want, line); diff != "" {
		t.Errorf("line (-want +got):\n%s", diff)
	}
	if service.KeyHash([]byte("a")) == service.KeyHash([]byte("b")) {
		t.Error("two keys have one hash")
	}

	out.Reset()
	log = service.Log{Format: "text", Level: slog.LevelWarn}
	log.Logger(&out).Info("quiet")
	log.Logger(&out).Warn("loud")
	if got := out.String(); strings.Contains(got, "quiet") || !strings.Contains(got, "msg=loud") {
		t.Errorf("got %q, want the warning alone, as text", got)
	}
}
