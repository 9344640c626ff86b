package producer

// NewCommand is Command with its own standard streams.
var NewCommand = newCommand

// SnapshotsOfThePast returns how many snapshots wait when a simulation comes to the
// first event that its checkpoint does not cover.
func SnapshotsOfThePast(cfg SimulateConfig) (int, error) {
	sim, from, err := cfg.resume()
	if err != nil {
		return 0, err
	}
	for sequence := range sim.events() {
		if sequence == from {
			break
		}
	}
	return len(sim.pending), sim.err
}
