package testbed

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// localRegistryPort is away from where make registry has its own.
const localRegistryPort = 28081

// Registry returns the URL of a real schema registry with Confluent's API, which
// other tests use at the same time: subjects follow from topics, whose names are
// a test's own, or the shop's, which everybody registers alike. It is the one
// that FIREHOSE_TEST_REGISTRY names; else, where FIREHOSE_INTEGRATION is set, one
// in a container of this process, when a Docker engine answers and has the image
// (REGISTRY_IMAGE), or the local one of deploy/kafka/local.
func Registry(t testing.TB) string {
	t.Helper()
	return openRegistry(t, shared).url
}

// RegistryServer is a registry that nobody else uses meanwhile.
type RegistryServer struct {
	t      testing.TB
	found  *foundRegistry
	stands bool
}

// RegistryAlone returns a registry that no other test uses meanwhile and that
// this one may stop. One that FIREHOSE_TEST_REGISTRY names is for this only if
// FIREHOSE_TEST_REGISTRY_TO_BREAK names its folder, as deploy/kafka/local knows
// it; else the test is skipped.
func RegistryAlone(t testing.TB) *RegistryServer {
	t.Helper()
	r := &RegistryServer{t: t, found: openRegistry(t, exclusive), stands: true}
	if r.found.env == nil && r.found.container == nil {
		Skip(t, "registry", "FIREHOSE_TEST_REGISTRY names a registry, and FIREHOSE_TEST_REGISTRY_TO_BREAK does not say that tests may stop it")
	}
	t.Cleanup(func() {
		if !r.stands {
			r.Start()
		}
	})
	return r
}

// URL is that of the registry.
func (r *RegistryServer) URL() string { return r.found.url }

// Stop stops it.
func (r *RegistryServer) Stop() { r.t.Helper(); r.stands = false; r.act("stop") }

// Start starts it again and returns once it answers.
func (r *RegistryServer) Start() { r.t.Helper(); r.stands = true; r.act("start") }

func (r *RegistryServer) act(what string) {
	r.t.Helper()
	if r.found.container != nil {
		if err := r.found.container.act(what); err != nil {
			r.t.Errorf("registry %s: %v", what, err)
		}
		return
	}
	if err := runLocal(r.found.script, r.found.env, what); err != nil {
		r.t.Errorf("registry %s: %v", what, err)
	}
}

// foundRegistry is one that somebody or something provides.
type foundRegistry struct {
	url    string
	script string
	env    []string // where it is; nil where it is not ours to stop
	guard  *guard

	container *registryContainer // where it is one
}

func openRegistry(t testing.TB, use lockKind) *foundRegistry {
	t.Helper()
	found, err := findRegistry()
	if errors.Is(err, errMissing) {
		Skip(t, partFor("registry"), reason(err))
	}
	if err != nil {
		t.Fatalf("registry: %v", err)
	}
	lock(t, found.url, use)
	return found
}

var findRegistry = sync.OnceValues(func() (*foundRegistry, error) {
	named := os.Getenv("FIREHOSE_TEST_REGISTRY")
	if inContainers() {
		return containerRegistry()
	}
	if named == "" {
		found, err := containerRegistry()
		if errors.Is(err, errMissing) {
			why := reason(err)
			if found, err = localRegistry(); errors.Is(err, errMissing) {
				err = fmt.Errorf("%s; %w", why, err)
			}
		}
		if errors.Is(err, errMissing) {
			err = fmt.Errorf("FIREHOSE_TEST_REGISTRY names none; %w", err)
		}
		return found, err
	}
	found := &foundRegistry{url: named}
	folder := os.Getenv("FIREHOSE_TEST_REGISTRY_TO_BREAK")
	if folder == "" {
		return found, nil
	}
	u, err := url.Parse(named)
	if err != nil {
		return nil, fmt.Errorf("FIREHOSE_TEST_REGISTRY: %w", err)
	}
	found.env = []string{"REGISTRY_DIR=" + folder, "REGISTRY_PORT=" + u.Port()}
	found.script, err = localScript("registry")
	return found, err
})

func localRegistry() (*foundRegistry, error) {
	script, folder, err := localPart("registry")
	if err != nil {
		return nil, err
	}
	port := strconv.Itoa(localRegistryPort)
	found := &foundRegistry{
		url: "http://127.0.0.1:" + port + apicurioConfluent, script: script,
		env: []string{"REGISTRY_DIR=" + folder, "REGISTRY_PORT=" + port},
	}
	found.guard, err = startLocal(script, folder, found.env)
	return found, err
}

// apicurioConfluent is where Apicurio has Confluent's API.
const apicurioConfluent = "/apis/ccompat/v7"

// Apicurio returns the URL of Apicurio's own API of a registry, and whether it
// is one.
func Apicurio(registry string) (string, bool) {
	base, ok := strings.CutSuffix(strings.TrimSuffix(registry, "/"), apicurioConfluent)
	return base + "/apis/registry/v3", ok
}
