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

// Permission is an operation that a client needs on a topic or a group.
type Permission struct {
	Resource  string // "topic" or "group"
	Name      string
	Operation string // "READ", "WRITE", ...
}

func (p Permission) String() string { return p.Operation + " on " + p.Resource + " " + p.Name }

// CheckPermissions asks the brokers what this client may do and returns an
// ErrDenied that names every permission that is missing. A topic that does not
// exist is no error: whether it may be used cannot be known. Other errors are
// those of brokers that do not answer.
func CheckPermissions(ctx context.Context, client *kgo.Client, wanted []Permission) error {
	topics, groups := map[string][]string{}, map[string][]string{}
	for _, w := range wanted {
		if w.Resource == "group" {
			groups[w.Name] = append(groups[w.Name], w.Operation)
		} else {
			topics[w.Name] = append(topics[w.Name], w.Operation)
		}
	}
	var missing []string
	lacks := func(resource, name string, operations []string, allowed []kadm.ACLOperation) {
		for _, o := range operations {
			if p := (Permission{resource, name, o}); !contains(allowed, o) {
				missing = append(missing, p.String())
			}
		}
	}
	req := kmsg.NewPtrMetadataRequest()
	req.IncludeTopicAuthorizedOperations = true
	for name := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	for _, t := range resp.Topics {
		if t.Topic == nil {
			continue
		}
		switch err := kerr.ErrorForCode(t.ErrorCode); {
		case errors.Is(err, kerr.TopicAuthorizationFailed):
			lacks("topic", *t.Topic, topics[*t.Topic], nil)
		case err == nil && t.AuthorizedOperations != unknownOperations:
			lacks("topic", *t.Topic, topics[*t.Topic], kadm.DecodeACLOperations(t.AuthorizedOperations))
		}
	}
	for name, operations := range groups {
		described, err := kadm.NewClient(client).DescribeGroups(ctx, name)
		var auth *kadm.AuthError
		g := described[name]
		switch {
		case errors.As(err, &auth), errors.Is(err, kerr.GroupAuthorizationFailed), errors.Is(g.Err, kerr.GroupAuthorizationFailed):
			lacks("group", name, operations, nil)
		case err != nil:
			return err
		case g.Err == nil && len(g.AuthorizedOperations) > 0:
			lacks("group", name, operations, g.AuthorizedOperations)
		}
	}
	slices.Sort(missing) // brokers answer in any order
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("%w: the user lacks permissions: %s", ErrDenied, strings.Join(missing, ", "))
}

// unknownOperations is what a broker without an answer gives.
const unknownOperations = -1 << 31

func contains(allowed []kadm.ACLOperation, operation string) bool {
	for _, a := range allowed {
		if a.String() == operation || a == kmsg.ACLOperationAll {
			return true
		}
	}
	return false
}
