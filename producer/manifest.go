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

// manifest is what the producer's user needs of a cluster, in the form of a
// service's manifest: it belongs to no group and has no topics of its own.
type manifest struct {
	Service string       `json:"service"`
	Writes  []string     `json:"writes"`
	ACLs    []permission `json:"acls"`
}

// permission is on a literal name.
type permission struct {
	Resource   string   `json:"resource"`
	Name       string   `json:"name"`
	Operations []string `json:"operations"`
}

// newManifest asks for every topic that has a schema. An idempotent producer
// needs nothing of the cluster itself where it may write any topic.
func newManifest(set *schemas.Set) manifest {
	m := manifest{Service: "producer"}
	for _, t := range set.Topics() {
		m.Writes = append(m.Writes, t.Topic)
		m.ACLs = append(m.ACLs, permission{"topic", t.Topic, []string{"WRITE", "DESCRIBE"}})
	}
	return m
}

func (m manifest) print(w io.Writer, asJSON bool) error {
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
			return newManifest(set).print(stdout, asJSON)
		},
	}
}
