"""Checks of kafkajs: producer and admin, and its consumers, which always join a group."""
from .cache import ROOM
from .check import Check

CHECKS = {
    "producer": "producer, plain and gzip",
    "idempotent": "idempotent producer",
    "admin": "admin: topics, partitions, metadata, configs",
}

GROUP_CHECKS = {
    "auto": "group: eachMessage, automatic commits, restart",
    "manual": "group: commitOffsets with metadata, restart, admin of the group",
    "two": "group of two members",
}


def checks(version):
    for name, what in CHECKS.items():
        yield kafkajs_check(version, "kafkajs.js", name, what)
    for name, what in GROUP_CHECKS.items():
        yield kafkajs_check(version, "groups.js", name, what)


def kafkajs_check(version, script, name, what):
    def work(rig):
        directory = rig.cache.node([f"kafkajs@{version}"])
        command = ["node", ROOM / "node" / script, rig.bootstrap, rig.topic(f"kafkajs-{name}"), name]
        rig.call(command, cwd=directory, env={"KAFKAJS_NO_PARTITIONER_WARNING": "1"})

    return Check(f"kafkajs {version}", what, work)
