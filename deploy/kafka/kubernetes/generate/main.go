// Generate writes what of the Kubernetes manifests follows from the contract:
// a KafkaTopic for each schema and each group's dead letters, a KafkaUser with
// the permissions of each service, and a ScaledObject that never asks for more
// instances than a topic has partitions.
//
//	go run ./deploy/kafka/kubernetes/generate deploy/kafka/kubernetes/base/generated
//
// The files are committed, and `make generate` fails when they are out of date.
package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"firehose"
	"firehose/consumers/billing"
	"firehose/consumers/inventory"
	"firehose/consumers/replicator"
	"firehose/internal/kafka"
	"firehose/producer"
	"firehose/schemas"
)

//go:generate go run . ../base/generated

// replication is how many brokers hold a record: one may be down for an upgrade
// and another fail, and nothing acknowledged is lost.
const replication = 3

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "generate: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("want the directory to write into")
	}
	files, err := generate(ctx, schemas.Shop(), billing.Service(), inventory.Service(), replicator.Service())
	if err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(args[0], name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// generate returns the files' contents by name.
func generate(ctx context.Context, set *schemas.Set, services ...firehose.Service) (map[string][]byte, error) {
	var model Model
	user := User{Name: "producer", Reason: "What `producer manifest` prints."}
	for _, acl := range producer.NewManifest(set).ACLs {
		user.ACLs = append(user.ACLs, newACL(acl.Resource, acl.Name, acl.Operations))
	}
	model.Users = append(model.Users, user)
	scaler := User{
		Name:   "scaler",
		Reason: "KEDA's: it sees how far each group is, and nothing else.",
	}
	partitions := map[string]int32{}
	for _, t := range set.Topics() {
		topic := kafka.EventTopic(t.Contract, replication)
		partitions[topic.Name] = topic.Partitions
		model.Topics = append(model.Topics, newTopic(topic, "events"))
	}
	for _, s := range services {
		m, err := s.Manifest(ctx, firehose.Config{})
		if err != nil {
			return nil, err
		}
		user := User{Name: m.Service, Reason: "What `" + m.Service + " manifest` prints."}
		for _, acl := range m.ACLs {
			user.ACLs = append(user.ACLs, newACL(acl.Resource, acl.Name, acl.Operations))
		}
		model.Users = append(model.Users, user)

		scaled := Scaled{Service: m.Service, Group: m.Group}
		for _, name := range m.Reads {
			n, ok := partitions[name]
			if !ok {
				return nil, fmt.Errorf("service %s reads %s, which has no schema here", m.Service, name)
			}
			scaled.Topics = append(scaled.Topics, name)
			if describe := (ACL{"topic", name, []string{"Describe"}}); !slices.ContainsFunc(scaler.ACLs, describe.equal) {
				scaler.ACLs = append(scaler.ACLs, describe)
			}
			if scaled.Max == 0 || n < scaled.Max {
				scaled.Max = n
			}
		}
		model.Scaled = append(model.Scaled, scaled)
		scaler.ACLs = append(scaler.ACLs, ACL{"group", m.Group, []string{"Describe"}})

		for _, t := range m.Topics {
			model.Topics = append(model.Topics, newTopic(kafka.Topic{
				Name: t.Name, Partitions: t.Partitions, Configs: withInSync(t.Configs),
			}, "dead letters of "+t.For+", set aside by "+m.Group))
		}
	}
	model.Users = append(model.Users, scaler)
	return model.render()
}

//go:embed *.tmpl
var templates embed.FS

// render writes the model as YAML.
func (m Model) render() (map[string][]byte, error) {
	functions := template.FuncMap{"join": strings.Join}
	parsed, err := template.New("").Funcs(functions).ParseFS(templates, "*.tmpl")
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, t := range parsed.Templates() {
		var out bytes.Buffer
		if err := t.Execute(&out, m); err != nil {
			return nil, err
		}
		files[strings.TrimSuffix(t.Name(), ".tmpl")] = out.Bytes()
	}
	return files, nil
}
