package dev

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"firehose/internal/service"
)

// tryEvent is the event of the example: a fact, so that each paste counts.
const tryEvent = `{"movement_id":"try-1","sku":"try-me","quantity":5,"reason":"RECEIVED","moved_at":"2026-01-02T15:04:05Z"}`

// printStart says where everything is and what to try next. Each line works when
// pasted into another terminal in the same directory.
func (s *system) printStart(w io.Writer, admin string) {
	program := word(os.Args[0])
	registry := ""
	if s.registry.URL() != service.DefaultRegistry {
		registry = " --registry " + word(s.registry.URL())
	}
	var b strings.Builder
	door := "http://" + reachable(s.server.Addr()) + "/v1/events/"
	fmt.Fprintf(&b, "  broker     %s\n  registry   %s\n  events     %s{type}\n", s.broker.Addr(), s.registry.URL(), door)
	if admin != "" {
		fmt.Fprintf(&b, "  admin      http://%s/metrics\n", reachable(admin))
	}
	for _, m := range s.members {
		fmt.Fprintf(&b, "  %-10s %s\n", m.name, m.store)
	}
	fmt.Fprintf(&b, "\nTry next, in another terminal: send an event, see the newest records, see what it changed\n")
	fmt.Fprintf(&b, "  curl -H 'Content-Type: application/json' %sshop.stock.moved -d '%s'\n", door, tryEvent)
	fmt.Fprintf(&b, "  kcat -q -b %s -t shop.stock-movements -C -e -o -1 -f '%%R%%s' | %s decode%s\n", s.broker.Addr(), program, registry)
	fmt.Fprintf(&b, "  sqlite3 -header %s \"SELECT * FROM stock WHERE sku = 'try-me'\"\n\n", word(s.cfg.path("inventory.db")))
	_, _ = io.WriteString(w, b.String()) // nobody reads hints that cannot be written
}

// reachable is a listener's address for a client on this machine.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsUnspecified() {
		return addr
	}
	return net.JoinHostPort("127.0.0.1", port)
}

// word quotes a word for the shell where it has to be.
func word(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./:@%+=,", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
