package loadtest

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"firehose/internal/service"
)

// A run starts its parts as processes of its own program, which here is the test.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && slices.Contains([]string{"serve", "cluster", "door"}, os.Args[1]) {
		for _, v := range os.Environ() { // what the tests' own harness reads is no setting of a service
			if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "FIREHOSE_") {
				if err := os.Unsetenv(name); err != nil {
					panic(err)
				}
			}
		}
		os.Exit(service.Main(context.Background(), Command()))
	}
	goleak.VerifyTestMain(m)
}
