//go:build !sabotage_skip && !sabotage_twice && !sabotage_late

package tally

// sabotaged is where the build tags sabotage_skip, sabotage_twice and
// sabotage_late break the service, so that tests can see a load test notice.
func sabotaged(p projection) projection { return p }
