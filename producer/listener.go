package producer

import (
	"net"
	"sync"
)

// limitListener holds at most max connections open. Further ones wait in the
// kernel's queue, where they cost this process nothing. Of one address it holds
// at most perCaller: what is more is closed at once, for in the queue it would
// stand before everybody else.
type limitListener struct {
	net.Listener
	slots     chan struct{}
	perCaller int
	refused   func() // called for each connection that is closed at once
	closed    chan struct{}
	once      sync.Once

	mu      sync.Mutex
	callers map[string]int // connections by address; only those that have any
}

func newLimitListener(l net.Listener, max, perCaller int, refused func()) *limitListener {
	return &limitListener{
		Listener: l, slots: make(chan struct{}, max), perCaller: perCaller, refused: refused,
		closed: make(chan struct{}), callers: map[string]int{},
	}
}

// Accept waits for a free slot, then for a connection of an address that has not
// got all that it may.
func (l *limitListener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			<-l.slots
			return nil, err
		}
		caller := host(conn.RemoteAddr().String())
		if l.enter(caller) {
			return &limitConn{Conn: conn, leave: func() { l.leave(caller) }}, nil
		}
		_ = conn.Close() // whoever was at the other end is not to be told why
		l.refused()
	}
}

// Close stops accepting. Connections that are open stay open.
func (l *limitListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

func (l *limitListener) enter(caller string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.callers[caller] >= l.perCaller {
		return false
	}
	l.callers[caller]++
	return true
}

func (l *limitListener) leave(caller string) {
	l.mu.Lock()
	if l.callers[caller]--; l.callers[caller] == 0 {
		delete(l.callers, caller)
	}
	l.mu.Unlock()
	<-l.slots
}

type limitConn struct {
	net.Conn
	leave func()
	once  sync.Once
}

// Close closes the connection and frees its slot.
func (c *limitConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.leave)
	return err
}

// host is the address without its port: whose share of the limits is used.
func host(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return host
}
