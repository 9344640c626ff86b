package main

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
)

const bareTables = `
DROP TABLE IF EXISTS bare_orders, bare_positions, bare_seen;
CREATE TABLE bare_orders (order_id text PRIMARY KEY, customer_id text NOT NULL, status text NOT NULL, version bigint NOT NULL,
	total_cents bigint NOT NULL, currency text NOT NULL, updated_at timestamptz NOT NULL, item_count integer NOT NULL,
	channel text NOT NULL, country text NOT NULL, campaign text NOT NULL);
CREATE TABLE bare_positions (partition integer PRIMARY KEY, next bigint NOT NULL);
CREATE TABLE bare_seen (key bytea PRIMARY KEY, hash bytea NOT NULL);
`

var bareColumns = []string{"order_id", "customer_id", "status", "version", "total_cents", "currency", "updated_at", "item_count", "channel", "country", "campaign"}

// bareMerge is the newest-wins upsert from a staging table.
func bareMerge(from string) string {
	var sets []string
	for _, c := range bareColumns[1:] {
		sets = append(sets, c+" = excluded."+c)
	}
	columns := strings.Join(bareColumns, ", ")
	return "INSERT INTO bare_orders AS o (" + columns + ") SELECT " + columns + " FROM " + from + " ON CONFLICT (order_id) DO UPDATE SET " +
		strings.Join(sets, ", ") + " WHERE excluded.version > o.version"
}

const barePosition = `INSERT INTO bare_positions VALUES ($1, $2) ON CONFLICT (partition) DO UPDATE SET next = excluded.next`

// barePostgres copies into a temporary table and merges from it, in one
// transaction with the position.
type barePostgres struct{ conn *pgx.Conn }

func openBarePostgres(s *side) func(context.Context) (bareWriter, error) {
	return func(ctx context.Context) (bareWriter, error) {
		conn, err := pgx.Connect(ctx, s.store)
		if err != nil {
			return nil, err
		}
		if _, err := conn.Exec(ctx, `CREATE TEMP TABLE stage (LIKE bare_orders); CREATE TEMP TABLE ids (LIKE bare_seen)`); err != nil {
			return nil, err
		}
		return &barePostgres{conn}, nil
	}
}

func (w *barePostgres) close() error { return w.conn.Close(context.Background()) }

func (w *barePostgres) write(ctx context.Context, b *bareBatch) error {
	return pgx.BeginFunc(ctx, w.conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `TRUNCATE stage, ids`); err != nil {
			return err
		}
		var err error
		var merge string
		if len(b.ids) > 0 {
			_, err = tx.CopyFrom(ctx, pgx.Identifier{"ids"}, []string{"key", "hash"}, pgx.CopyFromSlice(len(b.ids), func(i int) ([]any, error) {
				return []any{b.ids[i][:seenKey], b.ids[i][seenKey:]}, nil
			}))
			merge = `INSERT INTO bare_seen SELECT * FROM ids ON CONFLICT DO NOTHING`
		} else {
			_, err = tx.CopyFrom(ctx, pgx.Identifier{"stage"}, bareColumns, pgx.CopyFromSlice(len(b.rows), func(i int) ([]any, error) {
				o := &b.rows[i]
				return []any{o.OrderID, o.CustomerID, o.Status, o.Version, o.TotalCents, o.Currency, o.UpdatedAt, o.ItemCount, o.Channel, o.Country, o.Campaign}, nil
			}))
			merge = bareMerge("stage")
		}
		if err != nil {
			return err
		}
		var rest pgx.Batch
		rest.Queue(merge)
		for p, next := range b.next {
			rest.Queue(barePosition, p, next)
		}
		return tx.SendBatch(ctx, &rest).Close()
	})
}
