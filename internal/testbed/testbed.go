// Package testbed gives tests the real parts: a test asks for a database, a
// registry or a cluster and gets the one that the environment names, else one in
// containers, where a Docker engine answers and has the images that make images
// builds, else one that is started on this machine, else it is skipped with the
// reason.
//
//	store := testbed.Postgres(t)     // an empty database, dropped after the test
//	cluster := testbed.Kafka(t)      // names of its own in a cluster that others use, too
//	cluster := testbed.KafkaAlone(t) // one that the test may break
//	registry := testbed.Registry(t)
//
// What the environment names:
//
//	FIREHOSE_TEST_POSTGRES           URL of a server, as a user who may create databases
//	FIREHOSE_KAFKA                   brokers, host:port, comma-separated, without TLS
//	FIREHOSE_KAFKA_TO_BREAK          folder of that cluster, made by deploy/kafka/local/kafka:
//	                                 tests stop its brokers and DELETE WHAT IT HOLDS
//	FIREHOSE_TEST_REGISTRY           URL of a registry with Confluent's API
//	FIREHOSE_TEST_REGISTRY_TO_BREAK  folder of that registry, made by deploy/kafka/local/registry:
//	                                 tests stop it
//	FIREHOSE_INTEGRATION             anything: start the local parts where none are named,
//	                                 fetch what other people's clients need, and run what
//	                                 takes its time
//	FIREHOSE_CONTAINERS              anything: parts in containers, whatever else is named; a
//	                                 test that cannot have them is skipped for want of docker
//
// A skip is a failure where FIREHOSE_REQUIRE names the part, and is written
// down in the file that FIREHOSE_SKIPS names: make test-integration ends with
// that list. Only tests import this package. See docs/testing.md.
package testbed

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// Skip skips the test since part cannot be had, for a reason that says what
// would help. Where FIREHOSE_REQUIRE, a comma-separated list, names the part,
// the test fails instead: a machine that is known to have everything must not
// pass by skipping.
func Skip(t testing.TB, part, reason string) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("FIREHOSE_REQUIRE"), ","), part) {
		t.Fatalf("FIREHOSE_REQUIRE names %s: %s", part, reason)
	}
	if file := os.Getenv("FIREHOSE_SKIPS"); file != "" {
		if err := note(file, fmt.Sprintf("%s\t%s\t%s\n", part, t.Name(), reason)); err != nil {
			t.Fatalf("FIREHOSE_SKIPS: %v", err)
		}
	}
	t.Skipf("%s: %s", part, reason)
}

// note appends a line. One write of an append-only file is not torn by those of
// other processes.
func note(file, line string) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(line); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// Integration skips a test that says nothing more with the race detector and
// takes its time, unless FIREHOSE_INTEGRATION is set: make test-integration runs
// it, and make test has its five minutes for the others.
func Integration(t testing.TB) {
	t.Helper()
	if os.Getenv("FIREHOSE_INTEGRATION") == "" {
		t.Skip("FIREHOSE_INTEGRATION is not set: make test-integration runs this one")
	}
}
