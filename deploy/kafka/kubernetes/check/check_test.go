package main

import (
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// overlays are what a team may apply.
var overlays = []string{"../base", "../overlays/production"}

func newChecker(t *testing.T) *Checker {
	t.Helper()
	definitions, err := Fetch(t.Context(), ".cache", io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	programs, err := Build(t.Context(), ".cache")
	if err != nil {
		t.Fatal(err)
	}
	checker, err := NewChecker(definitions, programs)
	if err != nil {
		t.Fatal(err)
	}
	return checker
}

func TestManifestsAreAccepted(t *testing.T) {
	checker := newChecker(t)
	for _, dir := range overlays {
		objects, err := Render(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(objects) < 40 {
			t.Errorf("%s: got %d objects: something is not rendered", dir, len(objects))
		}
		for _, p := range checker.Check(t.Context(), objects) {
			t.Errorf("%s: %s", dir, p)
		}
	}
}

// TestMistakesAreRefused makes one mistake at a time in the real manifests. Each
// must be refused, at the object and the field where it was made.
func TestMistakesAreRefused(t *testing.T) {
	const container = "spec.template.spec.containers.0."
	tests := []struct {
		name   string
		object string
		change change
		want   string // part of the problem
	}{
		// A misspelt field.
		{"field of a Deployment", "Deployment/billing", rename("spec.template.spec.terminationGracePeriodSeconds", "terminationGracePeriodSecond"), `unknown field "spec.template.spec.terminationGracePeriodSecond"`},
		{"field of a container", "Deployment/billing", rename(container+"readinessProbe", "readynessProbe"), `unknown field "spec.template.spec.containers[0].readynessProbe"`},
		{"field of a probe", "Deployment/producer", rename(container+"livenessProbe.periodSeconds", "periodSecond"), `unknown field "spec.template.spec.containers[0].livenessProbe.periodSecond"`},
		{"field of a CronJob's pod", "CronJob/register-schemas", rename("spec.jobTemplate.spec.template.spec.restartPolicy", "restartPolice"), `unknown field "spec.jobTemplate.spec.template.spec.restartPolice"`},
		{"field of a Service", "Service/producer", rename("spec.ports.0.targetPort", "targetport"), `unknown field "spec.ports[0].targetport"`},
		{"field of a NetworkPolicy", "NetworkPolicy/names", rename("spec.egress", "egres"), `unknown field "spec.egres"`},
		{"field of a Kafka", "Kafka/firehose", rename("spec.kafka.listeners.0.authentication", "authentification"), "spec.kafka.listeners[0].authentification: unknown field"},
		{"field of a node pool", "KafkaNodePool/brokers", rename("spec.storage.deleteClaim", "deleteClaims"), "spec.storage.deleteClaims: unknown field"},
		{"field of a topic", "KafkaTopic/shop.orders", rename("spec.partitions", "partition"), "spec.partition: unknown field"},
		{"field of a user", "KafkaUser/billing", rename("spec.authorization.acls.0.operations", "operation"), "spec.authorization.acls[0].operation: unknown field"},
		{"field of a ScaledObject", "ScaledObject/billing", rename("spec.maxReplicaCount", "maxReplicas"), "spec.maxReplicas: unknown field"},
		{"field of a TriggerAuthentication", "TriggerAuthentication/scaler", rename("spec.secretTargetRef", "secretTargetRefs"), "spec.secretTargetRefs: unknown field"},
		{"field of a PodMonitor", "PodMonitor/firehose", rename("spec.podMetricsEndpoints.0.interval", "intervall"), "spec.podMetricsEndpoints[0].intervall: unknown field"},
		{"field of a PrometheusRule", "PrometheusRule/firehose", rename("spec.groups.0.rules.0.for", "after"), "spec.groups[0].rules[0].after: unknown field"},
		{"field of metadata", "KafkaTopic/shop.orders", rename("metadata.labels", "label"), "metadata.label: unknown field"},
		{"kind", "KafkaTopic/shop.orders", set("kind", "KafkaTopics"), "nothing here knows kafka.strimzi.io/v1, Kind=KafkaTopics"},
		{"version", "KafkaTopic/shop.orders", set("apiVersion", "kafka.strimzi.io/v1beta2"), "nothing here knows kafka.strimzi.io/v1beta2, Kind=KafkaTopic"},

		// A wrong type.
		{"type in a Deployment", "Deployment/producer", set("spec.replicas", "two"), "cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"},
		{"type in a container", "Deployment/billing", set(container+"args", "--admin"), "of type []string"},
		{"type in a node pool", "KafkaNodePool/brokers", set("spec.replicas", "three"), `spec.replicas: Invalid value: "string": spec.replicas in body must be of type integer: "string"`},
		{"type in a topic", "KafkaTopic/shop.orders", set("spec.partitions", "eight"), "spec.partitions in body must be of type integer"},
		{"type in a ScaledObject", "ScaledObject/billing", set("spec.maxReplicaCount", "8"), "spec.maxReplicaCount in body must be of type integer"},
		{"type in a trigger's metadata", "ScaledObject/billing", set("spec.triggers.0.metadata.lagThreshold", int64(20000)), "spec.triggers[0].metadata.lagThreshold in body must be of type string"},
		{"type in a PodMonitor", "PodMonitor/firehose", set("spec.podMetricsEndpoints.0.interval", int64(15)), "interval in body must be of type string"},

		// A wrong value.
		{"quantity", "Deployment/billing", set(container+"resources.limits.memory", "512Megs"), "quantities must match"},
		{"request above limit", "Deployment/billing", set(container+"resources.requests.memory", "1Gi"), "must be less than or equal to memory limit"},
		{"listener's type", "Kafka/firehose", set("spec.kafka.listeners.0.type", "internals"), `spec.kafka.listeners[0].type: Unsupported value: "internals"`},
		{"no partitions", "KafkaTopic/shop.orders", set("spec.partitions", int64(0)), "spec.partitions: Invalid value: 0"},
		{"ACL's operation", "KafkaUser/billing", set("spec.authorization.acls.0.operations.0", "READ"), `operations[0]: Unsupported value: "READ"`},
		{"rule of the definition", "KafkaUser/billing", set("spec.authentication.validityDays", int64(30)), "'validityDays' and 'renewalDays' can be configured only with 'type: tls'"},
		{"two handlers in a probe", "Deployment/billing", set(container+"livenessProbe.tcpSocket", map[string]any{"port": int64(9090)}), "may not specify more than 1 handler type"},
		{"more least than most", "ScaledObject/billing", set("spec.minReplicaCount", int64(9)), "minReplicaCount must be less than or equal to maxReplicaCount"},
		{"schedule", "CronJob/register-schemas", set("spec.schedule", "yearly"), "spec.schedule"},

		// A missing field.
		{"selector", "Deployment/billing", remove("spec.selector"), "spec.selector: Required value"},
		{"image", "Deployment/billing", remove(container + "image"), "spec.template.spec.containers[0].image: Required value"},
		{"storage", "KafkaNodePool/brokers", remove("spec.storage"), "spec.storage: Required value"},
		{"listener's tls", "Kafka/firehose", remove("spec.kafka.listeners.0.tls"), "spec.kafka.listeners[0].tls: Required value"},
		{"ACL's resource", "KafkaUser/billing", remove("spec.authorization.acls.0.resource"), "spec.authorization.acls[0].resource: Required value"},
		{"scale target", "ScaledObject/billing", remove("spec.scaleTargetRef"), "spec.scaleTargetRef: Required value"},
		{"monitor's selector", "PodMonitor/firehose", remove("spec.selector"), "spec.selector: Required value"},
		{"alert's expression", "PrometheusRule/firehose", remove("spec.groups.0.rules.0.expr"), "spec.groups[0].rules[0].expr: Required value"},
		{"mounted volume", "Deployment/billing", remove("spec.template.spec.volumes.0"), `volumeMounts[0].name: Not found: "kafka-ca"`},

		// A selector that does not match.
		{"selector of its own pods", "Deployment/billing", set("spec.selector.matchLabels", name("biling")), "`selector` does not match template `labels`"},
		{"selector of others' pods", "Deployment/billing", set("spec.selector.matchLabels", map[string]any{"app.kubernetes.io/part-of": "firehose"}), "spec.selector: selects the pods of others, too"},
		{"Service", "Service/producer", set("spec.selector", name("producers")), "Service/producer: spec.selector: selects no pod"},
		{"Service's port", "Service/producer", set("spec.ports.0.targetPort", "web"), `spec.ports[0].targetPort: Deployment/producer has no port named "web"`},
		{"PodDisruptionBudget", "PodDisruptionBudget/billing", set("spec.selector.matchLabels", name("biling")), "PodDisruptionBudget/billing: spec.selector: selects no pod"},
		{"NetworkPolicy", "NetworkPolicy/producer", set("spec.podSelector.matchLabels", name("producers")), "NetworkPolicy/producer: spec.podSelector: selects no pod"},
		{"NetworkPolicy's port", "NetworkPolicy/metrics", set("spec.ingress.0.ports.0.port", "metrics"), `has no port named "metrics"`},
		{"PodMonitor", "PodMonitor/firehose", set("spec.selector.matchLabels", map[string]any{"app.kubernetes.io/part-of": "hose"}), "PodMonitor/firehose: spec.selector: selects no pod"},
		{"PodMonitor's port", "PodMonitor/firehose", set("spec.podMetricsEndpoints.0.port", "metrics"), `no selected pod has a port named "metrics"`},
		{"probe's port", "Deployment/billing", set(container+"readinessProbe.httpGet.port", "http"), `readinessProbe.httpGet.port: the pod has no port named "http"`},
		{"topic's cluster", "KafkaTopic/shop.orders", set("metadata.labels", map[string]any{clusterLabel: "firehoses"}), `KafkaTopic/shop.orders: metadata.labels[strimzi.io/cluster]: no Kafka "firehoses"`},
		{"scale target's name", "ScaledObject/billing", set("spec.scaleTargetRef.name", "biling"), `spec.scaleTargetRef.name: no Deployment "biling"`},
		{"config map", "Deployment/billing", set(container+"envFrom.0.configMapRef.name", "kafka"), `envFrom[0].configMapRef.name: no ConfigMap "kafka"`},
		{"config map's key", "Deployment/billing", set(container+"env.3.valueFrom.configMapKeyRef.key", "biling"), `env[3].valueFrom.configMapKeyRef: no ConfigMap "databases-`},
		{"secret", "Deployment/billing", set("spec.template.spec.volumes.1.secret.secretName", "biling"), `volumes[1].secret.secretName: no KafkaUser, Kafka or Secret makes "biling"`},
		{"service account", "Deployment/billing", set("spec.template.spec.serviceAccountName", "biling"), `spec.serviceAccountName: no ServiceAccount "biling"`},

		// KEDA's keys, which its definition does not know.
		{"trigger's key", "ScaledObject/billing", rename("spec.triggers.0.metadata.lagThreshold", "lagTreshold"), "spec.triggers[0].metadata.lagTreshold: a kafka trigger reads no such key there"},
		{"trigger's required key", "ScaledObject/billing", remove("spec.triggers.0.metadata.consumerGroup"), "spec.triggers[0].metadata.consumerGroup: Required value"},
		{"trigger's value", "ScaledObject/billing", set("spec.triggers.0.metadata.offsetResetPolicy", "earlyest"), `spec.triggers[0].metadata.offsetResetPolicy: "earlyest", want one of latest, earliest`},
		{"trigger's type", "ScaledObject/billing", set("spec.triggers.0.type", "kafak"), `spec.triggers[0].type: KEDA has no trigger "kafak"`},
		{"password in the open", "ScaledObject/billing", set("spec.triggers.0.metadata.password", "x"), "spec.triggers[0].metadata.password: a kafka trigger reads no such key there"},
		{"authentication's parameter", "TriggerAuthentication/scaler", set("spec.configMapTargetRef.0.parameter", "tlss"), `reads no parameter "tlss" from a TriggerAuthentication`},
		{"authentication's name", "ScaledObject/billing", set("spec.triggers.0.authenticationRef.name", "scalers"), `spec.triggers[0].authenticationRef.name: no TriggerAuthentication "scalers"`},
		{"authentication's secret", "TriggerAuthentication/scaler", set("spec.secretTargetRef.0.name", "scalers"), `spec.secretTargetRef[0].name: nothing here makes "scalers"`},

		// More replicas than partitions, and fewer copies than promised.
		{"replicas above partitions", "ScaledObject/billing", set("spec.maxReplicaCount", int64(9)), "spec.maxReplicaCount: want at most 8, the partitions of shop.orders"},
		{"replicas without a bound", "ScaledObject/billing", remove("spec.maxReplicaCount"), "spec.maxReplicaCount: want at most 8"},
		{"fewer partitions", "KafkaTopic/shop.payments", set("spec.partitions", int64(4)), "spec.maxReplicaCount: want at most 4, the partitions of shop.payments"},
		{"unknown topic", "ScaledObject/billing", set("spec.triggers.0.metadata.topic", "shop.order"), `spec.triggers[0].metadata.topic: no KafkaTopic "shop.order"`},
		{"replicas set twice", "Deployment/billing", set("spec.replicas", int64(2)), "Deployment/billing: spec.replicas: KEDA sets it"},
		{"more copies than brokers", "KafkaTopic/shop.orders", set("spec.replicas", int64(5)), "spec.replicas: 5, and there are 3 brokers"},
		{"one copy is enough", "KafkaTopic/shop.orders", set("spec.config", map[string]any{"min.insync.replicas": int64(1)}), "spec.config[min.insync.replicas]: 1 of 3 replicas"},
		{"permission on no topic", "KafkaUser/billing", set("spec.authorization.acls.0.resource.name", "shop.order"), `spec.authorization.acls[0].resource.name: no KafkaTopic "shop.order"`},
		{"permission by prefix", "KafkaUser/billing", set("spec.authorization.acls.0.resource.patternType", "prefix"), `acls[0].resource.patternType: "prefix", want literal`},

		// Settings that the programs do not know.
		{"program's variable", "Deployment/billing", set(container+"env.1.name", "FIREHOSE_SASL_USR"), "spec.template.spec.containers[0].env[1].name: billing knows no FIREHOSE_SASL_USR"},
		{"program's flag", "Deployment/producer", set(container+"args.5", "--gracious"), "spec.template.spec.containers[0].args[5]: producer knows no --gracious"},
		{"program's command", "Deployment/producer", set(container+"args.0", "sreve"), "spec.template.spec.containers[0].args: producer sreve"},
		{"a job's flag", "CronJob/register-schemas", set("spec.jobTemplate.spec.template.spec.containers.0.args", []any{"schemas", "register", "--force"}), "args[2]: firehose knows no --force"},

		// Security and the promises about stopping and memory.
		{"root", "Deployment/billing", set("spec.template.spec.securityContext.runAsNonRoot", false), `violates PodSecurity "restricted": runAsNonRoot != true`},
		{"capabilities", "Deployment/billing", remove(container + "securityContext.capabilities"), `violates PodSecurity "restricted": unrestricted capabilities`},
		{"seccomp", "CronJob/register-schemas", remove("spec.jobTemplate.spec.template.spec.securityContext.seccompProfile"), `violates PodSecurity "restricted": seccompProfile`},
		{"root in a broker", "KafkaNodePool/brokers", remove("spec.template.pod.securityContext"), `KafkaNodePool/brokers: spec.template.securityContext: violates PodSecurity "restricted": seccompProfile`},
		{"capabilities of an operator", "Kafka/firehose", remove("spec.entityOperator.template.userOperatorContainer"), `Kafka/firehose: spec.entityOperator.template.securityContext: violates PodSecurity "restricted": unrestricted capabilities`},
		{"namespace's level", "Namespace/firehose", remove("metadata.labels"), `enforces pod security level "privileged"`},
		{"writable root", "Deployment/billing", remove(container + "securityContext.readOnlyRootFilesystem"), "securityContext.readOnlyRootFilesystem: want true"},
		{"token", "Deployment/billing", remove("spec.template.spec.automountServiceAccountToken"), "spec.automountServiceAccountToken: want false"},
		{"secret in a variable", "Deployment/billing", set(container+"env.0", map[string]any{"name": "GOMEMLIMIT", "valueFrom": map[string]any{"secretKeyRef": map[string]any{"name": "billing", "key": "password"}}}), "env[0].valueFrom.secretKeyRef: secrets are files"},
		{"nothing denied", "NetworkPolicy/default-deny", set("spec.policyTypes", []any{"Ingress"}), "no NetworkPolicy denies these pods all that is not allowed"},
		{"open to everybody", "NetworkPolicy/producer", remove("spec.ingress.0.from"), "spec.ingress[0]: opens to everybody"},
		{"no time to stop", "Deployment/producer", set("spec.template.spec.terminationGracePeriodSeconds", int64(30)), "spec.terminationGracePeriodSeconds: 30s, want more than the 30s of preStop and --grace"},
		{"no probe", "Deployment/billing", remove(container + "startupProbe"), "containers[0].startupProbe: Required value"},
		{"readiness asks for health", "Deployment/billing", set(container+"readinessProbe.httpGet.path", "/healthz"), `readinessProbe.httpGet.path: "/healthz", want "/readyz"`},
		{"no memory limit", "Deployment/billing", remove(container + "resources.limits"), "resources.limits.memory: Required value"},
		{"GOMEMLIMIT above the limit", "Deployment/billing", set(container+"env.0.value", "512MiB"), "GOMEMLIMIT: 512MiB, want at most 95 %"},
		{"GOMEMLIMIT in Kubernetes' units", "Deployment/billing", set(container+"env.0.value", "450Mi"), `GOMEMLIMIT: "450Mi", want a number with KiB, MiB or GiB`},
		{"nobody may go", "PodDisruptionBudget/producer", set("spec.minAvailable", int64(2)), "spec.minAvailable: 2 of the 2 replicas"},
	}
	checker := newChecker(t)
	objects, err := Render("../base")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var changed []Object
			found := false
			for _, o := range objects {
				o = Object{o.DeepCopy()}
				if o.String() == tt.object {
					found = true
					tt.change(t, o.Object)
				}
				changed = append(changed, o)
			}
			if !found {
				t.Fatalf("the manifests have no %s", tt.object)
			}
			var got []string
			for _, p := range checker.Check(t.Context(), changed) {
				got = append(got, p.String())
			}
			if !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, tt.want) }) {
				t.Errorf("got problems\n\t%s\nwant one that says\n\t%s", strings.Join(got, "\n\t"), tt.want)
			}
		})
	}
}

