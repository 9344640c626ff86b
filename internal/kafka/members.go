package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Member is one of a consumer group, as its coordinator knows it. One that was
// killed stays a member until its session times out.
type Member struct {
	ID       string // given by the coordinator, or made by the member (KIP-848)
	ClientID string
	Host     string // as the coordinator sees it, e.g. "/10.0.0.7"
}

// GroupMembers returns the members of a group, sorted by their IDs, whichever
// protocol it uses. A group that does not exist has none.
func GroupMembers(ctx context.Context, client *kgo.Client, group string) ([]Member, error) {
	admin := kadm.NewClient(client)
	var members []Member
	classic, err := admin.DescribeGroups(ctx, group)
	if err == nil {
		err = classic[group].Err
	}
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, fmt.Errorf("describe group %s: %w", group, err)
	}
	for _, m := range classic[group].Members {
		members = append(members, Member{ID: m.MemberID, ClientID: m.ClientID, Host: m.ClientHost})
	}
	if len(members) == 0 { // as a group of the newer protocol looks to the older request
		if members, err = newerMembers(ctx, admin, group); err != nil {
			return nil, fmt.Errorf("describe group %s: %w", group, err)
		}
	}
	slices.SortFunc(members, func(a, b Member) int { return strings.Compare(a.ID, b.ID) })
	return members, nil
}

// newerMembers returns the members of a group of the protocol of KIP-848. Brokers
// that do not speak it have no such groups.
func newerMembers(ctx context.Context, admin *kadm.Client, group string) ([]Member, error) {
	brokers, err := admin.ApiVersions(ctx)
	if err != nil {
		return nil, err
	}
	for _, b := range brokers {
		if b.Err != nil {
			return nil, b.Err
		}
		if _, ok := b.KeyMaxVersion(kmsg.ConsumerGroupDescribe.Int16()); !ok {
			return nil, nil
		}
	}
	described, err := admin.DescribeConsumerGroups(ctx, group)
	if err == nil {
		err = described[group].Err
	}
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil, nil
	}
	var members []Member
	for _, m := range described[group].Members {
		members = append(members, Member{ID: m.MemberID, ClientID: m.ClientID, Host: m.ClientHost})
	}
	return members, err
}
