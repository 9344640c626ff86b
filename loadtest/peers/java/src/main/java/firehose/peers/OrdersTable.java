package firehose.peers;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.Map;
import java.util.Properties;

import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.kafka.common.errors.SerializationException;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.QueryableStoreTypes;

/**
 * A KTable of the orders in RocksDB. Arguments: brokers, topic, number of events,
 * guarantee, folder of the state, name of the application, schema. It prints
 * {"events":N,"seconds":S,"rows":R,"versions":V} when all events are processed.
 * Its first fifth is its warm-up: S is what all would take at the rate of the
 * others.
 */
public final class OrdersTable {
    private OrdersTable() {
    }

    static final class OrderSerde implements Serde<GenericRecord> {
        private final Schema schema;

        OrderSerde(Schema schema) {
            this.schema = schema;
        }

        @Override
        public Serializer<GenericRecord> serializer() {
            GenericDatumWriter<GenericRecord> writer = new GenericDatumWriter<>(schema);
            return (topic, order) -> {
                if (order == null) {
                    return null;
                }
                ByteArrayOutputStream out = new ByteArrayOutputStream(192);
                out.writeBytes(new byte[] {0, 0, 0, 0, 1});
                try {
                    BinaryEncoder encoder = EncoderFactory.get().directBinaryEncoder(out, null);
                    writer.write(order, encoder);
                    encoder.flush();
                } catch (IOException e) {
                    throw new SerializationException(e);
                }
                return out.toByteArray();
            };
        }

        @Override
        public Deserializer<GenericRecord> deserializer() {
            GenericDatumReader<GenericRecord> reader = new GenericDatumReader<>(schema);
            ThreadLocal<BinaryDecoder> decoders = new ThreadLocal<>(); // threads share a deserializer
            return (topic, value) -> {
                if (value == null) {
                    return null;
                }
                BinaryDecoder decoder = DecoderFactory.get().binaryDecoder(value, 5, value.length - 5, decoders.get());
                decoders.set(decoder);
                try {
                    return reader.read(null, decoder);
                } catch (IOException e) {
                    throw new SerializationException(e);
                }
            };
        }
    }

    public static void main(String[] args) throws Exception {
        long events = Long.parseLong(args[2]);
        Properties settings = new Properties();
        settings.putAll(Map.of(
                "bootstrap.servers", args[0], "processing.guarantee", args[3], "state.dir", args[4], "application.id", args[5],
                "auto.offset.reset", "earliest", "replication.factor", "-1",
                "statestore.cache.max.bytes", "67108864",
                "consumer.max.poll.records", "10000", "consumer.max.partition.fetch.bytes", "4194304"));
        StreamsBuilder builder = new StreamsBuilder();
        builder.table(args[1], Consumed.with(Serdes.String(), new OrderSerde(new Schema.Parser().parse(args[6]))),
                Materialized.<String, GenericRecord, KeyValueStore<Bytes, byte[]>>as("orders").withCachingEnabled());
        try (KafkaStreams streams = new KafkaStreams(builder.build(), settings)) {
            streams.start();
            double warm = await(streams, events / 5);
            long from = System.nanoTime();
            await(streams, events);
            double seconds = (System.nanoTime() - from) / 1e9 * events / (events - warm);
            long rows = 0;
            long versions = 0;
            var store = streams.store(StoreQueryParameters.fromNameAndType("orders", QueryableStoreTypes.<String, GenericRecord>keyValueStore()));
            try (KeyValueIterator<String, GenericRecord> all = store.all()) {
                while (all.hasNext()) {
                    rows++;
                    versions += (long) all.next().value.get("version");
                }
            }
            System.out.printf("{\"events\":%d,\"seconds\":%.3f,\"rows\":%d,\"versions\":%d}%n", events, seconds, rows, versions);
        }
    }

    private static double await(KafkaStreams streams, long events) throws InterruptedException {
        double n;
        while ((n = processed(streams)) < events) {
            Thread.sleep(20);
        }
        return n;
    }

    private static double processed(KafkaStreams streams) {
        return streams.metrics().values().stream()
                .filter(m -> m.metricName().name().equals("process-total") && m.metricName().group().equals("stream-thread-metrics"))
                .mapToDouble(m -> (double) m.metricValue()).sum();
    }
}
