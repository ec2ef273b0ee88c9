"""Checks of Apache Kafka's own command-line tools, started by class from their jars."""
import contextlib
import json
import pathlib
import re
import subprocess
import threading

from .check import CLIENT_SECONDS_MAX, Check, expect, expect_contains
from .java_clients import java

CLASSES = {
    "kafka-topics": "org.apache.kafka.tools.TopicCommand",
    "kafka-console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "kafka-console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "kafka-consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "kafka-configs": "kafka.admin.ConfigCommand",
    "kafka-get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "kafka-delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
    "kafka-log-dirs": "org.apache.kafka.tools.LogDirsCommand",
    "kafka-dump-log": "kafka.tools.DumpLogSegments",
    "kafka-broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
    "kafka-transactions": "org.apache.kafka.tools.TransactionsCommand",
    "kafka-producer-perf-test": "org.apache.kafka.tools.ProducerPerformance",
}

# Keys clients and consoles look up by name in a broker's description.
BROKER_KEYS = ["advertised.listeners", "auto.create.topics.enable", "log.retention.hours", "num.partitions"]


class Tools:
    """One version of the tools against one broker."""

    def __init__(self, rig, version):
        self.rig = rig
        self.jars = rig.cache.kafka_jars(version)

    def local(self, name, *arguments, stdin="", check=True):
        return self.rig.call([*java(self.jars), CLASSES[name], *arguments], stdin=stdin, check=check)

    def run(self, name, *arguments, stdin="", check=True):
        return self.local(name, "--bootstrap-server", self.rig.bootstrap, *arguments, stdin=stdin, check=check)

    @contextlib.contextmanager
    def running(self, name, *arguments):
        """The tool as a process under way, asked to end when the block does."""
        command = [*java(self.jars), CLASSES[name], "--bootstrap-server", self.rig.bootstrap, *arguments]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        late = threading.Timer(CLIENT_SECONDS_MAX, process.kill)
        late.start()
        try:
            yield process
        finally:
            late.cancel()
            process.terminate()
            process.communicate()

    def file(self, name, content):
        path = pathlib.Path(self.rig.directory) / name
        path.write_text(json.dumps(content))
        return path


def checks(version):
    for name, what, work, options in (
        ("kafka-topics", "create, list, describe, alter, delete", topics, {}),
        ("kafka-topics", "refusals", topic_refusals, {}),
        ("kafka-console-producer", "and kafka-console-consumer --partition", console, {}),
        ("kafka-console-consumer", "formats, offsets, end of time", console_formats, {}),
        ("kafka-configs", "topic: alter add and delete, describe --all", topic_configs, {}),
        ("kafka-configs", "broker: describe --all, alter add and delete", broker_configs, {}),
        ("kafka-get-offsets", "latest, earliest, max timestamp, timestamp", get_offsets, {}),
        ("kafka-delete-records", "up to an offset", delete_records, {}),
        ("kafka-log-dirs", "describe", log_dirs, {}),
        ("kafka-broker-api-versions", "lists every key", api_versions, {}),
        ("kafka-producer-perf-test", "20,000 records", perf_test, {}),
        ("kafka-dump-log", "reads the broker's files", dump_log, {"needs_directory": True}),
    ):
        yield tool_check(name, version, what, work, options)


def tool_check(name, version, what, work, options):
    return Check(f"{name} {version}", what, lambda rig: work(Tools(rig, version)), **options)


