package secured_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"firehose/internal/testbed"
	"firehose/internal/testbed/shop"
)

// A permission that is taken away pauses what needs it, by name, and nothing is
// lost; when it is back the service goes on by itself.
func TestPermissionTakenAway(t *testing.T) {
	s := start(t)
	inventory := s.Start("inventory")
	s.Replay("cdnow:200").WantDone()
	s.AwaitAppliedBy("inventory")

	read := testbed.Permission{User: "inventory", Resource: "topic", Name: "shop.stock-movements", Operation: "READ"}
	s.cluster.Forbid(read)
	shop.Until(t, "inventory says that access is denied", func() bool {
		return inventory.Metric("firehose_access_denied") == 1 && inventory.Metric("firehose_partition_state", `state="paused_access"`) > 0
	})
	s.Replay("cdnow:200", "--again").WantDone()
	s.cluster.Permit(read)
	s.AwaitAppliedBy("inventory")
	shop.Until(t, "inventory says that access is no longer denied", func() bool {
		return inventory.Metric("firehose_access_denied") == 0 && inventory.Metric("firehose_partition_state", `state="paused_access"`) == 0
	})
}

// Every user gets another password while events come in, and all connections are
// made anew, with the broker's restart. No caller hears of it. The services' files
// change only when their new connections were refused.
func TestPasswordsRotated(t *testing.T) {
	s := start(t)
	var services []*shop.Process
	for _, service := range shop.Services() {
		services = append(services, s.Start(service))
	}
	_, door := s.Serve("--timeout", "5m") // a slow machine takes minutes to restart its broker
	load := startLoad(t, door)
	load.await(100)
	for _, user := range programs() {
		s.cluster.SetPassword(user, "next-"+user)
	}
	s.write("producer")
	load.await(100) // who is connected stays so
	s.cluster.Stop(1)
	s.cluster.Start(1)
	for _, service := range services {
		shop.Until(t, service.Name()+" says that access is denied", func() bool { return service.Metric("firehose_access_denied") == 1 })
	}
	for _, user := range shop.Services() {
		s.write(user)
	}
	load.await(100)
	acknowledged := load.end()
	s.AwaitApplied()
	if got := s.Number("inventory", "SELECT on_hand FROM stock WHERE sku = 'rotated'"); got != acknowledged {
		t.Errorf("%d units on hand, and %d events of one unit acknowledged", got, acknowledged)
	}
}

// write puts a user's next password into its file.
func (s *secured) write(user string) {
	s.t.Helper()
	if err := os.WriteFile(s.cluster.File("passwords/"+user), []byte("next-"+user), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// load sends events one after the other until it is ended.
type load struct {
	t    *testing.T
	stop context.CancelFunc
	done chan struct{}

	mu   sync.Mutex
	good int64
}

func startLoad(t *testing.T, door string) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{t: t, stop: cancel, done: make(chan struct{})}
	client := &http.Client{Transport: &http.Transport{}, Timeout: 6 * time.Minute}
	go func() {
		defer close(l.done)
		defer client.CloseIdleConnections()
		for i := 0; ctx.Err() == nil; i++ {
			if err := send(client, door, i); err != nil {
				t.Errorf("event %d: %v", i, err)
				return
			}
			l.mu.Lock()
			l.good++
			l.mu.Unlock()
		}
	}()
	t.Cleanup(func() { l.end() })
	return l
}

func send(client *http.Client, door string, i int) error {
	body := fmt.Sprintf(`{"movement_id":"m-%d","sku":"rotated","quantity":1,"reason":"RECEIVED","moved_at":"2026-01-02T15:04:05Z"}`, i)
	resp, err := client.Post(door+"/v1/events/shop.stock.moved", "application/json", strings.NewReader(body))
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s: %s", resp.Status, text)
	}
	return err
}

func (l *load) count() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.good
}

// await waits for n more events.
func (l *load) await(n int64) {
	l.t.Helper()
	from := l.count()
	shop.Until(l.t, fmt.Sprintf("%d more events acknowledged", n), func() bool {
		select {
		case <-l.done:
			l.t.Fatal("the load has ended")
		default:
		}
		return l.count() >= from+n
	})
}

// end ends it and returns how many events were acknowledged.
func (l *load) end() int64 {
	l.stop()
	<-l.done
	return l.count()
}
