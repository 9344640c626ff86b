package hostile_test

import (
	"math/rand/v2"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/kafka"
	"firehose/schemas"
)

// What just fitted its topic fits the dead letters, also where it was only
// compressed that it fitted: else its partition would wait for ever.
func TestLargeBadRecords(t *testing.T) {
	t.Parallel()
	dev := startDev(t)
	h := dev.hand()
	client, err := kafka.NewClient(kafka.Config{Brokers: []string{dev.broker}}, kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchMaxBytes(32<<20), kgo.ProducerBatchCompression(kgo.GzipCompression()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	random := make([]byte, 1_047_000)
	for i, r := 0, rand.New(rand.NewPCG(1, 2)); i < len(random); i++ {
		random[i] = byte(1 + r.IntN(255))
	}
	random[0] = 'x' // no magic byte
	const topic, partition = schemas.TopicStockMovements, 3
	good := h.value(topic, attacked[4].data("after"))
	for _, value := range [][]byte{random, random, make([]byte, 2<<20), make([]byte, 24<<20)} {
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
