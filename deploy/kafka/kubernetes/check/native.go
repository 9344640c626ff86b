package main

import (
	"context"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/names"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	_ "k8s.io/kubernetes/pkg/apis/batch/install"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	"k8s.io/kubernetes/pkg/apis/core/validation"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	"k8s.io/kubernetes/pkg/registry/apps/deployment"
	"k8s.io/kubernetes/pkg/registry/batch/cronjob"
	"k8s.io/kubernetes/pkg/registry/networking/networkpolicy"
	"k8s.io/kubernetes/pkg/registry/policy/poddisruptionbudget"
)

// strategies are how the server takes each kind that is its own. Those of the
// core group are built here around its validation: the packages that hold the
// originals bring half of Kubernetes along.
var strategies = map[schema.GroupKind]rest.RESTCreateStrategy{
	{Group: "apps", Kind: "Deployment"}:                 deployment.Strategy,
	{Group: "batch", Kind: "CronJob"}:                   cronjob.Strategy,
	{Group: "networking.k8s.io", Kind: "NetworkPolicy"}: networkpolicy.Strategy,
	{Group: "policy", Kind: "PodDisruptionBudget"}:      poddisruptionbudget.Strategy,
	{Kind: "Namespace"}:                                 coreStrategy[*core.Namespace]{validate: validation.ValidateNamespace, clusterScoped: true},
	{Kind: "ServiceAccount"}:                            coreStrategy[*core.ServiceAccount]{validate: validation.ValidateServiceAccount},
	{Kind: "ConfigMap"}:                                 coreStrategy[*core.ConfigMap]{validate: validation.ValidateConfigMap},
	{Kind: "Secret"}:                                    coreStrategy[*core.Secret]{validate: validation.ValidateSecret},
	{Kind: "Service"}:                                   coreStrategy[*core.Service]{validate: validation.ValidateServiceCreate},
}

// coreStrategy is a strategy that prepares nothing.
type coreStrategy[T runtime.Object] struct {
	validate      func(T) field.ErrorList
	clusterScoped bool
}

func (s coreStrategy[T]) ObjectKinds(o runtime.Object) ([]schema.GroupVersionKind, bool, error) {
	return legacyscheme.Scheme.ObjectKinds(o)
}
func (s coreStrategy[T]) Recognizes(k schema.GroupVersionKind) bool {
	return legacyscheme.Scheme.Recognizes(k)
}
func (s coreStrategy[T]) GenerateName(base string) string {
	return names.SimpleNameGenerator.GenerateName(base)
}
func (s coreStrategy[T]) NamespaceScoped() bool                            { return !s.clusterScoped }
func (s coreStrategy[T]) PrepareForCreate(context.Context, runtime.Object) {}
func (s coreStrategy[T]) Canonicalize(runtime.Object)                      {}
func (s coreStrategy[T]) Validate(_ context.Context, o runtime.Object) field.ErrorList {
	return s.validate(o.(T))
}
func (s coreStrategy[T]) WarningsOnCreate(context.Context, runtime.Object) []string { return nil }

// strict decodes as the server does for fieldValidation=Strict: a field that the
// kind does not have is an error.
var strict = json.NewSerializerWithOptions(json.DefaultMetaFactory, legacyscheme.Scheme, legacyscheme.Scheme,
	json.SerializerOptions{Strict: true})

// admitNative decodes, defaults, converts and validates. It returns the object
// in its own version, defaults set.
func admitNative(ctx context.Context, o Object, strategy rest.RESTCreateStrategy) (runtime.Object, []Problem) {
	text, err := o.MarshalJSON()
	if err != nil {
		return nil, []Problem{{o.String(), "", err.Error()}}
	}
	versioned, gvk, err := strict.Decode(text, nil, nil)
	if err != nil {
		return nil, decodeProblems(o, err)
	}
	legacyscheme.Scheme.Default(versioned)
	internal, err := legacyscheme.Scheme.ConvertToVersion(versioned, runtime.InternalGroupVersioner)
	if err != nil {
		return nil, []Problem{{o.String(), "", err.Error()}}
	}
	accessor, err := meta.Accessor(internal)
	if err != nil {
		return nil, []Problem{{o.String(), "metadata", err.Error()}}
	}
	return versioned, create(ctx, strategy, *gvk, internal, accessor)
}

// decodeProblems lists every unknown field of a strict decoding.
func decodeProblems(o Object, err error) []Problem {
	list := []error{err}
	if unknown, ok := runtime.AsStrictDecodingError(err); ok {
		list = unknown.Errors()
	}
	var problems []Problem
	for _, e := range list {
		problems = append(problems, Problem{o.String(), "", e.Error()})
	}
	return problems
}
