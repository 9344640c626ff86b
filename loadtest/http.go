package loadtest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// httpDoor posts batches to a `producer serve` that knows the load test's
// schemas. Each worker has one request under way at a time; what falls due
// meanwhile is its next batch.
type httpDoor struct {
	*maker
	url    string
	client *http.Client
}

// requestTimeout is above the door's own, which answers that an outcome is
// unknown.
const requestTimeout = 60 * time.Second

func openHTTPDoor(m *maker, url string, workers int) (*httpDoor, error) {
	if !strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "https://") {
		return nil, errors.New("--door: want the http:// or https:// URL of a producer serve") // it may hold a login
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost, transport.MaxConnsPerHost = workers, workers
	return &httpDoor{
		maker: m, url: strings.TrimSuffix(url, "/") + "/v1/events:batch",
		client: &http.Client{Transport: transport, Timeout: requestTimeout},
	}, nil
}

func (d *httpDoor) send(ctx context.Context, events []outgoing, answered func(event, answer)) time.Duration {
	var body []byte
	for i := range events {
		body = d.appendLine(body, &events[i])
	}
	sent := time.Now()
	answers, _ := d.post(ctx, body, len(events)) // an error is that answers are missing
	for i := range events {
		if answers[i].why == "" && answers[i].offset < 0 {
			answers[i] = answer{outcome: unknown, why: "no_answer"}
		}
		answered(events[i].event, answers[i])
	}
	return time.Since(sent)
}

// appendLine writes an event as a line of NDJSON. None of its texts needs to be
// escaped.
func (d *httpDoor) appendLine(b []byte, e *outgoing) []byte {
	b = append(b, `{"type":"`...)
	b = append(b, d.eventType(e.stream)...)
	b = append(b, `","data":{"key":"`...)
	b = append(b, d.numbers[e.number]...)
	b = append(b, `","run":"`...)
	b = append(b, d.run...)
	b = append(b, `","number":`...)
	b = strconv.AppendUint(b, uint64(e.number), 10)
	b = append(b, `,"sequence":`...)
	b = strconv.AppendUint(b, uint64(e.sequence), 10)
	b = append(b, `,"due":"`...)
	b = d.at(e.due).UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z")
	b = append(b, `","padding":"`...)
	b = append(b, e.padding...)
	return append(b, "\"}}\n"...)
}

// post returns an answer for each of n lines; one without an answer has no reason
// and a negative offset.
func (d *httpDoor) post(ctx context.Context, body []byte, n int) ([]answer, error) {
	answers := make([]answer, n)
	for i := range answers {
		answers[i].offset = -1
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url, bytes.NewReader(body))
	if err != nil {
		return answers, err
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	resp, err := d.client.Do(req)
	if err != nil {
		return answers, err
	}
	defer resp.Body.Close()
	defer func() { _, _ = io.Copy(io.Discard, resp.Body) }() // so that the connection can be used again
	if resp.Header.Get("Content-Type") != "application/x-ndjson" {
		// Refused as a whole, before its first event was published; except where
		// nobody knows.
		what := rejected
		if resp.StatusCode == http.StatusGatewayTimeout || resp.StatusCode == http.StatusBadGateway {
			what = unknown
		}
		for i := range answers {
			answers[i] = answer{outcome: what, why: "http_" + strconv.Itoa(resp.StatusCode)}
		}
		return answers, nil
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line struct {
			Line      int    `json:"line"`
			Partition int32  `json:"partition"`
			Offset    *int64 `json:"offset"`
			Type      string `json:"type"`
			Status    int    `json:"status"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil || line.Line < 1 || line.Line > n {
			continue
		}
		a := &answers[line.Line-1]
		switch {
		case line.Offset != nil:
			*a = answer{partition: line.Partition, offset: *line.Offset}
		case line.Status == http.StatusGatewayTimeout:
			*a = answer{outcome: unknown, why: strings.TrimPrefix(line.Type, "/problems/")}
		default:
			*a = answer{outcome: rejected, why: strings.TrimPrefix(line.Type, "/problems/")}
		}
	}
	return answers, lines.Err()
}

func (d *httpDoor) close(context.Context) error {
	d.client.CloseIdleConnections()
	return nil
}
