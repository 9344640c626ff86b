package codec_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"firehose/internal/codec"
	"firehose/schemas"
)

const anotherFact = `{"type":"record","name":"T","firehose":{"topic":"x.things","kind":"fact","key":"id","types":["x.thing.seen"]%s},"fields":[{"name":"id","type":"string"}]}`

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// guarded is a registry over TLS that wants to know who asks.
func guarded(t *testing.T) (srv *httptest.Server, ca string, want *atomic.Value) {
	t.Helper()
	want = new(atomic.Value)
	srv = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") != want.Load() {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
		fmt.Fprint(w, `["a-value"]`)
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that clients refuse
	srv.StartTLS()
	t.Cleanup(srv.Close)
	ca = file(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})))
	return srv, ca, want
}

// clientCertificate makes a certificate and its key.
func clientCertificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return file(t, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed}))),
		file(t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
}

// A password and a token that change in their files are used from then on.
func TestSecretsAreReadAgain(t *testing.T) {
	srv, ca, want := guarded(t)
	secret := file(t, "secret", "first\n")
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	for name, tt := range map[string]struct {
		access codec.RegistryAccess
		header func(secret string) string
	}{
		"password": {codec.RegistryAccess{User: "orders", PasswordFile: secret}, func(s string) string {
			request.SetBasicAuth("orders", s)
			return request.Header.Get("Authorization")
		}},
		"token": {codec.RegistryAccess{TokenFile: secret}, func(s string) string { return "Bearer " + s }},
	} {
		t.Run(name, func(t *testing.T) {
			write := func(text string) {
				if err := os.WriteFile(secret, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			write("first\n")
			tt.access.CAFile = ca
			r := newRegistry(t, codec.RegistryConfig{URLs: []string{srv.URL}, Access: tt.access})
			want.Store(tt.header("first"))
			if _, err := r.Subjects(t.Context()); err != nil {
				t.Fatal(err)
			}
			want.Store(tt.header("second"))
			_, err := r.Subjects(t.Context())
			if !errors.Is(err, codec.ErrUnavailable) || !strings.Contains(err.Error(), "answers 401, wrong user, password or token") {
				t.Errorf("with the old one: %v, want an ErrUnavailable that says why", err)
			}
			write("second")
			if _, err := r.Subjects(t.Context()); err != nil {
				t.Errorf("with the new one: %v", err)
			}
		})
	}
}

// Whoever is not the registry, or cannot prove it, is told of by name.
func TestRegistryThatCannotProveItself(t *testing.T) {
	srv, ca, want := guarded(t)
	want.Store("")
	onLocalhost := strings.Replace(srv.URL, "127.0.0.1", "localhost", 1)
	for _, tt := range []struct{ name, url, ca, want string }{
		{"system's authorities", srv.URL, "", "certificate signed by unknown authority"},
		{"another name", onLocalhost, ca, "not localhost"},
		{"without TLS", strings.Replace(srv.URL, "https", "http", 1), "", "answers 400"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRegistry(t, codec.RegistryConfig{URLs: []string{tt.url}, Access: codec.RegistryAccess{CAFile: tt.ca}})
			_, err := r.Subjects(t.Context())
			if !errors.Is(err, codec.ErrUnavailable) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an ErrUnavailable with %q", err, tt.want)
			}
		})
	}
	r := newRegistry(t, codec.RegistryConfig{URLs: []string{srv.URL}, Access: codec.RegistryAccess{CAFile: ca}})
	if _, err := r.Subjects(t.Context()); err != nil {
		t.Errorf("with its CA: %v", err)
	}
}

