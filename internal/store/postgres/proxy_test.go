package postgres_test

import (
	"context"
	"net"
	"net/url"
	"sync"
	"testing"
)

// proxy leads to a server, until it is frozen: then it accepts connections and
// takes whatever comes, and gives no answer.
type proxy struct {
	t        testing.TB
	listener net.Listener
	to       string

	mu     sync.Mutex
	thaw   chan struct{} // closed: not frozen
	opened map[net.Conn]bool
	ended  bool
	wg     sync.WaitGroup
}

// behindProxy returns the address by way of a proxy, which ends with the test.
func behindProxy(t testing.TB, address string) (*proxy, string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal("the address is no URL")
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, listener: l, to: u.Host, thaw: make(chan struct{}), opened: map[net.Conn]bool{}}
	close(p.thaw)
	p.wg.Go(p.accept)
	t.Cleanup(p.end)
	u.Host = l.Addr().String()
	return p, u.String()
}

func (p *proxy) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.thaw = make(chan struct{})
}

// heal goes on. What was swallowed meanwhile is lost with its connection.
func (p *proxy) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.thaw)
	for c := range p.opened {
		c.Close()
	}
}

func (p *proxy) end() {
	p.listener.Close()
	p.mu.Lock()
	p.ended = true
	for c := range p.opened {
		c.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

// frozen reports whether it is.
func (p *proxy) frozen() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.thaw:
		return false
	default:
		return true
	}
}

// own notes a connection, or closes it when there are to be none.
func (p *proxy) own(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		c.Close()
		return false
	}
	p.opened[c] = true
	return true
}

func (p *proxy) accept() {
	for {
		from, err := p.listener.Accept()
		if err != nil {
			return
		}
		if !p.own(from) {
			return
		}
		to, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", p.to)
		if err != nil || !p.own(to) {
			from.Close()
			continue
		}
		p.wg.Go(func() { p.pass(from, to) })
		p.wg.Go(func() { p.pass(to, from) })
	}
}

func (p *proxy) pass(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if !p.frozen() {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
