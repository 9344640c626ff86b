package main

import (
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
)

// inventory is all that an overlay applies, by kind. Everything lives in one
// namespace, so names suffice.
type inventory struct {
	namespaces  []*corev1.Namespace
	accounts    []*corev1.ServiceAccount
	configs     []*corev1.ConfigMap
	secrets     []*corev1.Secret
	services    []*corev1.Service
	deployments []*appsv1.Deployment
	crons       []*batchv1.CronJob
	budgets     []*policyv1.PodDisruptionBudget
	networks    []*networkingv1.NetworkPolicy
	custom      map[string][]*unstructured.Unstructured // by kind
	fixed       map[string]bool                         // Deployments whose manifest says how many replicas
}

// add puts an admitted object where it belongs. manifest is what it was made of.
func (i *inventory) add(admitted runtime.Object, manifest Object) []Problem {
	switch o := admitted.(type) {
	case *corev1.Namespace:
		i.namespaces = append(i.namespaces, o)
	case *corev1.ServiceAccount:
		i.accounts = append(i.accounts, o)
	case *corev1.ConfigMap:
		i.configs = append(i.configs, o)
	case *corev1.Secret:
		i.secrets = append(i.secrets, o)
	case *corev1.Service:
		i.services = append(i.services, o)
	case *appsv1.Deployment:
		i.deployments = append(i.deployments, o)
		if _, ok, _ := unstructured.NestedFieldNoCopy(manifest.Object, "spec", "replicas"); ok {
			i.fixed[o.Name] = true
		}
	case *batchv1.CronJob:
		i.crons = append(i.crons, o)
	case *policyv1.PodDisruptionBudget:
		i.budgets = append(i.budgets, o)
	case *networkingv1.NetworkPolicy:
		i.networks = append(i.networks, o)
	case *unstructured.Unstructured:
		i.custom[o.GetKind()] = append(i.custom[o.GetKind()], o)
	default:
		return []Problem{{manifest.String(), "kind", "nothing here fits it with the others"}}
	}
	return nil
}

// check returns what is wrong between the objects.
func (i *inventory) check() []Problem {
	var problems []Problem
	for _, p := range i.pods() {
		problems = append(problems, i.checkPod(p)...)
	}
	problems = append(problems, i.checkSelectors()...)
	problems = append(problems, i.checkNetworks()...)
	problems = append(problems, i.checkKafka()...)
	problems = append(problems, i.checkOperatorsPods()...)
	return append(problems, i.checkScaling()...)
}

// pod is what a Deployment or a CronJob makes pods from.
type pod struct {
	owner   string // Kind/name
	path    string // of the template in its owner
	serves  bool   // it is asked whether it is well, and told when to stop
	brought string // comma-separated names of secrets that others put there
	corev1.PodTemplateSpec
}

// brings is the annotation that names secrets which no manifest here makes.
const brings = "firehose/secrets-from-elsewhere"

func (i *inventory) pods() []pod {
	var all []pod
	for _, d := range i.deployments {
		all = append(all, pod{"Deployment/" + d.Name, "spec.template", true, d.Annotations[brings], d.Spec.Template})
	}
	for _, c := range i.crons {
		all = append(all, pod{"CronJob/" + c.Name, "spec.jobTemplate.spec.template", false, c.Annotations[brings], c.Spec.JobTemplate.Spec.Template})
	}
	return all
}

// selected returns the pods that a selector selects.
func (i *inventory) selected(s *metav1.LabelSelector) ([]pod, error) {
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return nil, err
	}
	var found []pod
	for _, p := range i.pods() {
		if selector.Matches(labels.Set(p.Labels)) {
			found = append(found, p)
		}
	}
	return found, nil
}

// port reports whether the pod has a container port of that name.
func (p pod) port(name string) bool {
	for _, c := range p.Spec.Containers {
		for _, port := range c.Ports {
			if port.Name == name {
				return true
			}
		}
	}
	return false
}

// named reports whether one of the objects has the name.
func named[T metav1.Object](objects []T, name string) bool {
	for _, o := range objects {
		if o.GetName() == name {
			return true
		}
	}
	return false
}
