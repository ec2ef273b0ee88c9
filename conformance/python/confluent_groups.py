"""Groups of confluent-kafka against a broker: `confluent_groups.py BOOTSTRAP TOPIC CHECK`.

A check verifies what it reads back and exits 1 with one clear line. A group is named as its topic is.
"""
import os
import signal
import subprocess
import sys
import time

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

PATIENCE = 30
# How many replicas the runner wants topics to have.
REPLICAS = int(os.environ.get("CONFORMANCE_REPLICAS", "1"))
# Long enough that a busy machine does not end the session of a member that lives.
SESSION_SECONDS = 10


def expect(holds, otherwise):
    if not holds:
        sys.exit(otherwise)


def create(bootstrap, topic, partitions):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for future in admin.create_topics([NewTopic(topic, partitions, REPLICAS)]).values():
        future.result(PATIENCE)


def fill(bootstrap, topic, partitions, first, count=10):
    producer = Producer({"bootstrap.servers": bootstrap})
    problems = []
    for partition in range(partitions):
        for n in range(first, first + count):
            producer.produce(
                topic,
                value=f"p{partition} m{n}",
                partition=partition,
                on_delivery=lambda error, _: error and problems.append(error),
            )
    left = producer.flush(PATIENCE)
    expect(left == 0 and not problems, f"{left} messages were not delivered in time; {problems}")


class Member:
    """A consumer that reports its partitions and offsets; members of one group share `holders`."""

    def __init__(self, bootstrap, topic, name, holders, **config):
        self.topic = topic
        self.name = name
        self.holders = holders
        self.read = {}
        self.rebalances = []
        settings = {
            "bootstrap.servers": bootstrap,
            "group.id": topic,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": SESSION_SECONDS * 1000,
            "heartbeat.interval.ms": 300,
            **config,
        }
        if config.get("group.protocol") == "consumer":
            # The broker sets these for the newer protocol, and the client refuses to hear of them.
            del settings["session.timeout.ms"], settings["heartbeat.interval.ms"]
        self.consumer = Consumer(settings)
        self.consumer.subscribe([topic], on_assign=self.assigned, on_revoke=self.revoked, on_lost=self.lost)

    def assigned(self, consumer, partitions):
        self.rebalances.append("assigned")
        for partition in partitions:
            holder = self.holders.get(partition.partition)
            expect(holder is None, f"partition {partition.partition} was given to {self.name} while {holder} held it")
            self.holders[partition.partition] = self.name

    def revoked(self, consumer, partitions):
        self.rebalances.append("revoked")
        if self.positions():
            consumer.commit(offsets=self.positions(), asynchronous=False)
        self.give(partitions)

    def lost(self, consumer, partitions):
        self.rebalances.append("lost")
        self.give(partitions)

    def give(self, partitions):
        for partition in partitions:
            self.holders.pop(partition.partition, None)

    def positions(self):
        held = [partition for partition in self.read if self.holders.get(partition) == self.name]
        return [TopicPartition(self.topic, partition, self.read[partition][-1] + 1) for partition in held]

    def poll(self):
        message = self.consumer.poll(0.05)
        if message is None:
            return
        expect(message.error() is None, f"{self.name} reports {message.error()}")
        want = f"p{message.partition()} m{message.offset()}".encode()
        expect(message.value() == want, f"{message.partition()} at {message.offset()} reads {message.value()}")
        self.read.setdefault(message.partition(), []).append(message.offset())

    def held(self):
        return sorted(partition for partition, holder in self.holders.items() if holder == self.name)


def poll_until(members, holds, what, patience=PATIENCE):
    deadline = time.monotonic() + patience
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
    """Commits by both calls, their metadata, and where a second start goes on."""
    create(bootstrap, topic, 1)
    fill(bootstrap, topic, 1, 0, 20)
    member = Member(bootstrap, topic, "the only one", {})
    poll_until([member], lambda: all_read([member], 1, 20), "reading")
    answered = member.consumer.commit(
        offsets=[TopicPartition(topic, 0, 7, metadata="a note")], asynchronous=False
    )
    expect([(p.offset, p.error) for p in answered] == [(7, None)], f"commit was answered {answered}")
    expect_committed(member.consumer, topic, 7, "a note")
    asynchronous = []
    # What it has read is forgotten, or leaving would commit that.
    member.read.clear()
    member.consumer.close()
    member = Member(
        bootstrap, topic, "the second start", {},
        **{"on_commit": lambda error, partitions: asynchronous.append((error, partitions))},
    )
    poll_until([member], lambda: all_read([member], 1, 13), "reading after the restart")
    expect(member.read[0] == list(range(7, 20)), f"the second start read {member.read[0]}")
    member.consumer.commit(offsets=[TopicPartition(topic, 0, 15)], asynchronous=True)
    poll_until([member], lambda: asynchronous, "the answer to the commit")
    error, partitions = asynchronous[0]
    expect(error is None and [p.offset for p in partitions] == [15], f"commit was answered {error} {partitions}")
    expect_committed(member.consumer, topic, 15, None)
    member.read.clear()
    member.consumer.close()
    expect(member.rebalances == ["assigned", "revoked"], f"the callbacks were {member.rebalances}")


