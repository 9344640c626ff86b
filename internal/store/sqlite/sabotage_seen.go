//go:build sabotage_seen

package sqlite

// rememberSeen drops firehose_seen: repeated facts count twice. Never build a
// service so.
const rememberSeen = false
