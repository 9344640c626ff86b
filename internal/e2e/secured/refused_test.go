package secured_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// Who the brokers and the programs are to each other is settled at the start, or
// the program says in one line why not.
func TestRefusedAtStart(t *testing.T) {
	s := start(t)
	wrong := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(wrong, []byte("wrong"), 0o600); err != nil {
		t.Fatal(err)
	}
	brokers := s.cluster.Brokers()[0]
	ca, key := issue(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, NotAfter: time.Now().Add(time.Hour)}, nil, nil)
	foreign := write(t, "ca.pem", &pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw})
	expired := listen(t, ca, key, time.Now().Add(-time.Hour))
	empty := write(t, "empty.yaml", nil)
	bare := []string{"--brokers", brokers, "--config", empty}
	for _, tt := range []struct {
		name string
		args []string
		want string // pattern of what stands behind "access denied: "
	}{
		{"wrong CA", []string{"--tls-ca-file", foreign},
			`the broker's certificate is signed by an authority that is not trusted \(--tls-ca-file names the trusted ones\)`},
		{"the system's CAs", append(bare, "--tls"),
			`the broker's certificate is signed by an authority that is not trusted \(--tls-ca-file names the trusted ones\)`},
		{"wrong host", []string{"--tls-server-name", "kafka.example.com"},
			`the broker's certificate is not for kafka\.example\.com but for localhost, 127\.0\.0\.1, ::1 \(--tls-server-name says which name to expect\)`},
		{"expired certificate", []string{"--brokers", expired, "--tls-ca-file", foreign},
			`the broker's certificate expired at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d`},
		{"wrong password", []string{"--sasl-password-file", wrong},
			`the broker refuses the login: wrong user or password \(SASL_AUTHENTICATION_FAILED\)`},
		{"unknown user", []string{"--sasl-user", "nobody"},
			`the broker refuses the login: wrong user or password \(SASL_AUTHENTICATION_FAILED\)`},
		{"mechanism that is not offered", []string{"--sasl-mechanism", "PLAIN"},
			`the broker does not offer this SASL mechanism \(UNSUPPORTED_SASL_MECHANISM\)`},
		{"no login", append(bare, "--tls-ca-file", s.cluster.File("ca.pem")),
			`the broker hangs up at once: it may want TLS or SASL on this port, or none`},
		{"no TLS", bare,
			`the broker speaks TLS on this port \(--tls, or --tls-ca-file with who has signed its certificate\)`},
		{"TLS where there is none", []string{"--brokers", plain(t)},
			`the broker does not speak TLS on this port`},
	} {
		for _, program := range []string{"producer", "inventory"} {
			t.Run(tt.name+"/"+program, func(t *testing.T) {
				s := s.in(t)
				line := s.refused(program, tt.args...)
				if want := `^` + program + `.*: access denied: ` + tt.want + `$`; !regexp.MustCompile(want).MatchString(line) {
					t.Errorf("got  %s\nwant %s", line, want)
				}
				t.Log(line)
			})
		}
	}
	// A password that anybody on the way could read is not sent.
	for _, tt := range []struct {
		name string
		ask  func(*secured, string, ...string) string
		args []string
		want string
	}{
		{"without TLS", (*secured).misused, []string{"--brokers", brokers}, ".*kafka configuration: SASL without TLS would show the password, or let it be guessed: configure TLS; to brokers on loopback --insecure-sasl allows it"},
		{"insecure, elsewhere", (*secured).refused, []string{"--insecure-sasl", "--brokers", elsewhere(t)}, ".*access denied: .*is not on loopback.*"},
	} {
		for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
			t.Run(tt.name+"/"+mechanism, func(t *testing.T) {
				s := s.in(t)
				args := append([]string{"--config", empty, "--sasl-mechanism", mechanism, "--sasl-user", "inventory", "--sasl-password-file", wrong}, tt.args...)
				line := tt.ask(s, "inventory", args...)
				if !regexp.MustCompile("^inventory: " + tt.want + "$").MatchString(line) {
					t.Errorf("got  %s\nwant %s", line, tt.want)
				}
				t.Log(line)
			})
		}
	}
}

// issue makes a certificate that signer has signed, or one that signs others.
func issue(t *testing.T, template, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if parent == nil {
		parent, signer = template, key
	}
	template.SerialNumber, template.NotBefore = big.NewInt(time.Now().UnixNano()), time.Now().Add(-48*time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// listen answers as a broker does whose certificate was valid until then.
func listen(t *testing.T, ca *x509.Certificate, signer *ecdsa.PrivateKey, until time.Time) string {
	t.Helper()
	cert, key := issue(t, &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: until}, ca, signer)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}})
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, l, func(c net.Conn) { _ = c.(*tls.Conn).Handshake() })
}

// plain answers what no TLS server does.
func plain(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, l, func(c net.Conn) { _, _ = c.Write([]byte("220 mail.example.com\r\n")) })
}

func serve(t *testing.T, l net.Listener, answer func(net.Conn)) string {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			answer(c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

// write writes a file of the test's.
func write(t *testing.T, name string, block *pem.Block) string {
	t.Helper()
	var content []byte
	if block != nil {
		content = pem.EncodeToMemory(block)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// elsewhere is an address of this machine that is not loopback.
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
		if err == nil {
			return serve(t, l, func(net.Conn) {})
		}
	}
	t.Log("this machine has no address but loopback: what is not loopback is not tried")
	return "192.0.2.1:9092"
}
