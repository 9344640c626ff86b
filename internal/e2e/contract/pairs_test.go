package contract_test

import (
	"fmt"
	"strings"
)

// pair is two versions of a schema, of which the newer was written after the
// older had been registered.
type pair struct {
	name     string
	old, new string // fields beside id and version, or a whole "firehose" attribute
	refused  bool   // by us, wherever we are asked
	alike    bool   // one schema to us: nothing that decides what is written changed
	avro     bool   // Avro's rules alone accept what we refuse
	loose    bool   // Apicurio does not compare decimals, as Avro has it
}

const plain = `{"topic":"%s","kind":"entity","key":"id","version":"version","types":["other.thing.made"]}`

// text is a version of the topic's schema.
func (p pair) text(topic, version string) string {
	contract, fields := plain, version
	if rest, ok := strings.CutPrefix(version, "firehose "); ok {
		contract, fields = rest, ""
	}
	if fields != "" {
		fields = "," + fields
	}
	return fmt.Sprintf(`{"type":"record","name":"Thing","namespace":"other","firehose":%s,"fields":[{"name":"id","type":"string"},{"name":"version","type":"long"}%s]}`,
		fmt.Sprintf(contract, topic), fields)
}

func field(rest string) string     { return `{"name":"f",` + rest + `}` }
func typed(t string) string        { return field(`"type":` + t) }
func defaulted(t, d string) string { return field(`"type":` + t + `,"default":` + d) }

const (
	optional = `["null","string"]`
	colours  = `{"type":"enum","name":"Colour","symbols":["RED","GREEN"]}`
	more     = `{"type":"enum","name":"Colour","symbols":["RED","GREEN","BLUE"]}`
)

