package main

import (
	"context"
	"fmt"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apiextensions-apiserver/pkg/crdserverscheme"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apiserver/pkg/registry/rest"
)

// custom is one version of one custom resource's definition, compiled.
type custom struct {
	schema   *structural.Structural
	strategy rest.RESTCreateStrategy
}

// compile reads CustomResourceDefinitions, by file name, and prepares each of
// their served versions.
func compile(crds map[string][]byte) (map[schema.GroupVersionKind]*custom, error) {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	decoder := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true})
	kinds := map[schema.GroupVersionKind]*custom{}
	for name, text := range crds {
		obj, _, err := decoder.Decode(text, nil, nil)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		crd, ok := obj.(*v1.CustomResourceDefinition)
		if !ok {
			return nil, fmt.Errorf("%s: holds a %T, want a CustomResourceDefinition", name, obj)
		}
		scheme.Default(crd)
		for _, version := range crd.Spec.Versions {
			if !version.Served {
				continue
			}
			kind := schema.GroupVersionKind{Group: crd.Spec.Group, Version: version.Name, Kind: crd.Spec.Names.Kind}
			if kinds[kind], err = compileVersion(crd, version, kind); err != nil {
				return nil, fmt.Errorf("%s: %s: %w", name, version.Name, err)
			}
		}
	}
	return kinds, nil
}

func compileVersion(crd *v1.CustomResourceDefinition, version v1.CustomResourceDefinitionVersion, kind schema.GroupVersionKind) (*custom, error) {
	var internal apiextensions.CustomResourceValidation
	if err := v1.Convert_v1_CustomResourceValidation_To_apiextensions_CustomResourceValidation(version.Schema, &internal, nil); err != nil {
		return nil, err
	}
	s, err := structural.NewStructural(internal.OpenAPIV3Schema)
	if err != nil {
		return nil, err
	}
	if err := defaulting.PruneDefaults(s); err != nil {
		return nil, err
	}
	validator, _, err := validation.NewSchemaValidator(internal.OpenAPIV3Schema)
	if err != nil {
		return nil, err
	}
	status := &apiextensions.CustomResourceSubresourceStatus{}
	if version.Subresources == nil || version.Subresources.Status == nil {
		status = nil
	}
	return &custom{
		schema: s,
		strategy: customresource.NewStrategy(crdserverscheme.NewUnstructuredObjectTyper(), crd.Spec.Scope == v1.NamespaceScoped,
			kind, validator, nil, s, status, nil, version.SelectableFields),
	}, nil
}

// admit does what the server's handler does to a custom resource: fields that
// the definition does not have are found by pruning, then defaults are set and
// the schema, the lists and the CEL rules are checked.
func (c *custom) admit(ctx context.Context, o Object) (runtime.Object, []Problem) {
	u := &unstructured.Unstructured{Object: o.DeepCopy().Object}
	_, _, unknown, err := objectmeta.GetObjectMetaWithOptions(u.Object, objectmeta.ObjectMetaOptions{ReturnUnknownFieldPaths: true})
	if err != nil {
		return nil, []Problem{{o.String(), "metadata", err.Error()}}
	}
	unknown = append(unknown, pruning.PruneWithOptions(u.Object, c.schema, true, structural.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})...)
	defaulting.PruneNonNullableNullsWithoutDefaults(u.Object, c.schema)
	wrong, more := objectmeta.CoerceWithOptions(nil, u.Object, c.schema, false, objectmeta.CoerceOptions{ReturnUnknownFieldPaths: true})
	if wrong != nil {
		return nil, []Problem{{o.String(), wrong.Field, wrong.ErrorBody()}}
	}
	var problems []Problem
	for _, path := range append(unknown, more...) {
		problems = append(problems, Problem{o.String(), path, "unknown field"})
	}
	defaulting.Default(u.Object, c.schema)
	return u, append(problems, create(ctx, c.strategy, o.GroupVersionKind(), u, u)...)
}
