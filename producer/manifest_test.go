package producer_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"firehose/internal/service"
	"firehose/producer"
	"firehose/schemas"
)

// The producer may write what has a schema, and nothing else. It asks neither
// broker nor registry for that.
func TestManifest(t *testing.T) {
	var out, errs bytes.Buffer
	code := service.Execute(t.Context(), producer.NewCommand(strings.NewReader(""), &out, &errs),
		service.Process{Args: []string{"manifest", "-J"}, Stdout: &out, Stderr: &errs})
	if code != service.ExitDone {
		t.Fatalf("exit %d: %s", code, errs.String())
	}
	var got struct {
		ACLs []struct {
			Resource, Name string
			Operations     []string
		}
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	topics := schemas.Shop().Topics()
	if len(got.ACLs) != len(topics) {
		t.Fatalf("%d permissions for %d topics", len(got.ACLs), len(topics))
	}
	for i, topic := range topics {
		a := got.ACLs[i]
		if operations := strings.Join(a.Operations, " "); a.Resource != "topic" || a.Name != topic.Topic || operations != "WRITE" {
			t.Errorf("got %s %s %s, want topic %s WRITE", a.Resource, a.Name, operations, topic.Topic)
		}
	}
}
