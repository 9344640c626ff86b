package hostile_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/kafka"
	"firehose/schemas"
)

// compressing is a client that writes as much as the broker lets it.
func (p *process) compressing() *kgo.Client {
	p.t.Helper()
	client, err := kafka.NewClient(kafka.Config{Brokers: []string{p.broker}}, kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchMaxBytes(90<<20), kgo.ProducerBatchCompression(kgo.GzipCompression()))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(client.Close)
	return client
}

// A batch that decompresses to more than a member may hold cannot be had, not
// even to be set aside: its partition stops, and says so.
func TestDecompressionBomb(t *testing.T) {
	t.Parallel()
	dev := startDev(t)
	bomb := &kgo.Record{Topic: schemas.TopicStockMovements, Partition: 3, Key: []byte("bad"), Value: make([]byte, 70<<20)}
	// What it takes to find out is 64 MiB, in buffers that doubled until then.
	dev.wantFlat(384<<20, func() {
		if err := dev.compressing().ProduceSync(t.Context(), bomb).FirstErr(); err != nil {
			t.Fatal(err)
		}
		until(t, "/readyz to name the partition", func() bool {
			_, ready := dev.get("/readyz")
			return strings.Contains(ready, "shop.stock-movements/3 stopped_batch_too_large")
		})
	})
	dev.wantLogged("partition stopped", `"state":"stopped_batch_too_large"`, `"partition":3`)
	for i := 0; dev.send("shop.stock.moved", movement(fmt.Sprint("m-", i), fmt.Sprint("sku-", i), 1)).Partition == bomb.Partition; i++ {
	}
	until(t, "the others to go on", func() bool { return dev.number("inventory", "SELECT COUNT(*) FROM stock") > 0 })
}

// What just fitted its topic fits the dead letters, also where it was only
// compressed that it fitted: else its partition would wait for ever.
func TestLargeBadRecords(t *testing.T) {
	t.Parallel()
	dev := startDev(t, "--schema-patience", "100ms")
	h := dev.hand()
	client := dev.compressing()
	random := make([]byte, 1_047_000)
	for i, r := 0, rand.New(rand.NewPCG(1, 2)); i < len(random); i++ {
		random[i] = byte(1 + r.IntN(255))
	}
	random[0] = 'x' // no magic byte
	const topic, partition = schemas.TopicStockMovements, 3
	good := h.value(topic, attacked[4].data("after"))
	for _, value := range [][]byte{random, random, make([]byte, 2<<20), make([]byte, 16<<20)} {
		if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: partition, Key: []byte("bad"), Value: value}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	h.write(&kgo.Record{Topic: topic, Partition: partition, Key: []byte("after"), Value: good,
		Headers: []kgo.RecordHeader{{Key: "ce_id", Value: []byte("after")}}})
	until(t, "the good event behind them to be applied", func() bool {
		return dev.number("inventory", "SELECT COUNT(*) FROM stock") == 1
	})
	if n := len(h.letters(dev, kafka.DeadLetterName(topic, "inventory"))); n != 4 {
		t.Errorf("%d records are set aside, want 4", n)
	}
}
