package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"
)

// Listen opens the TCP address that the flag name was given. Port 0 takes a
// free one: see the listener's Addr. Its errors name the flag; what can be no
// address is a UsageError.
func Listen(ctx context.Context, name, addr string) (net.Listener, error) {
	_, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = net.DefaultResolver.LookupPort(ctx, "tcp", port)
	}
	if err != nil {
		return nil, Usagef("--%s %s: want host:port: %w", name, addr, err)
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", addr)
	switch {
	case err == nil:
		return listener, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("--%s %s: the address is in use: stop what listens there, or choose another (port 0 takes a free one): %w", name, addr, syscall.EADDRINUSE)
	default:
		return nil, fmt.Errorf("--%s %s: %w", name, addr, err)
	}
}

// NewHTTPServer makes a server whose callers cannot hold it for ever: five
// seconds for the headers, thirty for the request, sixty for the answer, two
// minutes idle, headers of at most 64 KiB.
func NewHTTPServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// Serve serves until ctx ends, then takes no new connections, lets the
// requests in flight finish for at most drain, and closes what is left.
func Serve(ctx context.Context, listener net.Listener, server *http.Server, drain time.Duration) error {
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	err := server.Shutdown(last)
	if err != nil {
		err = errors.Join(fmt.Errorf("requests still in flight after %v: %w", drain, err), server.Close())
	}
	if closed := <-failed; !errors.Is(closed, http.ErrServerClosed) {
		err = errors.Join(err, closed)
	}
	return err
}
