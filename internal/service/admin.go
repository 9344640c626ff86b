package service

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/pprof"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// readyTimeout bounds all readiness checks together: a probe that waits is a
// probe that fails.
const readyTimeout = 2 * time.Second

// NewMetrics makes a process's registry, with the collectors of the Go runtime,
// the process and the build that every dashboard expects.
func NewMetrics() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewBuildInfoCollector(),
	)
	return registry
}

// Health is what /readyz asks. The zero value is not usable: see NewHealth.
type Health struct {
	mu     sync.Mutex
	checks map[string]func(context.Context) error
}

// NewHealth makes a Health without checks, which is ready.
func NewHealth() *Health {
	return &Health{checks: map[string]func(context.Context) error{}}
}

// Check registers a check under a name, in place of an earlier one of that
// name. It returns nil when ready, else the reason in words that may be shown;
// an error made with errors.Join is that many reasons. It must be quick: it
// reports what is already known, and does not go and look.
func (h *Health) Check(name string, check func(context.Context) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks[name] = check
}

// Reason is why something is not ready.
type Reason struct {
	Check  string `json:"check"`
	Reason string `json:"reason"`
}

// Reasons asks every check, in the order of their names. None means ready.
func (h *Health) Reasons(ctx context.Context) []Reason {
	h.mu.Lock()
	checks := maps.Clone(h.checks)
	h.mu.Unlock()

	var reasons []Reason
	for _, name := range slices.Sorted(maps.Keys(checks)) {
		for _, err := range flatten(checks[name](ctx)) {
			reasons = append(reasons, Reason{Check: name, Reason: err.Error()})
		}
	}
	return reasons
}

func flatten(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// Start serves health, metrics and profiles until the group's members have
// returned. From the moment the group stops /readyz is unready, while /healthz
// stays well. It does nothing when Addr is empty.
func (a *Admin) Start(group *Group, health *Health, metrics prometheus.Gatherer, log *slog.Logger) error {
	if a.Addr == "" {
		return nil
	}
	listener, err := Listen(group.Stopping(), "admin", a.Addr)
	if err != nil {
		return err
	}
	a.Addr = listener.Addr().String()
	log.Info("admin listens", "addr", a.Addr)
	server := NewHTTPServer(adminHandler(group.Stopping(), health, metrics), log)
	group.Attend("admin", func(ctx context.Context) error {
		return Serve(ctx, listener, server, time.Second)
	})
	return nil
}

func adminHandler(stopping context.Context, health *Health, metrics prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeStatus(w, http.StatusOK, status{Status: "ok"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		reasons := health.Reasons(ctx)
		if stopping.Err() != nil {
			reasons = append([]Reason{{Check: "process", Reason: "stopping"}}, reasons...)
		}
		if len(reasons) > 0 {
			writeStatus(w, http.StatusServiceUnavailable, status{Status: "unready", Reasons: reasons})
			return
		}
		writeStatus(w, http.StatusOK, status{Status: "ready"})
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

type status struct {
	Status  string   `json:"status"`
	Reasons []Reason `json:"reasons,omitempty"`
}

func writeStatus(w http.ResponseWriter, code int, s status) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(s) // the caller has gone: nobody is left to tell
}