var pairs = []pair{
	// Fields.
	{name: "nothing", old: typed(`"string"`), new: typed(`"string"`), alike: true},
	{name: "field added with a default", new: defaulted(`"string"`, `"red"`)},
	{name: "field added with null as default", new: defaulted(optional, `null`)},
	{name: "field added without a default", new: typed(`"string"`), refused: true},
	{name: "optional field added without a default", new: typed(optional), refused: true},
	{name: "field with a default removed", old: defaulted(`"string"`, `"red"`)},
	{name: "field without a default removed", old: typed(`"string"`), refused: true},
	{name: "default added", old: typed(`"string"`), new: defaulted(`"string"`, `"red"`), alike: true},
	{name: "default taken away", old: defaulted(`"string"`, `"red"`), new: typed(`"string"`), alike: true},
	{name: "default changed", old: defaulted(`"string"`, `"red"`), new: defaulted(`"string"`, `"blue"`), alike: true},
	{name: "fields in another order", old: `{"name":"f","type":"int"},{"name":"g","type":"string"}`, new: `{"name":"g","type":"string"},{"name":"f","type":"int"}`},
	{name: "doc added", old: typed(`"string"`), new: field(`"type":"string","doc":"why"`), alike: true},
	{name: "field renamed", old: typed(`"string"`), new: `{"name":"g","type":"string"}`, refused: true},
	{name: "field renamed with an alias", old: typed(`"string"`), new: `{"name":"g","type":"string","aliases":["f"]}`, refused: true},
	{name: "field renamed with an alias and defaults", old: defaulted(`"string"`, `""`), new: `{"name":"g","type":"string","default":"","aliases":["f"]}`},
	{name: "alias added", old: typed(`"string"`), new: field(`"type":"string","aliases":["g"]`), alike: true},

	// Types.
	{name: "int to long", old: typed(`"int"`), new: typed(`"long"`), refused: true},
	{name: "long to int", old: typed(`"long"`), new: typed(`"int"`), refused: true},
	{name: "int to double", old: typed(`"int"`), new: typed(`"double"`), refused: true},
	{name: "float to double", old: typed(`"float"`), new: typed(`"double"`), refused: true},
	{name: "string to bytes", old: typed(`"string"`), new: typed(`"bytes"`)},
	{name: "bytes to string", old: typed(`"bytes"`), new: typed(`"string"`)},
	{name: "string to int", old: typed(`"string"`), new: typed(`"int"`), refused: true},
	{name: "array's items int to long", old: typed(`{"type":"array","items":"int"}`), new: typed(`{"type":"array","items":"long"}`), refused: true},
	{name: "map's values int to string", old: typed(`{"type":"map","values":"int"}`), new: typed(`{"type":"map","values":"string"}`), refused: true},
	{name: "array to map", old: typed(`{"type":"array","items":"int"}`), new: typed(`{"type":"map","values":"int"}`), refused: true},
	{name: "fixed of another size", old: typed(`{"type":"fixed","name":"F","size":4}`), new: typed(`{"type":"fixed","name":"F","size":8}`), refused: true},
	{name: "fixed of another name", old: typed(`{"type":"fixed","name":"F","size":4}`), new: typed(`{"type":"fixed","name":"G","size":4}`), refused: true},
	{name: "fixed to bytes", old: typed(`{"type":"fixed","name":"F","size":4}`), new: typed(`"bytes"`), refused: true},

	// Enums.
	{name: "symbol added", old: typed(colours), new: typed(more), refused: true},
	{name: "symbol removed", old: typed(more), new: typed(colours), refused: true},
	{name: "symbol added where the enum has a default", old: typed(strings.Replace(colours, `]`, `],"default":"RED"`, 1)), new: typed(strings.Replace(more, `]`, `],"default":"RED"`, 1))},
	{name: "symbol added with the enum's default", old: typed(colours), new: typed(strings.Replace(more, `]`, `],"default":"RED"`, 1)), refused: true},
	{name: "symbol added where the field has a default", old: defaulted(colours, `"RED"`), new: defaulted(more, `"RED"`), refused: true},
	{name: "symbols in another order", old: typed(colours), new: typed(`{"type":"enum","name":"Colour","symbols":["GREEN","RED"]}`)},
	{name: "enum's default added", old: typed(colours), new: typed(strings.Replace(colours, `]`, `],"default":"RED"`, 1)), alike: true},
	{name: "enum to string", old: typed(colours), new: typed(`"string"`), refused: true},
	{name: "enum renamed", old: typed(colours), new: typed(strings.Replace(colours, "Colour", "Color", 1)), refused: true},
	{name: "enum renamed with an alias", old: typed(colours), new: typed(strings.Replace(colours, `"Colour"`, `"Color","aliases":["Colour"]`, 1)), refused: true},
	{name: "enum in another namespace", old: typed(colours), new: typed(strings.Replace(colours, `"Colour"`, `"Colour","namespace":"elsewhere"`, 1))},

	// Unions.
	{name: "string to optional string", old: typed(`"string"`), new: typed(optional), refused: true},
	{name: "optional string to string", old: typed(optional), new: typed(`"string"`), refused: true},
	{name: "branch added", old: typed(optional), new: typed(`["null","string","long"]`), refused: true},
	{name: "branch removed", old: typed(`["null","string","long"]`), new: typed(optional), refused: true},
	{name: "branches in another order", old: typed(optional), new: typed(`["string","null"]`)},
	{name: "union of one", old: typed(`"string"`), new: typed(`["string"]`)},
	{name: "branch int to long", old: typed(`["null","int"]`), new: typed(`["null","long"]`), refused: true},

	// Records in records.
	{name: "inner field added with a default", old: typed(`{"type":"record","name":"In","fields":[{"name":"a","type":"int"}]}`), new: typed(`{"type":"record","name":"In","fields":[{"name":"a","type":"int"},{"name":"b","type":"int","default":0}]}`)},
	{name: "inner field added without", old: typed(`{"type":"record","name":"In","fields":[{"name":"a","type":"int"}]}`), new: typed(`{"type":"record","name":"In","fields":[{"name":"a","type":"int"},{"name":"b","type":"int"}]}`), refused: true},
	{name: "inner record renamed", old: typed(`{"type":"record","name":"In","fields":[{"name":"a","type":"int"}]}`), new: typed(`{"type":"record","name":"Inner","fields":[{"name":"a","type":"int"}]}`), refused: true},
	{name: "inner record in another namespace", old: typed(`{"type":"record","name":"In","fields":[{"name":"a","type":"int"}]}`), new: typed(`{"type":"record","name":"In","namespace":"elsewhere","fields":[{"name":"a","type":"int"}]}`)},
	{name: "inner record in a union in another namespace", old: typed(`["null",{"type":"record","name":"In","fields":[{"name":"a","type":"int"}]}]`), new: typed(`["null",{"type":"record","name":"In","namespace":"elsewhere","fields":[{"name":"a","type":"int"}]}]`)},

	// What a value means.
	{name: "millis to micros", old: typed(`{"type":"long","logicalType":"timestamp-millis"}`), new: typed(`{"type":"long","logicalType":"timestamp-micros"}`), refused: true, avro: true},
	{name: "long to millis", old: typed(`"long"`), new: typed(`{"type":"long","logicalType":"timestamp-millis"}`), refused: true, avro: true},
	{name: "millis to long", old: typed(`{"type":"long","logicalType":"timestamp-millis"}`), new: typed(`"long"`), refused: true, avro: true},
	{name: "millis to local millis", old: typed(`{"type":"long","logicalType":"timestamp-millis"}`), new: typed(`{"type":"long","logicalType":"local-timestamp-millis"}`), refused: true, avro: true},
	{name: "int to date", old: typed(`"int"`), new: typed(`{"type":"int","logicalType":"date"}`), refused: true, avro: true},
	{name: "date to millis of the day", old: typed(`{"type":"int","logicalType":"date"}`), new: typed(`{"type":"int","logicalType":"time-millis"}`), refused: true, avro: true},
	{name: "string to uuid", old: typed(`"string"`), new: typed(`{"type":"string","logicalType":"uuid"}`), refused: true, avro: true},
	{name: "optional millis to optional micros", old: typed(`["null",{"type":"long","logicalType":"timestamp-millis"}]`), new: typed(`["null",{"type":"long","logicalType":"timestamp-micros"}]`), refused: true, avro: true},
	{name: "bytes to decimal", old: typed(`"bytes"`), new: typed(`{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}`), refused: true, avro: true},
	{name: "decimal of another scale", old: typed(`{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}`), new: typed(`{"type":"bytes","logicalType":"decimal","precision":9,"scale":3}`), refused: true, loose: true},
	{name: "decimal of another precision", old: typed(`{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}`), new: typed(`{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}`), refused: true, loose: true},
	{name: "decimal in fixed of another scale", old: typed(`{"type":"fixed","name":"D","size":8,"logicalType":"decimal","precision":9,"scale":2}`), new: typed(`{"type":"fixed","name":"D","size":8,"logicalType":"decimal","precision":9,"scale":3}`), refused: true, loose: true},
	{name: "a logical type nobody knows", old: typed(`"string"`), new: typed(`{"type":"string","logicalType":"colour"}`), refused: true, avro: true},

	// Attributes.
	{name: "attribute of a field added", old: typed(`"string"`), new: field(`"type":"string","pii":true`)},
	{name: "attribute of a type added", old: typed(`"string"`), new: typed(`{"type":"string","pii":true}`)},
	{name: "event type added", old: "firehose " + plain, new: "firehose " + strings.Replace(plain, `made"`, `made","other.thing.mended"`, 1)},
	{name: "event type removed", old: "firehose " + strings.Replace(plain, `made"`, `made","other.thing.mended"`, 1), new: "firehose " + plain, refused: true, avro: true},
	{name: "more partitions", old: "firehose " + plain, new: "firehose " + strings.Replace(plain, `}`, `,"partitions":16}`, 1)},
	{name: "fewer partitions", old: "firehose " + plain, new: "firehose " + strings.Replace(plain, `}`, `,"partitions":4}`, 1), refused: true, avro: true},
	{name: "another key", old: "firehose " + plain, new: "firehose " + strings.Replace(plain, `"key":"id"`, `"key":"version"`, 1), refused: true, avro: true},
	{name: "another origin", old: "firehose " + plain, new: "firehose " + strings.Replace(plain, `}`, `,"origins":"many"}`, 1), refused: true, avro: true},
	{name: "entity to fact", old: "firehose " + plain, new: `firehose {"topic":"%s","kind":"fact","key":"id","types":["other.thing.made"]}`, refused: true, avro: true},
}
