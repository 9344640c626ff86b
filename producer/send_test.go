package producer_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firehose/producer"
	"firehose/schemas"
)

func send(t testing.TB, ctx context.Context, b *backend, cfg producer.SendConfig, inputs ...producer.Input) (producer.Sent, []result) {
	t.Helper()
	var out bytes.Buffer
	cfg.Publisher, cfg.Set, cfg.Out, cfg.Log = b.publisher, schemas.Shop(), &out, b.log
	sent, err := producer.Send(ctx, cfg, inputs...)
	if err != nil {
		t.Fatal(err)
	}
	return sent, results(t, out.String())
}

func input(text string) producer.Input {
	return producer.Input{Name: "events.ndjson", Reader: strings.NewReader(text)}
}

func TestSend(t *testing.T) {
	b := startBackend(t, backendConfig{})
	bad := `{"type":"shop.stock.moved","id":"m-2","data":{"movement_id":"` + canary + `"}} `
	long := `{"type":"shop.stock.moved","data":"` + strings.Repeat("x", 2<<20) + `"}`
	var refused bytes.Buffer
	sent, got := send(t, t.Context(), b, producer.SendConfig{Refused: &refused}, input(strings.Join([]string{
		movementLine("m-1", "s-1"), bad, "", long, canary, movementLine("m-6", "s-1"),
	}, "\n")))
	if want := (producer.Sent{Acknowledged: 2, Refused: 3, LastLine: 6}); sent != want {
		t.Errorf("sent %+v, want %+v", sent, want)
	}
	type row struct {
		Line   int
		ID     string
		Status int
		Field  string
	}
	var rows []row
	for _, r := range got {
		rows = append(rows, row{r.Line, r.ID, r.Status, r.Field})
	}
	want := []row{{1, "m-1", 0, ""}, {2, "m-2", 422, "sku"}, {4, "", 413, ""}, {5, "", 400, ""}, {6, "m-6", 0, ""}}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	// Verbatim, trailing space and all; the one that was too long to keep is not there.
	if got, want := refused.String(), bad+"\n"+canary+"\n"; got != want {
		t.Errorf("refused %q, want %q", got, want)
	}
	if records := b.records(t); len(records) != 2 {
		t.Errorf("%d records, want 2", len(records))
	}
}

func TestSendSeveralFiles(t *testing.T) {
	b := startBackend(t, backendConfig{})
	const events = 1000
	var one, two strings.Builder
	for i := range events {
		fmt.Fprintln(&one, movementLine(fmt.Sprintf("a-%d", i), fmt.Sprintf("s-%d", i%50)))
		fmt.Fprintln(&two, movementLine(fmt.Sprintf("b-%d", i), fmt.Sprintf("s-%d", i%50)))
	}
	sent, got := send(t, t.Context(), b, producer.SendConfig{},
		producer.Input{Name: "one", Reader: strings.NewReader(one.String())},
		producer.Input{Name: "two", Reader: strings.NewReader(two.String())})
	if sent.Acknowledged != 2*events || len(got) != 2*events {
		t.Fatalf("sent %+v, %d answers, want %d", sent, len(got), 2*events)
	}
	for i, r := range got {
		file, id := "one", "a"
		if i >= events {
			file, id = "two", "b"
		}
		want := fmt.Sprintf("%s-%d", id, i%events)
		if r.File != file || r.Line != i%events+1 || r.ID != want {
			t.Fatalf("answer %d: file %s, line %d, event %s, want %s, %d, %s", i, r.File, r.Line, r.ID, file, i%events+1, want)
		}
	}
}

// An answer does not wait for the lines behind it.
func TestSendAnswersAtOnce(t *testing.T) {
	b := startBackend(t, backendConfig{})
	inReader, in := io.Pipe()
	answers, out := io.Pipe()
	done := make(chan error, 1)
	ctx, interrupt := context.WithCancel(t.Context())
	go func() {
		sent, err := producer.Send(ctx, producer.SendConfig{
			Publisher: b.publisher, Set: schemas.Shop(), Out: out, Log: b.log,
		}, producer.Input{Name: "pipe", Reader: inReader})
		if err == nil && (!sent.Interrupted || sent.Acknowledged != 3 || sent.LastLine != 3) {
			err = fmt.Errorf("sent %+v, want 3 acknowledged and then interrupted", sent)
		}
		done <- err
	}()
	buf := make([]byte, 4096)
	for i := range 3 {
		if _, err := fmt.Fprintln(in, movementLine(fmt.Sprintf("m-%d", i), "s-1")); err != nil {
			t.Fatal(err)
		}
		n, err := answers.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if got := results(t, string(buf[:n])); len(got) != 1 || got[0].Line != i+1 {
			t.Fatalf("answer %d: %s", i, buf[:n])
		}
	}
	// The reader waits for a line that never comes: an interrupt ends Send all the same.
	interrupt()
	if err := <-done; err != nil {
		t.Error(err)
	}
	in.Close()
}

// An event whose outcome is unknown is sent again under its ID, and when that
// does not help it is reported, with the line to send again naming that ID.
func TestSendUnknown(t *testing.T) {
	b := startBackend(t, backendConfig{timeout: 200 * time.Millisecond})
	if err := b.publisher.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	silence := b.silenceProduce()
	var refused bytes.Buffer
	line := `{"type":"shop.stock.moved","data":` + movement("m-1", "s-1") + `}`
	cfg := producer.SendConfig{Refused: &refused, Attempts: 2, Backoff: time.Millisecond}
	sent, got := send(t, t.Context(), b, cfg, input(line))
	if sent.Unknown != 1 || len(got) != 1 || got[0].Status != 504 || got[0].ID == "" {
		t.Fatalf("sent %+v, answers %+v, want one unknown", sent, got)
	}
	silence()
	again, answers := send(t, t.Context(), b, producer.SendConfig{Attempts: 20}, input(refused.String()))
	if again.Acknowledged != 1 || answers[0].ID != got[0].ID {
		t.Errorf("again %+v %+v, want it acknowledged under the ID %s", again, answers, got[0].ID)
	}
	for _, r := range b.records(t) {
		if header(r, "ce_id") != got[0].ID {
			t.Errorf("a record has the ID %s, want %s", header(r, "ce_id"), got[0].ID)
		}
	}
}

// silenceProduce makes the broker take produce requests and never answer them,
// until the returned function is called.
func (b *backend) silenceProduce() (restore func()) {
	release := make(chan struct{})
	c := b.broker.Cluster()
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		select {
		case <-release:
			return nil, nil, false
		default:
			return nil, nil, true
		}
	})
	return func() { close(release) }
}
