package schemas_test

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"firehose/schemas"
)

const fields = `"fields": [
	{"name": "id", "type": "string"},
	{"name": "n", "type": "long"},
	{"name": "day", "type": {"type": "int", "logicalType": "date"}},
	{"name": "maybe", "type": ["null", "string"]},
	{"name": "ratio", "type": "double"},
	{"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}}
]`

func record(attribute string) string {
	return `{"type": "record", "name": "Thing", "namespace": "test", "firehose": ` + attribute + `, ` + fields + `}`
}

const (
	entity = `{"topic": "test.things", "kind": "entity", "key": "id", "version": "n", "types": ["test.thing.made"]}`
	fact   = `{"topic": "test.facts", "kind": "fact", "key": "id", "types": ["test.fact.seen"]}`
)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		name, attribute string
		want            schemas.Contract
	}{
		{"entity, all defaults", entity, schemas.Contract{
			Topic: "test.things", Kind: schemas.Entity, Key: "id", Version: "n", Origins: schemas.One,
			Conflict: "newest", Types: []string{"test.thing.made"}, Partitions: schemas.DefaultPartitions,
		}},
		{"fact, all defaults", fact, schemas.Contract{
			Topic: "test.facts", Kind: schemas.Fact, Key: "id", Origins: schemas.One,
			Types: []string{"test.fact.seen"}, Dedup: schemas.DefaultDedup, Partitions: schemas.DefaultPartitions,
		}},
		{"everything said", `{"topic": "test.facts", "kind": "fact", "key": "n", "time": "at", "origins": "many",
			"types": ["a.b", "c.d-e_f"], "dedup": "90m", "partitions": 3}`, schemas.Contract{
			Topic: "test.facts", Kind: schemas.Fact, Key: "n", Time: "at", Origins: schemas.Many,
			Types: []string{"a.b", "c.d-e_f"}, Dedup: 90 * time.Minute, Partitions: 3,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := schemas.Parse(record(tt.attribute), 7)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got.Contract); diff != "" {
				t.Errorf("contract (-want +got):\n%s", diff)
			}
			if got.N != 7 || got.Text != record(tt.attribute) {
				t.Errorf("got version %d of %q", got.N, got.Text)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	edit := func(base, old, new string) string {
		if !strings.Contains(base, old) {
			t.Fatalf("%s holds no %s", base, old)
		}
		return record(strings.Replace(base, old, new, 1))
	}
	for _, tt := range []struct{ name, text, want string }{
		{"not JSON", `{`, "parse schema"},
		{"not Avro", `{"type": "rekord"}`, "parse schema"},
		{"no record", `{"type": "array", "items": "string"}`, "want a record"},
		{"no attribute", `{"type": "record", "name": "T", "fields": []}`, `"firehose"`},
		{"attribute no object", record(`"x"`), "firehose attribute of Thing"},
		{"unknown attribute", edit(entity, `"kind"`, `"colour": "red", "kind"`), `"colour"`},
		{"topic missing", edit(entity, `"topic": "test.things", `, ""), "topic"},
		{"topic in capitals", edit(entity, "test.things", "Test.Things"), `topic "Test.Things"`},
		{"topic without a domain", edit(entity, "test.things", "things"), `topic "things"`},
		{"topic internal", edit(entity, "test.things", "__test.things"), `topic "__test.things"`},
		{"topic too long", edit(entity, "test.things", "test."+strings.Repeat("x", 250)), "topic"},
		{"topic no string", edit(entity, `"test.things"`, "5"), "topic: got number, want a string"},
		{"kind missing", edit(entity, `"kind": "entity", `, ""), "kind"},
		{"kind unknown", edit(entity, `"entity"`, `"rumour"`), `kind "rumour"`},
		{"key missing", edit(entity, `"key": "id", `, ""), "key"},
		{"key not a field", edit(entity, `"key": "id"`, `"key": "nope"`), `key "nope": no such field`},
		{"key a double", edit(entity, `"key": "id"`, `"key": "ratio"`), `key "ratio"`},
		{"key nullable", edit(entity, `"key": "id"`, `"key": "maybe"`), `key "maybe"`},
		{"key a date", edit(entity, `"key": "id"`, `"key": "day"`), `key "day"`},
		{"version missing", edit(entity, `"version": "n", `, ""), "version"},
		{"version not a field", edit(entity, `"n"`, `"nope"`), `version "nope"`},
		{"version a string", edit(entity, `"version": "n"`, `"version": "id"`), `version "id"`},
		{"version a timestamp", edit(entity, `"version": "n"`, `"version": "at"`), `version "at"`},
		{"version of a fact", edit(fact, `"kind"`, `"version": "n", "kind"`), "version"},
		{"time not a field", edit(entity, `"kind"`, `"time": "nope", "kind"`), `time "nope"`},
		{"time a long", edit(entity, `"kind"`, `"time": "n", "kind"`), `time "n"`},
		{"origins unknown", edit(entity, `"kind"`, `"origins": "few", "kind"`), `origins "few"`},
		{"conflict unknown", edit(entity, `"kind"`, `"conflict": "loudest", "kind"`), `conflict "loudest"`},
		{"conflict of a fact", edit(fact, `"kind"`, `"conflict": "newest", "kind"`), "conflict"},
		{"types missing", edit(entity, `, "types": ["test.thing.made"]`, ""), "types"},
		{"types empty", edit(entity, `["test.thing.made"]`, "[]"), "types"},
		{"types no array", edit(entity, `["test.thing.made"]`, `"test.thing.made"`), "types: got string, want an array"},
		{"types not dotted", edit(entity, "test.thing.made", "made"), `types: "made"`},
		{"types in capitals", edit(entity, "test.thing.made", "test.Made"), `types: "test.Made"`},
		{"types twice", edit(entity, `"test.thing.made"`, `"test.thing.made", "test.thing.made"`), `types: "test.thing.made" is there twice`},
		{"dedup no duration", edit(fact, `"kind"`, `"dedup": "a week", "kind"`), `dedup "a week"`},
		{"dedup negative", edit(fact, `"kind"`, `"dedup": "-1h", "kind"`), `dedup "-1h"`},
		{"dedup too short", edit(fact, `"kind"`, `"dedup": "999ms", "kind"`), `dedup "999ms"`},
		{"dedup a number", edit(fact, `"kind"`, `"dedup": 5, "kind"`), "dedup: got number, want a string"},
		{"dedup of an entity", edit(entity, `"kind"`, `"dedup": "1h", "kind"`), "dedup"},
		{"partitions zero", edit(fact, `"kind"`, `"partitions": 0, "kind"`), "partitions 0"},
		{"partitions negative", edit(fact, `"kind"`, `"partitions": -1, "kind"`), "partitions -1"},
		{"partitions a fraction", edit(fact, `"kind"`, `"partitions": 1.5, "kind"`), "partitions: got number 1.5, want a whole number"},
		{"partitions a string", edit(fact, `"kind"`, `"partitions": "8", "kind"`), "partitions: got string, want a whole number"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := schemas.Parse(tt.text, 1)
			if err == nil {
				t.Fatalf("got %+v, want an error with %q", s.Contract, tt.want)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %q, want it to say %q", err, tt.want)
			}
		})
	}
}

func TestCompacted(t *testing.T) {
	for _, tt := range []struct {
		kind    schemas.Kind
		origins schemas.Origins
		want    bool
	}{
		{schemas.Entity, schemas.One, true},
		{schemas.Entity, schemas.Many, false}, // the last offset need not be the winner
		{schemas.Fact, schemas.One, false},
		{schemas.Fact, schemas.Many, false},
	} {
		if got := (schemas.Contract{Kind: tt.kind, Origins: tt.origins}).Compacted(); got != tt.want {
			t.Errorf("%s with %s origins: got %t, want %t", tt.kind, tt.origins, got, tt.want)
		}
	}
}

func TestLoad(t *testing.T) {
	v2 := strings.Replace(record(entity), fields, fields[:len(fields)-1]+`, {"name": "more", "type": "string", "default": ""}]`, 1)
	set, err := schemas.Load(fstest.MapFS{
		"deep/er/test.things.v2.avsc": {Data: []byte(v2)},
		"test.things.v1.avsc":         {Data: []byte(record(entity))},
		"test.facts.v1.avsc":          {Data: []byte(record(fact))},
		"README.md":                   {Data: []byte("not a schema")},
	})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, topic := range set.Topics() {
		names = append(names, topic.Topic)
	}
	if diff := cmp.Diff([]string{"test.facts", "test.things"}, names); diff != "" {
		t.Errorf("topics (-want +got):\n%s", diff)
	}
	things, ok := set.Topic("test.things")
	if !ok || len(things.Versions) != 2 || things.Latest().N != 2 || things.Latest().Text != v2 {
		t.Errorf("got %+v, want two versions, the second one the latest", things)
	}
	if got, want := things.Subject(), "test.things-value"; got != want {
		t.Errorf("subject: got %q, want %q", got, want)
	}
	if byType, ok := set.ByType("test.thing.made"); !ok || byType != things {
		t.Errorf("by type: got %v, want %v", byType, things)
	}
	if _, ok := set.Topic("test.nothing"); ok {
		t.Error("found a topic that is not there")
	}
	if _, ok := set.ByType("test.nothing"); ok {
		t.Error("found an event type that is not there")
	}
}

func TestLoadRefuses(t *testing.T) {
	edit := func(base, old, new string) string { return strings.Replace(record(base), old, new, 1) }
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"no version in the name", map[string]string{"test.things.avsc": record(entity)}, "want TOPIC.vN.avsc"},
		{"version 0", map[string]string{"test.things.v0.avsc": record(entity)}, "want TOPIC.vN.avsc"},
		{"another topic inside", map[string]string{"test.others.v1.avsc": record(entity)}, `its topic is "test.things"`},
		{"first version missing", map[string]string{"test.things.v2.avsc": record(entity)}, "version 2 follows version 0"},
		{"a gap", map[string]string{"test.things.v1.avsc": record(entity), "test.things.v3.avsc": record(entity)}, "version 3 follows version 1"},
		{"the same version twice", map[string]string{"a/test.things.v1.avsc": record(entity), "b/test.things.v1.avsc": record(entity)}, "version 1 follows version 1"},
		{"not a schema", map[string]string{"test.things.v1.avsc": "{"}, "test.things.v1.avsc"},
		{"a field without default", map[string]string{"test.things.v1.avsc": record(entity),
			"test.things.v2.avsc": edit(entity, fields, fields[:len(fields)-1]+`, {"name": "more", "type": "string"}]`)}, "the newer cannot read the older"},
		{"a field gone", map[string]string{"test.things.v1.avsc": record(entity),
			"test.things.v2.avsc": edit(entity, `{"name": "ratio", "type": "double"},`, "")}, "the older cannot read the newer"},
		{"only the first pair disagrees", map[string]string{
			"test.things.v1.avsc": edit(entity, fields, fields[:len(fields)-1]+`, {"name": "x", "type": "string", "default": ""}]`),
			"test.things.v2.avsc": record(entity),
			"test.things.v3.avsc": edit(entity, fields, fields[:len(fields)-1]+`, {"name": "x", "type": "long", "default": 0}]`)}, "version 3 against 1"},
		{"another key", map[string]string{"test.facts.v1.avsc": record(fact), "test.facts.v2.avsc": edit(fact, `"key": "id"`, `"key": "n"`)}, `key "n"`},
		{"another kind", map[string]string{"test.things.v1.avsc": record(entity),
			"test.things.v2.avsc": record(`{"topic": "test.things", "kind": "fact", "key": "id", "types": ["test.thing.made"]}`)}, `kind "fact"`},
		{"other origins", map[string]string{"test.things.v1.avsc": record(entity),
			"test.things.v2.avsc": edit(entity, `"kind"`, `"origins": "many", "kind"`)}, `origins "many"`},
		{"a type gone", map[string]string{"test.facts.v1.avsc": record(fact), "test.facts.v2.avsc": edit(fact, "fact.seen", "fact.heard")}, `types: "test.fact.seen" is gone`},
		{"fewer partitions", map[string]string{"test.facts.v1.avsc": record(fact), "test.facts.v2.avsc": edit(fact, `"kind"`, `"partitions": 4, "kind"`)}, "partitions 4"},
		{"a type of two topics", map[string]string{"test.facts.v1.avsc": edit(fact, "test.fact.seen", "test.thing.made"),
			"test.things.v1.avsc": record(entity)}, "test.thing.made: claimed by topics test.facts and test.things"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files := fstest.MapFS{}
			for name, text := range tt.files {
				files[name] = &fstest.MapFile{Data: []byte(text)}
			}
			_, err := schemas.Load(files)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want it to say %q", err, tt.want)
			}
		})
	}
}

func TestTableNamesMustDiffer(t *testing.T) {
	_, err := schemas.Load(fstest.MapFS{
		"x.test-facts.v1.avsc": {Data: []byte(strings.Replace(record(fact), `"test.facts"`, `"x.test-facts"`, 1))},
		"x.test.facts.v1.avsc": {Data: []byte(strings.Replace(strings.Replace(record(fact), `"test.facts"`, `"x.test.facts"`, 1), "fact.seen", "fact.heard", 1))},
	})
	if want := "both have the table x_test_facts"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got error %v, want it to say %q", err, want)
	}
}
