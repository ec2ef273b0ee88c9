"""Checks of the Python clients: confluent-kafka (librdkafka), kafka-python and aiokafka."""
import contextlib
import os
import signal
import subprocess
import tempfile

from .broker import BrokerFailed
from .cache import ROOM
from .check import CLIENT_SECONDS_MAX, Check, Failed, expect

CONFLUENT_CHECKS = {
    "producer": "producer + consumer.assign",
    "idempotent": "idempotent producer",
    "compression": "every codec, round trip",
    "admin": "admin: topics, partitions, configs, offsets, records",
}

CONFLUENT_GROUP_CHECKS = {
    "group": "group: callbacks, commit sync and async, metadata, restart",
    "range": "group of two members, range",
    "cooperative": "group of two members, cooperative-sticky",
    "newer": "group of two members, group.protocol=consumer",
    "killed": "group: a member is killed and its partition moves within its session timeout",
}

KAFKA_PYTHON_CHECKS = {
    "producer": "producer + assigned consumer",
    "gzip": "gzip, round trip",
    "admin": "admin: topics, partitions, configs",
}

KAFKA_PYTHON_GROUP_CHECKS = {
    "group": "group: commit, metadata, automatic commits, restart",
    "two": "group of two members",
    "admin": "admin: list, describe and offsets of groups",
}

CONFLUENT_TRANSACTION_CHECKS = {
    "transactions": "transactions: commit, abort, both isolations, several partitions",
    "fencing": "transactions: the older of two producers is fenced",
    "loop": "transactions: consume, transform, produce, exactly once",
}

AIOKAFKA_CHECKS = {
    "group": "group: commit, automatic commits, restart",
    "two": "group of two members",
}


def confluent(version):
    for name, what in CONFLUENT_CHECKS.items():
        yield python_check("confluent-kafka", version, "confluent.py", name, what)
    for name, what in CONFLUENT_GROUP_CHECKS.items():
        yield python_check("confluent-kafka", version, "confluent_groups.py", name, what)
    for name, what in CONFLUENT_TRANSACTION_CHECKS.items():
        yield python_check("confluent-kafka", version, "confluent_transactions.py", name, what)
    yield Check(f"confluent-kafka {version}", "transactions: one stays open when the broker is killed", killed(version), needs_restart=True)
    yield Check(f"confluent-kafka {version}", "group: goes on when the broker is restarted", restarted(version), needs_restart=True)


def kafka_python(versions):
    for version in versions:
        for name, what in KAFKA_PYTHON_CHECKS.items():
            yield python_check("kafka-python", version, "kafka_python.py", name, what)
        for name, what in KAFKA_PYTHON_GROUP_CHECKS.items():
            yield python_check("kafka-python", version, "kafka_python_groups.py", name, what)


def aiokafka(version):
    for name, what in AIOKAFKA_CHECKS.items():
        yield python_check("aiokafka", version, "aiokafka_groups.py", name, what)
    what = "transactions: consume, produce, exactly once"
    yield python_check("aiokafka", version, "aiokafka_transactions.py", "loop", what)


def python_check(package, version, script, name, what):
    def work(rig):
        python = rig.cache.python([f"{package}=={version}"])
        rig.call([python, "-B", ROOM / "python" / script, rig.bootstrap, rig.topic(f"{package}-{name}"), name])

    return Check(f"{package} {version}", what, work)


def restarted(version):
    """The broker is one of this check's own, started twice over one directory and on one port."""
    def work(rig):
        python = rig.cache.python([f"confluent-kafka=={version}"])
        with tempfile.TemporaryDirectory(dir=rig.directory) as directory, contextlib.ExitStack() as client:
            with rig.broker.another(directory) as broker:
                command = [python, "-B", ROOM / "python" / "confluent_groups.py", broker.bootstrap, rig.topic("restart"), "restart"]
                process = client.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
                client.callback(process.kill)
                if process.stdout.readline() != "committed\n":
                    raise Failed(process.communicate()[1])
            with rig.broker.another(directory, broker.bootstrap):
                _, problem = process.communicate("restarted\n", CLIENT_SECONDS_MAX)
                expect(process.returncode == 0, problem)

    return work


def killed(version):
    """The same with a transaction open, and without giving the broker a chance to stop."""
    def work(rig):
        python = rig.cache.python([f"confluent-kafka=={version}"])
        with tempfile.TemporaryDirectory(dir=rig.directory) as directory, contextlib.ExitStack() as client:
            with contextlib.suppress(BrokerFailed), rig.broker.another(directory) as broker:
                command = [python, "-B", ROOM / "python" / "confluent_transactions.py", broker.bootstrap, rig.topic("killed"), "killed"]
                process = client.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
                client.callback(process.kill)
                if process.stdout.readline() != "open\n":
                    raise Failed(process.communicate()[1])
                os.kill(broker.pid, signal.SIGKILL)
            with rig.broker.another(directory, broker.bootstrap):
                _, problem = process.communicate("restarted\n", CLIENT_SECONDS_MAX)
                expect(process.returncode == 0, problem)

    return work
