package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// RegistryConfig says where the schema registry keeps its data and listens.
type RegistryConfig struct {
	Dir  string       // data directory, created when missing; "" keeps everything in memory
	Addr string       // host:port to listen on; default "127.0.0.1:0", a free port
	Log  *slog.Logger // default: nothing is logged
}

// Registry is a running schema registry that speaks Confluent's API.
//
// It is franz-go's srfake behind checks of our own: it refuses what is not Avro
// and what is not compatible, tells compatibility truly, and writes every change
// down before it answers, so that IDs stay what they are, also after a SIGKILL.
// The default compatibility is FULL_TRANSITIVE. It has no contexts but the
// default one, no IMPORT mode, and keeps what was deleted for good readable by
// its ID.
type Registry struct {
	state    *registryState
	server   *http.Server
	url      string
	log      *slog.Logger
	serving  sync.WaitGroup
	unlock   func() error
	closing  sync.Once
	closeErr error
}

// Bounds of the registry's server.
const (
	maxRequestBody     = 1 << 20 // bytes, as Confluent's and srfake's
	registryHeaderTime = 5 * time.Second
	registryTime       = 30 * time.Second
)

// StartRegistry starts a registry. It answers as soon as StartRegistry returns.
func StartRegistry(cfg RegistryConfig) (*Registry, error) {
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	unlock := func() error { return nil }
	if cfg.Dir != "" {
		var err error
		if unlock, err = lockDir(cfg.Dir, "registry.lock"); err != nil {
			return nil, fmt.Errorf("embedded registry: %s: %w", cfg.Dir, err)
		}
	}
	state, err := openRegistryState(cfg.Dir)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("embedded registry: %w", err), unlock())
	}
	listener, err := listen("tcp", cfg.Addr)
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			err = fmt.Errorf("%w (is another one running?): %w", ErrAddrTaken, err)
		}
		return nil, errors.Join(fmt.Errorf("embedded registry: listen on %s: %w", cfg.Addr, err), state.close(), unlock())
	}
	r := &Registry{state: state, url: "http://" + reachable(listener.Addr()), log: cfg.Log, unlock: unlock}
	r.server = &http.Server{
		Handler:           r.handler(),
		ReadHeaderTimeout: registryHeaderTime,
		ReadTimeout:       registryTime,
		WriteTimeout:      registryTime,
		IdleTimeout:       2 * registryTime,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
	}
	r.serving.Go(func() {
		if err := r.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			cfg.Log.Error("embedded registry stopped serving", "err", err)
		}
	})
	return r, nil
}

// reachable is the address for a client on this machine.
func reachable(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return a.String()
	}
	return (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: tcp.Port}).String()
}

// URL returns the registry's address, for example http://127.0.0.1:8081.
func (r *Registry) URL() string { return r.url }

// Close answers what it was asked, then stops and frees the directory.
func (r *Registry) Close() error {
	r.closing.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		err := r.server.Shutdown(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			err = r.server.Close() // a client that does not finish its request
		}
		r.serving.Wait()
		r.closeErr = errors.Join(err, r.state.close(), r.unlock())
	})
	return r.closeErr
}
