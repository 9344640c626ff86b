package store_test

import (
	"strings"
	"testing"

	"firehose/internal/store"
)

// A UUID leads its key as it is; an ID in another spelling is another ID.
func TestEventKeyOf(t *testing.T) {
	const id = "0190163d-8694-739b-aea5-966c26f8ad91"
	plain := store.EventKeyOf("/s", id)
	if want := [4]byte{0x01, 0x90, 0x16, 0x3d}; [4]byte(plain[:4]) != want {
		t.Errorf("the key begins with %x, want %x", plain[:4], want)
	}
	keys := map[store.EventKey]string{}
	for _, e := range [][2]string{
		{"/s", id}, {"/t", id}, {"/s", strings.ToUpper(id)}, {"/s", "urn:uuid:" + id}, {"/s", "{" + id + "}"},
		{"/s", strings.ReplaceAll(id, "-", "")}, {"/s", "0190163d-8694-739b-aea5-966c26f8ad9g"}, {"/s", ""}, {"", "/s"}, {"/", "s"}, {"", id},
	} {
		k := store.EventKeyOf(e[0], e[1])
		if other, ok := keys[k]; ok {
			t.Errorf("%q and %q have one key", e, other)
		}
		keys[k] = e[0] + " " + e[1]
		h := store.HashSource(e[0])
		if h.Key(e[1]) != k {
			t.Errorf("%q: another key from its hashed source", e)
		}
	}
}
