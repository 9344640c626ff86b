package consume_test

import (
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"firehose/internal/consume"
)

// What a projection says of an event is told only in words that it chose to be
// told: the text of any other error may quote what the event holds.
func TestErrorOfAProjectionTellsNoPayload(t *testing.T) {
	const canary = "canary-4711"
	tests := []struct {
		name    string
		project func() error
		want    string
	}{
		{"a library's error", func() error { _, err := strconv.Atoi(canary); return err },
			"an error of type *strconv.NumError; use firehose.Refuse to say more"},
		{"an error of the service", func() error { return fmt.Errorf("account %s is closed", canary) },
			"an error of type "},
		{"a refusal", func() error { return &consume.Refusal{Reason: "account: is closed"} },
			"account: is closed"},
		{"a refusal in other words", func() error {
			return fmt.Errorf("account %s: %w", canary, &consume.Refusal{Reason: "account: is closed"})
		}, "account: is closed"},
		{"a panic", func() error { panic(canary) }, "panic at firehose/internal/consume_test."},
	}
	b := newBank(t)
	for i := range tests {
		b.produce(b.entry(strconv.Itoa(i), canary, 1, 0))
	}
	b.start(b.store, func(c *consume.Config) {
		c.Handlers[1].Project = func(e, _ *consume.Event, _ *consume.Changes) error {
			return tests[e.From.Offset].project()
		}
	})
	b.caughtUp()

	stored := b.texts("SELECT error FROM firehose_dead_letters ORDER BY offset")
	reasons, _ := b.deadLetters("bank.entries")
	if len(stored) != len(tests) || len(reasons) != len(tests) {
		t.Fatalf("set aside: %d marks, %d dead letters, want %d", len(stored), len(reasons), len(tests))
	}
	for i, test := range tests {
		if got := reasons[i].Message; got != stored[i] || !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: the dead letter says %q, the store %q, want %q", test.name, got, stored[i], test.want)
		}
		if strings.Contains(reasons[i].Message+stored[i], canary) {
			t.Errorf("%s: tells what the event holds: %q, %q", test.name, reasons[i].Message, stored[i])
		}
	}
	if logs := b.logs.String(); strings.Contains(logs, canary) || !strings.Contains(logs, "account: is closed") {
		t.Errorf("want the log to tell the reasons and no payload:\n%s", logs)
	}
}

// texts returns the first column of all rows.
func (b *bank) texts(q string) []string {
	b.t.Helper()
	db, err := sql.Open("sqlite", "file:"+b.path+"?mode=ro")
	if err != nil {
		b.t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query(q)
	if err != nil {
		b.t.Fatalf("%s: %v", q, err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			b.t.Fatal(err)
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		b.t.Fatal(err)
	}
	return out
}
