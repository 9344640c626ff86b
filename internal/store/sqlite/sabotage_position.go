//go:build sabotage_position

package sqlite

// betweenPositionsAndRows commits the positions in a transaction of their own:
// the fault that the whole design is against. Never build a service so.
func (a *applier) betweenPositionsAndRows() error {
	if _, err := a.w.conn.exec("COMMIT"); err != nil {
		return err
	}
	_, err := a.w.conn.exec("BEGIN IMMEDIATE")
	return err
}
