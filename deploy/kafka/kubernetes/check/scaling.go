package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// trigger is what KEDA generates from its code about one type of trigger. The
// CustomResourceDefinition says only that metadata are texts.
type trigger struct {
	Type       string      `json:"type"`
	Parameters []parameter `json:"parameters"`
}

type parameter struct {
	Name     string   `json:"name"`
	Optional bool     `json:"optional"`
	Default  *string  `json:"default"`
	Allowed  []string `json:"allowedValue"`
	Metadata bool     `json:"metadataVariableReadable"`              // may stand in the trigger's metadata
	Env      bool     `json:"envVariableReadable"`                   // … as nameFromEnv
	Auth     bool     `json:"triggerAuthenticationVariableReadable"` // may come from a TriggerAuthentication
}

func readTriggers(text []byte) (map[string]trigger, error) {
	var all struct {
		Scalers []trigger `json:"scalers"`
	}
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("KEDA's triggers: %w", err)
	}
	triggers := map[string]trigger{}
	for _, t := range all.Scalers {
		triggers[t.Type] = t
	}
	return triggers, nil
}

// scaled is the part of a ScaledObject that is looked at.
type scaled struct {
	Target struct {
		Name string `json:"name"`
	} `json:"scaleTargetRef"`
	Max      *int64 `json:"maxReplicaCount"`
	Triggers []struct {
		Type     string            `json:"type"`
		Metadata map[string]string `json:"metadata"`
		Auth     struct {
			Name string `json:"name"`
		} `json:"authenticationRef"`
	} `json:"triggers"`
}

func readScaled(o *unstructured.Unstructured) (s scaled, err error) {
	spec, _, _ := unstructured.NestedMap(o.Object, "spec")
	err = runtime.DefaultUnstructuredConverter.FromUnstructured(spec, &s)
	return s, err
}

// checkTriggers checks each trigger's keys and values against what the scaler
// of its type reads.
func (c *Checker) checkTriggers(all *inventory) []Problem {
	var problems []Problem
	for _, o := range all.custom["ScaledObject"] {
		s, err := readScaled(o)
		if err != nil {
			problems = append(problems, Problem{"ScaledObject/" + o.GetName(), "spec", err.Error()})
			continue
		}
		for n, t := range s.Triggers {
			at := fmt.Sprintf("spec.triggers[%d].", n)
			known, ok := c.triggers[t.Type]
			if !ok {
				problems = append(problems, Problem{"ScaledObject/" + o.GetName(), at + "type", fmt.Sprintf("KEDA has no trigger %q", t.Type)})
				continue
			}
			auth := all.authParameters(t.Auth.Name)
			if auth == nil {
				problems = append(problems, Problem{"ScaledObject/" + o.GetName(), at + "authenticationRef.name", fmt.Sprintf("no TriggerAuthentication %q", t.Auth.Name)})
			}
			for _, wrong := range known.check(t.Metadata, auth) {
				problems = append(problems, Problem{"ScaledObject/" + o.GetName(), at + wrong[0], wrong[1]})
			}
		}
	}
	return problems
}

