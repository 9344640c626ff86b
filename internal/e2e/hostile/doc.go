// Package hostile has the tests that do the worst to the real binaries: what an
// HTTP client can send, and what anybody who reaches the broker can write. Every
// bad thing is refused or set aside and named, its neighbours are applied, the
// process stays as small as it was, and nothing that was in a payload shows in
// an answer, a log line, a metric or a dead letter's reason.
//
// Every payload carries canaries, a value that looks like a secret and a
// personal one. They are looked for in all that a process has said when it ends.
//
// What needs kcat is skipped where there is none.
package hostile
