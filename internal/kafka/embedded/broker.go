// Package embedded runs a Kafka-protocol broker and a schema registry inside
// the process, kept on disk, so that the whole system starts without anything
// installed. They are for development, tests and demonstrations: one node, no
// replication, no authentication, loopback.
//
//	broker, err := embedded.StartBroker(embedded.BrokerConfig{Dir: "data/kafka", Addr: "127.0.0.1:9092"})
//	...
//	defer broker.Close()
//	client, err := kafka.NewClient(kafka.Config{Brokers: []string{broker.Addr()}})
//
// The broker is franz-go's kfake with a data directory. What a client was told
// is written survives a SIGKILL of the process (records, topic IDs, group
// offsets), but not a loss of power: it is in the page cache, as in Kafka.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"
)

// BrokerConfig says where the broker keeps its data and listens.
type BrokerConfig struct {
	Dir  string       // data directory, created when missing; "" keeps everything in memory
	Addr string       // host:port to listen on and to advertise; default "127.0.0.1:0", a free port
	Log  *slog.Logger // default: nothing is logged
}

// Broker is a running broker.
type Broker struct {
	cluster *kfake.Cluster
	addr    string
	unlock  func() error
	close   sync.Once
	err     error
}

// ErrAddrTaken says that something else listens on the address.
var ErrAddrTaken = errors.New("address is in use")

// ErrDirTaken says that another process runs on the data directory.
var ErrDirTaken = errors.New("data directory is in use by another process")

// StartBroker starts a broker. It answers as soon as StartBroker returns.
func StartBroker(cfg BrokerConfig) (*Broker, error) {
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	host, port, err := splitAddr(cfg.Addr)
	if err != nil {
		return nil, err
	}
	unlock := func() error { return nil }
	if cfg.Dir != "" {
		// First the lock, then the files: kfake repairs what it finds torn,
		// which would be another process's batch in the writing.
		if unlock, err = lockDir(cfg.Dir, "broker.lock"); err != nil {
			return nil, fmt.Errorf("embedded broker: %s: %w", cfg.Dir, err)
		}
	}
	opts := []kfake.Opt{
		kfake.Ports(port),
		kfake.ClusterID("firehose"),
		kfake.WithLogger(logger{cfg.Log}),
		kfake.ListenFn(func(network, address string) (net.Listener, error) {
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return listen(network, net.JoinHostPort(host, port))
		}),
		// Topics are declared: kfake creates none by itself unless told to,
		// and neither does it delay a group's first rebalance.
		kfake.BrokerConfigs(map[string]string{
			"default.replication.factor": "1",
			// A service's members are back within a heartbeat of each other.
			"group.consumer.heartbeat.interval.ms": "500",
			// A position lives in the service's store; its mirror here should
			// not vanish because a laptop was shut for a week.
			"offsets.retention.minutes": strconv.Itoa(365 * 24 * 60),
		}),
	}
	if cfg.Dir != "" {
		opts = append(opts, kfake.DataDir(cfg.Dir))
	}
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			err = fmt.Errorf("%w (is another one running?): %w", ErrAddrTaken, err)
		}
		return nil, errors.Join(fmt.Errorf("embedded broker: listen on %s: %w", cfg.Addr, err), unlock())
	}
	return &Broker{cluster: cluster, addr: cluster.ListenAddrs()[0], unlock: unlock}, nil
}

// Addr returns the address that clients connect to.
func (b *Broker) Addr() string { return b.addr }

// Cluster returns the broker underneath, for tests that inject faults.
func (b *Broker) Cluster() *kfake.Cluster { return b.cluster }

// Compact compacts the compacted topics now, and drops what retention no longer
// keeps. Otherwise it happens once an hour. A partition's newest batch stays as
// it is, as an active segment does.
func (b *Broker) Compact() { b.cluster.Compact() }

// Close stops the broker, writes what it keeps and frees its directory. Clients
// still connected are cut off.
func (b *Broker) Close() error {
	b.close.Do(func() {
		b.cluster.Close()
		b.err = b.unlock()
	})
	return b.err
}

// splitAddr refuses addresses that a client could not be sent to: the broker
// advertises the one that it listens on.
func splitAddr(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, fmt.Errorf("embedded broker: address: %w", err)
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		return "", 0, fmt.Errorf("embedded broker: address %q: want a host that clients can connect to", addr)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("embedded broker: address %q: want a port from 0 to 65535", addr)
	}
	return host, port, nil
}

// listen is net.Listen for the addresses that kfake asks for.
func listen(network, address string) (net.Listener, error) {
	var lc net.ListenConfig
	return lc.Listen(context.Background(), network, address)
}

// logger hands kfake's lines to slog. kfake logs requests, members and files,
// never records.
type logger struct{ log *slog.Logger }

// Logf implements kfake.Logger.
func (l logger) Logf(level kfake.LogLevel, format string, args ...any) {
	to := slog.LevelDebug
	switch level {
	case kfake.LogLevelError:
		to = slog.LevelError
	case kfake.LogLevelWarn:
		to = slog.LevelWarn
	case kfake.LogLevelNone, kfake.LogLevelInfo, kfake.LogLevelDebug:
	}
	if !l.log.Enabled(context.Background(), to) {
		return
	}
	var line strings.Builder
	fmt.Fprintf(&line, format, args...)
	l.log.Log(context.Background(), to, "embedded broker", "detail", line.String())
}

var _ io.Closer = (*Broker)(nil)
