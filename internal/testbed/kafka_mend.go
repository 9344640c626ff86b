package testbed

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// AwaitHealthy returns once every broker is there and has all of the replicas
// that are assigned to it.
func (c *Cluster) AwaitHealthy() {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	if err := c.awaitHealthy(ctx); err != nil {
		c.t.Fatalf("cluster: %v", err)
	}
}

func (c *Cluster) awaitHealthy(ctx context.Context) error {
	for tick := time.NewTicker(100 * time.Millisecond); ; {
		missing, err := c.missing(ctx)
		if missing == "" && err == nil {
			tick.Stop()
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			return errors.Join(fmt.Errorf("still not whole: %s", missing), err)
		}
	}
}

// missing says what the cluster has not got yet.
func (c *Cluster) missing(ctx context.Context) (string, error) {
	m, err := c.admin.Metadata(ctx)
	if err != nil {
		return "", err
	}
	if len(m.Brokers) < c.size {
		return fmt.Sprintf("%d of %d brokers", len(m.Brokers), c.size), nil
	}
	for _, topic := range m.Topics {
		for _, p := range topic.Partitions {
			if p.Leader < 0 || len(p.ISR) < len(p.Replicas) {
				return fmt.Sprintf("%s/%d: leader %d, replicas %v, of which in sync %v", p.Topic, p.Partition, p.Leader, p.Replicas, p.ISR), nil
			}
		}
	}
	return "", nil
}

// mend starts what does not run and thaws what is frozen.
func (c *Cluster) mend() {
	c.t.Helper()
	nodes := 0
	for n := int32(1); ; n++ {
		err := c.found.machinery.act(n, "thaw")
		if errors.Is(err, errNoBroker) {
			break
		}
		if err := c.found.machinery.act(n, "start"); err != nil {
			c.t.Errorf("mending the cluster: broker %d: %v", n, err)
		}
		nodes++
	}
	c.size = nodes
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	if err := c.awaitHealthy(ctx); err != nil {
		c.t.Errorf("mending the cluster: %v", err)
	}
}

// deleteOwn deletes what the test made.
func (c *Cluster) deleteOwn() {
	c.t.Helper()
	c.delete(func(name string) bool { return strings.HasPrefix(name, c.prefix) })
}

// deleteAll deletes whatever tests made, but for Kafka's own.
func (c *Cluster) deleteAll() {
	c.t.Helper()
	c.delete(func(name string) bool { return !strings.HasPrefix(name, "__") })
}

func (c *Cluster) delete(which func(name string) bool) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := errors.Join(c.deleteTopics(ctx, which), c.deleteGroups(ctx, which)); err != nil {
		c.t.Errorf("clearing the cluster: %v", err)
	}
}

// deleteTopics returns once the topics are gone: until then they can be neither
// used nor created.
func (c *Cluster) deleteTopics(ctx context.Context, which func(string) bool) error {
	for asked := false; ; asked = true {
		names, err := c.topics(ctx, which)
		if err != nil {
			return err
		}
		if len(names) == 0 {
			return nil
		}
		answers, err := c.admin.DeleteTopics(ctx, names...)
		if err != nil {
			return err
		}
		for _, a := range answers {
			if a.Err != nil && !asked && !errors.Is(a.Err, kerr.UnknownTopicOrPartition) {
				return fmt.Errorf("topic %s: %w", a.Topic, a.Err)
			}
		}
	}
}

// topics lists those that any broker still knows: brokers learn of a deletion one
// by one, and who asks the last one would find a topic that is gone.
func (c *Cluster) topics(ctx context.Context, which func(string) bool) ([]string, error) {
	brokers, err := c.admin.ListBrokers(ctx)
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, b := range brokers {
		all := kmsg.NewPtrMetadataRequest()
		all.Topics = nil // all of them
		answer, err := c.client.Broker(int(b.NodeID)).RetriableRequest(ctx, all)
		if err != nil {
			return nil, fmt.Errorf("topics of broker %d: %w", b.NodeID, err)
		}
		for _, topic := range answer.(*kmsg.MetadataResponse).Topics {
			if topic.Topic != nil && which(*topic.Topic) {
				names[*topic.Topic] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names)), nil
}

// deleteGroups waits for members that have just left, or died: a group that has
// any cannot be deleted.
func (c *Cluster) deleteGroups(ctx context.Context, which func(string) bool) error {
	for tick := time.NewTicker(200 * time.Millisecond); ; {
		groups, err := c.admin.ListGroups(ctx)
		if err != nil {
			tick.Stop()
			return err
		}
		names := slices.DeleteFunc(groups.Groups(), func(name string) bool { return !which(name) })
		if len(names) == 0 {
			tick.Stop()
			return nil
		}
		if _, err := c.admin.DeleteGroups(ctx, names...); err != nil {
			tick.Stop()
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			return fmt.Errorf("groups %v: %w", names, ctx.Err())
		}
	}
}
