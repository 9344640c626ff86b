package storetest

import (
	"strings"
	"testing"

	"firehose/internal/store"
)

// Reserved holds store.CheckTable to it that no service's table can be, or lie
// on, a relation of an empty database: names are all of them, indexes too.
func Reserved(t *testing.T, names []string) {
	t.Helper()
	if len(names) < 8 {
		t.Errorf("got relations %v, want all of the engine's", names)
	}
	key, n := []store.Column{{Name: "k"}}, []store.Column{{Name: "n", Type: store.Int}}
	for _, name := range names {
		tables := []store.Table{
			{Name: name, Kind: store.Rows, Key: key}, {Name: name, Kind: store.Counters, Key: key, Columns: n}, {Name: name, Kind: store.Log},
		}
		if below, ok := strings.CutPrefix(name, "firehose_"); ok {
			tables = append(tables,
				store.Table{Name: below, Kind: store.Rows, Key: key},
				store.Table{Name: strings.ToUpper(below), Kind: store.Rows, Key: key},
				store.Table{Name: below, Kind: store.Counters, Key: key, Columns: n, Sharded: true})
		}
		for _, table := range tables {
			if err := store.CheckTable(&table); err == nil || !strings.Contains(err.Error(), table.Name) {
				t.Errorf("table %s of %s, sharded: %v: got %v, want an error that names it", table.Name, table.Kind, table.Sharded, err)
			}
		}
	}
}
