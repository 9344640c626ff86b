//go:build !sabotage_position

package postgres

// positionsApart is true under the build tag sabotage_position, which commits the
// positions by themselves, so that the tests can be seen to notice.
const positionsApart = false
