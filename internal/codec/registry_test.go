package codec_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firehose/internal/codec"
	"firehose/internal/kafka/embedded"
	"firehose/schemas"
)

// serve starts a server that answers with h and counts its requests.
func serve(t *testing.T, h http.HandlerFunc) (url string, requests *atomic.Int64) {
	t.Helper()
	requests = new(atomic.Int64)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		requests.Add(1)
		h(w, req)
	}))
	t.Cleanup(srv.Close)
	return srv.URL, requests
}

func startEmbedded(t *testing.T) *codec.Registry {
	t.Helper()
	srv, err := embedded.StartRegistry(embedded.RegistryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	return newRegistry(t, codec.RegistryConfig{URLs: []string{srv.URL()}})
}

func TestRegisterAndLookUpTheShop(t *testing.T) {
	r := startEmbedded(t)
	ctx := t.Context()
	topic := orders(t)
	if _, err := r.Lookup(ctx, topic.Latest()); !errors.Is(err, codec.ErrUnknownSchema) {
		t.Errorf("before it is registered: got %v, want an ErrUnknownSchema", err)
	}
	ids := map[string][]int{}
	for range 2 { // the second time nothing changes
		for _, topic := range schemas.Shop().Topics() {
			got, err := r.Register(ctx, topic)
			if err != nil {
				t.Fatal(err)
			}
			if before, ok := ids[topic.Topic]; ok && !cmp.Equal(before, got) {
				t.Errorf("%s: ids were %v, are %v", topic.Topic, before, got)
			}
			ids[topic.Topic] = got
		}
	}
	for i, s := range topic.Versions {
		id, err := r.Lookup(ctx, s)
		if err != nil || id != ids[topic.Topic][i] {
			t.Errorf("version %d: got id %d, %v, want %d", s.N, id, err, ids[topic.Topic][i])
		}
	}
	subjects, err := r.Subjects(ctx)
	if err != nil || len(subjects) != len(schemas.Shop().Topics()) {
		t.Errorf("got subjects %v, %v, want one per topic", subjects, err)
	}
	latest, id, err := r.Latest(ctx, topic.Subject())
	if err != nil {
		t.Fatal(err)
	}
	if id != ids[topic.Topic][1] || latest.Text != topic.Latest().Text || latest.N != 2 || !cmp.Equal(latest.Contract, topic.Contract) {
		t.Errorf("latest: got id %d, version %d, contract %+v", id, latest.N, latest.Contract)
	}
	if _, _, err := r.Latest(ctx, "nobody-value"); !errors.Is(err, codec.ErrUnknownSchema) {
		t.Errorf("unknown subject: got %v, want an ErrUnknownSchema", err)
	}
	if got, want := r.Address(7), "/schemas/ids/7"; !strings.HasPrefix(got, "http://127.0.0.1:") || !strings.HasSuffix(got, want) {
		t.Errorf("got address %s", got)
	}
}

func TestRegisterIsRefusedWithTheReason(t *testing.T) {
	r := startEmbedded(t)
	base := `{"type":"record","name":"T","firehose":{"topic":"x.things","kind":"fact","key":"id","types":["x.thing.seen"]},"fields":[{"name":"id","type":"string"}%s]}`
	topic := func(fields string) *schemas.Topic {
		s, err := schemas.Parse(fmt.Sprintf(base, fields), 1)
		if err != nil {
			t.Fatal(err)
		}
		return &schemas.Topic{Contract: s.Contract, Versions: []*schemas.Schema{s}}
	}
	if _, err := r.Register(t.Context(), topic(``)); err != nil {
		t.Fatal(err)
	}
	_, err := r.Register(t.Context(), topic(`,{"name":"new","type":"string"}`))
	if !errors.Is(err, codec.ErrIncompatible) || !strings.Contains(err.Error(), "new") {
		t.Errorf("got %v, want an ErrIncompatible that names the field new", err)
	}
}

// Registries that write schemas anew, and one that answers a lookup with another
// version, as Apicurio does: IDs are found by what a schema says.
func TestLookupComparesSchemasNotTexts(t *testing.T) {
	topic := orders(t)
	rewrite := func(text string) string { // keys sorted, no spaces, docs gone
		var v map[string]any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		delete(v, "doc")
		v["aliases"] = []string{"Bestellung"}
		out, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	ids := []int{11, 40}
	url, _ := serve(t, func(w http.ResponseWriter, req *http.Request) {
		version := func(i int) map[string]any {
			return map[string]any{"subject": topic.Subject(), "version": i + 1, "id": ids[i], "schema": rewrite(topic.Versions[i].Text)}
		}
		var answer any
		switch req.Method + " " + req.URL.Path {
		case "POST /subjects/shop.orders-value":
			answer = version(0)
		case "GET /subjects/shop.orders-value/versions":
			answer = []int{1, 2}
		case "GET /subjects/shop.orders-value/versions/1":
			answer = version(0)
		case "GET /subjects/shop.orders-value/versions/2":
			answer = version(1)
		default:
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_ = json.NewEncoder(w).Encode(answer)
	})
	r := newRegistry(t, codec.RegistryConfig{URLs: []string{url}})
	for i, s := range topic.Versions {
		if got, err := r.Lookup(t.Context(), s); err != nil || got != ids[i] {
			t.Errorf("version %d: got %d, %v, want %d", s.N, got, err, ids[i])
		}
	}
	// Another contract is another schema.
	other, err := schemas.Parse(strings.Replace(topic.Latest().Text, `"partitions": 8`, `"partitions": 9`, 1), 2)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := r.Lookup(t.Context(), other); !errors.Is(err, codec.ErrUnknownSchema) {
		t.Errorf("other contract: got %d, %v, want an ErrUnknownSchema", id, err)
	}
}

func TestErrorClasses(t *testing.T) {
	long := strings.Repeat("x", 3000)
	for _, tc := range []struct {
		name   string
		status int
		body   string
		want   error
		text   string
	}{
		{"unknown", 404, `{"error_code":40403,"message":"Schema not found"}`, codec.ErrUnknownSchema, "unknown schema: id 7"},
		{"a proxy's 404", 404, `<html>not here</html>`, codec.ErrUnavailable, "schema registry unavailable: URL answers 404: id 7"},
		{"a wrong path's 404", 404, `{"error_code":404,"message":"HTTP 404 Not Found"}`, codec.ErrUnavailable, "schema registry unavailable: URL answers 404: HTTP 404 Not Found: id 7"},
		{"down", 503, ``, codec.ErrUnavailable, "schema registry unavailable: URL answers 503: id 7"},
		{"store error", 500, `{"error_code":50001,"message":"disk\nfull"}`, codec.ErrUnavailable, "schema registry unavailable: URL answers 500 (50001): disk full: id 7"},
		{"forbidden", 403, `{"error_code":40301,"message":"no"}`, codec.ErrUnavailable, "schema registry unavailable: URL answers 403 (40301): no: id 7"},
		{"endless message", 500, `{"error_code":50001,"message":"` + long + `"}`, codec.ErrUnavailable, "schema registry unavailable: URL answers 500 (50001): " + long[:512] + "...: id 7"},
		{"not JSON", 200, `hello`, codec.ErrUnavailable, "schema registry unavailable: URL: answers what is not a schema registry's: id 7"},
		{"too large", 200, `{"schema":"` + strings.Repeat("x", 5000) + `"}`, codec.ErrUnavailable, "schema registry unavailable: URL: answer too large: id 7"},
		{"not Avro", 200, `{"schema":"syntax","schemaType":"PROTOBUF"}`, codec.ErrIncompatible, "incompatible schema: it is PROTOBUF, want AVRO: id 7"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			url, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tc.status)
				fmt.Fprint(w, tc.body)
			})
			r := newRegistry(t, codec.RegistryConfig{URLs: []string{url}, MaxAnswer: 4096})
			_, err := r.Writer(t.Context(), codec.Frame{ID: 7})
			if !errors.Is(err, tc.want) {
				t.Fatalf("got %v, want an %v", err, tc.want)
			}
			if got, want := err.Error(), strings.Replace(tc.text, "URL", url, 1); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestUnknownIsBelievedForAWhile(t *testing.T) {
	url, requests := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"error_code":40403,"message":"Schema not found"}`)
	})
	writer := func(r *codec.Registry) {
		t.Helper()
		if _, err := r.Writer(t.Context(), codec.Frame{ID: 7}); !errors.Is(err, codec.ErrUnknownSchema) {
			t.Fatalf("got %v, want an ErrUnknownSchema", err)
		}
	}
	long := newRegistry(t, codec.RegistryConfig{URLs: []string{url}, UnknownTTL: time.Hour})
	for range 5 {
		writer(long)
	}
	if got := requests.Load(); got != 1 {
		t.Errorf("got %d requests, want 1", got)
	}
	short := newRegistry(t, codec.RegistryConfig{URLs: []string{url}, UnknownTTL: time.Nanosecond})
	for range 5 {
		writer(short)
	}
	if got := requests.Load(); got != 6 {
		t.Errorf("got %d requests, want 6", got)
	}
}

// So is one whose reference the registry does not have: it costs a request for
// itself and one for each reference.
func TestUnknownReferenceIsBelievedForAWhile(t *testing.T) {
	url, requests := serve(t, func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/schemas/ids/7" {
			fmt.Fprint(w, `{"schema":"\"x.B\"","references":[{"name":"x.B","subject":"b","version":1}]}`)
			return
		}
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"error_code":40401,"message":"Subject not found"}`)
	})
	r := newRegistry(t, codec.RegistryConfig{URLs: []string{url}, UnknownTTL: time.Hour})
	for range 5 {
		if _, err := r.Writer(t.Context(), codec.Frame{ID: 7}); !errors.Is(err, codec.ErrUnknownSchema) {
			t.Fatalf("got %v, want an ErrUnknownSchema", err)
		}
	}
	if got := requests.Load(); got != 2 {
		t.Errorf("got %d requests, want 2", got)
	}
}

