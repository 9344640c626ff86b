package postgres

import (
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// SetClock makes the store take a time for the present one.
func (s *Store) SetClock(now func() time.Time) { s.now = now }

// Dialer is what connections are made with.
func Dialer(address string) (pgconn.DialFunc, error) {
	cfg, err := source{address: address}.config()
	if err != nil {
		return nil, err
	}
	return cfg.DialFunc, nil
}
