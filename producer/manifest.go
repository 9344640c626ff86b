package producer

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"firehose/internal/service"
	"firehose/schemas"
)

// Manifest is what the producer's user needs of a cluster, in the form of a
// service's manifest: it belongs to no group and has no topics of its own.
type Manifest struct {
	Service string       `json:"service"`
	Writes  []string     `json:"writes"`
	ACLs    []Permission `json:"acls"`
}

// Permission is one permission, on a literal name.
type Permission struct {
	Resource   string   `json:"resource"` // "topic"
	Name       string   `json:"name"`
	Operations []string `json:"operations"`
}

// NewManifest asks for every topic that has a schema. An idempotent producer
// needs nothing of the cluster itself where it may write any topic.
func NewManifest(set *schemas.Set) Manifest {
	m := Manifest{Service: "producer"}
	for _, t := range set.Topics() {
		m.Writes = append(m.Writes, t.Topic)
		m.ACLs = append(m.ACLs, Permission{"topic", t.Topic, []string{"WRITE"}})
	}
	return m
}

func (m Manifest) print(w io.Writer, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(m)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "service  %s\nwrites   %s\n\npermissions, on literal names\n", m.Service, strings.Join(m.Writes, " "))
	for _, a := range m.ACLs {
		fmt.Fprintf(&b, "  %-5s %-40s %s\n", a.Resource, a.Name, strings.Join(a.Operations, " "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func manifestCommand(stdout io.Writer) *service.Command {
	var (
		dir    string
		asJSON bool
	)
	return &service.Command{
		Name:    "manifest",
		Summary: "print the permissions that the producer needs",
		Example: "producer manifest",
		Register: func(f *service.Flags) {
			registerSchemas(f, &dir)
			f.BoolVar(&asJSON, "json", false, "print JSON")
			f.Short("J", "json")
		},
		Run: func(context.Context, []string) error {
			set, err := loadSchemas(dir)
			if err != nil {
				return err
			}
			return NewManifest(set).print(stdout, asJSON)
		},
	}
}
