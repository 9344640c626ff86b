// Firehose is the operator's command line, and the whole system in one process.
//
//	firehose dev       the whole system in one process
//	firehose topics    create topics as they are declared, list what is there
//	firehose schemas   check, register, list and verify schemas
//	firehose tail      show the events of a topic, decoded
//	firehose decode    turn what kcat writes into JSON
//	firehose lag       how far each group is behind, and in which state
//	firehose dlq       records that services set aside
package main

import (
	"context"
	"os"

	"firehose/internal/dev"
	"firehose/internal/operator"
	"firehose/internal/service"
)

func main() {
	os.Exit(service.Main(context.Background(), operator.Command(operator.Process(), dev.Command())))
}
