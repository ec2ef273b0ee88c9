"""Groups of aiokafka against a broker: `aiokafka_groups.py BOOTSTRAP TOPIC CHECK`.

A check verifies what it reads back and exits 1 with one clear line. A group is named as its topic is.
"""
import asyncio
import os
import sys
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import OffsetAndMetadata

PATIENCE = 30
# How many replicas the runner wants topics to have.
REPLICAS = int(os.environ.get("CONFORMANCE_REPLICAS", "1"))


def expect(holds, otherwise):
    if not holds:
        sys.exit(otherwise)


async def create(bootstrap, topic, partitions):
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, partitions, REPLICAS)])
    await admin.close()


async def fill(bootstrap, topic, partitions, first, count=10):
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    await producer.start()
    for partition in range(partitions):
        for n in range(first, first + count):
            sent = await producer.send_and_wait(topic, b"p%d m%d" % (partition, n), partition=partition)
            expect(sent.offset == n, f"message {n} of partition {partition} was acknowledged at {sent.offset}")
    await producer.stop()


class Member(ConsumerRebalanceListener):
    """A consumer read by a task of its own; the client commits before a rebalance and on leaving."""

    def __init__(self, bootstrap, topic, name, holders, **config):
        self.name = name
        self.topic = topic
        self.holders = holders
        self.read = {}
        self.consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            group_id=topic,
            auto_offset_reset="earliest",
            session_timeout_ms=10_000,
            heartbeat_interval_ms=300,
            **config,
        )

    async def start(self):
        self.consumer.subscribe([self.topic], listener=self)
        await self.consumer.start()
        self.task = asyncio.create_task(self.consume())

    async def consume(self):
        async for record in self.consumer:
            want = b"p%d m%d" % (record.partition, record.offset)
            expect(record.value == want, f"{record.partition} at {record.offset} reads {record.value}")
            self.read.setdefault(record.partition, []).append(record.offset)

    async def on_partitions_assigned(self, assigned):
        for _, partition in assigned:
            holder = self.holders.get(partition)
            expect(holder is None, f"partition {partition} was given to {self.name} while {holder} held it")
            self.holders[partition] = self.name

    async def on_partitions_revoked(self, revoked):
        self.forget()

    def forget(self):
        for partition in self.held():
            del self.holders[partition]

    def held(self):
        return [partition for partition, holder in self.holders.items() if holder == self.name]

    async def leave(self):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.consumer.stop()
        self.forget()


async def until(members, holds, what):
    deadline = time.monotonic() + PATIENCE
    while not holds():
        state = ", ".join(f"{member.name} holds {member.held()} and read {member.read}" for member in members)
        expect(time.monotonic() < deadline, f"{what} did not come about in time: {state}")
        ended = [member.task for member in members if member.task.done()]
        expect(not ended, f"a member ended: {ended}")
        await asyncio.sleep(0.02)


def read_of(members, partition):
    return sorted(offset for member in members for offset in member.read.get(partition, []))


def all_read(members, partitions, count):
    return all(len(read_of(members, partition)) >= count for partition in range(partitions))


async def check_group(bootstrap, topic):
    await create(bootstrap, topic, 1)
    await fill(bootstrap, topic, 1, 0)
    partition = TopicPartition(topic, 0)
    member = Member(bootstrap, topic, "the only one", {}, enable_auto_commit=False)
    await member.start()
    await until([member], lambda: all_read([member], 1, 10), "reading")
    await member.consumer.commit({partition: OffsetAndMetadata(4, "a note")})
    await member.leave()
    member = Member(bootstrap, topic, "the second start", {})
    await member.start()
    await until([member], lambda: all_read([member], 1, 6), "reading after the restart")
    expect(member.read[0] == list(range(4, 10)), f"the second start read {member.read[0]}")
    await member.leave()
    member = Member(bootstrap, topic, "the third start", {})
    await member.start()
    committed = await member.consumer.committed(partition)
    expect(committed == 10, f"committed is {committed}, want 10")
    await member.leave()


async def check_two(bootstrap, topic):
    await create(bootstrap, topic, 4)
    await fill(bootstrap, topic, 4, 0)
    holders = {}
    first = Member(bootstrap, topic, "the first", holders)
    await first.start()
    await until([first], lambda: len(first.held()) == 4 and all_read([first], 4, 10), "the first alone")
    second = Member(bootstrap, topic, "the second", holders)
    await second.start()
    both = [first, second]
    await until(both, lambda: len(first.held()) == 2 and len(second.held()) == 2, "two partitions for each")
    await fill(bootstrap, topic, 4, 10)
    await until(both, lambda: all_read(both, 4, 20), "reading by both")
    expect(second.read, "the second read nothing")
    await first.leave()
    await until([second], lambda: len(second.held()) == 4, "taking over")
    await fill(bootstrap, topic, 4, 20)
    await until([second], lambda: all_read(both, 4, 30), "the second reading")
    await second.leave()
    for partition in range(4):
        read = read_of(both, partition)
        expect(read == list(range(30)), f"of partition {partition} were read {read}")


if __name__ == "__main__":
    asyncio.run(globals()["check_" + sys.argv[3]](sys.argv[1], sys.argv[2]))
