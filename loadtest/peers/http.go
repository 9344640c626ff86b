package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// How the door is fed: each sender has one request under way at a time.
const (
	batchLines  = 500
	postSenders = 8
	pacedPart   = 2                // of the highest rate, when the latency is measured
	pacedFor    = 20 * time.Second // at the most
)

// writeLines writes events as producer send and the door take them, and their
// schemas, once.
func (b *bench) writeLines() (lines, schemaDir string, err error) {
	lines, schemaDir = filepath.Join(b.dir, fmt.Sprintf("lines-%d.ndjson", b.events)), filepath.Join(b.dir, "schemas")
	if err := os.MkdirAll(schemaDir, 0o755); err != nil {
		return "", "", err
	}
	if err := os.WriteFile(filepath.Join(schemaDir, published+".v1.avsc"), []byte(schemaOf(published)), 0o644); err != nil {
		return "", "", err
	}
	if _, err := os.Stat(lines); err == nil {
		return lines, schemaDir, nil
	}
	file, err := os.Create(lines + ".new")
	if err != nil {
		return "", "", err
	}
	w := bufio.NewWriter(file)
	for i := range b.events {
		o := orderEvent(i, 1)
		fmt.Fprintf(w, `{"type":%q,"id":%q,"data":{"order_id":%q,"customer_id":%q,"status":%q,"version":%d,"total_cents":%d,"currency":%q,"updated_at":%q,"item_count":%d,"channel":%q,"country":%q,"campaign":%q}}`+"\n",
			eventType(published), eventID(i), o.OrderID, o.CustomerID, o.Status, o.Version, o.TotalCents, o.Currency, o.UpdatedAt.Format(time.RFC3339Nano), o.ItemCount, o.Channel, o.Country, o.Campaign)
	}
	if err := w.Flush(); err != nil {
		return "", "", err
	}
	if err := file.Close(); err != nil {
		return "", "", err
	}
	return lines, schemaDir, os.Rename(lines+".new", lines)
}

// postedOverHTTP runs producer serve and one who posts to it.
func postedOverHTTP(ctx context.Context, b *bench, _ *row, _ string) (m measured, err error) {
	lines, schemaDir, err := b.writeLines()
	if err != nil {
		return m, err
	}
	if err := b.prepare(ctx, b.one, published, 1); err != nil {
		return m, err
	}
	address, err := freeAddress(ctx)
	if err != nil {
		return m, err
	}
	var said []string
	posted := false
	m, _, err = runProcess(ctx, b.own("producer", "serve", "--brokers", strings.Join(b.one, ","), "--registry", b.registry, "--schemas", schemaDir,
		"--listen", address, "--admin", "127.0.0.1:0", "--max-batch-lines", fmt.Sprint(batchLines)), func(ctx context.Context) (begun, done bool, err error) {
		if posted {
			return true, true, nil
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err != nil {
			return false, false, nil //nolint:nilerr // not yet
		}
		if err := conn.Close(); err != nil {
			return false, false, err
		}
		posted = true
		_, said, err = runProcess(ctx, b.side("post", "--url", "http://"+address+"/v1/events:batch", "--file", lines), nil)
		return true, false, err // its memory is read once more
	})
	if err != nil {
		return m, err
	}
	return m, ownTime(said, b.events, &m)
}

// sentFromFile is producer send of the same lines, its answers thrown away.
func sentFromFile(ctx context.Context, b *bench, _ *row, _ string) (m measured, err error) {
	lines, schemaDir, err := b.writeLines()
	if err != nil {
		return m, err
	}
	if err := b.prepare(ctx, b.one, published, 1); err != nil {
		return m, err
	}
	cmd := b.own("producer", "send", lines, "--brokers", strings.Join(b.one, ","), "--registry", b.registry, "--schemas", schemaDir)
	answers, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return m, err
	}
	defer answers.Close()
	cmd.Stdout = answers
	m, _, err = runProcess(ctx, cmd, nil)
	m.Seconds = m.WholeSeconds // it starts at once
	return m, err
}

func freeAddress(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// post posts the file's lines as fast as they are answered, and then a part of
// them at half of that rate, where a batch's latency counts from when it was due.
func post(ctx context.Context, s *side) error {
	text, err := os.ReadFile(s.file)
	if err != nil {
		return err
	}
	var batches [][]byte
	for len(text) > 0 {
		end := 0
		for n := 0; n < batchLines && end < len(text); n++ {
			i := bytes.IndexByte(text[end:], '\n')
			if i < 0 {
				return fmt.Errorf("%s: the last line has no end", s.file)
			}
			end += i + 1
		}
		batches, text = append(batches, text[:end]), text[end:]
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 1000
	client := &http.Client{Transport: transport}
	defer client.CloseIdleConnections()
	for _, batch := range batches[:min(len(batches), 1+len(batches)/10)] { // a warm-up
		if err := postOne(ctx, client, s.url, batch); err != nil {
			return err
		}
	}
	start := time.Now()
	if err := postAll(ctx, client, s.url, batches, postSenders, nil); err != nil {
		return err
	}
	took := time.Since(start)
	gap := took * pacedPart / time.Duration(len(batches))
	var mu sync.Mutex
	var late []float64
	if err := postAll(ctx, client, s.url, batches[:min(len(batches), 1+int(pacedFor/gap))], 8*postSenders, func(i int) func() {
		due := time.Now()
		if i == 0 {
			start = due
		} else {
			due = start.Add(time.Duration(i) * gap)
			_ = wait(ctx, time.Until(due))
		}
		return func() {
			mu.Lock()
			defer mu.Unlock()
			late = append(late, float64(time.Since(due).Microseconds())/1000)
		}
	}); err != nil {
		return err
	}
	slices.Sort(late)
	return s.say(report{Events: s.events, Seconds: took.Seconds(), Figures: map[string]float64{
		ackedP50: late[len(late)/2], ackedP99: late[len(late)*99/100],
	}})
}

// postAll posts batches in order. before, where it is given, waits until the ith is
// due, and what it returns is called when that is answered.
func postAll(ctx context.Context, client *http.Client, url string, batches [][]byte, senders int, before func(i int) func()) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(senders)
	for i, batch := range batches {
		var after func()
		if before != nil {
			after = before(i)
		}
		g.Go(func() error {
			if after != nil {
				defer after()
			}
			return postOne(ctx, client, url, batch)
		})
	}
	return g.Wait()
}

func postOne(ctx context.Context, client *http.Client, url string, batch []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(batch))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var problem struct{ Title, Detail string }
		_ = json.NewDecoder(resp.Body).Decode(&problem)
		return fmt.Errorf("%s: %s %s", resp.Status, problem.Title, problem.Detail)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
