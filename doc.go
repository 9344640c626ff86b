// Package firehose keeps the data of microservices in step: services publish
// business events to Kafka and fold the events they subscribe to into their own
// store, exactly once in effect.
//
// A service is its tables and its projections. A projection is a pure function
// from an event to row changes; the engine does the rest: polling, decoding,
// batching, deduplication, the position in the same transaction as the rows,
// dead letters, rebalances, metrics and health.
//
//	var visits = firehose.Counters("visits", firehose.Key{firehose.Text("page")}, "count")
//
//	var service = firehose.Service{
//		Name:    "analytics",
//		Schemas: contracts, // from schemas.Load
//		Tables:  []*firehose.Table{visits},
//		Projections: []firehose.Projection{
//			firehose.OnFact("web.page-views", func(e firehose.Event[PageView], c *firehose.Changes) error {
//				c.Add(visits, firehose.Row{e.Data.Page}, 1)
//				return nil
//			}),
//		},
//	}
//
//	func main() { firehose.Main(service) }
//
// Package firehose/firehosetest runs a service against the embedded broker, for
// tests. Package firehose/schemas reads the contracts.
package firehose
