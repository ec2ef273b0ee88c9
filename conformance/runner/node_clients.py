"""Checks of kafkajs. Its consumers always join a group, so only producer and admin are here."""
from .cache import ROOM
from .check import Check

CHECKS = {
    "producer": "producer, plain and gzip",
    "idempotent": "idempotent producer",
    "admin": "admin: topics, partitions, metadata, configs",
}


def checks(version):
    for name, what in CHECKS.items():
        yield kafkajs_check(version, name, what)


def kafkajs_check(version, name, what):
    def work(rig):
        directory = rig.cache.node([f"kafkajs@{version}"])
        command = ["node", ROOM / "node" / "kafkajs.js", rig.bootstrap, rig.topic(f"kafkajs-{name}"), name]
        rig.call(command, cwd=directory, env={"KAFKAJS_NO_PARTITIONER_WARNING": "1"})

    return Check(f"kafkajs {version}", what, work)
