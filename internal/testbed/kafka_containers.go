package testbed

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"
)

// kafkaPort is where brokers in containers listen for clients.
const kafkaPort = 9092

// containerKafka starts three brokers in containers, for this process alone.
func containerKafka() (*provided, error) {
	image := imageOf("KAFKA_IMAGE", "firehose/kafka:4.3.1")
	e, err := engineWith(image, " PARTS=kafka")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	defer cancel()
	c := &containerCluster{brokers: make([]*instance, 3)}
	if c.ports, err = freePorts(len(c.brokers)); err != nil {
		return nil, err
	}
	net, err := e.network(ctx)
	if err != nil {
		return nil, fmt.Errorf("network of the brokers: %w", err)
	}
	group, starting := errgroup.WithContext(ctx)
	for i := range c.brokers {
		group.Go(func() error {
			spec := c.spec(i+1, image)
			spec.network = net
			var err error
			if c.brokers[i], err = e.run(starting, spec); err != nil {
				return err
			}
			return c.awaitServing(starting, int32(i+1))
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	found := &provided{machinery: c}
	for _, b := range c.brokers {
		found.brokers = append(found.brokers, b.Addr(kafkaPort))
	}
	return found, nil
}

// containerCluster is brokers in containers of this process.
type containerCluster struct {
	brokers []*instance // broker n is at n-1
	ports   []int       // on this machine, known before they start: they advertise them
}

// spec is broker n: broker and controller in one, as those of deploy/kafka/local.
func (c *containerCluster) spec(n int, image string) instanceSpec {
	name := func(n int) string { return "kafka-" + strconv.Itoa(n) }
	var voters []string
	for i := range c.brokers {
		voters = append(voters, fmt.Sprintf("%d@%s:9094", i+1, name(i+1)))
	}
	return instanceSpec{
		Image: image, Hostname: name(n), Ports: []int{kafkaPort}, at: map[int]int{kafkaPort: c.ports[n-1]},
		Env: map[string]string{
			"KAFKA_HEAP_OPTS":                                "-Xms256m -Xmx256m",
			"KAFKA_OPTS":                                     "-XX:TieredStopAtLevel=1", // up sooner, and never as fast
			"KAFKA_NODE_ID":                                  strconv.Itoa(n),
			"KAFKA_PROCESS_ROLES":                            "broker,controller",
			"KAFKA_CONTROLLER_QUORUM_VOTERS":                 strings.Join(voters, ","),
			"KAFKA_CONTROLLER_LISTENER_NAMES":                "CONTROLLER",
			"KAFKA_LISTENERS":                                fmt.Sprintf("OUTSIDE://:%d,INSIDE://:9093,CONTROLLER://:9094", kafkaPort),
			"KAFKA_ADVERTISED_LISTENERS":                     fmt.Sprintf("OUTSIDE://127.0.0.1:%d,INSIDE://%s:9093", c.ports[n-1], name(n)),
			"KAFKA_LISTENER_SECURITY_PROTOCOL_MAP":           "OUTSIDE:PLAINTEXT,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT",
			"KAFKA_INTER_BROKER_LISTENER_NAME":               "INSIDE",
			"KAFKA_AUTO_CREATE_TOPICS_ENABLE":                "false",
			"KAFKA_DEFAULT_REPLICATION_FACTOR":               "3",
			"KAFKA_MIN_INSYNC_REPLICAS":                      "2",
			"KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS":             "12",
			"KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR":         "3",
			"KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS":     "12",
			"KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "3",
			"KAFKA_TRANSACTION_STATE_LOG_MIN_ISR":            "2",
			"KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS":         "0",
			"KAFKA_BROKER_SESSION_TIMEOUT_MS":                "4000", // a dead one is replaced sooner

			"KAFKA_SHARE_COORDINATOR_STATE_TOPIC_NUM_PARTITIONS":     "12",
			"KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR": "3",
			"KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR":            "2",
		},
	}
}

func (c *containerCluster) act(n int32, what string) error {
	if n < 1 || int(n) > len(c.brokers) {
		return fmt.Errorf("%d: %w", n, errNoBroker)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	defer cancel()
	broker := c.brokers[n-1]
	switch what {
	case "start":
		if err := broker.Start(ctx); err != nil {
			return err
		}
		return c.awaitServing(ctx, n)
	case "stop":
		_, err := broker.Stop(ctx, "")
		return err
	case "kill":
		return broker.Kill(ctx)
	case "freeze":
		return broker.Freeze(ctx)
	case "thaw":
		return broker.Thaw(ctx)
	default:
		return fmt.Errorf("%q: want start, stop, kill, freeze or thaw", what)
	}
}

// awaitServing waits until a broker says that it is one of the cluster's: until
// the controllers have let it in it answers without itself in the list. Its log
// would show the start before this one, too.
func (c *containerCluster) awaitServing(ctx context.Context, n int32) error {
	broker := c.brokers[n-1]
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addr(kafkaPort)))
	if err != nil {
		return err
	}
	defer client.Close()
	return broker.Await(ctx, func(ctx context.Context) error {
		answer, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, client.SeedBrokers()[0])
		if err != nil {
			return err
		}
		for _, b := range answer.Brokers {
			if b.NodeID == n {
				return nil
			}
		}
		return fmt.Errorf("broker %d is not let in by the controllers", n)
	})
}
