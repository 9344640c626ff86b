package service

import (
	"fmt"
	"time"
)

// Where firehose dev listens, and so where everything looks by default.
const (
	DefaultBrokers  = "127.0.0.1:9092"
	DefaultRegistry = "http://127.0.0.1:8081"
)

// Kafka says where the brokers and the schema registry are.
type Kafka struct {
	Brokers  []string // host:port; default DefaultBrokers
	Registry []string // base URLs; default DefaultRegistry
}

// Register declares --brokers (-b) and --registry.
func (k *Kafka) Register(f *Flags) {
	f.List(&k.Brokers, "brokers", []string{DefaultBrokers}, "`addresses` of Kafka brokers, comma-separated")
	f.Short("b", "brokers")
	f.List(&k.Registry, "registry", []string{DefaultRegistry}, "`URLs` of the schema registry, comma-separated")
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
