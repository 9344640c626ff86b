//go:build !sabotage_position

package sqlite

// betweenPositionsAndRows is where the build tag sabotage_position commits the
// positions by themselves, so that the tests can be seen to notice.
func (a *applier) betweenPositionsAndRows() error { return nil }
