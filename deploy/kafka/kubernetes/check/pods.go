package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// checkPod checks what the server leaves to admission, to the kubelet and to
// the house: the namespace's pod security level, that what is mounted exists,
// that Go knows its memory, that there is time to stop.
func (i *inventory) checkPod(p pod) []Problem {
	var problems []Problem
	wrong := func(field, reason string, args ...any) {
		problems = append(problems, Problem{p.owner, p.path + "." + field, fmt.Sprintf(reason, args...)})
	}
	for _, violation := range i.securityViolations(p.ObjectMeta, p.Spec) {
		wrong("spec", "%s", violation)
	}
	if t := p.Spec.AutomountServiceAccountToken; t == nil || *t {
		wrong("spec.automountServiceAccountToken", "want false: no service of ours asks the API server")
	}
	if !named(i.accounts, p.Spec.ServiceAccountName) {
		wrong("spec.serviceAccountName", "no ServiceAccount %q", p.Spec.ServiceAccountName)
	}
	for n, c := range p.Spec.Containers {
		at := fmt.Sprintf("spec.containers[%d].", n)
		if r := c.SecurityContext; r == nil || r.ReadOnlyRootFilesystem == nil || !*r.ReadOnlyRootFilesystem {
			wrong(at+"securityContext.readOnlyRootFilesystem", "want true")
		}
		problems = append(problems, i.checkReferences(p, n, c)...)
		if reason := checkMemory(c); reason != "" {
			wrong(at+"env", "%s", reason)
		}
		if c.Resources.Requests.Cpu().IsZero() {
			wrong(at+"resources.requests.cpu", "Required value")
		}
		if !p.serves {
			continue
		}
		for _, probe := range []struct {
			name, path string
			is         *corev1.Probe
		}{{"startupProbe", "/healthz", c.StartupProbe}, {"livenessProbe", "/healthz", c.LivenessProbe}, {"readinessProbe", "/readyz", c.ReadinessProbe}} {
			switch {
			case probe.is == nil || probe.is.HTTPGet == nil:
				wrong(at+probe.name, "Required value")
			case probe.is.HTTPGet.Path != probe.path:
				wrong(at+probe.name+".httpGet.path", "%q, want %q", probe.is.HTTPGet.Path, probe.path)
			case !p.port(probe.is.HTTPGet.Port.String()):
				wrong(at+probe.name+".httpGet.port", "the pod has no port named %q", probe.is.HTTPGet.Port.String())
			}
		}
		if reason := checkGrace(p.Spec, c); reason != "" {
			wrong("spec.terminationGracePeriodSeconds", "%s", reason)
		}
	}
	return problems
}

// checkReferences checks that what the container reads is made by a manifest, by
// Strimzi, or is said to come from elsewhere.
func (i *inventory) checkReferences(p pod, n int, c corev1.Container) []Problem {
	var problems []Problem
	wrong := func(field, reason string, args ...any) {
		problems = append(problems, Problem{p.owner, p.path + "." + field, fmt.Sprintf(reason, args...)})
	}
	for m, from := range c.EnvFrom {
		if r := from.ConfigMapRef; r != nil && !named(i.configs, r.Name) {
			wrong(fmt.Sprintf("spec.containers[%d].envFrom[%d].configMapRef.name", n, m), "no ConfigMap %q", r.Name)
		}
		if from.SecretRef != nil {
			wrong(fmt.Sprintf("spec.containers[%d].envFrom[%d].secretRef", n, m), "secrets are files: a variable is seen by every child and every dump")
		}
	}
	for m, e := range c.Env {
		at := fmt.Sprintf("spec.containers[%d].env[%d].valueFrom.", n, m)
		if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
			wrong(at+"secretKeyRef", "secrets are files: a variable is seen by every child and every dump")
		}
		if e.ValueFrom != nil && e.ValueFrom.ConfigMapKeyRef != nil {
			if r := e.ValueFrom.ConfigMapKeyRef; !i.configured(r.Name, r.Key) {
				wrong(at+"configMapKeyRef", "no ConfigMap %q with a key %q", r.Name, r.Key)
			}
		}
	}
	for m, v := range p.Spec.Volumes {
		if v.Secret != nil && !i.secret(v.Secret.SecretName) && !slices.Contains(strings.Split(p.brought, ","), v.Secret.SecretName) {
			wrong(fmt.Sprintf("spec.volumes[%d].secret.secretName", m),
				"no KafkaUser, Kafka or Secret makes %q, and the annotation %s does not name it", v.Secret.SecretName, brings)
		}
		if v.ConfigMap != nil && !named(i.configs, v.ConfigMap.Name) {
			wrong(fmt.Sprintf("spec.volumes[%d].configMap.name", m), "no ConfigMap %q", v.ConfigMap.Name)
		}
	}
	return problems
}

// configured reports whether the config map is there and has the key.
func (i *inventory) configured(name, key string) bool {
	for _, c := range i.configs {
		if _, ok := c.Data[key]; ok && c.Name == name {
			return true
		}
	}
	return false
}

// secret reports whether something here makes a secret of that name.
func (i *inventory) secret(name string) bool {
	if named(i.secrets, name) || named(i.custom["KafkaUser"], name) {
		return true
	}
	cluster, ok := strings.CutSuffix(name, "-cluster-ca-cert")
	return ok && named(i.custom["Kafka"], cluster)
}

// checkMemory says what is wrong with GOMEMLIMIT: it must leave the kernel some
// room below the limit, for what is not Go's heap.
func checkMemory(c corev1.Container) string {
	limit := c.Resources.Limits.Memory()
	if limit.IsZero() {
		return "resources.limits.memory: Required value"
	}
	for _, e := range c.Env {
		if e.Name != "GOMEMLIMIT" {
			continue
		}
		q, err := resource.ParseQuantity(strings.TrimSuffix(e.Value, "B")) // Go says MiB where Kubernetes says Mi
		switch {
		case err != nil || !strings.HasSuffix(e.Value, "B"):
			return fmt.Sprintf("GOMEMLIMIT: %q, want a number with KiB, MiB or GiB", e.Value)
		case q.Value() > limit.Value()*95/100:
			return fmt.Sprintf("GOMEMLIMIT: %s, want at most 95 %% of the limit of %s", e.Value, limit)
		case q.Value() < limit.Value()/2:
			return fmt.Sprintf("GOMEMLIMIT: %s is less than half of the limit of %s", e.Value, limit)
		}
		return ""
	}
	return "GOMEMLIMIT: Required value"
}

// checkGrace says what is wrong with the time to stop: what --grace gives, and
// what a preStop hook takes before, must be over before the kernel kills.
func checkGrace(spec corev1.PodSpec, c corev1.Container) string {
	at := slices.Index(c.Args, "--grace")
	if at < 0 || at+1 == len(c.Args) {
		return "the container's args name no --grace"
	}
	need, err := time.ParseDuration(c.Args[at+1])
	if err != nil {
		return "the container's --grace: " + err.Error()
	}
	if c.Lifecycle != nil && c.Lifecycle.PreStop != nil && c.Lifecycle.PreStop.Sleep != nil {
		need += time.Duration(c.Lifecycle.PreStop.Sleep.Seconds) * time.Second
	}
	if has := time.Duration(*spec.TerminationGracePeriodSeconds) * time.Second; has <= need {
		return fmt.Sprintf("%s, want more than the %s of preStop and --grace", has, need)
	}
	return ""
}
