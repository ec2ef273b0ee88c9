"""Transactions of confluent-kafka against a broker: `confluent_transactions.py BOOTSTRAP TOPIC CHECK`.

A check verifies what it reads back and exits 1 with one clear line. Ids and groups are named as the
topic is.
"""
import sys
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition

from confluent_groups import PATIENCE, create, expect, fill

PARTITIONS = 3


def transactional(bootstrap, topic, **config):
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": topic, "linger.ms": 0, **config})
    producer.init_transactions(PATIENCE)
    return producer


def produce(producer, topic, partition, value):
    problems = []
    producer.produce(topic, value=value, partition=partition, on_delivery=lambda error, _: error and problems.append(error))
    left = producer.flush(PATIENCE)
    expect(left == 0 and not problems, f"{value}: {left} left, {problems}")


def read_all(bootstrap, topic, partitions, isolation="read_committed"):
    """Everything up to the end that this isolation sees now."""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "none", "isolation.level": isolation, "enable.partition.eof": True, "enable.auto.commit": False}
    )
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in range(partitions)])
    values, ended, deadline = [], set(), time.monotonic() + PATIENCE
    while len(ended) < partitions:
        expect(time.monotonic() < deadline, f"no end; read {values}")
        message = consumer.poll(1)
        if message is None:
            continue
        if message.error():
            expect(message.error().code() == KafkaError._PARTITION_EOF, f"{message.error()}")
            ended.add(message.partition())
        else:
            ended.discard(message.partition())
            values.append(message.value().decode())
    consumer.close()
    return sorted(values)


def await_read(bootstrap, topic, partitions, want):
    """The end of a transaction is answered before its markers are written."""
    deadline = time.monotonic() + PATIENCE
    while (read := read_all(bootstrap, topic, partitions)) != sorted(want):
        expect(time.monotonic() < deadline, f"committed are {read}, not {sorted(want)}")


def transactions(bootstrap, topic):
    create(bootstrap, topic, PARTITIONS)
    producer = transactional(bootstrap, topic)
    want = []
    for n in range(20):
        producer.begin_transaction()
        for partition in range(PARTITIONS):
            produce(producer, topic, partition, f"n{n} p{partition}")
        if n % 4 == 3:
            producer.abort_transaction(PATIENCE)
        else:
            producer.commit_transaction(PATIENCE)
            want += [f"n{n} p{partition}" for partition in range(PARTITIONS)]
    producer.begin_transaction()
    produce(producer, topic, 0, "open")
    await_read(bootstrap, topic, PARTITIONS, want)
    everything = read_all(bootstrap, topic, PARTITIONS, "read_uncommitted")
    expect(len(everything) == 20 * PARTITIONS + 1, f"read_uncommitted sees {len(everything)} messages")
    producer.abort_transaction(PATIENCE)


def fencing(bootstrap, topic):
    create(bootstrap, topic, 1)
    older = transactional(bootstrap, topic)
    older.begin_transaction()
    produce(older, topic, 0, "of the older")
    newer = transactional(bootstrap, topic)
    newer.begin_transaction()
    produce(newer, topic, 0, "of the newer")
    try:
        older.commit_transaction(PATIENCE)
        sys.exit("the older producer committed")
    except KafkaException as refused:
        error = refused.args[0]
        expect(error.fatal() or error.code() in (KafkaError._FENCED, KafkaError.PRODUCER_FENCED), f"the older producer was told {error}")
    newer.commit_transaction(PATIENCE)
    await_read(bootstrap, topic, 1, ["of the newer"])


def loop(bootstrap, topic):
    """Consumes numbers and produces them again, a third of the transactions aborted and tried again."""
    create(bootstrap, topic, PARTITIONS)
    create(bootstrap, topic + "-out", PARTITIONS)
    fill(bootstrap, topic, PARTITIONS, 0, 20)
    producer = transactional(bootstrap, topic)
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": topic, "auto.offset.reset": "earliest", "enable.auto.commit": False, "isolation.level": "read_committed"})
    consumer.subscribe([topic])
    done, attempts, deadline = 0, 0, time.monotonic() + 2 * PATIENCE
    while done < 20 * PARTITIONS:
        expect(time.monotonic() < deadline, f"the loop did {done}")
        messages = [message for message in consumer.consume(5, 0.5) if not message.error()]
        if not messages:
            continue
        producer.begin_transaction()
        for message in messages:
            producer.produce(topic + "-out", value=message.value(), partition=message.partition())
        producer.send_offsets_to_transaction(consumer.position(consumer.assignment()), consumer.consumer_group_metadata(), PATIENCE)
        attempts += 1
        if attempts % 3 == 2:
            producer.abort_transaction(PATIENCE)
            for committed in consumer.committed(consumer.assignment(), PATIENCE):
                consumer.seek(TopicPartition(topic, committed.partition, max(committed.offset, 0)))
        else:
            producer.commit_transaction(PATIENCE)
            done += len(messages)
    want = [f"p{partition} m{n}" for partition in range(PARTITIONS) for n in range(20)]
    await_read(bootstrap, topic + "-out", PARTITIONS, want)
    for committed in consumer.committed([TopicPartition(topic, partition) for partition in range(PARTITIONS)], PATIENCE):
        expect(committed.offset == 20, f"committed is {committed}")
    consumer.close()


def killed(bootstrap, topic):
    """Says `open` with a transaction open, and goes on when the broker was killed and is back."""
    create(bootstrap, topic, 2)
    producer = transactional(bootstrap, topic)
    producer.begin_transaction()
    produce(producer, topic, 0, "before, committed")
    producer.commit_transaction(PATIENCE)
    await_read(bootstrap, topic, 2, ["before, committed"])
    producer.begin_transaction()
    produce(producer, topic, 0, "before")
    produce(producer, topic, 1, "before")
    print("open", flush=True)
    sys.stdin.readline()
    produce(producer, topic, 0, "after")
    await_read(bootstrap, topic, 2, ["before, committed"])
    producer.commit_transaction(PATIENCE)
    await_read(bootstrap, topic, 2, ["before, committed", "before", "before", "after"])


if __name__ == "__main__":
    checks = {"transactions": transactions, "fencing": fencing, "loop": loop, "killed": killed}
    checks[sys.argv[3]](sys.argv[1], sys.argv[2])
