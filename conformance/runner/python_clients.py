"""Checks of the Python clients: confluent-kafka (librdkafka) and kafka-python."""
from .cache import ROOM
from .check import Check

CONFLUENT_CHECKS = {
    "producer": "producer + consumer.assign",
    "idempotent": "idempotent producer",
    "compression": "every codec, round trip",
    "admin": "admin: topics, partitions, configs, offsets, records",
}

KAFKA_PYTHON_CHECKS = {
    "producer": "producer + assigned consumer",
    "gzip": "gzip, round trip",
    "admin": "admin: topics, partitions, configs",
}


def confluent(version):
    for name, what in CONFLUENT_CHECKS.items():
        yield python_check("confluent-kafka", version, "confluent.py", name, what)


def kafka_python(versions):
    for version in versions:
        for name, what in KAFKA_PYTHON_CHECKS.items():
            yield python_check("kafka-python", version, "kafka_python.py", name, what)


def python_check(package, version, script, name, what):
    def work(rig):
        python = rig.cache.python([f"{package}=={version}"])
        rig.call([python, "-B", ROOM / "python" / script, rig.bootstrap, rig.topic(f"{package}-{name}"), name])

    return Check(f"{package} {version}", what, work)
