package main

import (
	"fmt"
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// clusterLabel names the Kafka that an object of Strimzi's belongs to.
const clusterLabel = "strimzi.io/cluster"

// checkKafka checks what Strimzi's operators would find out only later, in the
// status of an object: whose cluster it is, whether there are enough brokers,
// and whether a permission is of a topic that exists.
func (i *inventory) checkKafka() []Problem {
	var problems []Problem
	wrong := func(o *unstructured.Unstructured, field, reason string, args ...any) {
		problems = append(problems, Problem{o.GetKind() + "/" + o.GetName(), field, fmt.Sprintf(reason, args...)})
	}
	for _, kind := range []string{"KafkaNodePool", "KafkaTopic", "KafkaUser"} {
		for _, o := range i.custom[kind] {
			if name := o.GetLabels()[clusterLabel]; !named(i.custom["Kafka"], name) {
				wrong(o, "metadata.labels["+clusterLabel+"]", "no Kafka %q", name)
			}
		}
	}
	var brokers int64
	for _, pool := range i.custom["KafkaNodePool"] {
		roles, _, _ := unstructured.NestedStringSlice(pool.Object, "spec", "roles")
		for _, role := range roles {
			if role == "broker" {
				brokers += integer(pool, "spec", "replicas")
			}
		}
	}
	for _, t := range i.custom["KafkaTopic"] {
		replicas, least := integer(t, "spec", "replicas"), integer(t, "spec", "config", "min.insync.replicas")
		if replicas > brokers {
			wrong(t, "spec.replicas", "%d, and there are %d brokers", replicas, brokers)
		}
		if least < 2 || least >= replicas {
			wrong(t, "spec.config[min.insync.replicas]", "%d of %d replicas: want 2 at least, for what is acknowledged to be durable, and one less than all, for a broker to be away", least, replicas)
		}
	}
	for _, u := range i.custom["KafkaUser"] {
		acls, _, _ := unstructured.NestedSlice(u.Object, "spec", "authorization", "acls")
		if len(acls) == 0 {
			wrong(u, "spec.authorization.acls", "Required value")
		}
		for n, acl := range acls {
			on, _, _ := unstructured.NestedStringMap(acl.(map[string]any), "resource")
			at := fmt.Sprintf("spec.authorization.acls[%d].resource", n)
			if on["patternType"] != "literal" {
				wrong(u, at+".patternType", "%q, want literal: a prefix grants what does not exist yet", on["patternType"])
			}
			if on["type"] == "topic" && !named(i.custom["KafkaTopic"], on["name"]) {
				wrong(u, at+".name", "no KafkaTopic %q", on["name"])
			}
		}
	}
	return problems
}

// integer returns a number that may be written as one or as text, as Strimzi
// allows in configurations; 0 when it is not there.
func integer(o *unstructured.Unstructured, path ...string) int64 {
	value, _, _ := unstructured.NestedFieldNoCopy(o.Object, path...)
	n, _ := strconv.ParseInt(fmt.Sprint(value), 10, 64)
	return n
}