def topics(tools):
    topic = tools.rig.topic("tools")
    created = tools.run("kafka-topics", "--create", "--topic", topic, "--config", "segment.bytes=1073741824").stdout
    expect(created == f"Created topic {topic}.\n", f"create printed:\n{created}")
    expect(topic in tools.run("kafka-topics", "--list").stdout.splitlines(), "the topic is not listed")
    altered = tools.run("kafka-topics", "--alter", "--topic", topic, "--partitions", "3").stdout
    expect(altered == "", f"alter printed:\n{altered}")
    lines = tools.run("kafka-topics", "--describe", "--topic", topic).stdout.splitlines()
    head = rf"Topic: {topic}\tTopicId: [A-Za-z0-9_-]{{22}}\tPartitionCount: 3\tReplicationFactor: {tools.rig.broker.nodes}\tConfigs: .*segment.bytes=1073741824.*"
    expect(re.fullmatch(head, lines[0]), f"describe began with:\n{lines[0]}")
    expect(len(lines) == 4, f"describe printed {len(lines)} lines:\n" + "\n".join(lines))
    for number, line in enumerate(lines[1:]):
        # A replica may be down at the moment.
        row = rf"\tTopic: {topic}\tPartition: {number}\tLeader: \d+\tReplicas: {node_ids(tools.rig.broker.nodes)}\tIsr: \d+(?:,\d+)*(\tElr: \S*\tLastKnownElr: \S*)?"
        expect(re.fullmatch(row, line), f"describe printed:\n{line}")
    deleted = tools.run("kafka-topics", "--delete", "--topic", topic).stdout
    expect(deleted == "", f"delete printed:\n{deleted}")
    expect(topic not in tools.run("kafka-topics", "--list").stdout.splitlines(), "the deleted topic is listed")


def node_ids(count):
    """Matches a list of so many ids."""
    return rf"\d+(?:,\d+){{{count - 1}}}"


def topic_refusals(tools):
    topic = tools.rig.topic("refused")
    tools.run("kafka-topics", "--create", "--topic", topic, "--partitions", "2")
    for arguments, complaint in (
        (["--create", "--topic", topic], f"Topic '{topic}' already exists."),
        (["--create", "--topic", topic + "-rf", "--replication-factor", "9"], "Unable to replicate the partition 9 time(s)"),
        (["--alter", "--topic", topic, "--partitions", "1"], f"The topic {topic} currently has 2 partition(s); 1 would not be an increase."),
        (["--describe", "--topic", topic + "-none"], f"Topic '{topic}-none' does not exist as expected"),
        (["--create", "--topic", topic + "-cfg", "--config", "retention.ms=abc"], "retention.ms"),
    ):
        done = tools.run("kafka-topics", *arguments, check=False)
        expect(done.returncode == 1, f"{' '.join(arguments)} ended with exit code {done.returncode}")
        expect_contains(done.stdout, "Error while executing topic command : ", complaint)
    again = tools.run("kafka-topics", "--create", "--if-not-exists", "--topic", topic)
    expect(again.stdout == "", f"--if-not-exists printed:\n{again.stdout}")


def consume(tools, topic, *arguments):
    return tools.run("kafka-console-consumer", "--topic", topic, "--partition", "0", *arguments)


def console(tools):
    topic = tools.rig.topic("console")
    tools.run("kafka-console-producer", "--topic", topic, stdin="hello kafka\nhello\n")
    tools.run("kafka-console-producer", "--topic", topic, "--sync", "--compression-codec", "zstd", stdin="third\n")
    done = consume(tools, topic, "--from-beginning", "--max-messages", "3")
    expect(done.stdout == "hello kafka\nhello\nthird\n", f"consumed:\n{done.stdout}")
    expect_contains(done.stderr, "Processed a total of 3 messages")


def console_formats(tools):
    topic = tools.rig.topic("formats")
    keyed = ["--property", "parse.key=true", "--property", "parse.headers=true", "--property", "key.separator=:"]
    tools.run("kafka-console-producer", "--topic", topic, *keyed, stdin="h1:a,h2:b\tk1:v1\nh1:c\tk2:v2\n")
    shown = [part for name in ("key", "offset", "partition", "headers") for part in ("--property", f"print.{name}=true")]
    done = consume(tools, topic, "--offset", "earliest", "--max-messages", "2", *shown)
    expect(done.stdout == "Partition:0\tOffset:0\th1:a,h2:b\tk1\tv1\nPartition:0\tOffset:1\th1:c\tk2\tv2\n", f"consumed:\n{done.stdout}")
    done = consume(tools, topic, "--offset", "1", "--timeout-ms", "6000")
    expect(done.stdout == "v2\n", f"consumed from offset 1:\n{done.stdout}")
    expect_contains(done.stderr, "TimeoutException", "Processed a total of 1 messages")


