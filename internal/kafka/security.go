package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// TLS says how connections are encrypted. Any of the other fields turns it on.
// The files are read for each connection, so that they may be replaced. There is
// no way around verifying the brokers' certificates.
type TLS struct {
	Enabled    bool
	CAFile     string // PEM; who may have signed the brokers' certificates; default the system's
	CertFile   string // PEM; this client's certificate, where brokers ask for one
	KeyFile    string // PEM; its key
	ServerName string // that the brokers' certificates are for; default the host that is dialled
}

func (t *TLS) enabled() bool {
	return t.Enabled || t.CAFile != "" || t.CertFile != "" || t.KeyFile != "" || t.ServerName != ""
}

// config reads the files.
func (t *TLS) config() (*tls.Config, error) {
	c := &tls.Config{ServerName: t.ServerName, MinVersion: tls.VersionTLS12}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("TLS CA file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("TLS CA file %s: holds no certificate in PEM", t.CAFile)
		}
	}
	if t.CertFile != "" || t.KeyFile != "" {
		if t.CertFile == "" || t.KeyFile == "" {
			return nil, errors.New("TLS certificate and key: want both files, or neither")
		}
		cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("TLS certificate %s: %w", t.CertFile, err)
		}
		c.Certificates = []tls.Certificate{cert}
	}
	return c, nil
}

// The SASL mechanisms.
const (
	Plain       = "PLAIN"
	ScramSHA256 = "SCRAM-SHA-256"
	ScramSHA512 = "SCRAM-SHA-512"
)

// SASL says how the client logs in. The password file is read for each
// connection and each time that the broker asks again, so that the password may
// change while the client runs.
type SASL struct {
	Mechanism    string // PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; default SCRAM-SHA-512 where there is a user
	User         string
	PasswordFile string // a line break at its end is no part of the password

	// Insecure allows to log in without TLS, to brokers on loopback only.
	Insecure bool
}

func (s *SASL) enabled() bool { return s.Mechanism != "" || s.User != "" || s.PasswordFile != "" }

func (s *SASL) password() (string, error) {
	b, err := os.ReadFile(s.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("SASL password file: %w", err)
	}
	password := strings.TrimRight(string(b), "\r\n")
	if password == "" {
		return "", fmt.Errorf("SASL password file %s: is empty", s.PasswordFile)
	}
	return password, nil
}

// mechanism returns what franz-go logs in with.
func (s *SASL) mechanism() (sasl.Mechanism, error) {
	scramAuth := func(context.Context) (scram.Auth, error) {
		password, err := s.password()
		return scram.Auth{User: s.User, Pass: password}, err
	}
	switch s.Mechanism {
	case "", ScramSHA512:
		return scram.Sha512(scramAuth), nil
	case ScramSHA256:
		return scram.Sha256(scramAuth), nil
	case Plain:
		return plain.Plain(func(context.Context) (plain.Auth, error) {
			password, err := s.password()
			return plain.Auth{User: s.User, Pass: password}, err
		}), nil
	}
	return nil, fmt.Errorf("SASL mechanism %q: want %s, %s or %s", s.Mechanism, Plain, ScramSHA256, ScramSHA512)
}

// security returns the client's options for TLS and SASL. What can be seen to be
// wrong before a connection is made is refused here.
func (cfg *Config) security() ([]kgo.Opt, error) {
	var opts []kgo.Opt
	if cfg.TLS.enabled() {
		if _, err := cfg.TLS.config(); err != nil {
			return nil, err
		}
		opts = append(opts, kgo.Dialer(cfg.dialTLS))
	}
	if !cfg.SASL.enabled() {
		return opts, nil
	}
	switch {
	case cfg.SASL.User == "":
		return nil, errors.New("SASL user: want one")
	case cfg.SASL.PasswordFile == "":
		return nil, errors.New("SASL password file: want one; a password is not given otherwise")
	}
	if _, err := cfg.SASL.password(); err != nil {
		return nil, err
	}
	mechanism, err := cfg.SASL.mechanism()
	if err != nil {
		return nil, err
	}
	if !cfg.TLS.enabled() {
		if !cfg.SASL.Insecure {
			return nil, errors.New("SASL without TLS would show the password, or let it be guessed: configure TLS; to brokers on loopback --insecure-sasl allows it")
		}
		// Not only the seeds: the brokers that they name are dialled, too.
		opts = append(opts, kgo.Dialer(cfg.dialLoopback))
	}
	return append(opts, kgo.SASL(mechanism)), nil
}

func (cfg *Config) dialTLS(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := cfg.TLS.config()
	if err != nil {
		return nil, err
	}
	if c.ServerName == "" {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		c.ServerName = host
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.DialTimeout)
	defer cancel()
	conn, err := (&tls.Dialer{NetDialer: netDialer(), Config: c}).DialContext(ctx, network, addr)
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		return nil, &hangUp{"broker " + addr + " hangs up in the TLS handshake: it may not speak TLS on this port"}
	}
	return conn, err
}

func (cfg *Config) dialLoopback(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.DialTimeout)
	defer cancel()
	conn, err := netDialer().DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	if peer, ok := conn.RemoteAddr().(*net.TCPAddr); !ok || !peer.IP.IsLoopback() {
		return nil, errors.Join(fmt.Errorf("%w: broker %s is not on loopback: --insecure-sasl does not log in there without TLS", ErrDenied, addr), conn.Close())
	}
	return conn, nil
}

func netDialer() *net.Dialer { return &net.Dialer{KeepAlive: 15 * time.Second} }
