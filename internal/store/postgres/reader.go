package postgres

import (
	"database/sql"

	"github.com/jackc/pgx/v5/stdlib"
)

// OpenReader opens connections of their own to a store's database, beside the
// services that write it, for reading only. They are made by the first query.
func OpenReader(address, passwordFile string) (*sql.DB, error) {
	cfg, err := source{address, passwordFile}.config()
	if err != nil {
		return nil, err
	}
	cfg.RuntimeParams["application_name"] = "firehose-reader"
	cfg.RuntimeParams["default_transaction_read_only"] = "on"
	return stdlib.OpenDB(*cfg), nil
}
