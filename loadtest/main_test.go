package loadtest

import (
	"context"
	"os"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"firehose/internal/service"
)

// A run starts its parts as processes of its own program, which here is the test.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && slices.Contains([]string{"serve", "cluster", "door"}, os.Args[1]) {
		os.Exit(service.Main(context.Background(), Command()))
	}
	goleak.VerifyTestMain(m)
}
