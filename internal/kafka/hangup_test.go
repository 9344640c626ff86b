package kafka_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"firehose/internal/kafka"
)

// proxy listens in front of a broker and ends the first connections at once, as a
// proxy does whose broker is just starting. The silent one of them it does not
// answer.
func proxy(t *testing.T, broker string, ended, silent int64) (addr string, connections *atomic.Int64) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	connections = new(atomic.Int64)
	var all sync.WaitGroup
	t.Cleanup(func() { l.Close(); all.Wait() })
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			switch n := connections.Add(1); {
			case n == silent:
				t.Cleanup(func() { conn.Close() })
				continue
			case n <= ended:
				_, _ = conn.Read(make([]byte, 4096)) // all of it: what is left unread makes a reset of the end
				conn.Close()
				continue
			}
			to, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", broker)
			if err != nil {
				conn.Close()
				continue
			}
			for _, way := range [][2]net.Conn{{conn, to}, {to, conn}} {
				all.Go(func() {
					_, _ = io.Copy(way[0], way[1]) // until either side has gone
					way[0].Close()
				})
			}
		}
	})
	return l.Addr().String(), connections
}

// A broker that hangs up may want TLS or a login, or may just be starting: only
// one that goes on hanging up refuses.
func TestHangingUpIsARefusalInTheEnd(t *testing.T) {
	ca := newAuthority(t)
	good := ca.server("127.0.0.1", time.Now().Add(time.Hour))
	for _, side := range []struct {
		name   string
		broker []kfake.Opt
		cfg    kafka.Config
		says   string
	}{
		{"plaintext", nil, kafka.Config{}, "the broker hangs up at once"},
		{"TLS", []kfake.Opt{kfake.TLS(good)}, kafka.Config{TLS: kafka.TLS{CAFile: ca.file}}, "may not speak TLS on this port"},
	} {
		for _, tt := range []struct {
			name          string
			ended, silent int64
			denied        bool
			patience      time.Duration
		}{
			{"for a moment", 3, 0, false, 20 * time.Second},
			{"for a moment, and too busy to do so once", 3, 2, false, 3 * time.Second},
			{"for good", 1 << 60, 0, true, 500 * time.Millisecond},
			{"for good, too busy to do so once", 1 << 60, 2, true, 500 * time.Millisecond},
		} {
			t.Run(side.name+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				addr, connections := proxy(t, startFake(t, side.broker...), tt.ended, tt.silent)
				cfg := side.cfg
				cfg.Brokers, cfg.RequestTimeout = []string{addr}, time.Second
				client, err := kafka.NewClient(cfg)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(client.Close)
				err = kafka.CheckProducer(t.Context(), client, nil, tt.patience)
				if tt.denied != errors.Is(err, kafka.ErrDenied) {
					t.Errorf("got %v, denied is to be %v", err, tt.denied)
				}
				if tt.denied && (err == nil || !strings.Contains(err.Error(), side.says)) {
					t.Errorf("got %v, want it to say %q", err, side.says)
				}
				if got := connections.Load(); got <= 1 {
					t.Errorf("tried once, want again")
				}
			})
		}
	}
}

// So it is for a member of a group, whatever its group.
func TestHangingUpForAMomentLetsAMemberIn(t *testing.T) {
	addr, _ := proxy(t, startFake(t), 3, 0)
	cfg := kafka.Config{Brokers: []string{addr}}
	client, err := kafka.NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	if err := kafka.CheckConsumer(t.Context(), client, cfg, nil); err != nil {
		t.Errorf("refused: %v", err)
	}
}
