package main

import (
	"fmt"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// checkSelectors checks that everything that selects pods selects some: the
// server accepts a selector of nothing.
func (i *inventory) checkSelectors() []Problem {
	var problems []Problem
	for _, d := range i.deployments {
		pods, err := i.selected(d.Spec.Selector)
		if err != nil || len(pods) != 1 {
			problems = append(problems, Problem{"Deployment/" + d.Name, "spec.selector", "selects the pods of others, too"})
		}
	}
	for _, s := range i.services {
		pods, _ := i.selected(&metav1.LabelSelector{MatchLabels: s.Spec.Selector})
		problems = append(problems, some("Service/"+s.Name, "spec.selector", pods)...)
		for n, port := range s.Spec.Ports {
			problems = append(problems, ports("Service/"+s.Name, fmt.Sprintf("spec.ports[%d].targetPort", n), port.TargetPort, pods)...)
		}
	}
	for _, b := range i.budgets {
		pods, _ := i.selected(b.Spec.Selector)
		problems = append(problems, some("PodDisruptionBudget/"+b.Name, "spec.selector", pods)...)
		problems = append(problems, i.checkBudget(b.Name, b.Spec.MinAvailable, b.Spec.Selector)...)
	}
	for _, m := range i.custom["PodMonitor"] {
		problems = append(problems, i.checkMonitor(m)...)
	}
	return problems
}

// checkBudget refuses a budget that lets nobody go, so that no node can be
// drained.
func (i *inventory) checkBudget(name string, least *intstr.IntOrString, s *metav1.LabelSelector) []Problem {
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil || least == nil || least.Type != intstr.Int {
		return nil
	}
	for _, d := range i.deployments {
		if selector.Matches(labels.Set(d.Spec.Template.Labels)) && least.IntVal >= *d.Spec.Replicas {
			return []Problem{{"PodDisruptionBudget/" + name, "spec.minAvailable",
				fmt.Sprintf("%d of the %d replicas of Deployment/%s: none could ever go", least.IntVal, *d.Spec.Replicas, d.Name)}}
		}
	}
	return nil
}

func (i *inventory) checkMonitor(m *unstructured.Unstructured) []Problem {
	object := "PodMonitor/" + m.GetName()
	var spec struct {
		Selector  metav1.LabelSelector `json:"selector"`
		Endpoints []struct {
			Port string `json:"port"`
		} `json:"podMetricsEndpoints"`
	}
	raw, _, _ := unstructured.NestedMap(m.Object, "spec")
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(raw, &spec); err != nil {
		return []Problem{{object, "spec", err.Error()}}
	}
	if strimzis(spec.Selector.MatchLabels) {
		return nil
	}
	pods, err := i.selected(&spec.Selector)
	if err != nil {
		return []Problem{{object, "spec.selector", err.Error()}}
	}
	problems := some(object, "spec.selector", pods)
	for n, e := range spec.Endpoints {
		any := false
		for _, p := range pods {
			any = any || p.port(e.Port)
		}
		if !any {
			problems = append(problems, Problem{object, fmt.Sprintf("spec.podMetricsEndpoints[%d].port", n), fmt.Sprintf("no selected pod has a port named %q", e.Port)})
		}
	}
	return problems
}

// checkNetworks checks that each policy is of pods that are here, that its named
// ports are theirs, and that nothing is open that no policy opens.
func (i *inventory) checkNetworks() []Problem {
	var problems []Problem
	denied := map[string]bool{}
	for _, n := range i.networks {
		object := "NetworkPolicy/" + n.Name
		pods, err := i.selected(&n.Spec.PodSelector)
		if err != nil {
			problems = append(problems, Problem{object, "spec.podSelector", err.Error()})
			continue
		}
		problems = append(problems, some(object, "spec.podSelector", pods)...)
		if len(n.Spec.Ingress) == 0 && len(n.Spec.Egress) == 0 && len(n.Spec.PolicyTypes) == 2 {
			for _, p := range pods {
				denied[p.owner] = true
			}
		}
		for r, rule := range n.Spec.Ingress {
			if len(rule.From) == 0 || len(rule.Ports) == 0 {
				problems = append(problems, Problem{object, fmt.Sprintf("spec.ingress[%d]", r), "opens to everybody, or every port: name both"})
			}
			for m, p := range rule.Ports {
				if p.Port == nil {
					continue
				}
				problems = append(problems, ports(object, fmt.Sprintf("spec.ingress[%d].ports[%d].port", r, m), *p.Port, pods)...)
			}
		}
		problems = append(problems, i.checkEgress(object, n.Spec.Egress)...)
	}
	for _, p := range i.pods() {
		if !denied[p.owner] {
			problems = append(problems, Problem{p.owner, p.path + ".metadata.labels", "no NetworkPolicy denies these pods all that is not allowed"})
		}
	}
	return problems
}

// checkEgress checks peers that are in this namespace; those in others' are
// theirs to name.
func (i *inventory) checkEgress(object string, rules []networkingv1.NetworkPolicyEgressRule) []Problem {
	var problems []Problem
	for r, rule := range rules {
		if len(rule.To) == 0 || len(rule.Ports) == 0 {
			problems = append(problems, Problem{object, fmt.Sprintf("spec.egress[%d]", r), "opens to everybody, or every port: name both"})
		}
		for m, to := range rule.To {
			if to.PodSelector == nil || to.NamespaceSelector != nil || strimzis(to.PodSelector.MatchLabels) {
				continue
			}
			pods, _ := i.selected(to.PodSelector)
			problems = append(problems, some(object, fmt.Sprintf("spec.egress[%d].to[%d].podSelector", r, m), pods)...)
		}
	}
	return problems
}

// strimzis reports whether the labels are those of pods that Strimzi makes.
func strimzis(set map[string]string) bool {
	for name := range set {
		if strings.HasPrefix(name, "strimzi.io/") {
			return true
		}
	}
	return false
}

func some(object, field string, pods []pod) []Problem {
	if len(pods) > 0 {
		return nil
	}
	return []Problem{{object, field, "selects no pod"}}
}

// ports checks that each pod has a port of that name; a number is let pass.
func ports(object, field string, port intstr.IntOrString, pods []pod) []Problem {
	if port.Type != intstr.String {
		return nil
	}
	for _, p := range pods {
		if !p.port(port.StrVal) && p.serves {
			return []Problem{{object, field, fmt.Sprintf("%s has no port named %q", p.owner, port.StrVal)}}
		}
	}
	return nil
}
