package postgres

import "github.com/jackc/pgx/v5/pgconn"

// Dialer is what connections are made with.
func Dialer(address string) (pgconn.DialFunc, error) {
	cfg, err := source{address: address}.config()
	if err != nil {
		return nil, err
	}
	return cfg.DialFunc, nil
}
