package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// java is a program of the jars that were fetched.
func (b *bench) java(heap, main string, args ...string) *exec.Cmd {
	all := []string{"-Xms" + heap, "-Xmx" + heap, "-XX:+UseG1GC", "-cp", filepath.Join(b.jars, "peers.jar") + ":" + filepath.Join(b.jars, "libs", "*"), main}
	return exec.Command("java", append(all, args...)...)
}

// perfTimes is how many times the events a JVM sends, to be warm when it counts.
const perfTimes = 3

// perfTest is Kafka's own producer benchmark. It sends values only, so its values
// are as large as our records are with key and headers.
func (b *bench) perfTest(ctx context.Context, brokers []string, compression string) (*exec.Cmd, error) {
	payloads := filepath.Join(b.dir, "payloads.txt")
	as, err := (&side{registry: b.registry}).encoding(ctx, published)
	if err != nil {
		return nil, err
	}
	if err := writePayloads(payloads, as); err != nil {
		return nil, err
	}
	return b.java("512m", "org.apache.kafka.tools.ProducerPerformance", "--topic", published, "--num-records", fmt.Sprint(b.events*perfTimes),
		"--payload-file", payloads, "--throughput", "-1", "--reporting-interval", "500",
		"--command-property", "bootstrap.servers="+strings.Join(brokers, ","), "acks=all", "linger.ms=5", "batch.size=131072", "compression.type="+compression), nil
}

// writePayloads writes our records as text of the same size and content.
func writePayloads(path string, as encoding) error {
	var text strings.Builder
	for i := range distinct {
		o := orderEvent(i, 1)
		r, err := recordOf(published, as, &o, i)
		if err != nil {
			return err
		}
		line := append(append([]byte(nil), r.Key...), r.Value...)
		for _, h := range r.Headers {
			line = append(append(line, h.Key...), h.Value...)
		}
		for i, c := range line {
			if c < ' ' || c > '~' {
				line[i] = 'A' + c%26
			}
		}
		text.Write(line)
		text.WriteByte('\n')
	}
	return os.WriteFile(path, []byte(text.String()), 0o600)
}

// streams is a KTable in RocksDB.
func (b *bench) streams(topic, guarantee, dir, app string) *exec.Cmd {
	schema := `{"type":"record","name":"Order","fields":` + orderFields + `}`
	return b.java("1g", "firehose.peers.OrdersTable", strings.Join(b.one, ","), topic, fmt.Sprint(b.events), guarantee, dir, app, schema)
}

// jdbcSink is Kafka Connect with Debezium's JDBC sink, tuned: it merges what one
// batch has of one key before it writes.
func (b *bench) jdbcSink(topic, dir, name string) (*exec.Cmd, error) {
	to, err := url.Parse(b.postgres)
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL's URL: not a URL")
	}
	password, err := passwordOf(to)
	if err != nil {
		return nil, err
	}
	worker := fmt.Sprintf(`bootstrap.servers=%s
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=firehose.peers.OrderConverter
offset.storage.file.filename=%s
plugin.path=%s
plugin.discovery=service_load
listeners=HTTP://127.0.0.1:0
connector.client.config.override.policy=All
`, strings.Join(b.one, ","), filepath.Join(dir, "offsets"), filepath.Join(b.jars, "plugins"))
	sink := fmt.Sprintf(`name=%s
connector.class=io.debezium.connector.jdbc.JdbcSinkConnector
tasks.max=2
topics=%s
connection.url=jdbc:postgresql://%s%s?reWriteBatchedInserts=true
connection.username=%s
connection.password=%s
insert.mode=upsert
delete.enabled=false
primary.key.mode=record_value
primary.key.fields=order_id
collection.name.format=connect_orders
schema.evolution=none
use.reduction.buffer=true
batch.size=10000
dialect.postgres.unnest.insert.enabled=true
consumer.override.auto.offset.reset=earliest
consumer.override.max.poll.records=10000
consumer.override.max.partition.fetch.bytes=4194304
consumer.override.fetch.max.bytes=52428800
`, name, topic, to.Host, to.Path, to.User.Username(), password)
	files := []string{filepath.Join(dir, "worker.properties"), filepath.Join(dir, "sink.properties")}
	for i, text := range []string{worker, sink} {
		if err := os.WriteFile(files[i], []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	return b.java("1g", "org.apache.kafka.connect.cli.ConnectStandalone", files...), nil
}

const connectTable = `DROP TABLE IF EXISTS connect_orders;
CREATE TABLE connect_orders (order_id text PRIMARY KEY, customer_id text NOT NULL, status text NOT NULL, version bigint NOT NULL,
	total_cents bigint NOT NULL, currency text NOT NULL, updated_at timestamp NOT NULL, item_count integer NOT NULL,
	channel text NOT NULL, country text NOT NULL, campaign text NOT NULL)`

// passwordOf reads the passfile that the URL of make postgres names.
func passwordOf(to *url.URL) (string, error) {
	if p, ok := to.User.Password(); ok {
		return p, nil
	}
	text, err := os.ReadFile(to.Query().Get("passfile"))
	if err != nil {
		return "", fmt.Errorf("passfile of PostgreSQL's URL: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Split(strings.TrimSpace(line), ":"); len(f) == 5 && f[3] == to.User.Username() {
			return f[4], nil
		}
	}
	return "", fmt.Errorf("passfile: none of user %s", to.User.Username())
}