// check returns pairs of a field and what is wrong with it.
func (t trigger) check(metadata map[string]string, auth []string) (wrong [][2]string) {
	left, leftAuth := maps.Clone(metadata), slices.Clone(auth)
	for _, p := range t.Parameters {
		value, given := left[p.Name]
		if given && p.Metadata {
			delete(left, p.Name)
			if len(p.Allowed) > 0 && !slices.Contains(p.Allowed, value) {
				wrong = append(wrong, [2]string{"metadata." + p.Name, fmt.Sprintf("%q, want one of %s", value, strings.Join(p.Allowed, ", "))})
			}
		}
		given = given && p.Metadata
		if _, fromEnv := left[p.Name+"FromEnv"]; fromEnv && p.Env {
			delete(left, p.Name+"FromEnv")
			given = true
		}
		if at := slices.Index(leftAuth, p.Name); at >= 0 && p.Auth {
			leftAuth = slices.Delete(leftAuth, at, at+1)
			given = true
		}
		if !given && !p.Optional && p.Default == nil {
			wrong = append(wrong, [2]string{"metadata." + p.Name, "Required value"})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		wrong = append(wrong, [2]string{"metadata." + name, "a " + t.Type + " trigger reads no such key there"})
	}
	for _, name := range leftAuth {
		wrong = append(wrong, [2]string{"authenticationRef", fmt.Sprintf("a %s trigger reads no parameter %q from a TriggerAuthentication", t.Type, name)})
	}
	return wrong
}

// authParameters returns what a TriggerAuthentication gives; nil when there is
// none of that name.
func (i *inventory) authParameters(name string) []string {
	for _, o := range i.custom["TriggerAuthentication"] {
		if o.GetName() != name {
			continue
		}
		parameters := []string{}
		for _, source := range []string{"secretTargetRef", "configMapTargetRef"} {
			list, _, _ := unstructured.NestedSlice(o.Object, "spec", source)
			for _, item := range list {
				p, _, _ := unstructured.NestedString(item.(map[string]any), "parameter")
				parameters = append(parameters, p)
			}
		}
		return parameters
	}
	return nil
}

// checkScaling checks that what is scaled is there, that nothing else sets its
// replicas, and that there are never more than a topic has partitions: an
// instance more would have nothing to do.
func (i *inventory) checkScaling() []Problem {
	var problems []Problem
	for _, o := range i.custom["ScaledObject"] {
		object := "ScaledObject/" + o.GetName()
		s, err := readScaled(o)
		if err != nil {
			return []Problem{{object, "spec", err.Error()}}
		}
		if !named(i.deployments, s.Target.Name) {
			problems = append(problems, Problem{object, "spec.scaleTargetRef.name", fmt.Sprintf("no Deployment %q", s.Target.Name)})
		}
		if i.fixed[s.Target.Name] {
			problems = append(problems, Problem{"Deployment/" + s.Target.Name, "spec.replicas", "KEDA sets it, and would lose each time this is applied"})
		}
		for n, t := range s.Triggers {
			name := t.Metadata["topic"]
			at := fmt.Sprintf("spec.triggers[%d].metadata.topic", n)
			topic := find(i.custom["KafkaTopic"], name)
			if topic == nil {
				problems = append(problems, Problem{object, at, fmt.Sprintf("no KafkaTopic %q", name)})
				continue
			}
			if partitions := integer(topic, "spec", "partitions"); s.Max == nil || *s.Max > partitions {
				problems = append(problems, Problem{object, "spec.maxReplicaCount",
					fmt.Sprintf("want at most %d, the partitions of %s", partitions, name)})
			}
		}
	}
	return append(problems, i.checkAuthSources()...)
}

// checkAuthSources checks that what a TriggerAuthentication reads from exists.
func (i *inventory) checkAuthSources() []Problem {
	var problems []Problem
	for _, o := range i.custom["TriggerAuthentication"] {
		for source, has := range map[string]func(name string) bool{
			"secretTargetRef":    i.secret,
			"configMapTargetRef": func(name string) bool { return named(i.configs, name) },
		} {
			list, _, _ := unstructured.NestedSlice(o.Object, "spec", source)
			for n, item := range list {
				if name, _, _ := unstructured.NestedString(item.(map[string]any), "name"); !has(name) {
					problems = append(problems, Problem{"TriggerAuthentication/" + o.GetName(),
						fmt.Sprintf("spec.%s[%d].name", source, n), fmt.Sprintf("nothing here makes %q", name)})
				}
			}
		}
	}
	return problems
}

func find(objects []*unstructured.Unstructured, name string) *unstructured.Unstructured {
	for _, o := range objects {
		if o.GetName() == name {
			return o
		}
	}
	return nil
}
