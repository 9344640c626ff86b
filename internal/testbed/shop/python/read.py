"""Reads a topic from its start to its end with Confluent's own deserializer.

    read.py BROKERS REGISTRY TOPIC

Writes a line of JSON for each record: partition, offset, key, headers, value.
Timestamps are microseconds.
"""

import datetime
import json
import sys

from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def plain(value):
    if isinstance(value, datetime.datetime):
        return (value - EPOCH) // datetime.timedelta(microseconds=1)
    raise TypeError(f"no JSON of a {type(value).__name__}")


def main(brokers, registry, topic):
    consumer = Consumer({
        "bootstrap.servers": brokers,
        "group.id": "read.py",  # required, and not used: partitions are assigned by hand
        "enable.auto.commit": False,
        "enable.partition.eof": True,
    })
    deserialize = AvroDeserializer(SchemaRegistryClient({"url": registry, "timeout": 10}))  # else none; it tries again
    partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
    consumer.assign([TopicPartition(topic, p, 0) for p in partitions])
    left = set(partitions)
    while left:
        message = consumer.poll(30)
        if message is None:
            sys.exit("nothing for 30 s")
        if message.error():
            if message.error().code() != KafkaError._PARTITION_EOF:
                sys.exit(str(message.error()))
            left.discard(message.partition())
            continue
        print(json.dumps({
            "partition": message.partition(),
            "offset": message.offset(),
            "key": message.key().decode(),
            "headers": {name: value.decode() for name, value in message.headers() or []},
            "value": deserialize(message.value(), SerializationContext(topic, MessageField.VALUE)),
        }, default=plain))
    consumer.close()


main(*sys.argv[1:])
