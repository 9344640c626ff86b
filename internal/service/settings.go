package service

import (
	"cmp"
	"fmt"
	"log/slog"
	"time"

	"firehose/internal/codec"
	"firehose/internal/kafka"
)

// Where firehose dev listens, and so where everything looks by default.
const (
	DefaultBrokers  = "127.0.0.1:9092"
	DefaultRegistry = "http://127.0.0.1:8081"
)

// Cluster says where the brokers are and how to log in.
type Cluster struct {
	Brokers  []string // host:port; default DefaultBrokers
	ClientID string   // default: what the command calls itself
	TLS      kafka.TLS
	SASL     kafka.SASL
}

// Register declares --brokers (-b) and the flags of TLS and SASL.
func (c *Cluster) Register(f *Flags) {
	f.List(&c.Brokers, "brokers", []string{DefaultBrokers}, "`addresses` of Kafka brokers, comma-separated; the others are learned from them")
	f.Short("b", "brokers")
	f.StringVar(&c.ClientID, "client-id", "", "`name` under which the brokers log this client and set its quotas")
	f.BoolVar(&c.TLS.Enabled, "tls", false, "encrypt, and verify the brokers' certificates; any other --tls flag turns it on, too")
	f.StringVar(&c.TLS.CAFile, "tls-ca-file", "", "PEM `file` of who may have signed the brokers' certificates; default is the system's")
	f.StringVar(&c.TLS.CertFile, "tls-cert-file", "", "PEM `file` of this client's certificate, where brokers ask for one")
	f.StringVar(&c.TLS.KeyFile, "tls-key-file", "", "PEM `file` of its key")
	f.StringVar(&c.TLS.ServerName, "tls-server-name", "", "`host` that the brokers' certificates are for; default is the one that is dialled")
	f.StringVar(&c.SASL.Mechanism, "sasl-mechanism", "", "`name` of how to log in: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, the default where there is a user")
	f.StringVar(&c.SASL.User, "sasl-user", "", "`user` to log in as")
	f.StringVar(&c.SASL.PasswordFile, "sasl-password-file", "", "`file` that holds the password, read again for each connection")
	f.BoolVar(&c.SASL.Insecure, "insecure-sasl", false, "log in without TLS, to brokers on loopback only")
}

// Config returns the client's configuration; name is its ID where none is set.
func (c *Cluster) Config(name string, log *slog.Logger) kafka.Config {
	return kafka.Config{Brokers: c.Brokers, ClientID: cmp.Or(c.ClientID, name), TLS: c.TLS, SASL: c.SASL, Log: log}
}

// Registry says where the schema registry is and how to show who asks.
type Registry struct {
	URLs   []string // base URLs of one registry; default DefaultRegistry
	Access codec.RegistryAccess
}

// Register declares --registry and the flags of its authentication.
func (r *Registry) Register(f *Flags) {
	f.List(&r.URLs, "registry", []string{DefaultRegistry}, "`URLs` of one schema registry, comma-separated; the next is asked when one is away")
	f.StringVar(&r.Access.User, "registry-user", "", "`user` of basic authentication at the registry")
	f.StringVar(&r.Access.PasswordFile, "registry-password-file", "", "`file` that holds the password, read again for each request")
	f.StringVar(&r.Access.TokenFile, "registry-token-file", "", "`file` that holds a bearer token, read again for each request")
	f.StringVar(&r.Access.CAFile, "registry-ca-file", "", "PEM `file` of who may have signed the registry's certificate; default is the system's")
	f.StringVar(&r.Access.CertFile, "registry-cert-file", "", "PEM `file` of this client's certificate, where the registry asks for one")
	f.StringVar(&r.Access.KeyFile, "registry-key-file", "", "PEM `file` of its key")
}

// Config returns the registry client's configuration.
func (r *Registry) Config() codec.RegistryConfig {
	return codec.RegistryConfig{URLs: r.URLs, Access: r.Access}
}

// Admin says where health, metrics and profiles are served.
type Admin struct {
	Addr string // host:port, port 0 for any free one, empty for none; default 127.0.0.1:0
}

// Register declares --admin. An Addr that is already set is the default.
func (a *Admin) Register(f *Flags) {
	if a.Addr == "" {
		a.Addr = "127.0.0.1:0"
	}
	a.register(f)
}

// RegisterOff declares --admin for a command that may run beside one that serves:
// nothing is served unless an address is given.
func (a *Admin) RegisterOff(f *Flags) {
	a.Addr = ""
	a.register(f)
}

func (a *Admin) register(f *Flags) {
	f.StringVar(&a.Addr, "admin", a.Addr, "`address` of health, metrics and profiles; port 0 takes a free one, empty is off")
}

// Shutdown says how long a stop may take.
type Shutdown struct {
	Grace time.Duration // from the first signal to the abort; default 25 s, below Kubernetes' 30 s
}

// Register declares --grace.
func (s *Shutdown) Register(f *Flags) {
	s.Grace = 25 * time.Second
	f.Var((*positiveDuration)(&s.Grace), "grace", "`time` to finish work in flight after a signal before it is aborted")
}

// positiveDuration is a flag.Value that refuses zero and below.
type positiveDuration time.Duration

func (d *positiveDuration) String() string { return time.Duration(*d).String() }

func (d *positiveDuration) Set(s string) error {
	v, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("want a duration such as 25s")
	}
	if v <= 0 {
		return fmt.Errorf("want more than zero")
	}
	*d = positiveDuration(v)
	return nil
}
