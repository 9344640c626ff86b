package firehose

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"firehose/internal/consume"
	"firehose/internal/store"
	"firehose/internal/store/postgres"
	"firehose/internal/store/sqlite"
)

// database is an open store.
type database interface {
	consume.Store
	Hash(ctx context.Context) (string, error)
	Close() error
}

// opened is a store, and what the engine has to know of it.
type opened struct {
	database
	alone    bool // what another member writes is not in it
	appliers int  // transactions in flight
}

// openStore opens the store that cfg.Store names. Its errors do not show the
// address, which may hold a password.
func openStore(ctx context.Context, cfg *Config, tables []*store.Table) (opened, error) {
	scheme, rest, _ := strings.Cut(cfg.Store, ":")
	switch {
	case scheme == "sqlite" && rest != "":
		if cfg.StorePasswordFile != "" {
			return opened{}, wrong(errors.New("store password file: a store of SQLite has no password"))
		}
		s, err := sqlite.Open(ctx, sqlite.Config{Path: rest, Owner: cfg.Group}, tables)
		return opened{s, true, 1}, err
	case (scheme == "postgres" || scheme == "postgresql") && strings.HasPrefix(rest, "//"):
		if holdsPassword(cfg.Store) {
			return opened{}, wrong(errors.New("store: holds a password, which the list of processes shows: want it in the file that --store-password-file names"))
		}
		const appliers = 2 // docs/adr/0006-two-transactions-in-flight.md says why
		s, err := postgres.Open(ctx, postgres.Config{
			Address: cfg.Store, PasswordFile: cfg.StorePasswordFile, Owner: cfg.Group, Appliers: appliers,
		}, tables)
		return opened{s, false, appliers}, err
	}
	return opened{}, wrong(errors.New("store: want sqlite:PATH or postgres://USER@HOST:PORT/DATABASE?search_path=SCHEMA"))
}

// holdsPassword reports whether a database's URL names a password where pgx looks
// for one. What is no URL is refused by pgx.
func holdsPassword(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	password, _ := u.User.Password()
	return password != "" || u.Query().Get("password") != ""
}
