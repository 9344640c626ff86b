package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ErrDenied is why trying again does not help: the brokers and the client do not
// agree upon who they are, or what the client may do.
var ErrDenied = errors.New("access denied")

// denials are what brokers refuse, with what to look at.
var denials = []struct {
	err  *kerr.Error
	text string
}{
	{kerr.SaslAuthenticationFailed, "the broker refuses the login: wrong user or password"},
	{kerr.UnsupportedSaslMechanism, "the broker does not offer this SASL mechanism"},
	{kerr.IllegalSaslState, "the broker wants another way to log in: look at its SASL settings and the listener's port"},
	{kerr.TopicAuthorizationFailed, "the user may not do this with the topic: an ACL is missing"},
	{kerr.GroupAuthorizationFailed, "the user may not use the consumer group: ACL READ on the group is missing"},
	{kerr.ClusterAuthorizationFailed, "the user may not do this with the cluster: an ACL is missing"},
	{kerr.TransactionalIDAuthorizationFailed, "the user may not use the transactional ID: an ACL is missing"},
}

// Explain puts the cause of an error of the client into words, where it is one of
// those that come from the configuration: it is then an ErrDenied. A connection
// that is ended at once may come from it, too; that is said and no ErrDenied.
// Other errors are returned as they are.
func Explain(err error) error {
	if err == nil || errors.Is(err, ErrDenied) {
		return err
	}
	if text := explainTLS(err); text != "" {
		return fmt.Errorf("%w: %s", ErrDenied, text)
	}
	if h := asHangUp(err); h != nil {
		return h
	}
	var broker *kerr.Error
	if errors.As(err, &broker) {
		for _, d := range denials {
			if d.err == broker {
				return fmt.Errorf("%w: %s (%s)", ErrDenied, d.text, broker.Message)
			}
		}
	}
	// franz-go says these as texts of its own.
	switch text := err.Error(); {
	case strings.Contains(text, "SASL") && strings.Contains(text, "supported mechanisms"):
		return fmt.Errorf("%w: %s", ErrDenied, text)
	case strings.Contains(text, "plaintext connection speaking to a tls endpoint"):
		return fmt.Errorf("%w: the broker speaks TLS on this port (--tls, or --tls-ca-file with who has signed its certificate)", ErrDenied)
	case strings.Contains(text, "beginning of an HTTP response"):
		return fmt.Errorf("%w: what answers on this port speaks HTTP, not Kafka's protocol", ErrDenied)
	}
	return err
}

func explainTLS(err error) string {
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var op *net.OpError
	switch {
	case errors.As(err, &host):
		return fmt.Sprintf("the broker's certificate is not for %s but for %s (--tls-server-name says which name to expect)",
			host.Host, strings.Join(namesOf(host.Certificate), ", "))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		c := invalid.Cert
		if now := time.Now(); now.Before(c.NotBefore) {
			return "the broker's certificate is valid from " + c.NotBefore.UTC().Format(time.DateTime) + " on"
		}
		return "the broker's certificate expired at " + c.NotAfter.UTC().Format(time.DateTime)
	case errors.As(err, &invalid):
		return "the broker's certificate is not valid: " + invalid.Error()
	case errors.As(err, &authority):
		return "the broker's certificate is signed by an authority that is not trusted (--tls-ca-file names the trusted ones)"
	case errors.As(err, &record):
		return "the broker does not speak TLS on this port"
	case errors.As(err, &alert):
		return "the broker ends the TLS handshake: " + strings.TrimPrefix(alert.Error(), "tls: ")
	case errors.As(err, &op) && op.Op == "remote error":
		// What the other side says: bad certificate, certificate required.
		return "the broker ends the TLS handshake: " + strings.TrimPrefix(op.Err.Error(), "tls: ") +
			" (--tls-cert-file and --tls-key-file are this client's certificate)"
	}
	return ""
}

func namesOf(c *x509.Certificate) []string {
	names := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		names = append(names, c.Subject.CommonName)
	}
	return names
}

// CheckProducer asks the brokers whether this client may write to the topics, and
// returns an ErrDenied when they refuse it that, or the client and they refuse
// one another, or they hang up all the time. Brokers that are away are no error:
// they may come back. patience bounds the wait for each answer, and for one that
// does not hang up; a broker that hangs up and falls silent in turns takes up to
// four times as long.
func CheckProducer(ctx context.Context, client *kgo.Client, topics []string, patience time.Duration) error {
	wanted := make([]Permission, 0, len(topics))
	for _, t := range topics {
		wanted = append(wanted, Permission{Resource: "topic", Name: t, Operation: "WRITE"})
	}
	err := patiently(ctx, patience, func() error {
		asking, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		if err := client.Ping(asking); err != nil {
			return err
		}
		return CheckPermissions(asking, client, wanted)
	})
	if errors.Is(err, ErrDenied) {
		return err
	}
	return nil
}

// GroupOptions are the options of a consumer group's protocol.
func GroupOptions(cfg Config) []kgo.Opt {
	if cfg.GroupProtocol == ConsumerGroup {
		return []kgo.Opt{kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer())}
	}
	return []kgo.Opt{kgo.Balancers(kgo.CooperativeStickyBalancer())}
}

// checkProtocol refuses brokers that do not have the group protocol: the client
// would use the other one, which must not be mixed with it.
func checkProtocol(ctx context.Context, client *kgo.Client, protocol string) error {
	if protocol != ConsumerGroup {
		return nil
	}
	brokers, err := kadm.NewClient(client).ApiVersions(ctx)
	if err != nil {
		return err
	}
	for _, b := range brokers {
		if _, ok := b.KeyMaxVersion(kmsg.ConsumerGroupHeartbeat.Int16()); b.Err == nil && !ok {
			return fmt.Errorf("%w: the brokers do not have the group protocol consumer (Kafka 4.0 and later do)", ErrDenied)
		}
	}
	return nil
}

// CheckConsumer asks the brokers whether a member can do its work: whether they
// let it in, know its protocol and give it its permissions. An ErrDenied says
// that they do not, or hang up all the time; other errors are those of brokers
// that do not answer.
func CheckConsumer(ctx context.Context, client *kgo.Client, cfg Config, wanted []Permission) error {
	return patiently(ctx, hangUpPatience, func() error {
		if err := client.Ping(ctx); err != nil {
			return err
		}
		if err := checkProtocol(ctx, client, cfg.GroupProtocol); err != nil {
			return err
		}
		return CheckPermissions(ctx, client, wanted)
	})
}
