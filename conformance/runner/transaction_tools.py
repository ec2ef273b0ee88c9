"""Checks of kafka-transactions, and of kafka-dump-log over the topics that coordinators keep."""
import contextlib
import subprocess
import time

from .cache import ROOM
from .check import CLIENT_SECONDS_MAX, Failed, expect, expect_contains
from .kafka_tools import tool_check

CONFLUENT_KAFKA = "2.16.1"


def checks(version):
    for name, what, work, options in (
        ("kafka-transactions", "list, describe, describe-producers, find-hanging, abort", transactions, {}),
        ("kafka-dump-log", "--transaction-log-decoder, --offsets-decoder", internal_topics, {"needs_directory": True}),
    ):
        yield tool_check(name, version, what, work, options)


@contextlib.contextmanager
def open_transaction(tools, topic):
    """A producer in a process of its own that has a transaction open; it commits when told to."""
    python = tools.rig.cache.python([f"confluent-kafka=={CONFLUENT_KAFKA}"])
    command = [python, "-B", ROOM / "python" / "confluent_transactions.py", tools.rig.bootstrap, topic, "killed"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        if process.stdout.readline() != "open\n":
            raise Failed(process.communicate()[1])
        yield process
    finally:
        process.kill()
        process.communicate()


def rows(printed):
    """Cells of the table's rows, which end with a tab each."""
    table = [[cell.strip() for cell in line.split("\t")] for line in printed.splitlines()]
    expect(len(table) > 1, f"no rows in:\n{printed}")
    return [dict(zip(table[0], row)) for row in table[1:]]


def transactions(tools):
    topic = tools.rig.topic("transactions")
    with open_transaction(tools, topic) as process:
        listed = [row for row in rows(tools.run("kafka-transactions", "list").stdout) if row["TransactionalId"] == topic]
        expect(len(listed) == 1 and listed[0]["TransactionState"] == "Ongoing", f"listed: {listed}")
        described = rows(tools.run("kafka-transactions", "describe", "--transactional-id", topic).stdout)[0]
        partitions = set(described["TopicPartitions"].split(","))
        expect(described["TransactionState"] == "Ongoing" and partitions == {f"{topic}-0", f"{topic}-1"}, f"described: {described}")
        at = ["--topic", topic, "--partition", "0"]
        producers = rows(tools.run("kafka-transactions", "describe-producers", *at).stdout)
        start = producers[0]["CurrentTransactionStartOffset"]
        expect(len(producers) == 1 and start == "2" and producers[0]["ProducerId"] == described["ProducerId"], f"producers: {producers}")
        hanging = tools.run("kafka-transactions", "find-hanging", "--topic", topic).stdout
        expect(len(hanging.splitlines()) == 1, f"hanging are:\n{hanging}")
        process.kill()
    tools.run("kafka-transactions", "abort", *at, "--start-offset", start)
    aborted = rows(tools.run("kafka-transactions", "describe-producers", *at).stdout)
    expect(aborted[0]["CurrentTransactionStartOffset"] == "None", f"after the abort: {aborted}")
    refused = tools.run("kafka-transactions", "abort", *at, "--start-offset", "7", check=False)
    expect(refused.returncode == 1, "an offset where nothing is open was taken")
    expect_contains(refused.stderr, "Could not find any open transactions starting at offset 7")


def internal_topics(tools):
    topic = tools.rig.topic("decoded")
    python = tools.rig.cache.python([f"confluent-kafka=={CONFLUENT_KAFKA}"])
    tools.rig.call([python, "-B", ROOM / "python" / "confluent_transactions.py", tools.rig.bootstrap, topic, "loop"])
    transactional = records(tools, "__transaction_state", "--transaction-log-decoder", f'"transactionalId":"{topic}"')
    for status in (0, 1, 2, 3, 4, 5):
        expect(f'"transactionStatus":{status}' in transactional, f"no record of status {status} in:\n{transactional}")
    expect_contains(transactional, '{"topic":"__consumer_offsets","partitionIds":[')
    offsets = records(tools, "__consumer_offsets", "--offsets-decoder", f'"group":"{topic}"')
    expect_contains(offsets, f'"data":{{"group":"{topic}","topic":"{topic}","partition":0}}', '"offset":20')


def records(tools, internal, decoder, about):
    """The lines of one key, once they are there: the last record may be on its way."""
    deadline = time.monotonic() + CLIENT_SECONDS_MAX
    while True:
        logs = [path for path in tools.rig.broker.log_dir.glob(f"{internal}-*/*.log") if path.stat().st_size]
        done = tools.local("kafka-dump-log", decoder, "--files", ",".join(map(str, logs)))
        expect("isvalid: false" not in done.stdout and "Error at offset" not in done.stdout, f"complaints:\n{done.stdout}")
        found = "\n".join(line for line in done.stdout.splitlines() if about in line)
        if found.count("\n") > 5 or time.monotonic() > deadline:
            return found
