package codec_test

import (
	"errors"
	"testing"
	"time"

	"firehose/internal/codec"
	"firehose/internal/kafka/embedded"
)

// schemaPatience is how long a service asks again for a schema by default
// (--schema-patience).
const schemaPatience = 5 * time.Second

// A schema that is registered just after its first record was read is found
// while the record is still waited for: "unknown" is believed for less.
func TestSchemaRegisteredLateIsFoundInTime(t *testing.T) {
	srv, err := embedded.StartRegistry(embedded.RegistryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	reader := newRegistry(t, codec.RegistryConfig{URLs: []string{srv.URL()}})
	writer := newRegistry(t, codec.RegistryConfig{URLs: []string{srv.URL()}})
	first := time.Now()
	if _, err := reader.Writer(t.Context(), codec.Frame{ID: 1}); !errors.Is(err, codec.ErrUnknownSchema) {
		t.Fatalf("got %v, want an ErrUnknownSchema", err)
	}
	ids, err := writer.Register(t.Context(), orders(t))
	if err != nil || ids[0] != 1 {
		t.Fatalf("got IDs %v, %v, want the first to be 1", ids, err)
	}
	again := time.NewTicker(50 * time.Millisecond) // how often a service asks
	defer again.Stop()
	for {
		_, err := reader.Writer(t.Context(), codec.Frame{ID: 1})
		if err == nil {
			return
		}
		if took := time.Since(first); took > schemaPatience {
			t.Fatalf("after %s: %v, want it found within %s", took.Round(time.Millisecond), err, schemaPatience)
		}
		<-again.C
	}
}
