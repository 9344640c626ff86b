package firehose.peers;

import java.io.IOException;
import java.util.Date;
import java.util.List;
import java.util.Map;

import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.kafka.connect.data.Field;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.data.Timestamp;
import org.apache.kafka.connect.errors.DataException;
import org.apache.kafka.connect.storage.Converter;

/**
 * Reads an order's value for a sink of Kafka Connect, as cheaply as can be: the
 * fields one by one in the order of the schema, which it is not asked for. A
 * converter that looks schemas up in a registry makes a generic record first.
 */
public final class OrderConverter implements Converter {
    private static final Schema ORDER = SchemaBuilder.struct().name("Order")
            .field("order_id", Schema.STRING_SCHEMA).field("customer_id", Schema.STRING_SCHEMA).field("status", Schema.STRING_SCHEMA)
            .field("version", Schema.INT64_SCHEMA).field("total_cents", Schema.INT64_SCHEMA).field("currency", Schema.STRING_SCHEMA)
            .field("updated_at", Timestamp.SCHEMA).field("item_count", Schema.INT32_SCHEMA).field("channel", Schema.STRING_SCHEMA)
            .field("country", Schema.STRING_SCHEMA).field("campaign", Schema.STRING_SCHEMA).build();
    private static final List<Field> FIELDS = ORDER.fields();
    private static final int FRAME = 5; // a zero byte and the schema's ID

    private BinaryDecoder decoder;

    @Override
    public void configure(Map<String, ?> settings, boolean isKey) {
    }

    @Override
    public byte[] fromConnectData(String topic, Schema schema, Object value) {
        throw new DataException("for sinks only");
    }

    @Override
    public SchemaAndValue toConnectData(String topic, byte[] value) {
        if (value == null) {
            return SchemaAndValue.NULL;
        }
        try {
            decoder = DecoderFactory.get().binaryDecoder(value, FRAME, value.length - FRAME, decoder);
            Struct order = new Struct(ORDER);
            for (Field field : FIELDS) {
                order.put(field, read(field));
            }
            return new SchemaAndValue(ORDER, order);
        } catch (IOException e) {
            throw new DataException(e);
        }
    }

    private Object read(Field field) throws IOException {
        if (field.schema() == Timestamp.SCHEMA) {
            return new Date(decoder.readLong());
        }
        return switch (field.schema().type()) {
            case INT32 -> decoder.readInt();
            case INT64 -> decoder.readLong();
            default -> decoder.readString();
        };
    }
}
