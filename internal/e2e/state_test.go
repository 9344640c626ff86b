package e2e_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	"firehose"
	"firehose/consumers/billing"
	"firehose/consumers/inventory"
	"firehose/consumers/replicator"
	"firehose/internal/e2e/figures"
	"firehose/internal/kafka"
	"firehose/internal/kafka/embedded"
	"firehose/schemas"
)

// storeOf is what the service of a run in dir has as its --store.
func storeOf(dir, service string) string {
	return "sqlite:" + filepath.Join(dir, service+".db")
}

// readFigures asks the databases that a run left.
func readFigures(t *testing.T, dir string) figures.Figures {
	t.Helper()
	return figures.Read(t, func(service string) string { return storeOf(dir, service) })
}

// query reads a number from a service's database.
func query(t *testing.T, dir, service, statement string, to *int64) {
	t.Helper()
	db := openDB(t, dir, service)
	defer db.Close()
	if err := db.QueryRowContext(t.Context(), statement).Scan(to); err != nil {
		t.Fatalf("%s: %s: %v", service, statement, err)
	}
}

func openDB(t *testing.T, dir, service string) *sql.DB {
	t.Helper()
	return figures.Open(t, storeOf(dir, service))
}

// services are the ones that firehose dev runs.
func services() []firehose.Service {
	return []firehose.Service{replicator.Service(), inventory.Service(), billing.Service()}
}

// hashes are those of the stores that a run left: equal hashes mean equal rows,
// no row more or less.
func hashes(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, s := range services() {
		instance, err := s.Open(t.Context(), firehose.Config{Store: storeOf(dir, s.Name)})
		if err != nil {
			t.Fatal(err)
		}
		if out[s.Name], err = instance.Hash(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := instance.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// brokerOf starts a broker on the log that a run left.
func brokerOf(t *testing.T, dir string) *embedded.Broker {
	t.Helper()
	broker, err := embedded.StartBroker(embedded.BrokerConfig{Dir: filepath.Join(dir, "broker")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Close() })
	return broker
}

// logOf is what lies in a topic.
type logOf struct {
	Ends    int64 // sum of the last stable offsets
	Records int64
	IDs     int64 // different event IDs
}

// Again counts records whose event ID is in the log more than once.
func (l logOf) Again() int64 { return l.Records - l.IDs }

// readLogs reads all event topics.
func readLogs(t *testing.T, broker *embedded.Broker) map[string]logOf {
	t.Helper()
	logs := map[string]logOf{}
	for _, topic := range schemas.Shop().Topics() {
		var l logOf
		for _, p := range describe(t, broker, topic.Topic) {
			l.Ends += p.StableEnd
		}
		ids := map[string]bool{}
		err := kafka.Read(t.Context(), config(broker), kafka.ReadConfig{Topic: topic.Topic}, func(r *kafka.Record) (bool, error) {
			l.Records++
			ids[string(r.Header("ce_id"))] = true
			return true, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		l.IDs = int64(len(ids))
		logs[topic.Topic] = l
	}
	return logs
}

func config(broker *embedded.Broker) kafka.Config {
	return kafka.Config{Brokers: []string{broker.Addr()}}
}

func describe(t *testing.T, broker *embedded.Broker, topic string) []kafka.PartitionInfo {
	t.Helper()
	client, err := kafka.NewClient(config(broker))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	infos, err := kafka.DescribeTopics(t.Context(), client, topic)
	if err != nil {
		t.Fatal(err)
	}
	return infos[0].Partitions
}

// wantPositionsAtEnd checks that each service's positions are the last stable
// offsets of its topics, one for each partition.
func wantPositionsAtEnd(t *testing.T, dir string, broker *embedded.Broker) {
	t.Helper()
	type partition struct {
		topic string
		id    int32
	}
	for _, s := range services() {
		want := map[partition]int64{}
		for _, topic := range s.Topics() {
			for _, p := range describe(t, broker, topic) {
				want[partition{topic, p.ID}] = p.StableEnd
			}
		}
		db := openDB(t, dir, s.Name)
		defer db.Close()
		rows, err := db.QueryContext(t.Context(), "SELECT topic, partition, next FROM positions")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var p partition
			var next int64
			if err := rows.Scan(&p.topic, &p.id, &next); err != nil {
				t.Fatal(err)
			}
			if end, ok := want[p]; !ok || next != end {
				t.Errorf("%s: %s/%d: position %d, last stable offset %d", s.Name, p.topic, p.id, next, end)
			}
			delete(want, p)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		for p := range want {
			t.Errorf("%s: %s/%d: has no position", s.Name, p.topic, p.id)
		}
	}
}
