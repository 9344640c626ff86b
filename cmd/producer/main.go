// Producer takes business events in and appends them to their Kafka topics:
// over HTTP, from files, from a recorded data set, from a simulator.
//
//	producer serve      events over HTTP
//	producer send       events of NDJSON files
//	producer replay     a recorded data set
//	producer simulate   an endless synthetic shop
//	producer manifest   the permissions that it needs
//	producer health     whether an instance on this machine is well
package main

import (
	"context"
	"os"

	"firehose/internal/service"
	"firehose/producer"
)

func main() { os.Exit(service.Main(context.Background(), producer.Command())) }
