package embedded_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/sr"

	"firehose/internal/kafka/embedded"
)

func TestRegistryDeletes(t *testing.T) {
	dir := t.TempDir()
	r := startRegistry(t, dir)
	cl, ctx := registryClient(t, r), t.Context()
	register(t, cl, "x-value", thingV1)
	register(t, cl, "x-value", thingV2)
	if got, err := cl.DeleteSubject(ctx, "x-value", sr.SoftDelete); err != nil || !cmp.Equal(got, []int{1, 2}) {
		t.Fatalf("got %v, %v, want versions 1 and 2", got, err)
	}
	if got, err := cl.Subjects(ctx); err != nil || len(got) != 0 {
		t.Errorf("subjects: got %v, %v, want none", got, err)
	}
	if got, err := cl.Subjects(sr.WithParams(ctx, sr.ShowDeleted)); err != nil || len(got) != 1 {
		t.Errorf("subjects with the deleted: got %v, %v, want one", got, err)
	}
	if _, err := cl.DeleteSubject(ctx, "x-value", sr.SoftDelete); !isCode(err, 40404) {
		t.Errorf("again: got %v, want 40404", err)
	}
	if got, err := cl.SchemaByID(ctx, 1); err != nil || got.Schema != thingV1 {
		t.Errorf("by id: got %v, %v, want it still readable", got, err)
	}
	again := register(t, cl, "x-value", thingV1)
	if again.ID != 1 || again.Version != 3 {
		t.Errorf("registered again: got id %d version %d, want id 1 version 3", again.ID, again.Version)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	cl = registryClient(t, startRegistry(t, dir))
	if got, err := cl.SubjectVersions(ctx, "x-value"); err != nil || !cmp.Equal(got, []int{3}) {
		t.Errorf("after a restart: got %v, %v, want version 3", got, err)
	}
	if got := register(t, cl, "x-value", strings.Replace(thingV2, `"default":0`, `"default":1`, 1)); got.ID != 3 || got.Version != 4 {
		t.Errorf("got id %d version %d, want id 3 version 4", got.ID, got.Version)
	}
}

func isCode(err error, code int) bool {
	var answer *sr.ResponseError
	return errors.As(err, &answer) && answer.ErrorCode == code
}

func TestRegistryRefusesToDeleteWhatIsReferredTo(t *testing.T) {
	r := startRegistry(t, "")
	cl, ctx := registryClient(t, r), t.Context()
	register(t, cl, "x-value", thingV1)
	_, err := cl.CreateSchema(ctx, "y-value", sr.Schema{
		Schema:     `{"type":"record","name":"Box","fields":[{"name":"in","type":"Thing"}]}`,
		References: []sr.SchemaReference{{Name: "Thing", Subject: "x-value", Version: 1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cl.DeleteSubject(ctx, "x-value", sr.SoftDelete); !isCode(err, 42206) {
		t.Errorf("got %v, want 42206", err)
	}
}

func TestRegistrySurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	first := startRegistry(t, dir)
	cl, ctx := registryClient(t, first), t.Context()
	want := map[string]int{}
	for i := range 20 {
		subject := fmt.Sprintf("t%d-value", i%10)
		text := strings.Replace(thingV2, `"default":0`, fmt.Sprintf(`"default":%d`, i), 1)
		want[text] = register(t, cl, subject, text).ID
	}
	if got := cl.SetCompatibility(ctx, sr.SetCompatibility{Level: sr.CompatBackward}, "t1-value")[0]; got.Err != nil {
		t.Fatal(got.Err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r := startRegistry(t, dir)
		cl := registryClient(t, r)
		for text, id := range want {
			if got, err := cl.SchemaByID(ctx, id); err != nil || got.Schema != text {
				t.Errorf("id %d: got %q, %v", id, got.Schema, err)
			}
		}
		if got := cl.Compatibility(ctx, "t1-value")[0]; got.Level != sr.CompatBackward {
			t.Errorf("got compatibility %v, want BACKWARD", got.Level)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRegistryOnATakenPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := t.TempDir()
	_, err = embedded.StartRegistry(embedded.RegistryConfig{Dir: dir, Addr: l.Addr().String()})
	if !errors.Is(err, embedded.ErrAddrTaken) || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("got %v, want an ErrAddrTaken that names the address", err)
	}
	startRegistry(t, dir) // the directory is free again
}

func TestRegistryDirectoryHasOneOwner(t *testing.T) {
	dir := t.TempDir()
	startRegistry(t, dir)
	if _, err := embedded.StartRegistry(embedded.RegistryConfig{Dir: dir}); !errors.Is(err, embedded.ErrDirTaken) {
		t.Errorf("got %v, want an ErrDirTaken", err)
	}
}

func TestRegistryUnderConcurrentRegistrations(t *testing.T) {
	r := startRegistry(t, t.TempDir())
	cl := registryClient(t, r)
	ids := make([]int, 40)
	var all sync.WaitGroup
	for i := range ids {
		all.Go(func() {
			text := strings.Replace(thingV2, `"default":0`, fmt.Sprintf(`"default":%d`, i%4), 1)
			s, err := cl.CreateSchema(t.Context(), "x-value", sr.Schema{Schema: text})
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = s.ID
		})
	}
	all.Wait()
	for i, id := range ids {
		if id < 1 || id > 4 || id != ids[i%4] {
			t.Errorf("schema %d: got id %d at one time and %d at another", i%4, ids[i%4], id)
		}
	}
}
