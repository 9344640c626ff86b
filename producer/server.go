package producer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"firehose/internal/service"
)

// DefaultListen is where the HTTP door listens unless told otherwise.
const DefaultListen = "127.0.0.1:8080"

// ServerConfig says where a Server listens and what it serves.
type ServerConfig struct {
	Listen  string // host:port; default DefaultListen; port 0 takes a free one
	Handler HandlerConfig
}

// Server is the HTTP door: a Handler behind a listener that bounds connections
// and time.
type Server struct {
	handler  *Handler
	listener net.Listener
	http     *http.Server
}

// NewServer listens. Run serves.
func NewServer(ctx context.Context, cfg ServerConfig) (*Server, error) {
	if cfg.Listen == "" {
		cfg.Listen = DefaultListen
	}
	if cfg.Handler.Log == nil {
		cfg.Handler.Log = slog.Default()
	}
	handler, err := NewHandler(cfg.Handler)
	if err != nil {
		return nil, err
	}
	listener, err := service.Listen(ctx, "listen", cfg.Listen)
	if err != nil {
		return nil, err
	}
	limits := handler.limits
	server := service.NewHTTPServer(handler, cfg.Handler.Log)
	server.ReadHeaderTimeout = limits.HeaderTimeout
	server.ReadTimeout = limits.ReadTimeout
	server.WriteTimeout = 0 // the handler sets it when it has an answer
	server.IdleTimeout = limits.IdleTimeout
	return &Server{
		handler:  handler,
		listener: newLimitListener(listener, limits.Connections, limits.CallerConnections, handler.metrics.connectionsRefused.Inc),
		http:     server,
	}, nil
}

// Addr is the address that was taken.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Run serves until stop ends. Then new events are refused with 503 while those
// in flight are answered, and the listener is closed. When abort ends what is
// still in flight is cut off. It fits service.Group's Go.
func (s *Server) Run(stop, abort context.Context) error {
	served := make(chan error, 1)
	go func() { served <- s.http.Serve(s.listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("http door: %w", err)
	case <-stop.Done():
	}
	select {
	case <-s.handler.Drain():
	case <-abort.Done():
	}
	err := s.http.Shutdown(abort)
	if err != nil {
		err = fmt.Errorf("http door: requests cut off: %w", err)
		_ = s.http.Close() // the listener is closed already
	}
	if failed := <-served; !errors.Is(failed, http.ErrServerClosed) {
		err = errors.Join(err, fmt.Errorf("http door: %w", failed))
	}
	return err
}

// Close gives the address back of a server that never ran.
func (s *Server) Close() error { return s.listener.Close() }
