package consume

import (
	"context"
	"errors"
	"fmt"
	"time"

	"firehose/internal/kafka"
)

// ErrNotAlone says that a group has more members than its store can serve.
var ErrNotAlone = errors.New("the group has another member")

// waitAlone returns when no other member is in the group, and ErrNotAlone when
// one stays for longer than a dead one would. It does not join meanwhile: that
// would take partitions from a member that does its work.
func (e *Engine) waitAlone(ctx context.Context) error {
	client, err := kafka.NewClient(e.cfg.Kafka)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := e.checkAccess(ctx, client); err != nil {
		return err
	}
	var until time.Time
	for attempt := 1; ; attempt++ {
		members, err := kafka.GroupMembers(ctx, client, e.cfg.Group)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(kafka.Explain(err), kafka.ErrDenied):
			return kafka.Explain(err)
		case err != nil:
			e.cfg.Log.Warn("waiting to see who is in the group", "group", e.cfg.Group, "err", err)
		case len(members) == 0:
			return nil
		case until.IsZero():
			until = time.Now().Add(e.cfg.AlonePatience)
			e.cfg.Log.Warn("another member is in the group; waiting for it to leave, or its session to end",
				"group", e.cfg.Group, "client_id", members[0].ClientID, "host", members[0].Host, "patience", e.cfg.AlonePatience)
		case time.Now().After(until):
			return notAlone(e.cfg.Group, members[0])
		}
		if err := wait(ctx, min(e.backoff(attempt), time.Second)); err != nil {
			return err
		}
	}
}

// yieldAfter is how long a member waits before it gives way to one that joined
// together with it.
const yieldAfter = 5 * time.Second

// stayAlone ends with ErrNotAlone when another member joins, which may have
// started at the same moment. Of two, the one with the higher member ID goes
// first, so that one remains.
func (e *Engine) stayAlone(ctx context.Context) error {
	var since time.Time // when the other was seen first
	for attempt := 1; ; {
		members, err := kafka.GroupMembers(ctx, e.client, e.cfg.Group)
		own, _ := e.client.GroupMetadata()
		other := -1
		for i, m := range members {
			if m.ID != own {
				other = i
				break
			}
		}
		pause := min(e.backoff(attempt), time.Second)
		attempt++
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			e.cfg.Log.Warn("looking who is in the group", "group", e.cfg.Group, "err", err)
		case other < 0:
			since, attempt = time.Time{}, 1
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-e.rebalanced:
			}
			continue
		case since.IsZero():
			since = time.Now()
			e.cfg.Log.Warn("another member joined the group", "group", e.cfg.Group,
				"client_id", members[other].ClientID, "host", members[other].Host)
		default:
			patience := e.cfg.AlonePatience
			if members[other].ID < own {
				patience = min(patience/2, yieldAfter)
			}
			if time.Since(since) >= patience {
				return notAlone(e.cfg.Group, members[other])
			}
		}
		if err := wait(ctx, pause); err != nil {
			return err
		}
	}
}

func notAlone(group string, other kafka.Member) error {
	return fmt.Errorf("%w: group %s: client %q at %s; a service whose store is SQLite runs alone: stop the other one, "+
		"or give all of them one PostgreSQL database (--store postgres://...)", ErrNotAlone, group, other.ClientID, other.Host)
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