func TestKnownSchemasOutliveTheRegistry(t *testing.T) {
	topic := orders(t)
	var down atomic.Bool
	url, requests := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"schema": topic.Latest().Text})
	})
	r := newRegistry(t, codec.RegistryConfig{URLs: []string{url}})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := r.Writer(t.Context(), codec.Frame{ID: 1}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := requests.Load(); got > 2 {
		t.Errorf("20 callers at once made %d requests", got)
	}
	down.Store(true)
	if _, err := r.Writer(t.Context(), codec.Frame{ID: 1}); err != nil {
		t.Errorf("known schema: %v", err)
	}
	if _, err := r.Writer(t.Context(), codec.Frame{ID: 2}); !errors.Is(err, codec.ErrUnavailable) {
		t.Errorf("other schema: got %v, want an ErrUnavailable", err)
	}
	down.Store(false) // being away is not remembered
	if _, err := r.Writer(t.Context(), codec.Frame{ID: 2}); err != nil {
		t.Errorf("back again: %v", err)
	}
}

func TestTheNextURLIsAskedWhenOneIsAway(t *testing.T) {
	topic := orders(t)
	bad, badRequests := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	good, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"schema": topic.Latest().Text})
	})
	r := newRegistry(t, codec.RegistryConfig{URLs: []string{gone.URL, bad, good}})
	for id := range 5 {
		if _, err := r.Writer(t.Context(), codec.Frame{ID: id + 1}); err != nil {
			t.Fatal(err)
		}
	}
	if got := badRequests.Load(); got != 1 {
		t.Errorf("the bad one was asked %d times, want once", got)
	}
}

