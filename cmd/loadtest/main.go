// Loadtest puts a pipeline under load and tells the truth about what became of
// it.
//
//	loadtest run       send events at a given rate, and check what becomes of each
//	loadtest report    one HTML page with plots, from one or several results
//	loadtest model     what a larger system can take, from the results of runs
//	loadtest serve     the service that a run measures
//	loadtest cluster   an embedded broker and registry
//	loadtest door      the HTTP door, for the load test's events
//	loadtest schemas   the load test's schemas, as files
package main

import (
	"context"
	"os"

	"firehose/internal/service"
	"firehose/loadtest"
	"firehose/loadtest/model"
	"firehose/loadtest/report"
)

func main() {
	os.Exit(service.Main(context.Background(), loadtest.Command(report.Command(), model.Command(os.Stdout))))
}
