package main

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
)

// Problem is one reason why an object is refused.
type Problem struct {
	Object string // Kind/name
	Field  string // empty when it is of no single field
	Reason string
}

func (p Problem) String() string {
	if p.Field == "" {
		return p.Object + ": " + p.Reason
	}
	return p.Object + ": " + p.Field + ": " + p.Reason
}

// Checker checks objects as an API server that has our definitions would.
type Checker struct {
	kinds    map[schema.GroupVersionKind]*custom
	triggers map[string]trigger
	programs *Programs
}

// NewChecker compiles the definitions. programs are what the containers run.
func NewChecker(d *Definitions, programs *Programs) (*Checker, error) {
	kinds, err := compile(d.CRDs)
	if err != nil {
		return nil, err
	}
	triggers, err := readTriggers(d.Scalers)
	if err != nil {
		return nil, err
	}
	return &Checker{kinds: kinds, triggers: triggers, programs: programs}, nil
}

// Check returns what is wrong: with each object by itself, then with how they
// fit together. Only objects that are right by themselves are fitted.
func (c *Checker) Check(ctx context.Context, objects []Object) []Problem {
	var problems []Problem
	all := inventory{custom: map[string][]*unstructured.Unstructured{}, fixed: map[string]bool{}}
	for _, o := range objects {
		typed, refused := c.admit(ctx, o)
		problems = append(problems, refused...)
		if len(refused) == 0 {
			refused = all.add(typed, o)
			problems = append(problems, refused...)
		}
	}
	if len(problems) > 0 {
		return problems
	}
	for _, p := range all.pods() {
		problems = append(problems, all.checkSettings(ctx, c.programs, p)...)
	}
	problems = append(problems, c.checkTriggers(&all)...)
	return append(problems, all.check()...)
}

// admit takes one object through what the server does on creation, and returns
// it with its defaults set.
func (c *Checker) admit(ctx context.Context, o Object) (runtime.Object, []Problem) {
	gvk := o.GroupVersionKind()
	if k, ok := c.kinds[gvk]; ok {
		return k.admit(ctx, o)
	}
	strategy, ok := strategies[gvk.GroupKind()]
	if !ok {
		return nil, []Problem{{o.String(), "kind", fmt.Sprintf("nothing here knows %s", gvk)}}
	}
	return admitNative(ctx, o, strategy)
}

// create runs a strategy as the server's create handler does.
func create(ctx context.Context, strategy rest.RESTCreateStrategy, kind schema.GroupVersionKind, obj runtime.Object, meta metav1.Object) []Problem {
	name := kind.Kind + "/" + meta.GetName()
	if strategy.NamespaceScoped() && meta.GetNamespace() == "" {
		return []Problem{{name, "metadata.namespace", "Required value"}}
	}
	ctx = request.WithNamespace(ctx, meta.GetNamespace())
	ctx = request.WithRequestInfo(ctx, &request.RequestInfo{APIGroup: kind.Group, APIVersion: kind.Version})
	rest.FillObjectMetaSystemFields(meta)
	err := rest.BeforeCreate(strategy, ctx, obj)
	if err == nil {
		return nil
	}
	status, ok := err.(apierrors.APIStatus)
	if !ok || status.Status().Details == nil || len(status.Status().Details.Causes) == 0 {
		return []Problem{{name, "", err.Error()}}
	}
	var problems []Problem
	for _, cause := range status.Status().Details.Causes {
		problems = append(problems, Problem{name, cause.Field, cause.Message})
	}
	return problems
}
