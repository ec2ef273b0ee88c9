"""confluent-kafka (librdkafka) against a broker: `confluent.py BOOTSTRAP TOPIC CHECK`.

A check verifies what it reads back and exits 1 with one clear line; it never joins a group.
"""
import os
import sys
import time

from confluent_kafka import Consumer, KafkaException, OFFSET_BEGINNING, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

PATIENCE = 20
# How many replicas the runner wants topics to have.
REPLICAS = int(os.environ.get("CONFORMANCE_REPLICAS", "1"))
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


def expect(holds, otherwise):
    if not holds:
        sys.exit(otherwise)


def produce(bootstrap, topic, numbers, **config):
    """Sends to partition 0 and returns the offsets the deliveries reported, in order."""
    producer = Producer({"bootstrap.servers": bootstrap, **config})
    offsets = []

    def delivered(error, message):
        expect(error is None, f"delivery failed: {error}")
        offsets.append(message.offset())

    for n in numbers:
        producer.produce(
            topic,
            value=f"v{n}",
            key=f"k{n}",
            headers=[("h", f"h{n}".encode())],
            partition=0,
            timestamp=1_700_000_000_000 + n,
            on_delivery=delivered,
        )
    left = producer.flush(PATIENCE)
    expect(left == 0, f"{left} messages were not delivered in time")
    return offsets


def consume(bootstrap, topic, offset, count):
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 0, offset)])
    messages = []
    deadline = time.monotonic() + PATIENCE
    while len(messages) < count:
        expect(time.monotonic() < deadline, f"got {len(messages)} of {count} messages in time")
        message = consumer.poll(1)
        if message is not None:
            expect(message.error() is None, f"consumer reports {message.error()}")
            messages.append(message)
    consumer.close()
    return messages


def expect_messages(messages, first):
    for n, message in enumerate(messages, first):
        expect(message.offset() == n, f"offset is {message.offset()}, want {n}")
        expect(message.key() == f"k{n}".encode(), f"offset {n} has key {message.key()}")
        expect(message.value() == f"v{n}".encode(), f"offset {n} has value {message.value()}")
        expect(message.timestamp()[1] == 1_700_000_000_000 + n, f"offset {n} has time {message.timestamp()}")
        expect(message.headers() == [("h", f"h{n}".encode())], f"offset {n} has headers {message.headers()}")


def check_producer(bootstrap, topic):
    offsets = produce(bootstrap, topic, range(100))
    expect(offsets == list(range(100)), f"deliveries came at {offsets}")
    expect_messages(consume(bootstrap, topic, OFFSET_BEGINNING, 100), 0)
    expect_messages(consume(bootstrap, topic, 42, 58), 42)


def check_idempotent(bootstrap, topic):
    config = {"enable.idempotence": True, "batch.num.messages": 10, "linger.ms": 0}
    offsets = produce(bootstrap, topic, range(500), **config)
    expect(offsets == list(range(500)), "deliveries did not come in order")
    expect_messages(consume(bootstrap, topic, 0, 500), 0)


def check_compression(bootstrap, topic):
    for i, codec in enumerate(CODECS):
        produce(bootstrap, topic, range(i * 100, i * 100 + 100), **{"compression.type": codec})
    expect_messages(consume(bootstrap, topic, 0, 100 * len(CODECS)), 0)


def eventually(attempt, otherwise):
    """What one request changed, the next may see only a moment later."""
    deadline = time.monotonic() + PATIENCE
    while not attempt():
        expect(time.monotonic() < deadline, otherwise)
        time.sleep(0.05)


def settle(futures):
    return {key: future.result(PATIENCE) for key, future in futures.items()}


def config(admin, topic, key):
    described = settle(admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]))
    return next(iter(described.values()))[key].value


def check_admin(bootstrap, topic):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    settle(admin.create_topics([NewTopic(topic, 2, REPLICAS, config={"retention.ms": "3600000"})]))
    try:
        settle(admin.create_topics([NewTopic(topic, 2, REPLICAS)]))
        sys.exit("creating the topic twice was accepted")
    except KafkaException as refusal:
        expect(refusal.args[0].name() == "TOPIC_ALREADY_EXISTS", f"refused with {refusal}")
    settle(admin.create_partitions([NewPartitions(topic, 3)]))
    eventually(
        lambda: len(admin.list_topics(topic, PATIENCE).topics[topic].partitions) == 3,
        "metadata does not come to name three partitions",
    )
    resource = ConfigResource(ResourceType.TOPIC, topic)
    resource.add_incremental_config(
        ConfigEntry("retention.ms", "7200000", incremental_operation=AlterConfigOpType.SET)
    )
    settle(admin.incremental_alter_configs([resource]))
    eventually(lambda: config(admin, topic, "retention.ms") == "7200000", "retention.ms keeps its old value")
    cluster = admin.describe_cluster().result(PATIENCE)
    expect(len(cluster.nodes) >= 1 and cluster.cluster_id, "the cluster is not described")
    produce(bootstrap, topic, range(10))
    partition = TopicPartition(topic, 0)
    latest = settle(admin.list_offsets({partition: OffsetSpec.latest()}))[partition].offset
    expect(latest == 10, f"latest offset is {latest}, want 10")
    trimmed = settle(admin.delete_records([TopicPartition(topic, 0, 4)]))
    expect(next(iter(trimmed.values())).low_watermark == 4, f"records were deleted to {trimmed}")
    settle(admin.delete_topics([topic]))


if __name__ == "__main__":
    globals()["check_" + sys.argv[3]](sys.argv[1], sys.argv[2])