def topic_configs(tools):
    topic = tools.rig.topic("configs")
    tools.run("kafka-topics", "--create", "--topic", topic)
    target = ["--entity-type", "topics", "--entity-name", topic]
    altered = tools.run("kafka-configs", "--alter", *target, "--add-config", "retention.ms=1000,cleanup.policy=[compact,delete]").stdout
    expect(altered == f"Completed updating config for topic {topic}.\n", f"alter printed:\n{altered}")
    described = tools.run("kafka-configs", "--describe", *target).stdout
    expect_contains(
        described,
        f"Dynamic configs for topic {topic} are:\n",
        "  cleanup.policy=compact,delete sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:cleanup.policy=compact,delete",
        "  retention.ms=1000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=1000",
    )
    tools.run("kafka-configs", "--alter", "--topic", topic, "--delete-config", "cleanup.policy")
    whole = tools.run("kafka-configs", "--describe", "--all", "--topic", topic).stdout
    expect_contains(whole, f"All configs for topic {topic} are:\n", "  cleanup.policy=delete sensitive=false", "  segment.bytes=1073741824 ")
    for arguments in (["--topic", topic, "--add-config", "no.such.key=1"], ["--topic", topic, "--add-config", "retention.ms=abc"]):
        done = tools.run("kafka-configs", "--alter", *arguments, check=False)
        expect(done.returncode == 1, f"{' '.join(arguments)} ended with exit code {done.returncode}")
        expect_contains(done.stderr, "InvalidConfigurationException")


def broker_configs(tools):
    broker = re.search(r"\tLeader: (\d+)", described_anywhere(tools)).group(1)
    whole = tools.run("kafka-configs", "--describe", "--all", "--broker", broker).stdout
    expect_contains(whole, f"All configs for broker {broker} are:\n", *(f"\n  {key}=" for key in BROKER_KEYS))
    expect_contains(whole, "\n  ssl.keystore.password=null sensitive=true ")
    expect(whole.count("\n  ") > 250, f"only {whole.count(chr(10))} configs are described")
    altered = tools.run("kafka-configs", "--alter", "--broker", broker, "--add-config", "log.cleaner.threads=2").stdout
    expect(altered == f"Completed updating config for broker {broker}.\n", f"alter printed:\n{altered}")
    dynamic = tools.run("kafka-configs", "--describe", "--broker", broker).stdout
    expect_contains(dynamic, "  log.cleaner.threads=2 sensitive=false synonyms={DYNAMIC_BROKER_CONFIG:log.cleaner.threads=2")
    tools.run("kafka-configs", "--alter", "--broker", broker, "--delete-config", "log.cleaner.threads")
    dynamic = tools.run("kafka-configs", "--describe", "--broker", broker).stdout
    expect("log.cleaner.threads" not in dynamic, f"the deleted config is still dynamic:\n{dynamic}")
    refused = tools.run("kafka-configs", "--alter", "--broker", broker, "--add-config", "num.partitions=2", check=False)
    expect(refused.returncode == 1, "a read-only broker config was altered")


def described_anywhere(tools):
    topic = tools.rig.topic("any")
    tools.run("kafka-topics", "--create", "--topic", topic)
    return tools.run("kafka-topics", "--describe", "--topic", topic).stdout


def filled(tools, label, lines=5):
    topic = tools.rig.topic(label)
    tools.run("kafka-console-producer", "--topic", topic, stdin="".join(f"line {n}\n" for n in range(lines)))
    return topic


def get_offsets(tools):
    topic = filled(tools, "offsets")
    for time, line in (("latest", f"{topic}:0:5\n"), ("earliest", f"{topic}:0:0\n"), ("0", f"{topic}:0:0\n"), ("99999999999999", "")):
        printed = tools.run("kafka-get-offsets", "--topic", topic, "--time", time).stdout
        expect(printed == line, f"--time {time} printed:\n{printed}")
    printed = tools.run("kafka-get-offsets", "--topic-partitions", f"{topic}:0", "--time", "max-timestamp").stdout
    expect(re.fullmatch(rf"{topic}:0:[0-4]\n", printed), f"--time max-timestamp printed:\n{printed}")
    none = tools.run("kafka-get-offsets", "--topic", topic + "-none", check=False)
    expect(none.returncode == 1, f"a topic that does not exist ended with exit code {none.returncode}")


