"""kafka-python against a broker, releases 2.0.2 to 3.x: `kafka_python.py BOOTSTRAP TOPIC CHECK`.

A check verifies what it reads back and exits 1 with one clear line; it never joins a group.
"""
import os
import sys
import time

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewPartitions, NewTopic
from kafka.errors import TopicAlreadyExistsError

PATIENCE = 20
# How many replicas the runner wants topics to have.
REPLICAS = int(os.environ.get("CONFORMANCE_REPLICAS", "1"))
PATIENCE_MS = PATIENCE * 1000


def expect(holds, otherwise):
    if not holds:
        sys.exit(otherwise)


def produce(bootstrap, topic, numbers, **config):
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", **config)
    futures = [
        producer.send(
            topic,
            value=b"v%d" % n,
            key=b"k%d" % n,
            headers=[("h", b"h%d" % n)],
            partition=0,
            timestamp_ms=1_700_000_000_000 + n,
        )
        for n in numbers
    ]
    producer.flush(PATIENCE)
    offsets = [future.get(PATIENCE).offset for future in futures]
    producer.close()
    expect(offsets == list(numbers), f"records were acknowledged at {offsets}")


def consumer_of(bootstrap):
    return KafkaConsumer(
        bootstrap_servers=bootstrap, enable_auto_commit=False, consumer_timeout_ms=PATIENCE_MS
    )


def expect_records(bootstrap, topic, first, end):
    consumer = consumer_of(bootstrap)
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    expect(consumer.end_offsets([partition]) == {partition: end}, "the end offset is not what was written")
    expect(consumer.beginning_offsets([partition]) == {partition: 0}, "the log does not begin at 0")
    found = consumer.offsets_for_times({partition: 1_700_000_000_000 + first})[partition]
    expect(found.offset == first, f"offset for the time of record {first} is {found.offset}")
    consumer.seek(partition, first)
    for n in range(first, end):
        try:
            record = next(consumer)
        except StopIteration:
            sys.exit(f"record {n} did not come in time")
        expect(record.offset == n, f"offset is {record.offset}, want {n}")
        expect((record.key, record.value) == (b"k%d" % n, b"v%d" % n), f"record {n} reads {record}")
        expect(record.timestamp == 1_700_000_000_000 + n, f"record {n} has time {record.timestamp}")
        expect([tuple(header) for header in record.headers] == [("h", b"h%d" % n)], f"record {n} has headers {record.headers}")
    consumer.close()


def check_producer(bootstrap, topic):
    produce(bootstrap, topic, range(100))
    expect_records(bootstrap, topic, 0, 100)
    expect_records(bootstrap, topic, 42, 100)


def check_gzip(bootstrap, topic):
    """The one codec that needs nothing beside Python itself."""
    produce(bootstrap, topic, range(200), compression_type="gzip", linger_ms=20)
    expect_records(bootstrap, topic, 0, 200)


def check_admin(bootstrap, topic):
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics([NewTopic(topic, 2, REPLICAS, topic_configs={"retention.ms": "3600000"})])
    try:
        admin.create_topics([NewTopic(topic, 2, REPLICAS)])
        sys.exit("creating the topic twice was accepted")
    except TopicAlreadyExistsError:
        pass
    admin.create_partitions({topic: NewPartitions(3)})
    deadline = time.monotonic() + PATIENCE
    while len(admin.describe_topics([topic])[0]["partitions"]) != 3:
        expect(time.monotonic() < deadline, "the topic does not come to have three partitions")
    expect(topic in admin.list_topics(), "the topic is not listed")
    text = str(admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)]))
    expect("retention.ms" in text and "3600000" in text, "retention.ms is not described as set")
    admin.delete_topics([topic])
    admin.close()


if __name__ == "__main__":
    globals()["check_" + sys.argv[3]](sys.argv[1], sys.argv[2])
