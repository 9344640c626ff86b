// Package e2e has the tests that run the real binaries and kill them: real
// purchases go in, the process dies at bad moments, and in the end every store
// must say exactly what the purchases say.
//
// The tests take a small part of the data set, but for one clean run. All of it
// everywhere:
//
//	E2E_FULL=1 go test -timeout 60m ./internal/e2e
//
// Moments are drawn from a seed, which is printed; E2E_SEED=N draws the same
// ones again. E2E_TAGS=sabotage_position,… builds the binaries with these tags:
// that is how the tests are seen to fail.
package e2e
