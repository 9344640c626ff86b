package codec

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// RegistryAccess says how a client shows who it is. The password and the token
// are read for each request, the others for each connection, so that they may be
// replaced. Secrets over http:// are refused, except to loopback; so is a CA or a
// certificate, which would go unused.
type RegistryAccess struct {
	User         string // of basic authentication
	PasswordFile string // its password
	TokenFile    string // a bearer token, instead of user and password
	CAFile       string // PEM; who may have signed the registry's certificate; default the system's
	CertFile     string // PEM; this client's certificate, where the registry asks for one
	KeyFile      string // PEM; its key
}

func (a *RegistryAccess) validate(urls []string) error {
	switch {
	case a.TokenFile != "" && (a.User != "" || a.PasswordFile != ""):
		return errors.New("registry access: want a token, or a user and a password, not both")
	case (a.User == "") != (a.PasswordFile == ""):
		return errors.New("registry access: want a user and a password file, or neither")
	case (a.CertFile == "") != (a.KeyFile == ""):
		return errors.New("registry access: want a certificate file and a key file, or neither")
	}
	if _, err := a.authorization(); err != nil {
		return err
	}
	if _, err := a.tls(); err != nil {
		return err
	}
	for _, u := range urls {
		switch {
		case !strings.HasPrefix(u, "http://"):
		case a.CAFile != "" || a.CertFile != "":
			// Whoever gives them believes that the registry has to prove itself.
			return fmt.Errorf("registry URL %q: the registry CA file or certificate would not be used: want https://", u)
		case a.secret() && !isLoopback(u):
			return fmt.Errorf("registry URL %q: a password or a token would be sent in clear: want https://", u)
		}
	}
	return nil
}

func (a *RegistryAccess) secret() bool { return a.User != "" || a.TokenFile != "" }

// isLoopback reports whether a checked http:// URL is of this machine.
func isLoopback(u string) bool {
	host := strings.TrimPrefix(u, "http://")
	host, _, _ = strings.Cut(host, "/")
	for _, local := range []string{"127.0.0.1", "localhost", "[::1]"} {
		if host == local || strings.HasPrefix(host, local+":") {
			return true
		}
	}
	return false
}

// authorization returns the header's value, "" for none.
func (a *RegistryAccess) authorization() (string, error) {
	switch {
	case a.TokenFile != "":
		token, err := readSecret("registry token file", a.TokenFile)
		return "Bearer " + token, err
	case a.User != "":
		password, err := readSecret("registry password file", a.PasswordFile)
		r := http.Request{Header: http.Header{}}
		r.SetBasicAuth(a.User, password)
		return r.Header.Get("Authorization"), err
	}
	return "", nil
}

func readSecret(what, path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	secret := strings.TrimRight(string(b), "\r\n")
	if secret == "" || strings.ContainsAny(secret, "\r\n\x00") {
		return "", fmt.Errorf("%s %s: want one line", what, path)
	}
	return secret, nil
}

func (a *RegistryAccess) tls() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if a.CAFile != "" {
		pem, err := os.ReadFile(a.CAFile)
		if err != nil {
			return nil, fmt.Errorf("registry CA file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("registry CA file %s: holds no certificate in PEM", a.CAFile)
		}
	}
	if a.CertFile != "" {
		load := func() (*tls.Certificate, error) {
			cert, err := tls.LoadX509KeyPair(a.CertFile, a.KeyFile)
			if err != nil {
				return nil, fmt.Errorf("registry certificate file %s: %w", a.CertFile, err)
			}
			return &cert, nil
		}
		if _, err := load(); err != nil {
			return nil, err
		}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	}
	return c, nil
}

// dialTimeout bounds a connection attempt, its handshake included.
const dialTimeout = 10 * time.Second

// dialTLS connects with what the files hold now. net/http would keep the CA that
// it was given at first, as it does through a proxy, which it dials itself.
func (a *RegistryAccess) dialTLS(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := a.tls()
	if err != nil {
		return nil, err
	}
	if c.ServerName, _, err = net.SplitHostPort(addr); err != nil {
		return nil, err
	}
	// A connection outlives the request that wanted it first, so ctx does not end.
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}, Config: c}
	return d.DialContext(ctx, network, addr)
}

// authorizedTransport adds who asks. Redirects are not followed, so that no other
// host is told.
type authorizedTransport struct {
	next   *boundedTransport
	access RegistryAccess
}

// RoundTrip implements http.RoundTripper.
func (t *authorizedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	authorization, err := t.access.authorization()
	if err != nil {
		return nil, err
	}
	if authorization != "" {
		req = req.Clone(req.Context())
		req.Header.Set("Authorization", authorization)
	}
	return t.next.RoundTrip(req)
}

// CloseIdleConnections is what http.Client.CloseIdleConnections looks for.
func (t *authorizedTransport) CloseIdleConnections() { t.next.CloseIdleConnections() }