// change makes a mistake in a manifest.
type change func(t *testing.T, manifest map[string]any)

func name(name string) map[string]any { return map[string]any{"app.kubernetes.io/name": name} }

// set writes a value at a path such as "spec.ports.0.name".
func set(path string, value any) change {
	return func(t *testing.T, manifest map[string]any) {
		parent, last := parentOf(t, manifest, path)
		switch p := parent.(type) {
		case map[string]any:
			p[last] = value
		case []any:
			p[index(t, p, last)] = value
		}
	}
}

// remove takes away what is at a path, which must be there.
func remove(path string) change {
	return func(t *testing.T, manifest map[string]any) {
		parent, last := parentOf(t, manifest, path)
		switch p := parent.(type) {
		case map[string]any:
			if _, ok := p[last]; !ok {
				t.Fatalf("nothing is at %s", path)
			}
			delete(p, last)
		case []any:
			at := index(t, p, last)
			before, _, _ := cutLast(path)
			set(before, slices.Delete(slices.Clone(p), at, at+1))(t, manifest)
		}
	}
}

// rename gives a field another name, as a misspelling does.
func rename(path, to string) change {
	return func(t *testing.T, manifest map[string]any) {
		parent, last := parentOf(t, manifest, path)
		fields, ok := parent.(map[string]any)
		if _, has := fields[last]; !ok || !has {
			t.Fatalf("nothing is at %s", path)
		}
		fields[to] = fields[last]
		delete(fields, last)
	}
}

func parentOf(t *testing.T, manifest map[string]any, path string) (parent any, last string) {
	t.Helper()
	before, last, nested := cutLast(path)
	parent = manifest
	if !nested {
		return parent, last
	}
	for step := range strings.SplitSeq(before, ".") {
		switch p := parent.(type) {
		case map[string]any:
			next, ok := p[step]
			if !ok {
				t.Fatalf("%s: no %q among %v", path, step, slices.Sorted(maps.Keys(p)))
			}
			parent = next
		case []any:
			parent = p[index(t, p, step)]
		default:
			t.Fatalf("%s: nothing can be below %q", path, step)
		}
	}
	return parent, last
}

func cutLast(path string) (before, last string, nested bool) {
	at := strings.LastIndex(path, ".")
	if at < 0 {
		return "", path, false
	}
	return path[:at], path[at+1:], true
}

func index(t *testing.T, list []any, step string) int {
	t.Helper()
	n, err := strconv.Atoi(step)
	if err != nil || n >= len(list) {
		t.Fatalf("no item %q in a list of %d", step, len(list))
	}
	return n
}
