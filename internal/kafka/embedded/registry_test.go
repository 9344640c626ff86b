package embedded_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/sr"

	"firehose/internal/kafka/embedded"
)

const (
	thingV1 = `{"type":"record","name":"Thing","doc":"as it is","firehose":{"kind":"fact"},"fields":[{"name":"id","type":"string"}]}`
	thingV2 = `{"type":"record","name":"Thing","fields":[{"name":"id","type":"string","default":""},{"name":"n","type":"int","default":0}]}`
	// Version 2 and it can read each other, version 1 and it cannot.
	thingV3 = `{"type":"record","name":"Thing","fields":[{"name":"n","type":"int","default":0}]}`
	// Needs a field that nobody wrote.
	thingBad = `{"type":"record","name":"Thing","fields":[{"name":"id","type":"string"},{"name":"must","type":"int"}]}`
)

func startRegistry(t *testing.T, dir string) *embedded.Registry {
	t.Helper()
	r, err := embedded.StartRegistry(embedded.RegistryConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func registryClient(t *testing.T, r *embedded.Registry) *sr.Client {
	t.Helper()
	hc := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	cl, err := sr.NewClient(sr.URLs(r.URL()), sr.HTTPClient(hc))
	if err != nil {
		t.Fatal(err)
	}
	return cl
}

// ask sends a plain request and returns status and body.
func ask(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got := resp.Header.Get("Content-Type"); got != "application/vnd.schemaregistry.v1+json" {
		t.Errorf("%s %s: got content type %q", method, url, got)
	}
	return resp.StatusCode, string(text)
}

// schemaBody is the body that registers a schema.
func schemaBody(text string) string {
	b, _ := json.Marshal(map[string]string{"schema": text})
	return string(b)
}

func register(t *testing.T, cl *sr.Client, subject, text string) sr.SubjectSchema {
	t.Helper()
	s, err := cl.CreateSchema(t.Context(), subject, sr.Schema{Schema: text})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRegistryServesFranzGosClient(t *testing.T) {
	cl, ctx := registryClient(t, startRegistry(t, "")), t.Context()
	v1 := register(t, cl, "a.things-value", thingV1)
	v2 := register(t, cl, "a.things-value", thingV2)
	same := register(t, cl, "a.things-value", thingV1)
	other := register(t, cl, "b.things-value", thingV1)
	if v1.ID != 1 || v1.Version != 1 || v2.ID != 2 || v2.Version != 2 || same.ID != 1 || same.Version != 1 || other.ID != 1 {
		t.Errorf("got ids and versions %d/%d %d/%d %d/%d %d, want 1/1 2/2 1/1 1", v1.ID, v1.Version, v2.ID, v2.Version, same.ID, same.Version, other.ID)
	}
	if got, err := cl.SchemaByID(ctx, 1); err != nil || got.Schema != thingV1 {
		t.Errorf("by id: got %q, %v, want the text as it was sent", got.Schema, err)
	}
	if got, err := cl.SchemaByGUID(ctx, v2.GUID); err != nil || got.ID != 2 {
		t.Errorf("by guid: got %d, %v, want 2", got.ID, err)
	}
	if got, err := cl.SchemaByVersion(ctx, "a.things-value", -1); err != nil || got.ID != 2 {
		t.Errorf("latest: got %d, %v, want 2", got.ID, err)
	}
	if got, err := cl.Subjects(ctx); err != nil || !cmp.Equal(got, []string{"a.things-value", "b.things-value"}) {
		t.Errorf("subjects: got %v, %v", got, err)
	}
	if got := cl.Compatibility(ctx)[0]; got.Err != nil || got.Level != sr.CompatFullTransitive {
		t.Errorf("default compatibility: got %v, %v, want FULL_TRANSITIVE", got.Level, got.Err)
	}
	if got, err := cl.SupportedTypes(ctx); err != nil || !cmp.Equal(got, []sr.SchemaType{sr.TypeAvro}) {
		t.Errorf("types: got %v, %v, want AVRO", got, err)
	}
	if got, err := cl.SubjectsByID(ctx, 1); err != nil || len(got) != 2 {
		t.Errorf("subjects of id 1: got %v, %v, want two", got, err)
	}
}

func TestRegistryRefusesWhatIsNotAvro(t *testing.T) {
	url := startRegistry(t, "").URL() + "/subjects/x-value/versions"
	for _, tc := range []struct {
		name, body string
		status     int
		code       int
	}{
		{"a type that Avro does not have", schemaBody(`{"type":"rekord"}`), 422, 42201},
		{"no JSON in it", schemaBody(`hello`), 422, 42201},
		{"a default of the wrong type", schemaBody(`{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":"x"}]}`), 422, 42201},
		{"empty", schemaBody(``), 422, 42201},
		{"no schema", `{}`, 422, 42201},
		{"not JSON", `hello`, 422, 42201},
		{"unknown field", `{"schema":"\"int\"","shema":1}`, 422, 42201},
		{"Protobuf", `{"schema":"syntax = \"proto3\";","schemaType":"PROTOBUF"}`, 422, 42201},
		{"an unknown reference", `{"schema":"\"x.B\"","references":[{"name":"x.B","subject":"b","version":1}]}`, 422, 42201},
		{"an id of the caller's", `{"schema":"\"int\"","id":7,"version":1}`, 422, 42205},
		{"too large", schemaBody(strings.Repeat("x", 2<<20)), 413, 413},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status, body := ask(t, http.MethodPost, url, tc.body)
			checkRefusal(t, status, body, tc.status, tc.code)
		})
	}
	if _, body := ask(t, http.MethodGet, strings.TrimSuffix(url, "/x-value/versions"), ""); body != "[]" {
		t.Errorf("got subjects %s, want none", body)
	}
}

func checkRefusal(t *testing.T, status int, body string, wantStatus, wantCode int) {
	t.Helper()
	var answer struct {
		Code    int    `json:"error_code"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Message == "" {
		t.Fatalf("got %d %s, %v, want an error with a message", status, body, err)
	}
	if status != wantStatus || answer.Code != wantCode {
		t.Errorf("got %d %s, want %d and %d", status, body, wantStatus, wantCode)
	}
}

// srfake differs from Confluent's here; we do not.
func TestRegistryAnswersAsConfluents(t *testing.T) {
	r := startRegistry(t, "")
	cl := registryClient(t, r)
	register(t, cl, "x-value", thingV1)
	for _, tc := range []struct {
		method, path, body string
		status             int
		code               int    // of a refusal
		want               string // else
	}{
		{method: "GET", path: "/", status: 200, want: "{}"},
		{method: "GET", path: "/schemas/ids/1/schema", status: 200, want: thingV1},
		{method: "GET", path: "/subjects/x-value/versions/latest/schema", status: 200, want: thingV1},
		{method: "GET", path: "/subjects/x-value/versions/1/schema", status: 200, want: thingV1},
		{method: "GET", path: "/subjects/x-value/versions/-1/schema", status: 200, want: thingV1},
		{method: "GET", path: "/schemas/types", status: 200, want: `["AVRO"]`},
		{method: "GET", path: "/subjects/x-value/versions/1/referencedby", status: 200, want: `[]`},
		{method: "GET", path: "/schemas/ids/9", status: 404, code: 40403},
		{method: "GET", path: "/schemas/ids/abc", status: 404, code: 404},
		{method: "GET", path: "/schemas/guids/abc", status: 404, code: 40403},
		{method: "GET", path: "/nothing", status: 404, code: 404},
		{method: "GET", path: "/subjects/x-value/versions/0", status: 422, code: 42202},
		{method: "GET", path: "/subjects/x-value/versions/first", status: 422, code: 42202},
		{method: "GET", path: "/subjects/x-value/versions/2147483648", status: 422, code: 42202},
		{method: "GET", path: "/subjects/x-value/versions/2", status: 404, code: 40402},
		{method: "GET", path: "/subjects/y-value/versions/1", status: 404, code: 40401},
		{method: "GET", path: "/subjects/y-value/versions", status: 404, code: 40401},
		{method: "POST", path: "/subjects/y-value", body: schemaBody(thingV1), status: 404, code: 40401},
		{method: "POST", path: "/subjects/x-value", body: schemaBody(thingV2), status: 404, code: 40403},
		{method: "POST", path: "/subjects/x-value", body: schemaBody(`{"type":"rekord"}`), status: 422, code: 42201},
		{method: "POST", path: "/subjects/a%00b/versions", body: schemaBody(thingV2), status: 422, code: 42208},
		{method: "GET", path: "/config", status: 200, want: `{"compatibilityLevel":"FULL_TRANSITIVE"}`},
		{method: "GET", path: "/config/x-value", status: 404, code: 40408},
		{method: "GET", path: "/config/x-value?defaultToGlobal=true", status: 200, want: `{"compatibilityLevel":"FULL_TRANSITIVE"}`},
		{method: "PUT", path: "/config/x-value", body: `{"compatibility":"SOMETIMES"}`, status: 422, code: 42203},
		{method: "DELETE", path: "/config/x-value", status: 404, code: 40401},
		{method: "GET", path: "/mode", status: 200, want: `{"mode":"READWRITE"}`},
		{method: "GET", path: "/mode/x-value", status: 404, code: 40409},
		{method: "PUT", path: "/mode", body: `{"mode":"SOMETIMES"}`, status: 422, code: 42204},
		{method: "PUT", path: "/mode", body: `{"mode":"IMPORT"}`, status: 422, code: 42205},
		{method: "DELETE", path: "/subjects/y-value", status: 404, code: 40401},
		{method: "DELETE", path: "/subjects/x-value?permanent=true", status: 404, code: 40405},
		{method: "DELETE", path: "/subjects/x-value/versions/1?permanent=true", status: 404, code: 40407},
	} {
		t.Run(tc.method+" "+tc.path, func(t *testing.T) {
			status, body := ask(t, tc.method, r.URL()+tc.path, tc.body)
			if tc.code != 0 {
				checkRefusal(t, status, body, tc.status, tc.code)
				return
			}
			if status != tc.status || body != tc.want {
				t.Errorf("got %d %s, want %d %s", status, body, tc.status, tc.want)
			}
		})
	}
}

func TestRegistryChecksCompatibility(t *testing.T) {
	for _, tc := range []struct {
		level string
		has   []string
		new   string
		want  bool
		names string // in the messages
	}{
		{level: "FULL_TRANSITIVE", has: []string{thingV1}, new: thingV2, want: true},
		{level: "FULL_TRANSITIVE", has: []string{thingV1, thingV2}, new: thingV3, names: "version 1"},
		{level: "FULL_TRANSITIVE", has: []string{thingV1}, new: thingBad, names: "must"},
		{level: "BACKWARD", has: []string{thingV1}, new: thingBad, names: "the new schema cannot read version 1"},
		{level: "BACKWARD", has: []string{thingBad}, new: thingV1, want: true},
		{level: "FORWARD", has: []string{thingV1}, new: thingBad, want: true},
		{level: "FORWARD", has: []string{thingBad}, new: thingV1, names: "version 1 cannot read the new schema"},
		{level: "FULL", has: []string{thingBad}, new: thingV1, names: "version 1"},
		{level: "BACKWARD", has: []string{thingV3, thingV2}, new: thingV1, want: true},
		{level: "BACKWARD_TRANSITIVE", has: []string{thingV3, thingV2}, new: thingV1, names: "version 1"},
		{level: "FORWARD_TRANSITIVE", has: []string{thingV1, thingV2}, new: thingV3, names: "version 1"},
		{level: "NONE", has: []string{thingV1}, new: `"int"`, want: true},
		{level: "FULL_TRANSITIVE", new: thingV1, want: true},
	} {
		t.Run(fmt.Sprintf("%s %v", tc.level, tc.want), func(t *testing.T) {
			r := startRegistry(t, "")
			set := func(level string) {
				t.Helper()
				if status, body := ask(t, http.MethodPut, r.URL()+"/config/x-value", `{"compatibility":"`+level+`"}`); status != 200 {
					t.Fatal(status, body)
				}
			}
			set("NONE")
			cl := registryClient(t, r)
			for _, text := range tc.has {
				register(t, cl, "x-value", text)
			}
			set(tc.level)

			status, body := ask(t, http.MethodPost, r.URL()+"/compatibility/subjects/x-value/versions?verbose=true", schemaBody(tc.new))
			var answer sr.CheckCompatibilityResult
			if err := json.Unmarshal([]byte(body), &answer); err != nil || status != 200 {
				t.Fatal(status, body, err)
			}
			if answer.Is != tc.want || len(answer.Messages) > 0 == tc.want || !strings.Contains(strings.Join(answer.Messages, " "), tc.names) {
				t.Errorf("got %s, want %v, naming %q", body, tc.want, tc.names)
			}
			if _, body := ask(t, http.MethodPost, r.URL()+"/compatibility/subjects/x-value/versions", schemaBody(tc.new)); body != fmt.Sprintf(`{"is_compatible":%v}`, tc.want) {
				t.Errorf("not verbose: got %s", body)
			}

			status, body = ask(t, http.MethodPost, r.URL()+"/subjects/x-value/versions", schemaBody(tc.new))
			if tc.want {
				if status != 200 {
					t.Errorf("got %d %s, want it registered", status, body)
				}
				return
			}
			checkRefusal(t, status, body, 409, 409)
			if !strings.Contains(body, tc.names) {
				t.Errorf("got %s, want %q in it", body, tc.names)
			}
		})
	}
}

func TestRegistryChecksAgainstOneVersion(t *testing.T) {
	r := startRegistry(t, "")
	cl, ctx := registryClient(t, r), t.Context()
	register(t, cl, "x-value", thingV1)
	register(t, cl, "x-value", thingV2)
	for version, want := range map[int]bool{1: false, 2: true, -1: true} {
		got, err := cl.CheckCompatibility(sr.WithParams(ctx, sr.Verbose), "x-value", version, sr.Schema{Schema: thingV3})
		if err != nil || got.Is != want {
			t.Errorf("against version %d: got %v, %v, want %v", version, got, err, want)
		}
	}
	for path, code := range map[string]int{"x-value/versions/3": 40402, "y-value/versions/1": 40402} {
		status, body := ask(t, http.MethodPost, r.URL()+"/compatibility/subjects/"+path, schemaBody(thingV3))
		checkRefusal(t, status, body, 404, code)
	}
	if status, body := ask(t, http.MethodPost, r.URL()+"/compatibility/subjects/y-value/versions/latest", schemaBody(thingV3)); status != 200 || body != `{"is_compatible":true}` {
		t.Errorf("new subject: got %d %s, want it compatible", status, body)
	}
	status, body := ask(t, http.MethodPost, r.URL()+"/compatibility/subjects/x-value/versions/latest", schemaBody(`{"type":"rekord"}`))
	checkRefusal(t, status, body, 422, 42201)
}

func TestRegistryReadOnly(t *testing.T) {
	r := startRegistry(t, "")
	cl := registryClient(t, r)
	register(t, cl, "x-value", thingV1)
	if got := cl.SetMode(t.Context(), sr.ModeReadOnly)[0]; got.Err != nil {
		t.Fatal(got.Err)
	}
	status, body := ask(t, http.MethodPost, r.URL()+"/subjects/x-value/versions", schemaBody(thingV2))
	checkRefusal(t, status, body, 422, 42205)
	status, body = ask(t, http.MethodDelete, r.URL()+"/subjects/x-value", "")
	checkRefusal(t, status, body, 422, 42205)
	register(t, cl, "x-value", thingV1) // it is there
	if got := cl.SetMode(t.Context(), sr.ModeReadWrite, "x-value")[0]; got.Err != nil {
		t.Fatal(got.Err)
	}
	register(t, cl, "x-value", thingV2)
}
