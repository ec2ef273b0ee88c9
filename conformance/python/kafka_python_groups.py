"""Groups of kafka-python against a broker, releases 2.0.2 to 3.x: `kafka_python_groups.py BOOTSTRAP TOPIC CHECK`.

A check verifies what it reads back and exits 1 with one clear line. A group is named as its topic is.
"""
import os
import sys
import threading
import time

from kafka import ConsumerRebalanceListener, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.structs import OffsetAndMetadata

PATIENCE = 30
# How many replicas the runner wants topics to have.
REPLICAS = int(os.environ.get("CONFORMANCE_REPLICAS", "1"))


def expect(holds, otherwise):
    if not holds:
        sys.exit(otherwise)


def offset_and_metadata(offset, metadata):
    """Later releases also carry a leader epoch."""
    more = [-1] if "leader_epoch" in OffsetAndMetadata._fields else []
    return OffsetAndMetadata(offset, metadata, *more)


def create(bootstrap, topic, partitions):
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics([NewTopic(topic, partitions, REPLICAS)])
    admin.close()


def fill(bootstrap, topic, partitions, first, count=10):
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
    sent = [
        producer.send(topic, value=b"p%d m%d" % (partition, n), partition=partition)
        for partition in range(partitions)
        for n in range(first, first + count)
    ]
    for future in sent:
        future.get(PATIENCE)
    producer.close()


class Member(ConsumerRebalanceListener):
    """A consumer whose partitions and offsets are noted; members of one group share `holders`.

    Offsets are committed by the client itself before a rebalance and on leaving, because not every
    release lets its listener do so.
    """

    def __init__(self, bootstrap, topic, name, holders, **config):
        self.name = name
        self.holders = holders
        self.read = {}
        self.consumer = KafkaConsumer(
            bootstrap_servers=bootstrap,
            group_id=topic,
            auto_offset_reset="earliest",
            session_timeout_ms=10_000,
            heartbeat_interval_ms=300,
            **config,
        )
        self.consumer.subscribe([topic], listener=self)

    def on_partitions_assigned(self, assigned):
        for _, partition in assigned:
            holder = self.holders.get(partition)
            expect(holder in (None, self.name), f"partition {partition} was given to {self.name} while {holder} held it")
            self.holders[partition] = self.name

    def on_partitions_revoked(self, revoked):
        for _, partition in revoked:
            self.holders.pop(partition, None)

    def poll(self):
        for records in self.consumer.poll(timeout_ms=50).values():
            for record in records:
                want = b"p%d m%d" % (record.partition, record.offset)
                expect(record.value == want, f"{record.partition} at {record.offset} reads {record.value}")
                self.read.setdefault(record.partition, []).append(record.offset)

    def held(self):
        return sorted(partition for partition, holder in self.holders.items() if holder == self.name)

    def leave(self):
        """Not every release tells its listener of partitions it gives up by closing."""
        self.consumer.close()
        for partition in self.held():
            del self.holders[partition]


def poll_until(members, holds, what):
    deadline = time.monotonic() + PATIENCE
    while not holds():
        state = ", ".join(f"{member.name} holds {member.held()} and read {member.read}" for member in members)
        expect(time.monotonic() < deadline, f"{what} did not come about in time: {state}")
        for member in members:
            member.poll()


def read_of(members, partition):
    return sorted(offset for member in members for offset in member.read.get(partition, []))


def all_read(members, partitions, count):
    return all(len(read_of(members, partition)) >= count for partition in range(partitions))


def check_group(bootstrap, topic):
    create(bootstrap, topic, 1)
    fill(bootstrap, topic, 1, 0)
    partition = TopicPartition(topic, 0)
    member = Member(bootstrap, topic, "the only one", {}, enable_auto_commit=False)
    poll_until([member], lambda: all_read([member], 1, 10), "reading")
    member.consumer.commit({partition: offset_and_metadata(4, "a note")})
    member.leave()
    member = Member(bootstrap, topic, "the second start", {})
    poll_until([member], lambda: all_read([member], 1, 6), "reading after the restart")
    expect(member.read[0] == list(range(4, 10)), f"the second start read {member.read[0]}")
    committed = member.consumer.committed(partition, metadata=True)
    expect((committed.offset, committed.metadata) == (4, "a note"), f"committed is {committed}")
    member.leave()
    member = Member(bootstrap, topic, "the third start", {})
    expect(member.consumer.committed(partition) == 10, f"committed is {member.consumer.committed(partition)}, want 10")
    member.leave()


def check_two(bootstrap, topic):
    create(bootstrap, topic, 4)
    fill(bootstrap, topic, 4, 0)
    holders = {}
    first = Member(bootstrap, topic, "the first", holders)
    poll_until([first], lambda: len(first.held()) == 4 and all_read([first], 4, 10), "the first alone")
    second = Member(bootstrap, topic, "the second", holders)
    both = [first, second]
    join_together(both)
    fill(bootstrap, topic, 4, 10)
    poll_until(both, lambda: all_read(both, 4, 20), "reading by both")
    expect(second.read, "the second read nothing")
    first.leave()
    poll_until([second], lambda: len(second.held()) == 4, "taking over")
    fill(bootstrap, topic, 4, 20)
    poll_until([second], lambda: all_read(both, 4, 30), "the second reading")
    second.leave()
    for partition in range(4):
        read = read_of(both, partition)
        expect(read == list(range(30)), f"of partition {partition} were read {read}")


def join_together(both):
    """Older releases join inside poll() and wait there for the others, so that each needs a thread."""
    first, second = both
    deadline = time.monotonic() + PATIENCE
    def poll_alone(member):
        while not (len(first.held()) == 2 and len(second.held()) == 2) and time.monotonic() < deadline:
            member.poll()

    threads = [threading.Thread(target=poll_alone, args=[member]) for member in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expect(len(first.held()) == 2 and len(second.held()) == 2, f"two partitions for each did not come about: {first.holders}")


def check_admin(bootstrap, topic):
    create(bootstrap, topic, 2)
    fill(bootstrap, topic, 2, 0)
    member = Member(bootstrap, topic, "the member", {}, client_id="described")
    poll_until([member], lambda: all_read([member], 2, 10), "reading")
    member.consumer.commit()
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    listed = str(admin.list_consumer_groups() if hasattr(admin, "list_consumer_groups") else admin.list_groups())
    expect(repr(topic) in listed, f"the group is not listed: {listed}")
    described = str(
        admin.describe_consumer_groups([topic]) if hasattr(admin, "describe_consumer_groups") else admin.describe_groups([topic])
    )
    for part in ("Stable", "described", "range"):
        expect(part in described, f"{part} is not in the description: {described}")
    offsets = admin.list_consumer_group_offsets(topic) if hasattr(admin, "list_consumer_group_offsets") else admin.list_group_offsets(topic)
    offsets = offsets.get(topic, offsets)
    seen = {partition: each.offset for partition, each in offsets.items()}
    expect(seen == {TopicPartition(topic, 0): 10, TopicPartition(topic, 1): 10}, f"the group's offsets are {seen}")
    member.leave()
    admin.close()


if __name__ == "__main__":
    globals()["check_" + sys.argv[3]](sys.argv[1], sys.argv[2])
