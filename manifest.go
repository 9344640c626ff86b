package firehose

import (
	"context"
	"fmt"
	"slices"

	"firehose/internal/kafka"
)

// Manifest is what a service needs of a Kafka cluster: the topics of its group,
// to be created by `firehose topics apply`, and the permissions of its user.
type Manifest struct {
	Service string          `json:"service"`
	Group   string          `json:"group"`
	Reads   []string        `json:"reads"`
	Topics  []ManifestTopic `json:"topics"`
	ACLs    []ManifestACL   `json:"acls"`
}

// ManifestTopic is a topic that belongs to the group.
type ManifestTopic struct {
	Name       string            `json:"name"`
	For        string            `json:"for"` // the topic whose dead letters it holds
	Partitions int32             `json:"partitions"`
	Configs    map[string]string `json:"configs"`
}

// ManifestACL is one permission, on a literal name.
type ManifestACL struct {
	Resource   string   `json:"resource"` // "topic" or "group"
	Name       string   `json:"name"`
	Operations []string `json:"operations"`
}

// Manifest returns what the service needs. Topics whose contract is not among
// the service's schemas are looked up at the registry.
func (s *Service) Manifest(ctx context.Context, cfg Config) (*Manifest, error) {
	if err := s.validate(); err != nil {
		return nil, err
	}
	cfg.defaults(s.Name)
	registry, err := cfg.RegistryAccess.open(cfg.Registry)
	if err != nil {
		return nil, fmt.Errorf("service %s: registry: %w", s.Name, wrong(err))
	}
	defer registry.Close()
	env := newEnvironment(s.Schemas, registry)
	m := &Manifest{Service: s.Name, Group: cfg.Group, Reads: s.Topics()}
	for _, name := range m.Reads {
		contract, err := env.contract(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("service %s: %w", s.Name, err)
		}
		t := kafka.DeadLetterTopic(kafka.EventTopic(contract.Contract, -1), cfg.Group)
		m.Topics = append(m.Topics, ManifestTopic{Name: t.Name, For: name, Partitions: t.Partitions, Configs: t.Configs})
		m.ACLs = append(m.ACLs,
			ManifestACL{"topic", name, []string{"READ"}},
			ManifestACL{"topic", t.Name, []string{"WRITE"}})
	}
	slices.SortFunc(m.ACLs, func(a, b ManifestACL) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	m.ACLs = append(m.ACLs, ManifestACL{"group", cfg.Group, []string{"READ"}})
	return m, nil
}