// A CA file that changes counts from the next connection on, both ways.
func TestCAFileIsReadAgain(t *testing.T) {
	srv, ca, want := guarded(t)
	want.Store("")
	right, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	other, _ := clientCertificate(t)
	wrong, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	r := newRegistry(t, codec.RegistryConfig{URLs: []string{srv.URL}, Access: codec.RegistryAccess{CAFile: ca}})
	for _, tt := range []struct {
		name, pem, want string
	}{
		{"another", string(wrong), "certificate signed by unknown authority"},
		{"the registry's", string(right), ""},
		{"both", string(wrong) + string(right), ""},
		{"no longer the registry's", string(wrong), "certificate signed by unknown authority"},
		{"none", "", "holds no certificate in PEM"},
	} {
		if err := os.WriteFile(ca, []byte(tt.pem), 0o600); err != nil {
			t.Fatal(err)
		}
		srv.CloseClientConnections()
		switch _, err := r.Subjects(t.Context()); {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.want != "" && (!errors.Is(err, codec.ErrUnavailable) || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: got %v, want an ErrUnavailable with %q", tt.name, err, tt.want)
		}
	}
}

func TestRegistryAccessIsChecked(t *testing.T) {
	secret, empty := file(t, "secret", "s3cret"), file(t, "empty", "\n")
	two, none := file(t, "two", "one\ntwo"), filepath.Join(t.TempDir(), "none")
	_, ca, _ := guarded(t)
	cert, key := clientCertificate(t)
	for _, tt := range []struct {
		name, url, want string
		access          codec.RegistryAccess
	}{
		{"token and user", "https://r", "not both", codec.RegistryAccess{TokenFile: secret, User: "u", PasswordFile: secret}},
		{"user alone", "https://r", "a password file", codec.RegistryAccess{User: "u"}},
		{"password alone", "https://r", "want a user", codec.RegistryAccess{PasswordFile: secret}},
		{"certificate alone", "https://r", "a key file", codec.RegistryAccess{CertFile: secret}},
		{"no such password", "https://r", "registry password file", codec.RegistryAccess{User: "u", PasswordFile: none}},
		{"empty password", "https://r", "want one line", codec.RegistryAccess{User: "u", PasswordFile: empty}},
		{"token of two lines", "https://r", "want one line", codec.RegistryAccess{TokenFile: two}},
		{"CA of something else", "https://r", "holds no certificate in PEM", codec.RegistryAccess{CAFile: secret}},
		{"certificate of something else", "https://r", "registry certificate file", codec.RegistryAccess{CertFile: secret, KeyFile: secret}},
		{"CA and no TLS", "http://registry.example:8081", "want https://", codec.RegistryAccess{CAFile: ca}},
		{"CA and no TLS on loopback", "http://127.0.0.1:8081", "registry CA file or certificate", codec.RegistryAccess{CAFile: ca}},
		{"CA and no scheme", "registry.example:8081", "want https://", codec.RegistryAccess{CAFile: ca}},
		{"certificate and no TLS", "http://registry.example:8081", "want https://", codec.RegistryAccess{CertFile: cert, KeyFile: key}},
		{"in clear", "http://registry.example:8081", "would be sent in clear", codec.RegistryAccess{TokenFile: secret}},
		{"in clear, no scheme", "registry.example:8081", "would be sent in clear", codec.RegistryAccess{User: "u", PasswordFile: secret}},
		{"in clear, a name that begins alike", "http://localhost.example", "would be sent in clear", codec.RegistryAccess{TokenFile: secret}},
	} {
		_, err := codec.NewRegistry(codec.RegistryConfig{URLs: []string{tt.url}, Access: tt.access})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: the error shows the secret: %v", tt.name, err)
		}
	}
	for _, loopback := range []string{"http://127.0.0.1:1", "localhost:1", "http://[::1]:1/apis/ccompat/v7"} {
		newRegistry(t, codec.RegistryConfig{URLs: []string{loopback}, Access: codec.RegistryAccess{TokenFile: secret}})
	}
}

// What is asked of one registry is not told to another that it points to.
func TestRedirectIsNotFollowed(t *testing.T) {
	other, asked := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `[]`) })
	url, _ := serve(t, func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, other, http.StatusTemporaryRedirect)
	})
	r := newRegistry(t, codec.RegistryConfig{URLs: []string{url}, Access: codec.RegistryAccess{TokenFile: file(t, "token", "t")}})
	if _, err := r.Subjects(t.Context()); !errors.Is(err, codec.ErrUnavailable) {
		t.Errorf("got %v, want an ErrUnavailable", err)
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the other was asked %d times", n)
	}
}

// A registry that holds two schemas to be one gives the second the first's ID.
// What is written under it would be read without the second's contract.
func TestIDOfAnotherSchema(t *testing.T) {
	held := fmt.Sprintf(anotherFact, ``)
	url, _ := serve(t, func(w http.ResponseWriter, req *http.Request) {
		switch {
		case req.Method == http.MethodPost && strings.HasSuffix(req.URL.Path, "/versions"):
			fmt.Fprint(w, `{"id":7}`)
		case strings.HasSuffix(req.URL.Path, "/schemas/ids/7"):
			fmt.Fprintf(w, `{"schema":%q}`, held)
		case strings.Contains(req.URL.Path, "/config/"):
			fmt.Fprint(w, `{"compatibilityLevel":"FULL_TRANSITIVE","compatibility":"FULL_TRANSITIVE"}`)
		default:
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"error_code":40401,"message":"Subject not found."}`)
		}
	})
	r := newRegistry(t, codec.RegistryConfig{URLs: []string{url}})
	for more, refused := range map[string]bool{``: false, `,"dedup":"1h"`: true} {
		s, err := schemas.Parse(fmt.Sprintf(anotherFact, more), 1)
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Register(t.Context(), &schemas.Topic{Contract: s.Contract, Versions: []*schemas.Schema{s}})
		if errors.Is(err, codec.ErrIncompatible) != refused || refused && !strings.Contains(err.Error(), "ID 7, which it has given to another schema") {
			t.Errorf("%q: got %v, refused is to be %v", more, err, refused)
		}
	}
}
