"""Checks of the Go clients: sarama and kafka-go, in the versions the tutorials were written for."""
from .check import Check

# Apache Kafka dropped these request versions with 4.0 (KIP-896); Kalda serves them.
SINCE_KAFKA_4 = ((4,), "no longer serves the version this client sends")

SARAMA_CHECKS = {
    "sync": "sync producer + partition consumer",
    "async": "async producer + partition consumer",
    "partitions": "multi-partition consumer",
    "compression": "every codec, round trip",
    "idempotent": "idempotent producer",
    "admin": "cluster admin",
}

# Run under fewer configurations, for each takes a rebalance or more.
SARAMA_GROUP_CHECKS = {
    "group": "ConsumerGroup, automatic commits, restart",
    "manual": "ConsumerGroup, session.Commit after every third message",
    "two": "ConsumerGroup, two members, one leaves",
    "offsets": "OffsetManager with metadata, restart",
}

KAFKA_GO_CHECKS = {
    "conn": "Conn: Dial, ReadPartitions, DialLeader, WriteMessages, ReadBatch",
    "conn-admin": "Conn: CreateTopics, DeleteTopics",
    "writer": "Writer with LeastBytes, Reader from an offset",
    "compression": "every codec, round trip",
    "client": "Client: topics, Produce, Fetch, ListOffsets, DescribeConfigs",
    "group": "Reader with GroupID: ReadMessage, restart",
    "interval": "Reader with GroupID and CommitInterval, restart",
    "manual": "Reader with GroupID: FetchMessage and CommitMessages, restart",
    "two": "two Readers in one group, one closes",
}


def sarama(versions):
    newest = versions[-1]
    for version in versions:
        configs = ["default", "0.11.0.2", "2.8.0"] + (["max"] if version == newest else [])
        for config in configs:
            for name, what in SARAMA_CHECKS.items():
                yield sarama_check(version, config, name, what, legacy_admin(version, newest, config, name))
        for config in ["0.11.0.2", "default", "max"]:
            for name, what in SARAMA_GROUP_CHECKS.items():
                # Up to 1.40, offsets are committed with v1 whatever the config.
                yield sarama_check(version, config, name, what, version != newest)


def legacy_admin(version, newest, config, name):
    """Older releases administer with DescribeConfigs v0 and DescribeLogDirs v0 whatever the config."""
    return name == "admin" and (version != newest or config == "0.11.0.2")


def sarama_check(version, config, name, what, legacy):
    # Releases before 1.38 were published under the former owner's path only.
    former = version == "1.29.0"
    module_path = ("github.com/IBM/sarama", "github.com/Shopify/sarama") if former else None

    def work(rig):
        program = rig.cache.go("sarama", module_path, version)
        rig.call([program, rig.bootstrap, rig.topic(f"sarama-{name}"), name, config])

    label = {"default": "default config", "max": "newest config"}.get(config, f"config V{config.replace('.', '_')}")
    return Check(f"sarama {version}", f"{what}, {label}", work, SINCE_KAFKA_4 if legacy else None)


def kafka_go(versions):
    for version in versions:
        for name, what in KAFKA_GO_CHECKS.items():
            # Up to 0.4.47, Conn creates and deletes topics with v0 and nothing else.
            legacy = name == "conn-admin" and version != versions[-1]
            yield kafka_go_check(version, name, what, legacy)


def kafka_go_check(version, name, what, legacy):
    def work(rig):
        program = rig.cache.go("kafkago", None, version)
        rig.call([program, rig.bootstrap, rig.topic(f"kafkago-{name}"), name])

    # It neither asks again nor moves to another node.
    peace = "a Conn is one connection to one node, and ends with it" if name.startswith("conn") else None
    return Check(f"kafka-go {version}", what, work, SINCE_KAFKA_4 if legacy else None, needs_peace=peace)
