package firehose

import (
	"context"
	"fmt"

	"firehose/internal/consume"
	"firehose/internal/replica"
	"firehose/internal/store"
)

// Replica keeps a table of an entity topic, without code for it: shop.orders
// becomes the view shop_orders, whose columns are the fields of the topic's
// schema. A schema that comes later and has a field more adds a column, in the
// transaction of its first record. docs/replica.md says which types become
// which.
func Replica(topic string) Projection {
	return Projection{topic: topic, build: func(ctx context.Context, env *environment) (*consume.Handler, []*store.Table, error) {
		t, err := env.contract(ctx, topic)
		if err != nil {
			return nil, nil, err
		}
		r, err := replica.New(t, env.writers)
		if err != nil {
			return nil, nil, fmt.Errorf("replica: %w", err)
		}
		return r.Handler(), []*store.Table{r.Table()}, nil
	}}
}
