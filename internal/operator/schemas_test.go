package operator_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"firehose/internal/service"
)

// thingSchema is a schema with one optional field, whose default is the given
// JSON, or which is missing when that is empty.
func thingSchema(colour string) string {
	field := ""
	if colour != "" {
		field = `, {"name": "colour", "type": "string", "default": ` + colour + `}`
	}
	return `{"type": "record", "name": "Thing", "namespace": "other",
  "firehose": {"topic": "other.things", "kind": "entity", "key": "id", "version": "version", "types": ["other.thing.made"]},
  "fields": [{"name": "id", "type": "string"}, {"name": "version", "type": "long"}` + field + `]}`
}

// schemaDir writes the versions of other.things.
func schemaDir(t *testing.T, versions ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i, text := range versions {
		name := filepath.Join(dir, "other.things.v"+string(rune('1'+i))+".avsc")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestSchemasRegister(t *testing.T) {
	w := newWorld(t)
	want := `SUBJECT                     VERSION  ID  OUTCOME
shop.customers-value        1        1   registered
shop.orders-value           1        2   registered
shop.orders-value           2        3   registered
shop.payments-value         1        4   registered
shop.products-value         1        5   registered
shop.shipments-value        1        6   registered
shop.stock-movements-value  1        7   registered
`
	if diff := cmp.Diff(want, w.ok("schemas", "register")); diff != "" {
		t.Fatalf("first (-want +got):\n%s", diff)
	}
	again := strings.ReplaceAll(want, "registered", "unchanged")
	if diff := cmp.Diff(again, w.ok("schemas", "register")); diff != "" {
		t.Errorf("again (-want +got):\n%s", diff)
	}
	list := w.ok("schemas", "list")
	if want := "shop.orders-value           2        3   shop.Order          entity  shop.order.placed shop.order.paid"; !strings.Contains(list, want) {
		t.Errorf("list: got\n%s\nwant a line %q", list, want)
	}
	if got := strings.Count(w.ok("schemas", "verify"), "agrees"); got != 7 {
		t.Errorf("verify: %d agree, want 7:\n%s", got, w.ok("schemas", "verify"))
	}
}

func TestSchemasCheck(t *testing.T) {
	w := newWorld(t)
	first := thingSchema("")
	dir := schemaDir(t, first)
	want := `SUBJECT             FILES  REGISTERED  NEW  RESULT
other.things-value  1      0           1    compatible
`
	if diff := cmp.Diff(want, w.ok("schemas", "check", "--schemas", dir)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	w.ok("schemas", "register", "--schemas", dir)

	for _, test := range []struct {
		name     string
		versions []string
		code     int
		says     string
	}{
		{"a field with a default", []string{first, thingSchema(`"red"`)}, service.ExitDone, "2      1           1    compatible"},
		{"a field without", []string{first, strings.Replace(thingSchema(`"red"`), `, "default": "red"`, "", 1)}, service.ExitFailed, "version 2 against 1"},
		{"another first version", []string{strings.Replace(first, `"long"`, `"int"`, 1)}, service.ExitFailed, "version 1 of the files against version 1 in the registry"},
		{"another key", []string{strings.Replace(first, `"key": "id"`, `"key": "version"`, 1)}, service.ExitFailed, `key "version": it was "id" and has to stay`},
		{"an event type is gone", []string{strings.Replace(first, "thing.made", "thing.mended", 1)}, service.ExitFailed, `"other.thing.made" is gone`},
		{"spelt otherwise", []string{strings.ReplaceAll(first, ": ", ":  ")}, service.ExitDone, "1      1           0    compatible"},
		{"not Avro", []string{`{"type": "rekord"}`}, service.ExitFailed, "other.things.v1.avsc"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := schemaDir(t, test.versions...)
			before := w.ok("schemas", "list")
			got := w.run("", "schemas", "check", "--schemas", dir)
			if got.code != test.code || !strings.Contains(got.stdout+got.stderr, test.says) {
				t.Errorf("check: got %d, %q, %q, want %d, %q", got.code, got.stdout, got.stderr, test.code, test.says)
			}
			if test.code == service.ExitDone {
				return
			}
			got = w.run("", "schemas", "register", "--schemas", dir)
			if got.code != test.code || !strings.Contains(got.stderr, test.says) {
				t.Errorf("register: got %d, %q, want %q", got.code, got.stderr, test.says)
			}
			if diff := cmp.Diff(before, w.ok("schemas", "list")); diff != "" {
				t.Errorf("registry after the refusal (-before +after):\n%s", diff)
			}
		})
	}
}

func TestSchemasVerifyFindsDifferences(t *testing.T) {
	w := newWorld(t)
	dir := schemaDir(t, thingSchema(""))
	got := w.run("", "schemas", "verify", "--schemas", dir)
	if got.code != service.ExitFailed || !strings.Contains(got.stdout, "! not registered: the registry has no subject other.things-value") {
		t.Errorf("nothing registered: got %d, %q", got.code, got.stdout)
	}
	// Somebody registered by hand, without our attribute.
	text := strings.NewReplacer("\n", " ", `"`, `\"`).Replace(thingSchema(""))
	text = strings.Replace(text, "other.thing.made", "other.thing.other", 1)
	resp, err := http.Post(w.registry.URL()+"/subjects/other.things-value/versions", "application/vnd.schemaregistry.v1+json", strings.NewReader(`{"schema": "`+text+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	got = w.run("", "schemas", "verify", "--schemas", dir)
	if got.code != service.ExitFailed || !strings.Contains(got.stdout, "! not registered: none of the 1 version of subject other.things-value is the same") {
		t.Errorf("another attribute: got %d, %q", got.code, got.stdout)
	}
	// Golden bytes that are not the schema's.
	golden := t.TempDir()
	if err := os.WriteFile(filepath.Join(golden, "other.things.v1.txt"), []byte("good 026102\nbad 0261\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got = w.run("", "schemas", "verify", "--offline", "--schemas", dir, "--golden", golden)
	if got.code != service.ExitFailed || !strings.Contains(got.stdout, "golden value bad: we read it:") || strings.Contains(got.stdout, "value good") {
		t.Errorf("golden: got %d, %q", got.code, got.stdout)
	}
}

// Every kind of Avro type is made, read by both implementations and compared.
func TestSchemasVerifyAllTypes(t *testing.T) {
	all := `{"type": "record", "name": "Thing", "namespace": "other",
  "firehose": {"topic": "other.things", "kind": "fact", "key": "id", "types": ["other.thing.made"]},
  "fields": [
    {"name": "id", "type": {"type": "string", "logicalType": "uuid"}},
    {"name": "flag", "type": "boolean"}, {"name": "i", "type": "int"}, {"name": "l", "type": "long"},
    {"name": "f", "type": "float"}, {"name": "d", "type": "double"}, {"name": "b", "type": "bytes"},
    {"name": "fixed", "type": {"type": "fixed", "name": "Four", "size": 4}},
    {"name": "again", "type": "Four"},
    {"name": "suit", "type": {"type": "enum", "name": "Suit", "symbols": ["HEARTS", "SPADES"]}},
    {"name": "suits", "type": {"type": "array", "items": "Suit"}},
    {"name": "counts", "type": {"type": "map", "values": "long"}},
    {"name": "choice", "type": ["null", "string", "long", {"type": "record", "name": "Pair", "fields": [
      {"name": "left", "type": "int"}, {"name": "right", "type": ["null", "other.Suit"]}]}]},
    {"name": "pairs", "type": {"type": "array", "items": "Pair"}},
    {"name": "day", "type": {"type": "int", "logicalType": "date"}},
    {"name": "millis", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "tod", "type": {"type": "int", "logicalType": "time-millis"}},
    {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}}
  ]}`
	got := execute(t.Context(), nil, "schemas", "verify", "--offline", "--schemas", schemaDir(t, all))
	want := `TOPIC         VERSION  GOLDEN  MADE  ID  RESULT
other.things  1        0       8     -   agrees
`
	if diff := cmp.Diff(call{stdout: want}, got, cmp.AllowUnexported(call{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRegistryAway(t *testing.T) {
	for _, args := range [][]string{{"schemas", "check"}, {"schemas", "register"}, {"schemas", "list"}, {"schemas", "verify"}} {
		got := execute(t.Context(), nil, append(args, "--registry", "http://127.0.0.1:1")...)
		if got.code != service.ExitFailed || !strings.Contains(got.stderr, "schema registry unavailable") {
			t.Errorf("%v: got %d, %q", args, got.code, got.stderr)
		}
	}
}
