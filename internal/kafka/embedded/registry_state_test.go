package embedded

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/sr"
)

// What cannot be written down has not happened: nobody sees it, and its ID goes
// to the next one.
func TestRegistryTakesBackWhatItCannotWrite(t *testing.T) {
	dir := t.TempDir()
	s, err := openRegistryState(dir)
	if err != nil {
		t.Fatal(err)
	}
	add := func(subject, text string) (change, error) {
		c := change{Op: opRegister, Subject: subject, Schema: &sr.Schema{Schema: text}}
		return c, s.commit(&c)
	}
	if _, err := add("x-value", `"int"`); err != nil {
		t.Fatal(err)
	}
	if err := s.file.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if c, err := add("x-value", `"long"`); err == nil {
			t.Fatalf("got id %d from a registry that cannot write", c.ID)
		}
	}
	if got := s.versions("x-value", all); !cmp.Equal(got, []int{1}) {
		t.Errorf("got versions %v, want the one that was written", got)
	}
	if s, err = openRegistryState(dir); err != nil {
		t.Fatal(err)
	}
	c, err := add("y-value", `"string"`)
	if err != nil || c.ID != 2 {
		t.Errorf("got id %d, %v, want 2", c.ID, err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
}
