package main

import (
	"cmp"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// securityViolations is what pod security admission would say, at the level
// that the namespace asks for. A namespace that asks for less than restricted
// is wrong by itself.
func (i *inventory) securityViolations(meta metav1.ObjectMeta, spec corev1.PodSpec) []string {
	level := api.LevelPrivileged
	for _, n := range i.namespaces {
		level = api.Level(cmp.Or(n.Labels[api.EnforceLevelLabel], string(level)))
	}
	if level != api.LevelRestricted {
		return []string{fmt.Sprintf("its namespace enforces pod security level %q, want %q in %s", level, api.LevelRestricted, api.EnforceLevelLabel)}
	}
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return []string{err.Error()}
	}
	var violations []string
	for _, result := range evaluator.EvaluatePod(api.LevelVersion{Level: level, Version: api.LatestVersion()}, &meta, &spec) {
		if !result.Allowed {
			violations = append(violations, fmt.Sprintf("violates PodSecurity %q: %s: %s", level, result.ForbiddenReason, result.ForbiddenDetail))
		}
	}
	return violations
}

// checkOperatorsPods checks the pods that Strimzi makes in the same namespace
// the same way, as far as our templates say how: admission would refuse them
// one by one, long after everything was applied.
func (i *inventory) checkOperatorsPods() []Problem {
	var problems []Problem
	check := func(o *unstructured.Unstructured, containers []string, path ...string) {
		spec := corev1.PodSpec{SecurityContext: &corev1.PodSecurityContext{}}
		template, _, _ := unstructured.NestedMap(o.Object, path...)
		wrong := security(template, "pod", spec.SecurityContext)
		for _, name := range containers {
			c := corev1.Container{Name: name, SecurityContext: &corev1.SecurityContext{}}
			wrong = cmp.Or(wrong, security(template, name, c.SecurityContext))
			spec.Containers = append(spec.Containers, c)
		}
		field := strings.Join(path, ".") + ".securityContext"
		if wrong != nil {
			problems = append(problems, Problem{o.GetKind() + "/" + o.GetName(), field, wrong.Error()})
		}
		for _, violation := range i.securityViolations(metav1.ObjectMeta{}, spec) {
			problems = append(problems, Problem{o.GetKind() + "/" + o.GetName(), field, violation})
		}
	}
	for _, k := range i.custom["Kafka"] {
		containers := []string{"kafkaContainer"}
		if _, zones, _ := unstructured.NestedMap(k.Object, "spec", "kafka", "rack"); zones {
			containers = append(containers, "initContainer") // asks for the node's zone
		}
		for _, pool := range i.custom["KafkaNodePool"] {
			if pool.GetLabels()[clusterLabel] == k.GetName() {
				check(pool, containers, "spec", "template")
			}
		}
		check(k, []string{"topicOperatorContainer", "userOperatorContainer"}, "spec", "entityOperator", "template")
	}
	return problems
}

// security reads template[name].securityContext into to.
func security(template map[string]any, name string, to any) error {
	from, _, err := unstructured.NestedMap(template, name, "securityContext")
	if err != nil || from == nil {
		return err
	}
	return runtime.DefaultUnstructuredConverter.FromUnstructured(from, to)
}
