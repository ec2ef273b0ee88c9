"""Checks of Apache Kafka's Java client, in the tutorial's release and the newest."""
from .check import Check

CHECKS = {
    "producer": "producer with callback and with get()",
    "partitioner": "MyPartitioner, snappy, acks all, three retries",
    "idempotent": "idempotent producer by default",
    "compression": "every codec, round trip",
    "consumer": "standalone consumer: assign, seek, endOffsets, offsetsForTimes",
    "admin": "Admin: create, describe, list, delete topics, createPartitions",
    "configs": "Admin: describeConfigs, incrementalAlterConfigs, alterConfigs",
    "cluster": "Admin: describeCluster, describeLogDirs, describeProducers",
    "records": "Admin: listOffsets, deleteRecords",
    "RangeAssignor": "group of two members, RangeAssignor",
    "RoundRobinAssignor": "group of two members, RoundRobinAssignor",
    "StickyAssignor": "group of two members, StickyAssignor",
    "CooperativeStickyAssignor": "group of two members, CooperativeStickyAssignor",
    "churn-range": "group under load, members come and go, RangeAssignor",
    "churn-cooperative": "group under load, members come and go, CooperativeStickyAssignor",
    "commits": "group: commitSync, commitAsync, metadata, restart",
    "static": "group: static members come back and are fenced",
    "groups": "Admin: list, describe and delete consumer groups",
    "offsets": "Admin: list, alter and delete a group's offsets",
    "transactions": "transactions: commit, abort, both isolations, several partitions",
    "fencing": "transactions: the older of two producers is fenced",
    "timeout": "transactions: one that runs out of time is aborted",
    "many": "transactions: 200 in a row, some over 50 partitions",
    "loop": "transactions: consume, transform, produce, exactly once",
    "transaction-admin": "Admin: list and describe transactions, describeProducers",
}


# KIP-848, which the tutorial's release does not know.
NEWER = {
    "newer": "group of two members, group.protocol=consumer",
    "churn-newer": "group under load, members come and go, group.protocol=consumer",
    "newer-loop": "transactions: consume, transform, produce, group.protocol=consumer",
    "rollingRangeAssignor": "group rolls from RangeAssignor to group.protocol=consumer and back",
    "rollingCooperativeStickyAssignor": "group rolls from CooperativeStickyAssignor to group.protocol=consumer and back",
    "expression": "group.protocol=consumer, subscription by expression",
}


# What a member claims of an older generation the assignor does not believe, and a coordinator that dies may leave one
# member with an older generation than another.
NEEDS_PEACE = {
    name: "the client's assignor may give away what is held, when the coordinator dies in a rebalance"
    for name in ("CooperativeStickyAssignor", "churn-cooperative")
}


def needs_peace(version, name):
    if version == "3.1.0" and name == "idempotent":
        return "this release's default is not idempotent (KAFKA-13598): what has no answer is written twice"
    return NEEDS_PEACE.get(name)


def checks(versions):
    for version in versions:
        newer = NEWER if int(version.split(".")[0]) >= 4 else {}
        for name, what in {**CHECKS, **newer}.items():
            yield java_check(version, name, what)


def java_check(version, name, what):
    def work(rig):
        classes = rig.cache.java_checks(version)
        jars = rig.cache.client_jars(version)
        rig.call([*java(jars, classes), "Check", rig.bootstrap, rig.topic(f"java-{name}"), name])

    return Check(f"kafka-clients {version}", what, work, needs_peace=needs_peace(version, name))


def java(jars, *class_path):
    """The start of a command line for a short-lived, small virtual machine."""
    path = ":".join([f"{jars / 'jars'}/*", *map(str, class_path)])
    logging = f"-Dlog4j2.configurationFile={jars / 'tools.properties'}"
    return ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", logging, "-cp", path]
