//go:build sabotage_position

package postgres

// positionsApart commits the positions in a transaction of their own: the fault
// that the whole design is against. Never build a service so.
const positionsApart = true
