"""Writes orders as a Python service of somebody else's would.

    write.py BROKERS REGISTRY TOPIC COUNT

The schema is the one that the registry has; nothing is registered. There are no
headers: an entity's version is in its value. Writes a line of JSON for each
acknowledged record: key, partition, offset.
"""

import datetime
import json
import sys

from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext


def order(n):
    placed = datetime.datetime(2026, 1, 2, 15, 4, 5, n, tzinfo=datetime.timezone.utc)
    return {
        "order_id": f"python-{n}",
        "version": 1,
        "customer_id": f"customer-{n % 7}",
        "status": "PLACED",
        "lines": [{"sku": "sku-1", "quantity": n, "unit_price_cents": 250, "amount_cents": 250 * n}],
        "units": n,
        "total_cents": 250 * n,
        "currency": "EUR",
        "note": None if n % 2 == 0 else "schön verpackt 🎁",
        "placed_at": placed,
        "updated_at": placed,
        "channel": "APP",
    }


def main(brokers, registry, topic, count):
    producer = Producer({
        "bootstrap.servers": brokers,
        "acks": "all",
        "enable.idempotence": True,
        "partitioner": "murmur2_random",
    })
    client = SchemaRegistryClient({"url": registry, "timeout": 10})  # else none; it tries again
    latest = client.get_latest_version(f"{topic}-value")
    serialize = AvroSerializer(client, latest.schema.schema_str,
                               conf={"auto.register.schemas": False, "use.latest.version": True})
    failures = []

    def delivered(error, message):
        if error is not None:
            failures.append(str(error))
            return
        print(json.dumps({"key": message.key().decode(), "partition": message.partition(), "offset": message.offset()}))

    for n in range(1, int(count) + 1):
        o = order(n)
        producer.produce(topic, key=o["order_id"].encode(),
                         value=serialize(o, SerializationContext(topic, MessageField.VALUE)), on_delivery=delivered)
        producer.poll(0)
    producer.flush(60)
    if failures:
        sys.exit(failures[0])


main(*sys.argv[1:])