// A registry that never answers holds a caller no longer than its context, and
// a request no longer than the timeout.
func TestSilentRegistry(t *testing.T) {
	release := make(chan struct{})
	arrived := make(chan struct{}, 10)
	url, _ := serve(t, func(_ http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		arrived <- struct{}{}
		select {
		case <-release:
		case <-req.Context().Done():
		}
	})
	t.Cleanup(func() { close(release) })

	patient := newRegistry(t, codec.RegistryConfig{URLs: []string{url}, Timeout: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan error, 1)
	go func() {
		_, err := patient.Writer(ctx, codec.Frame{ID: 1})
		answer <- err
	}()
	<-arrived
	cancel()
	if err := <-answer; !errors.Is(err, codec.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want an ErrUnavailable that is a context.Canceled", err)
	}
	patient.Close() // waits for the request, which is still under way, and ends it
	if _, err := patient.Writer(t.Context(), codec.Frame{ID: 1}); !errors.Is(err, codec.ErrUnavailable) {
		t.Errorf("after Close: got %v, want an ErrUnavailable", err)
	}

	quick := newRegistry(t, codec.RegistryConfig{URLs: []string{url}, Timeout: time.Millisecond})
	_, err := quick.Writer(t.Context(), codec.Frame{ID: 1})
	if !errors.Is(err, codec.ErrUnavailable) || !strings.Contains(err.Error(), "no answer in time") {
		t.Errorf("got %v, want an ErrUnavailable for no answer in time", err)
	}
}

func TestReferencedSchemas(t *testing.T) {
	url, _ := serve(t, func(w http.ResponseWriter, req *http.Request) {
		switch req.URL.Path {
		case "/schemas/ids/1":
			fmt.Fprint(w, `{"schema":"{\"type\":\"record\",\"name\":\"A\",\"fields\":[{\"name\":\"b\",\"type\":\"x.B\"}]}","references":[{"name":"x.B","subject":"b","version":1}]}`)
		case "/subjects/b/versions/1":
			fmt.Fprint(w, `{"subject":"b","version":1,"id":2,"schema":"{\"type\":\"record\",\"name\":\"B\",\"namespace\":\"x\",\"fields\":[{\"name\":\"n\",\"type\":\"long\"}]}"}`)
		case "/schemas/ids/3": // refers to itself for ever
			fmt.Fprint(w, `{"schema":"\"x.C\"","references":[{"name":"x.C","subject":"c","version":1}]}`)
		case "/subjects/c/versions/1":
			fmt.Fprint(w, `{"subject":"c","version":1,"id":3,"schema":"\"x.C\"","references":[{"name":"x.C","subject":"c","version":1}]}`)
		}
	})
	r := newRegistry(t, codec.RegistryConfig{URLs: []string{url}})
	var v any
	if err := codec.NewDecoder(r, nil).Decode(t.Context(), codec.Frame{ID: 1, Payload: []byte{14}}, &v); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"b": map[string]any{"n": int64(7)}}, v); diff != "" {
		t.Errorf("want - got +\n%s", diff)
	}
	if _, err := r.Writer(t.Context(), codec.Frame{ID: 3}); !errors.Is(err, codec.ErrIncompatible) {
		t.Errorf("got %v, want an ErrIncompatible", err)
	}
}

