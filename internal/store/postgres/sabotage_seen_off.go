//go:build !sabotage_seen

package postgres

// rememberSeen is false under the build tag sabotage_seen, so that the tests can
// be seen to notice that no event ID is remembered.
const rememberSeen = true
