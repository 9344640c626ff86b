//go:build !failpoint

// Package failpoint kills the process at a named moment, to prove that it may
// die there. It does nothing unless the program is built with the tag
// failpoint; then FIREHOSE_FAILPOINT=NAME or NAME:N names the moment and how
// often it must be reached before.
package failpoint

// Enabled says whether the program is built with the tag.
const Enabled = false

// Hit dies here if this moment was asked for.
func Hit(string) {}

// Env names no variable: what is not built with the tag has none.
var Env map[string]string
