package firehose

import (
	"cmp"
	"log/slog"

	"firehose/internal/codec"
	"firehose/internal/kafka"
)

// KafkaAccess says how a client shows the brokers who it is, and how it talks to
// them. The zero value of a field means its default.
type KafkaAccess struct {
	ClientID string // what brokers log and quotas are set for; default the group, or "firehose-publisher"
	Rack     string // where this instance is, so that it reads from the closest replica; default unknown
	TLS      TLS    // default: no TLS
	SASL     SASL   // default: no login

	// GroupProtocol of a service: "classic", the default, whose members agree on
	// who has which partitions, or "consumer", where the broker says so (KIP-848;
	// Kafka 4.0 and later). All instances of a service have the same.
	GroupProtocol string
	// Compression of what is published: "none", "gzip", "snappy", the
	// default, "lz4" or "zstd".
	Compression string
}

// TLS says how connections to the brokers are encrypted. Any of the other fields
// turns it on. The files are PEM and are read for each connection, so that they
// may be replaced. There is no way around verifying the brokers' certificates.
type TLS struct {
	Enabled    bool
	CAFile     string // who may have signed the brokers' certificates; default the system's
	CertFile   string // this client's certificate, where brokers ask for one
	KeyFile    string // its key
	ServerName string // that the brokers' certificates are for; default the host that is dialled
}

// SASL says how to log in. The password file is read for each connection, so that
// the password may change. Without TLS it is refused, unless Insecure allows it
// to brokers on loopback.
type SASL struct {
	Mechanism    string // "PLAIN", "SCRAM-SHA-256" or "SCRAM-SHA-512", the default where there is a user
	User         string
	PasswordFile string
	Insecure     bool
}

// RegistryAccess says how a client shows the schema registry who it is: by user
// and password, or by a token, both from files that are read for each request; by
// a certificate. Secrets over http:// are refused, except to loopback; so is a CA
// or a certificate, which would go unused.
type RegistryAccess struct {
	User         string
	PasswordFile string
	TokenFile    string // of a bearer token, instead of user and password
	CAFile       string // PEM; who may have signed the registry's certificate; default the system's
	CertFile     string // PEM; this client's certificate, where the registry asks for one
	KeyFile      string // PEM; its key
}

func (a *KafkaAccess) config(brokers []string, name string, log *slog.Logger) kafka.Config {
	return kafka.Config{
		Brokers: brokers, ClientID: cmp.Or(a.ClientID, name), Rack: a.Rack, TLS: kafka.TLS(a.TLS), SASL: kafka.SASL(a.SASL),
		GroupProtocol: a.GroupProtocol, Compression: a.Compression, Log: log,
	}
}

func (a RegistryAccess) open(urls []string) (*codec.Registry, error) {
	return codec.NewRegistry(codec.RegistryConfig{URLs: urls, Access: codec.RegistryAccess(a)})
}
