package producer_test

import (
	"testing"

	"firehose/internal/kafka/embedded"
)

// startRegistry returns the address of a registry and what takes it down.
func startRegistry(t testing.TB) (url string, stop func()) {
	t.Helper()
	r, err := embedded.StartRegistry(embedded.RegistryConfig{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r.URL(), func() { r.Close() }
}
