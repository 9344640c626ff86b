package storetest

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"firehose/internal/conflict"
	"firehose/internal/store"
)

func image(key string, s conflict.Stamp, body string, before conflict.Stamp) store.ImageChange {
	return store.ImageChange{
		Image:  store.Image{EntityKey: store.EntityKey{Topic: "shop.things", Key: key}, Stamp: s, Body: []byte(body)},
		Before: before,
	}
}

func (h *harness) wantImages(want ...store.Image) {
	h.Helper()
	byKey := map[store.EntityKey]store.Image{}
	for _, i := range want {
		byKey[i.EntityKey] = i
	}
	keys := []store.EntityKey{{Topic: "shop.things", Key: "a"}, {Topic: "shop.things", Key: "b"}, {Topic: "shop.others", Key: "a"}}
	known, err := h.Lookup(h.Context(), &store.Lookup{Images: keys})
	if err != nil {
		h.Fatal(err)
	}
	if diff := cmp.Diff(byKey, known.Images); diff != "" {
		h.Errorf("images (-want +got):\n%s", diff)
	}
}

func testImages(t *testing.T, open Opener) {
	h := newHarness(t, open)
	none := conflict.Stamp{}
	h.wantImages()
	first := image("a", stamp(1, "e1"), "one", none)
	h.mustApply(&store.Batch{Images: []store.ImageChange{first}})
	h.wantImages(first.Image)

	second := image("a", stamp(2, "e2"), "two", first.Stamp)
	refused := map[string]store.ImageChange{
		"new, but there is one":    image("a", stamp(2, "e2"), "two", none),
		"of another version":       image("a", stamp(2, "e2"), "two", stamp(3, "e1")),
		"of another event":         image("a", stamp(2, "e2"), "two", stamp(1, "e9")),
		"changed, but there is no": image("b", stamp(2, "e2"), "two", stamp(1, "e1")),
	}
	for name, change := range refused {
		_, err := h.apply(&store.Batch{Images: []store.ImageChange{image("c", stamp(1, name), "x", none), change}})
		if err == nil {
			t.Errorf("%s: applied", name)
		} else {
			h.wantError(err, store.ErrChanged)
		}
	}
	h.wantImages(first.Image)
	h.want(`SELECT count(*) FROM firehose_images`, one(1))

	gone := image("b", stamp(4, "e4"), "", none)
	gone.Deleted, gone.Body = true, nil
	h.mustApply(&store.Batch{Images: []store.ImageChange{second, gone}})
	h.wantImages(second.Image, gone.Image)
	back := image("b", stamp(5, "e5"), "back", gone.Stamp)
	h.mustApply(&store.Batch{Images: []store.ImageChange{back}})
	h.wantImages(second.Image, back.Image)
}

func testImagesInBulk(t *testing.T, open Opener) {
	h := newHarness(t, open)
	const n = 500
	var changes []store.ImageChange
	var keys []store.EntityKey
	want := map[store.EntityKey]store.Image{}
	for i := range n {
		c := image(fmt.Sprintf("key-%03d", i), stamp(int64(i+1), fmt.Sprint("e", i)), fmt.Sprint("body ", i), conflict.Stamp{})
		changes = append(changes, c)
		keys = append(keys, c.EntityKey, store.EntityKey{Topic: "shop.others", Key: c.Key})
		want[c.EntityKey] = c.Image
	}
	h.mustApply(&store.Batch{Images: changes})
	for _, ask := range []int{0, 1, 63, 64, 65, len(keys)} {
		known, err := h.Lookup(t.Context(), &store.Lookup{Images: keys[:ask]})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := len(known.Images), (ask+1)/2; got != want {
			t.Errorf("asked for %d: got %d images, want %d", ask, got, want)
		}
		for k, i := range known.Images {
			if diff := cmp.Diff(want[k], i); diff != "" {
				t.Errorf("image (-want +got):\n%s", diff)
			}
		}
	}
}
