package dev

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// summary is what a run did.
type summary struct {
	Dir     string           `json:"dir"`
	Idle    bool             `json:"idle"` // everything sent was applied by every service
	Seconds float64          `json:"seconds"`
	Sent    sentSummary      `json:"sent"`
	Service []serviceSummary `json:"services"`
}

type sentSummary struct {
	Events    int64            `json:"events"` // acknowledged, also those that came over HTTP
	PerSecond float64          `json:"per_second"`
	Again     int64            `json:"sent_again"` // because their outcome was unknown
	ByTopic   map[string]int64 `json:"by_topic"`
}

type serviceSummary struct {
	Name      string `json:"name"`
	Store     string `json:"store"`
	Applied   int64  `json:"applied"`
	SetAside  int64  `json:"set_aside"`
	Conflicts int64  `json:"conflicts"`
	Duplicate int64  `json:"duplicate"`
	Stale     int64  `json:"stale"`
	Rows      int64  `json:"rows_written"`
}

func (s *system) summary(took time.Duration, idle bool) *summary {
	out := &summary{
		Dir: s.cfg.dir, Idle: idle, Seconds: math.Round(took.Seconds()*1000) / 1000,
		Sent: sentSummary{ByTopic: s.sent(), Again: s.replayed.Retried.Load() + s.simulated.Retried.Load()},
	}
	for _, n := range out.Sent.ByTopic {
		out.Sent.Events += n
	}
	out.Sent.PerSecond = math.Round(float64(out.Sent.Events) / max(took.Seconds(), 1e-3))
	for _, m := range s.members {
		c := m.instance.Counts()
		out.Service = append(out.Service, serviceSummary{
			Name: m.name, Store: m.store, Applied: c.Applied, SetAside: c.SetAside,
			Conflicts: c.Conflicts, Duplicate: c.Duplicate, Stale: c.Stale, Rows: c.Rows,
		})
	}
	return out
}

func (s *summary) print(w io.Writer, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(s)
	}
	var b strings.Builder
	if s.Idle {
		fmt.Fprintf(&b, "\nidle: everything sent has been applied by every service\n")
	} else {
		fmt.Fprintf(&b, "\nstopped; starting again on %s goes on from here\n", s.Dir)
	}
	fmt.Fprintf(&b, "  sent %s events in %.1f s, %s events/s\n",
		grouped(s.Sent.Events), s.Seconds, grouped(int64(s.Sent.PerSecond)))
	for _, topic := range slices.Sorted(maps.Keys(s.Sent.ByTopic)) {
		if n := s.Sent.ByTopic[topic]; n > 0 {
			fmt.Fprintf(&b, "    %-22s %10s\n", topic, grouped(n))
		}
	}
	if s.Sent.Again > 0 {
		fmt.Fprintf(&b, "    %-22s %10s\n", "sent again", grouped(s.Sent.Again))
	}
	for _, m := range s.Service {
		fmt.Fprintf(&b, "  %-12s applied %s, set aside %s, conflicts %s, duplicates %s; %s\n",
			m.Name, grouped(m.Applied), grouped(m.SetAside), grouped(m.Conflicts), grouped(m.Duplicate), m.Store)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
