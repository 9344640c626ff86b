package kafka_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firehose/internal/kafka"
)

// authority signs certificates for a test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // PEM
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	a.cert, a.key = a.issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotAfter: time.Now().Add(time.Hour),
	})
	a.file = a.write("ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}))
	return a
}

func (a *authority) issue(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore = time.Now().Add(-24 * time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// server is the configuration of a broker with a certificate for a name.
func (a *authority) server(name string, until time.Time) *tls.Config {
	a.t.Helper()
	template := &x509.Certificate{Subject: pkix.Name{CommonName: name}, NotAfter: until, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
	}
	cert, key := a.issue(template)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}}
}

// client writes a client's certificate and key.
func (a *authority) client(user string) (certFile, keyFile string) {
	a.t.Helper()
	cert, key := a.issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: user}, NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.write(user+".pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})),
		a.write(user+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func (a *authority) write(name string, content []byte) string {
	a.t.Helper()
	path := filepath.Join(a.t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

func startFake(t *testing.T, opts ...kfake.Opt) string {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	// kfake hangs up where Kafka answers.
	c.ControlKey(int16(kmsg.SASLAuthenticate), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if !strings.HasSuffix(t.Name(), "/wrong_password") && !strings.HasSuffix(t.Name(), "/unknown_user") {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
		return resp, nil, true
	})
	return c.ListenAddrs()[0]
}

func secret(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Each refusal is one line that names its cause, and comes at once, but for those
// that may be a broker that is just starting.
func TestRefusals(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	soon := time.Now().Add(time.Hour)
	good := ca.server("127.0.0.1", soon)
	mutual := good.Clone()
	mutual.ClientAuth = tls.RequireAndVerifyClientCert
	mutual.ClientCAs = x509.NewCertPool()
	mutual.ClientCAs.AddCert(ca.cert)
	login := []kfake.Opt{kfake.TLS(good), kfake.EnableSASL(), kfake.Superuser(kafka.ScramSHA512, "shop", "right")}
	trusted := kafka.TLS{CAFile: ca.file}
	for name, c := range map[string]struct {
		broker []kfake.Opt
		cfg    kafka.Config
		want   string // "" where it works
	}{
		"trusted":     {[]kfake.Opt{kfake.TLS(good)}, kafka.Config{TLS: trusted}, ""},
		"wrong CA":    {[]kfake.Opt{kfake.TLS(good)}, kafka.Config{TLS: kafka.TLS{CAFile: other.file}}, "signed by an authority that is not trusted"},
		"system's CA": {[]kfake.Opt{kfake.TLS(good)}, kafka.Config{TLS: kafka.TLS{Enabled: true}}, "signed by an authority that is not trusted"},
		"wrong host": {[]kfake.Opt{kfake.TLS(ca.server("broker.example", soon))}, kafka.Config{TLS: trusted},
			"the broker's certificate is not for 127.0.0.1 but for broker.example"},
		"server name": {[]kfake.Opt{kfake.TLS(ca.server("broker.example", soon))},
			kafka.Config{TLS: kafka.TLS{CAFile: ca.file, ServerName: "broker.example"}}, ""},
		"expired":               {[]kfake.Opt{kfake.TLS(ca.server("127.0.0.1", time.Now().Add(-time.Hour)))}, kafka.Config{TLS: trusted}, "the broker's certificate expired at "},
		"no client certificate": {[]kfake.Opt{kfake.TLS(mutual)}, kafka.Config{TLS: trusted}, "the broker ends the TLS handshake: certificate required"},
		"right password": {login, kafka.Config{TLS: trusted,
			SASL: kafka.SASL{User: "shop", PasswordFile: secret(t, "right")}}, ""},
		"wrong password": {login, kafka.Config{TLS: trusted,
			SASL: kafka.SASL{User: "shop", PasswordFile: secret(t, "wrong")}}, "wrong user or password"},
		"unknown user": {login, kafka.Config{TLS: trusted,
			SASL: kafka.SASL{User: "nobody", PasswordFile: secret(t, "right")}}, "wrong user or password"},
		"no login": {login, kafka.Config{TLS: trusted}, "another way to log in|hangs up at once"},
		"insecure on loopback": {[]kfake.Opt{kfake.EnableSASL(), kfake.Superuser(kafka.ScramSHA256, "shop", "right")},
			kafka.Config{SASL: kafka.SASL{Mechanism: kafka.ScramSHA256, User: "shop", PasswordFile: secret(t, "right"), Insecure: true}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c.cfg.Brokers = []string{startFake(t, c.broker...)}
			client, err := kafka.NewClient(c.cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			patience := 10 * time.Second
			if strings.Contains(c.want, "hangs up") {
				patience = 300 * time.Millisecond // for it is waited whether that changes
			}
			err = kafka.CheckProducer(t.Context(), client, nil, patience)
			if c.want == "" {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				if err := client.Ping(t.Context()); err != nil {
					t.Fatal(err)
				}
				return
			}
			if !errors.Is(err, kafka.ErrDenied) || !containsAny(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with %q", err, c.want)
			}
			if strings.Contains(err.Error(), "right") || strings.Contains(err.Error(), "wrong\n") {
				t.Errorf("the error %q shows a password", err)
			}
		})
	}
	t.Run("TLS where none is", func(t *testing.T) {
		client, err := kafka.NewClient(kafka.Config{Brokers: []string{hangsUp(t)}, TLS: trusted})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if err := kafka.CheckProducer(t.Context(), client, nil, 300*time.Millisecond); err == nil || !strings.Contains(err.Error(), "may not speak TLS on this port") {
			t.Errorf("got %v, want a hint", err)
		}
	})
	t.Run("client certificate", func(t *testing.T) {
		certFile, keyFile := ca.client("shop")
		client, err := kafka.NewClient(kafka.Config{Brokers: []string{startFake(t, kfake.TLS(mutual))},
			TLS: kafka.TLS{CAFile: ca.file, CertFile: certFile, KeyFile: keyFile}})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if err := client.Ping(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// hangsUp is an address where a TLS handshake is what Kafka takes for a request
// of an impossible size: it closes the connection.
func hangsUp(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 4))
			conn.Close()
		}
	}()
	return l.Addr().String()
}

func containsAny(text, alternatives string) bool {
	for a := range strings.SplitSeq(alternatives, "|") {
		if strings.Contains(text, a) {
			return true
		}
	}
	return false
}

// What is wrong before any connection is made names the setting.
func TestRefusedSettings(t *testing.T) {
	ca, password := newAuthority(t), secret(t, "right")
	empty := secret(t, "")
	for want, cfg := range map[string]kafka.Config{
		"TLS CA file":              {TLS: kafka.TLS{CAFile: "/no/such/file"}},
		"holds no certificate":     {TLS: kafka.TLS{CAFile: password}},
		"want both files":          {TLS: kafka.TLS{CertFile: ca.file}},
		"SASL user":                {TLS: kafka.TLS{Enabled: true}, SASL: kafka.SASL{PasswordFile: password}},
		"SASL password file: want": {TLS: kafka.TLS{Enabled: true}, SASL: kafka.SASL{User: "shop"}},
		"SASL password file: open": {TLS: kafka.TLS{Enabled: true}, SASL: kafka.SASL{User: "shop", PasswordFile: "/no/such/file"}},
		"is empty":                 {TLS: kafka.TLS{Enabled: true}, SASL: kafka.SASL{User: "shop", PasswordFile: empty}},
		`SASL mechanism "GSSAPI"`:  {TLS: kafka.TLS{Enabled: true}, SASL: kafka.SASL{Mechanism: "GSSAPI", User: "shop", PasswordFile: password}},
		"SASL without TLS":         {SASL: kafka.SASL{User: "shop", PasswordFile: password}},
		`compression "brotli"`:     {Compression: "brotli"},
		`group protocol "streams"`: {GroupProtocol: "streams"},
	} {
		if _, err := kafka.NewClient(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}

// --insecure-sasl is for loopback: a broker elsewhere is not told who we are.
func TestInsecureLoginElsewhere(t *testing.T) {
	addr := elsewhere(t)
	client, err := kafka.NewClient(kafka.Config{Brokers: []string{addr},
		SASL: kafka.SASL{Mechanism: kafka.Plain, User: "shop", PasswordFile: secret(t, "right"), Insecure: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := kafka.CheckProducer(t.Context(), client, nil, 5*time.Second); err == nil || !strings.Contains(err.Error(), "is not on loopback") {
		t.Errorf("got %v, want a refusal", err)
	}
}

// elsewhere listens on an address of this machine that is not loopback.
func elsewhere(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		n, ok := a.(*net.IPNet)
		if !ok || n.IP.IsLoopback() || n.IP.To4() == nil {
			continue
		}
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(n.IP.String(), "0"))
		if err != nil {
			continue
		}
		t.Cleanup(func() { l.Close() })
		return l.Addr().String()
	}
	t.Skip("this machine has no address but loopback")
	return ""
}

// A password that changes at the broker and then in the file is picked up by new
// connections.
func TestPasswordChanges(t *testing.T) {
	ca := newAuthority(t)
	addr := startFake(t, kfake.TLS(ca.server("127.0.0.1", time.Now().Add(time.Hour))), kfake.EnableSASL(),
		kfake.Superuser(kafka.ScramSHA512, "admin", "root"), kfake.User(kafka.ScramSHA512, "shop", "old"))
	connect := func(user, file string) *kgo.Client {
		c, err := kafka.NewClient(kafka.Config{Brokers: []string{addr}, TLS: kafka.TLS{CAFile: ca.file},
			SASL: kafka.SASL{User: user, PasswordFile: file}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	admin := connect("admin", secret(t, "root"))
	file := secret(t, "old")
	client := connect("shop", file)
	if err := client.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	changed, err := kadm.NewClient(admin).AlterUserSCRAMs(t.Context(), nil, []kadm.UpsertSCRAM{{
		User: "shop", Mechanism: kadm.ScramSha512, Iterations: 4096, Password: "new",
	}})
	if err != nil || changed.Error() != nil {
		t.Fatal(err, changed.Error())
	}
	if err := os.WriteFile(file, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	again := connect("shop", file) // a connection of its own
	if err := again.Ping(t.Context()); err != nil {
		t.Errorf("after the password has changed: %v", err)
	}
}

// Missing permissions are all named.
func TestMissingPermissions(t *testing.T) {
	acl := func(resource kmsg.ACLResourceType, name string, op kmsg.ACLOperation) kfake.ACL {
		return kfake.ACL{Resource: resource, Name: name, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: op, Allow: true}
	}
	addr := startFake(t, kfake.SeedTopics(1, "shop.orders", "shop.orders.billing-dlt", "shop.secret"),
		kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser(kafka.ScramSHA512, "admin", "root"),
		kfake.User(kafka.ScramSHA512, "billing", "pw",
			acl(kmsg.ACLResourceTypeTopic, "shop.orders", kmsg.ACLOperationRead),
			acl(kmsg.ACLResourceTypeTopic, "shop.orders.billing-dlt", kmsg.ACLOperationDescribe),
			acl(kmsg.ACLResourceTypeGroup, "billing", kmsg.ACLOperationRead)))
	client, err := kafka.NewClient(kafka.Config{Brokers: []string{addr},
		SASL: kafka.SASL{User: "billing", PasswordFile: secret(t, "pw"), Insecure: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	check := func(wanted ...kafka.Permission) error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		return kafka.CheckPermissions(ctx, client, wanted)
	}
	orders := kafka.Permission{Resource: "topic", Name: "shop.orders", Operation: "READ"}
	group := kafka.Permission{Resource: "group", Name: "billing", Operation: "READ"}
	if err := check(orders, group); err != nil {
		t.Errorf("what is allowed: %v", err)
	}
	err = check(orders, group,
		kafka.Permission{Resource: "topic", Name: "shop.orders.billing-dlt", Operation: "WRITE"},
		kafka.Permission{Resource: "topic", Name: "shop.secret", Operation: "READ"},
		kafka.Permission{Resource: "group", Name: "inventory", Operation: "READ"})
	if !errors.Is(err, kafka.ErrDenied) {
		t.Fatalf("got %v, want ErrDenied", err)
	}
	for _, want := range []string{"WRITE on topic shop.orders.billing-dlt", "READ on topic shop.secret", "READ on group inventory"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not name %s", err, want)
		}
	}
	if strings.Contains(err.Error(), "topic shop.orders,") || strings.Contains(err.Error(), "group billing") {
		t.Errorf("error %q names what is allowed", err)
	}
}
