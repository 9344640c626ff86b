package operator_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/operator"
	"firehose/internal/service"
	"firehose/schemas"
)

// frames is what kcat -f '%R%s' writes.
func frames(values ...[]byte) string {
	var b []byte
	for _, v := range values {
		if v == nil {
			b = binary.BigEndian.AppendUint32(b, 1<<32-1)
			continue
		}
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(v))), v...)
	}
	return string(b)
}

func TestDecode(t *testing.T) {
	w := ready(t)
	good := w.encode(schemas.TopicCustomers, customer("c-1", 1))
	for _, test := range []struct {
		name, in, out, err string
		code               int
	}{
		{"nothing", "", "", "", service.ExitDone},
		{"values and a tombstone", frames(good, nil, good), ada + "\nnull\n" + ada + "\n", "", service.ExitDone},
		{"bad ones", frames([]byte{}, good, []byte("hello"), append([]byte{}, good[:20]...)), ada + "\n",
			"record 1: undecodable: empty value\nrecord 3: undecodable: no magic byte\nrecord 4: undecodable: truncated in a uvarlong\n", service.ExitFailed},
		{"ends in a value", frames(good) + frames(good)[:10], ada + "\n", "firehose decode: record 2: undecodable: the input ends in a value of 35 bytes\n", service.ExitFailed},
		{"ends in a length", frames(good) + "\x00\x00", ada + "\n", "firehose decode: record 2: undecodable: the input ends in a length\n", service.ExitFailed},
		{"text", "{\"id\": 1}\n", "", "firehose decode: record 1: length of 2065852772 bytes: the input is not what `kcat -f '%R%s'` writes\n", service.ExitFailed},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := w.run(test.in, "decode")
			if diff := cmp.Diff(call{test.code, test.out, test.err}, got, cmp.AllowUnexported(call{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A value is shown as soon as it is there, while kcat goes on following.
func TestDecodeFollows(t *testing.T) {
	w := ready(t)
	in, kcat := io.Pipe()
	lines := lineWriter(make(chan string))
	done := make(chan int, 1)
	go func() {
		root := operator.Command(operator.Streams{In: in, Out: lines, Err: io.Discard})
		done <- service.Execute(t.Context(), root, service.Process{Stdout: io.Discard, Stderr: io.Discard,
			Args: []string{"decode", "--registry", w.registry.URL()}})
	}()
	for range 2 {
		if _, err := io.WriteString(kcat, frames(w.encode(schemas.TopicCustomers, customer("c-1", 1)))); err != nil {
			t.Fatal(err)
		}
		if got := <-lines; got != ada+"\n" {
			t.Errorf("got %s", got)
		}
	}
	kcat.Close()
	if code := <-done; code != service.ExitDone {
		t.Errorf("exit code %d", code)
	}
}

// The real kcat writes what decode reads, tombstones too.
func TestDecodeKcat(t *testing.T) {
	kcat, err := exec.LookPath("kcat")
	if err != nil {
		t.Skip("kcat is not installed (Debian: apt-get install kcat): its real output was not decoded")
	}
	w := ready(t)
	value := w.encode(schemas.TopicCustomers, customer("c-1", 1))
	for _, v := range [][]byte{value, nil, value} {
		w.produce(&kgo.Record{Topic: schemas.TopicCustomers, Partition: 1, Key: []byte("c-1"), Value: v})
	}
	// -Z writes NULL for a tombstone's value, behind its length.
	for _, more := range [][]string{nil, {"-Z"}} {
		var errs bytes.Buffer
		args := append([]string{"-C", "-e", "-q", "-b", w.broker.Addr(), "-t", schemas.TopicCustomers, "-f", "%R%s"}, more...)
		cmd := exec.CommandContext(t.Context(), kcat, args...)
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("kcat %v: %v: %s", args, err, errs.String())
		}
		got := w.run(string(out), "decode")
		if diff := cmp.Diff(call{stdout: ada + "\nnull\n" + ada + "\n"}, got, cmp.AllowUnexported(call{})); diff != "" {
			t.Errorf("kcat %v (-want +got):\n%s", args, diff)
		}
	}
}
