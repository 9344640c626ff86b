package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"firehose/internal/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	// migrationsTable holds which of the migrations have run.
	migrationsTable = "firehose_migrations"

	// format is the newest migration that this program knows.
	format = 3

	// The keys of our advisory locks, "fh" and what it is for. They hold for
	// the schema in use, of which a hash goes with them.
	lockSchema  = 0x6668_0001 // changes to tables
	lockForget  = 0x6668_0002 // dropping slices of seen IDs
	lockMigrate = 0x6668_0003 // the engine's own tables
)

// migrate brings the engine's tables to this version and makes the schema the
// owner's, one instance at a time.
func migrate(ctx context.Context, src source, owner string) (err error) {
	cfg, err := src.config()
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeNow(conn)) }()
	if err := createSchema(ctx, conn); err != nil {
		return err
	}
	// Not goose's own lock: it is one for all schemas of a database.
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1, hashtext(current_schema()))`, lockMigrate); err != nil {
		return err
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*cfg)
	defer func() { err = errors.Join(err, db.Close()) }()
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithTableName(migrationsTable))
	if err != nil {
		return fmt.Errorf("%w: migrations: %w", store.ErrFatal, err)
	}
	version, err := provider.GetDBVersion(ctx)
	if err != nil {
		return err
	}
	if version > format {
		return fmt.Errorf("%w: format %d of the database is newer than this program, which knows up to %d", store.ErrFatal, version, format)
	}
	if _, err = provider.Up(ctx); err != nil || owner == "" {
		return err
	}
	if _, err := conn.Exec(ctx, `INSERT INTO firehose_owner SELECT $1 WHERE NOT EXISTS (SELECT 1 FROM firehose_owner)`, owner); err != nil {
		return err
	}
	var has string
	if err := conn.QueryRow(ctx, `SELECT name FROM firehose_owner`).Scan(&has); err != nil {
		return err
	}
	if has != owner {
		return store.Owned(has, owner)
	}
	return nil
}

// createSchema creates the first schema of the search path where it is missing.
func createSchema(ctx context.Context, conn *pgx.Conn) error {
	var current, path *string
	var user string
	if err := conn.QueryRow(ctx, `SELECT current_schema(), current_setting('search_path'), current_user`).Scan(&current, &path, &user); err != nil {
		return err
	}
	if current != nil {
		return nil
	}
	if path == nil || *path == "" {
		return fmt.Errorf("%w: search_path is empty: want the name of a schema", store.ErrFatal)
	}
	name := firstOf(*path)
	if name == "$user" {
		name = user
	}
	_, err := conn.Exec(ctx, `CREATE SCHEMA `+quote(name))
	if hasCode(err, duplicateSchema) || hasCode(err, "23505") { // another instance was faster
		return nil
	}
	return err
}
