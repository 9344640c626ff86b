// Package loadtest sends events to a pipeline that somebody runs, at rates that
// nothing in the pipeline can change, and says what became of each: when it was
// acknowledged, when it could be seen in the service's store, and whether it was
// applied exactly once and in the order of its key.
//
//	target, err := loadtest.OpenTarget(ctx, loadtest.TargetConfig{...})
//	...
//	result, err := target.Run(ctx, loadtest.Plan{Load: load})
//
// # How latency is measured
//
// Each event has a time at which it is due, fixed before the run. Both latencies
// count from there, so an event that could not be sent because the system held
// its sender up counts with all of its wait. (Counting from the sending would
// leave out just what the system made worse; Gil Tene calls that coordinated
// omission.) How late events were sent by the generator's own doing is measured
// beside it: where that is much, the result says that the generator was the
// limit.
//
//	due ──── sent ──── acknowledged        latency of the acknowledgement
//	due ──── sent ──── … ──── seen         latency of being applied
//
// An event counts as applied when another connection of the store first sees the
// position of its partition behind it. The store is looked at every few
// milliseconds, and the result says how far apart those looks really were.
//
// # How correctness is checked
//
// The acknowledgements tell at which offset each event stands. For each partition
// they are folded in the order of the log, and several times a second a state of
// the store, positions and sums read in one statement, is compared with the fold
// up to just that position: everything before it must be there once, and nothing
// behind it. In the end every row of every key is compared. Events whose outcome
// was unknown are looked for in the log first.
package loadtest
