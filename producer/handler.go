package producer

import (
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firehose/internal/publish"
	"firehose/schemas"
)

// HandlerConfig says what a Handler works with.
type HandlerConfig struct {
	Publisher *publish.Publisher    // required
	Set       *schemas.Set          // the event types that are taken; required
	Limits    Limits                // zero values mean the defaults
	Metrics   prometheus.Registerer // default: a registry of its own
	Log       *slog.Logger          // default slog.Default()
}

// Handler takes events over HTTP. See the package's doc for its routes, and
// Server for the timeouts that it relies on.
type Handler struct {
	intake    *intake
	publisher *publish.Publisher
	limits    Limits
	budget    *budget
	batches   *bound // events of all batches between parsing and answer
	metrics   *doorMetrics
	log       *slog.Logger
	gate      gate
}

// NewHandler returns a handler that is ready to serve.
func NewHandler(cfg HandlerConfig) (*Handler, error) {
	if cfg.Publisher == nil || cfg.Set == nil {
		return nil, errors.New("http handler: want a publisher and a set of schemas")
	}
	limits := cfg.Limits.withDefaults()
	if err := limits.validate(); err != nil {
		return nil, err
	}
	if cfg.Metrics == nil {
		cfg.Metrics = prometheus.NewRegistry()
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	held := newBudget(limits.InFlightBytes, limits.CallerBytes)
	return &Handler{
		intake:    &intake{set: cfg.Set, maxEvent: limits.EventBytes, log: cfg.Log},
		publisher: cfg.Publisher,
		limits:    limits,
		budget:    held,
		batches:   newBound(allBatchesEvents),
		metrics:   newDoorMetrics(cfg.Metrics, held),
		log:       cfg.Log,
	}, nil
}

// Drain makes the handler refuse further events with 503. The channel that it
// returns is closed when the requests that it had begun are answered.
func (h *Handler) Drain() <-chan struct{} { return h.gate.close() }

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	out := &answerWriter{ResponseWriter: w, timeout: h.limits.WriteTimeout}
	route, serve := h.route(r)
	defer func() {
		// A panic must cost its own request and nothing else. What it was about
		// may hold payload, so only where it happened is logged.
		if recover() != nil {
			h.log.Error("request panicked", "route", route, "stack", string(debug.Stack()))
			if out.code == 0 {
				newProblem(internalError, "", "").write(out)
			}
		}
		h.metrics.answered(route, out.code, time.Since(start))
	}()
	serve(out, r)
	linger(out, r)
}

// route returns the name and the function of a request's route.
func (h *Handler) route(r *http.Request) (string, http.HandlerFunc) {
	path := r.URL.Path
	eventType, ok := strings.CutPrefix(path, "/v1/events/")
	switch {
	case path == "/v1/events:batch":
		return "batch", h.post(h.serveBatch)
	case ok && eventType != "" && !strings.Contains(eventType, "/"):
		return "event", h.post(func(w http.ResponseWriter, r *http.Request, held *hold) {
			h.serveEvent(w, r, eventType, held)
		})
	case path == "/problems" || strings.HasPrefix(path, "/problems/"):
		return "problems", func(w http.ResponseWriter, r *http.Request) {
			name := strings.TrimPrefix(strings.TrimPrefix(path, "/problems"), "/")
			switch {
			case r.Method != http.MethodGet && r.Method != http.MethodHead:
				methodProblem(r.Method, "GET, HEAD").write(w)
			case !serveProblems(w, name):
				newProblem(notFound, "", "").write(w)
			}
		}
	}
	return "other", func(w http.ResponseWriter, _ *http.Request) { newProblem(notFound, "", "").write(w) }
}

// post wraps what takes events: the right method, not while stopping, and with
// the bytes that it holds given back in the end.
func (h *Handler) post(serve func(http.ResponseWriter, *http.Request, *hold)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != http.MethodPost:
			methodProblem(r.Method, http.MethodPost).write(w)
			return
		case !h.gate.enter():
			w.Header().Set("Connection", "close")
			p := newProblem(shuttingDown, "", "")
			p.ID = headerID(r.Header)
			h.shed(w, p)
			return
		}
		defer h.gate.leave()
		held := h.budget.hold(host(r.RemoteAddr))
		defer held.release()
		serve(w, r, held)
	}
}

func methodProblem(method, allow string) *Problem {
	p := newProblem(methodNotAllowed, "", "want "+allow)
	p.allow = allow
	return p
}

// shed answers with a refusal that protects the server, and counts it.
func (h *Handler) shed(w http.ResponseWriter, p *Problem) {
	if p.retryAfter > 0 {
		h.metrics.shed.WithLabelValues(strings.TrimPrefix(p.Type, "/problems/")).Inc()
	}
	p.write(w)
}

// drainTime is how long the rest of a body that nobody will look at may take
// to arrive, so that the connection can be used again.
const drainTime = 200 * time.Millisecond

// answerWriter remembers the status and gives the caller a bounded time to take
// the answer, counted from when there is one: how long the broker took is not
// the caller's fault.
type answerWriter struct {
	http.ResponseWriter
	timeout time.Duration
	code    int
}

// WriteHeader starts the answer.
func (w *answerWriter) WriteHeader(code int) {
	if w.code == 0 {
		w.code = code
		// Not every ResponseWriter has deadlines (httptest's has none).
		control, now := http.NewResponseController(w.ResponseWriter), time.Now()
		_ = control.SetWriteDeadline(now.Add(w.timeout))
		if code >= http.StatusBadRequest {
			// net/http reads what is left of a small body before it answers: a
			// refusal must not wait for a body that does not come.
			_ = control.SetReadDeadline(now.Add(drainTime))
		}
	}
	w.ResponseWriter.WriteHeader(code)
}

// Write writes part of the answer.
func (w *answerWriter) Write(p []byte) (int, error) {
	if w.code == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *answerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// gate counts the requests inside and, once closed, lets no more in.
type gate struct {
	mu     sync.Mutex
	inside int
	empty  chan struct{} // not nil once the gate is closed; closed when nobody is inside
}

func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.empty != nil {
		return false
	}
	g.inside++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside--; g.inside == 0 && g.empty != nil {
		close(g.empty)
	}
}

func (g *gate) close() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.empty == nil {
		g.empty = make(chan struct{})
		if g.inside == 0 {
			close(g.empty)
		}
	}
	return g.empty
}