def expect_committed(consumer, topic, offset, metadata):
    committed = consumer.committed([TopicPartition(topic, 0)], timeout=PATIENCE)[0]
    expect(committed.error is None, f"committed reports {committed.error}")
    expect(committed.offset == offset, f"offset {committed.offset} is committed, want {offset}")
    expect((committed.metadata or None) == metadata, f"metadata {committed.metadata!r} is committed, want {metadata!r}")


def two_members(bootstrap, topic, config):
    create(bootstrap, topic, 4)
    fill(bootstrap, topic, 4, 0)
    holders = {}
    first = Member(bootstrap, topic, "the first", holders, **config)
    poll_until([first], lambda: len(first.held()) == 4 and all_read([first], 4, 10), "the first alone")
    second = Member(bootstrap, topic, "the second", holders, **config)
    both = [first, second]
    poll_until(both, lambda: len(first.held()) == 2 and len(second.held()) == 2, "two partitions for each")
    fill(bootstrap, topic, 4, 10)
    poll_until(both, lambda: all_read(both, 4, 20), "reading by both")
    expect(second.read, "the second read nothing")
    first.consumer.close()
    poll_until([second], lambda: len(second.held()) == 4, "taking over")
    fill(bootstrap, topic, 4, 20)
    poll_until([second], lambda: all_read(both, 4, 30), "the second reading")
    second.consumer.close()
    for partition in range(4):
        read = read_of(both, partition)
        expect(read == list(range(30)), f"of partition {partition} were read {read}")


def check_range(bootstrap, topic):
    two_members(bootstrap, topic, {"partition.assignment.strategy": "range"})


def check_cooperative(bootstrap, topic):
    two_members(bootstrap, topic, {"partition.assignment.strategy": "cooperative-sticky"})


def check_newer(bootstrap, topic):
    """KIP-848: the broker assigns."""
    two_members(bootstrap, topic, {"group.protocol": "consumer"})


def check_killed(bootstrap, topic):
    """A member that dies without a word loses its partitions when its session ends, not before."""
    create(bootstrap, topic, 2)
    member = Member(bootstrap, topic, "the survivor", {})
    poll_until([member], lambda: len(member.held()) == 2, "the survivor alone")
    other = subprocess.Popen([sys.executable, "-B", __file__, bootstrap, topic, "victim"])
    try:
        poll_until([member], lambda: len(member.held()) == 1, "one partition for each")
        fill(bootstrap, topic, 2, 0)
        poll_until([member], lambda: len(member.read.get(member.held()[0], [])) == 10, "reading its own")
        other.send_signal(signal.SIGKILL)
        since = time.monotonic()
        poll_until([member], lambda: len(member.held()) == 2, "taking over", SESSION_SECONDS * 2)
        took = time.monotonic() - since
        expect(took > SESSION_SECONDS / 2, f"the partition moved after {took:.1f} s, before the session could end")
        poll_until([member], lambda: all_read([member], 2, 10), "reading what was the other's")
    finally:
        other.kill()
        other.wait()
    member.consumer.close()
    for partition in range(2):
        told = f"of partition {partition} were read {member.read[partition]}; the callbacks were {member.rebalances}"
        expect(member.read[partition] == list(range(10)), told)


def check_victim(bootstrap, topic):
    """The process `check_killed` kills: it consumes and never commits."""
    member = Member(bootstrap, topic, "the victim", {})
    while os.getppid() != 1:
        member.poll()


def check_restart(bootstrap, topic):
    """Reads and commits before and after the broker is restarted, which whoever started this does between
    the line this prints and the one it is given; the consumer is the same all the time."""
    create(bootstrap, topic, 2)
    fill(bootstrap, topic, 2, 0)
    member = Member(bootstrap, topic, "the member", {})
    poll_until([member], lambda: all_read([member], 2, 10), "reading before")
    member.consumer.commit(offsets=member.positions(), asynchronous=False)
    print("committed", flush=True)
    sys.stdin.readline()
    fill(bootstrap, topic, 2, 10)
    deadline = time.monotonic() + PATIENCE
    while not all_read([member], 2, 20):
        expect(time.monotonic() < deadline, f"reading after did not come about in time: {member.read}")
        message = member.consumer.poll(0.05)
        # A lost connection is reported once and repaired by the client itself.
        if message is not None and message.error() is None:
            member.read.setdefault(message.partition(), []).append(message.offset())
    member.consumer.commit(offsets=member.positions(), asynchronous=False)
    for partition in range(2):
        expect(member.read[partition] == list(range(20)), f"of partition {partition} were read {member.read[partition]}")
        committed = member.consumer.committed([TopicPartition(topic, partition)], timeout=PATIENCE)[0].offset
        expect(committed == 20, f"offset {committed} of partition {partition} is committed, want 20")
    member.consumer.close()


if __name__ == "__main__":
    globals()["check_" + sys.argv[3]](sys.argv[1], sys.argv[2])
