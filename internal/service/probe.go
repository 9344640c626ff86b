package service

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// probeTimeout is longer than the answer of /readyz may take.
const probeTimeout = readyTimeout + time.Second

// HealthCommand is the command that asks an instance on this machine whether it
// is well: what a container's health check runs where there is no other program.
func HealthCommand(binary string) *Command {
	var admin Admin
	var ready bool
	return &Command{
		Name:    "health",
		Summary: "ask an instance on this machine whether it is well",
		Help: "Asks /healthz on the admin port and exits with 1 unless the answer is good. It is for\n" +
			"the health check of a container, which has no other program to ask with.",
		Example: binary + " health --admin 127.0.0.1:9090",
		Register: func(f *Flags) {
			admin.Register(f)
			f.BoolVar(&ready, "ready", false, "ask /readyz, whether it serves; else /healthz, whether it is alive")
		},
		Run: func(ctx context.Context, _ []string) error {
			path := "/healthz"
			if ready {
				path = "/readyz"
			}
			return probe(ctx, admin.Addr, path)
		},
	}
}

// probe asks one question of the admin port at addr. An address without a host,
// or of all hosts, is asked on loopback.
func probe(ctx context.Context, addr, path string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || port == "" || port == "0" {
		return Usagef("--admin %s: want the address that the instance was given, with its port", addr)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+path, nil)
	if err != nil {
		return Usagef("--admin %s: %v", addr, err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("asking for health: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 4096)) // the status is the answer, this is the reason
		return fmt.Errorf("%s: %s %s", path, resp.Status, strings.TrimSpace(string(said)))
	}
	return nil
}
