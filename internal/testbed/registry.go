package testbed

import (
	"os"
	"strings"
	"testing"
)

// Registry returns the URL of a real schema registry with Confluent's API, which
// other tests use at the same time: subjects follow from topics, whose names are
// a test's own, or the shop's, which everybody registers alike. It is the one
// that FIREHOSE_TEST_REGISTRY names.
func Registry(t testing.TB) string {
	t.Helper()
	if named := os.Getenv("FIREHOSE_TEST_REGISTRY"); named != "" {
		return named
	}
	Skip(t, "registry", "FIREHOSE_TEST_REGISTRY names none")
	return ""
}

// apicurioConfluent is where Apicurio has Confluent's API.
const apicurioConfluent = "/apis/ccompat/v7"

// Apicurio returns the URL of Apicurio's own API of a registry, and whether it
// is one.
func Apicurio(registry string) (string, bool) {
	base, ok := strings.CutSuffix(strings.TrimSuffix(registry, "/"), apicurioConfluent)
	return base + "/apis/registry/v3", ok
}