def delete_records(tools):
    topic = filled(tools, "trim")
    request = {"partitions": [{"topic": topic, "partition": 0, "offset": 3}], "version": 1}
    done = tools.run("kafka-delete-records", "--offset-json-file", tools.file(topic + ".json", request)).stdout
    expect_contains(done, "Records delete operation completed:\n", f"partition: {topic}-0\tlow_watermark: 3\n")
    left = consume(tools, topic, "--from-beginning", "--max-messages", "2").stdout
    expect(left == "line 3\nline 4\n", f"consumed:\n{left}")


def log_dirs(tools):
    topic = filled(tools, "dirs")
    printed = tools.run("kafka-log-dirs", "--describe", "--topic-list", topic).stdout
    answer = json.loads(printed.splitlines()[-1])
    expect(len(answer["brokers"]) == tools.rig.broker.nodes, f"described:\n{printed}")
    for broker in answer["brokers"]:
        partitions = [partition for dir in broker["logDirs"] for partition in dir["partitions"]]
        expect([partition["partition"] for partition in partitions] == [f"{topic}-0"], f"described:\n{printed}")
        expect(partitions[0]["size"] > 0 and not partitions[0]["isFuture"], f"described:\n{printed}")


def api_versions(tools):
    printed = tools.run("kafka-broker-api-versions").stdout
    expect(re.match(r"\S+:\d+ \(id: \d+ rack: \S+ isFenced: false\) -> \(\n", printed), f"printed:\n{printed}")
    for key in ("Produce(0)", "Fetch(1)", "ListOffsets(2)", "Metadata(3)", "ApiVersions(18)", "CreateTopics(19)", "DescribeConfigs(32)"):
        expect(re.search(rf"\t{re.escape(key)}: \d+ to \d+ \[usable: \d+\]", printed), f"{key} is not usable:\n{printed}")


def perf_test(tools):
    topic = tools.rig.topic("perf")
    printed = tools.local(
        "kafka-producer-perf-test", "--topic", topic, "--num-records", "20000", "--record-size", "200",
        "--throughput", "-1", "--producer-props", f"bootstrap.servers={tools.rig.bootstrap}", "compression.type=lz4",
    ).stdout
    expect(re.search(r"^20000 records sent, .* 99\.9th\.$", printed, re.MULTILINE), f"printed:\n{printed}")
    offsets = tools.run("kafka-get-offsets", "--topic", topic).stdout
    expect(offsets == f"{topic}:0:20000\n", f"offsets are:\n{offsets}")


def dump_log(tools):
    """A segment that is full is read with its indexes; the active one without, for its may be preallocated."""
    topic = tools.rig.topic("dump")
    tools.run("kafka-topics", "--create", "--topic", topic, "--config", "segment.bytes=1048576")
    text = "".join(f"line {n} {'x' * 100}\n" for n in range(12_000))
    tools.run("kafka-console-producer", "--topic", topic, stdin=text)
    tools.run("kafka-console-producer", "--topic", topic, "--compression-codec", "gzip", stdin="zipped\n")
    directory = tools.rig.broker.log_dir / f"{topic}-0"
    logs = sorted(directory.glob("*.log"))
    expect(len(logs) >= 2, f"the log was not rolled: {sorted(path.name for path in directory.iterdir())}")
    full = [path for suffix in (".log", ".index", ".timeindex") for path in [logs[0].with_suffix(suffix)]]
    done = tools.local("kafka-dump-log", "--files", ",".join(map(str, full)))
    expect_contains(done.stdout, "Log starting offset: 0\nbaseOffset: 0 ")
    expect(re.search(r"Dumping \S+\.index\noffset: \d+ position: \d+\n", done.stdout), "the offset index is empty")
    expect(re.search(r"Dumping \S+\.timeindex\ntimestamp: \d+ offset: \d+\n", done.stdout), "the time index is empty")
    expect(done.stderr == "" and "isvalid: false" not in done.stdout, f"complaints:\n{done.stderr}")
    sane = tools.local("kafka-dump-log", "--index-sanity-check", "--files", str(full[1])).stdout
    expect_contains(sane, f"{full[1]} passed sanity check.")
    rest = tools.local("kafka-dump-log", "--print-data-log", "--files", ",".join(map(str, logs[1:])))
    expect(rest.stderr == "" and "isvalid: false" not in rest.stdout, f"complaints:\n{rest.stderr}")
    expect_contains(rest.stdout, "compresscodec: gzip", " lastOffset: 12000 count: 1 ", "payload: zipped\n")
