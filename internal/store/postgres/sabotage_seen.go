//go:build sabotage_seen

package postgres

// rememberSeen drops firehose_seen: repeated facts count twice. Never build a
// service so.
const rememberSeen = false
