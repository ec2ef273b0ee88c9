"""Transactions of aiokafka against a broker: `aiokafka_transactions.py BOOTSTRAP TOPIC CHECK`.

A check verifies what it reads back and exits 1 with one clear line.
"""
import asyncio
import sys
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from aiokafka_groups import PATIENCE, create, expect, fill


async def read(bootstrap, topic, count):
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed", auto_offset_reset="earliest")
    await consumer.start()
    consumer.assign([TopicPartition(topic, 0)])
    values, deadline = [], time.monotonic() + PATIENCE
    while len(values) < count:
        expect(time.monotonic() < deadline, f"read {values}")
        for messages in (await consumer.getmany(timeout_ms=200)).values():
            values += [message.value.decode() for message in messages]
    await consumer.stop()
    return values


async def loop(bootstrap, topic):
    await create(bootstrap, topic, 1)
    await create(bootstrap, topic + "-out", 1)
    await fill(bootstrap, topic, 1, 0, 10)
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, group_id=topic, auto_offset_reset="earliest", enable_auto_commit=False)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=topic)
    await consumer.start()
    await producer.start()
    partition = TopicPartition(topic, 0)
    for attempt in range(4):
        messages = []
        while len(messages) < 5:
            for got in (await consumer.getmany(partition, timeout_ms=1000, max_records=5 - len(messages))).values():
                messages += got
        await producer.begin_transaction()
        for message in messages:
            await producer.send_and_wait(topic + "-out", message.value, partition=0)
        await producer.send_offsets_to_transaction({partition: messages[-1].offset + 1}, topic)
        if attempt % 2 == 0:
            await producer.abort_transaction()
            consumer.seek(partition, messages[0].offset)
        else:
            await producer.commit_transaction()
    want = [f"p0 m{n}" for n in range(10)]
    values = await read(bootstrap, topic + "-out", 10)
    expect(values == want, f"the output is {values}")
    expect(await consumer.committed(partition) == 10, f"committed is {await consumer.committed(partition)}")
    await producer.stop()
    await consumer.stop()


if __name__ == "__main__":
    asyncio.run({"loop": loop}[sys.argv[3]](sys.argv[1], sys.argv[2]))
