package testbed

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/jackc/pgx/v5"
)

const (
	postgresPort = 5432
	registryPort = 8080
)

// postgresContainer is a PostgreSQL in a container.
type postgresContainer struct{ *instance }

// containerPostgres starts one with the given settings.
func containerPostgres(settings []string) (*postgresContainer, error) {
	image := imageOf("POSTGRES_IMAGE", "firehose/postgres:15")
	e, err := engineWith(image, " PARTS=postgres")
	if err != nil {
		return nil, err
	}
	spec := instanceSpec{
		Image: image, Ports: []int{postgresPort}, Tmpfs: []string{"/run/postgresql"},
		Args: []string{"-c", "max_connections=200"},
		Env:  map[string]string{"POSTGRES_USER": "firehose", "POSTGRES_HOST_AUTH_METHOD": "trust"},
	}
	for _, setting := range settings {
		spec.Args = append(spec.Args, "-c", strings.Replace(setting, " = ", "=", 1))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	c, err := e.run(ctx, spec)
	if err != nil {
		return nil, err
	}
	p := &postgresContainer{c}
	return p, p.await(ctx)
}

func (p *postgresContainer) url() string {
	return "postgres://firehose@" + p.Addr(postgresPort) + "/postgres?sslmode=disable"
}

// stop sends the signal that pg_ctl sends for the mode.
func (p *postgresContainer) stop(mode string) error {
	signal, ok := map[string]string{"smart": "TERM", "fast": "INT", "immediate": "QUIT"}[mode]
	if !ok {
		return fmt.Errorf("mode %q: want smart, fast or immediate", mode)
	}
	_, err := p.Stop(context.Background(), signal)
	return err
}

func (p *postgresContainer) start() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	if err := p.Start(ctx); err != nil {
		return err
	}
	return p.await(ctx)
}

func (p *postgresContainer) end() error { return p.Remove(context.Background()) }

func (p *postgresContainer) await(ctx context.Context) error {
	return p.Await(ctx, func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, p.url())
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	})
}

// registryContainer is an Apicurio in a container.
type registryContainer struct{ *instance }

// containerRegistry starts one, whose schemas are in its volume.
func containerRegistry() (*foundRegistry, error) {
	image := imageOf("REGISTRY_IMAGE", "firehose/registry:3.3.3")
	e, err := engineWith(image, " PARTS=registry")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	c, err := e.run(ctx, instanceSpec{Image: image, Ports: []int{registryPort}})
	if err != nil {
		return nil, err
	}
	r := &registryContainer{c}
	return &foundRegistry{url: "http://" + c.Addr(registryPort) + apicurioConfluent, container: r}, r.await(ctx)
}

func (r *registryContainer) act(what string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	if what == "stop" {
		_, err := r.Stop(ctx, "")
		return err
	}
	if err := r.Start(ctx); err != nil {
		return err
	}
	return r.await(ctx)
}

func (r *registryContainer) await(ctx context.Context) error {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return r.Await(ctx, func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.Addr(registryPort)+apicurioConfluent+"/subjects", nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("it answers %s", resp.Status)
		}
		return nil
	})
}