func TestRegistryConfigIsChecked(t *testing.T) {
	for _, tc := range []struct{ url, want string }{
		{"", "registry URL 1: want http(s)://HOST[:PORT][/PATH] and no more"},
		{"ftp://x", "registry URL 1: want http(s)://HOST[:PORT][/PATH] and no more"},
		{"https://x:8081?api-key=secret", "registry URL 1: want http(s)://HOST[:PORT][/PATH] and no more"},
		{"https://x:8081#secret", "registry URL 1: want http(s)://HOST[:PORT][/PATH] and no more"},
		{"http://u:secret@x:8081", "registry URL 1: holds credentials, which would end up in logs and headers"},
		{"http://u:secret@x:\x00", "registry URL 1: not a URL"},
	} {
		_, err := codec.NewRegistry(codec.RegistryConfig{URLs: []string{tc.url}})
		if err == nil || err.Error() != tc.want {
			t.Errorf("%s: got %v, want %s", tc.url, err, tc.want)
		}
	}
	if _, err := codec.NewRegistry(codec.RegistryConfig{}); err == nil {
		t.Error("no URL: got no error")
	}
	r := newRegistry(t, codec.RegistryConfig{URLs: []string{"registry:8081/"}})
	if got, want := r.Address(3), "http://registry:8081/schemas/ids/3"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
