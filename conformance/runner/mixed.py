"""Three Kaldas and one broker of Apache Kafka in one cluster, and the mirror of it: a broker of Kalda under a
controller of Apache Kafka. Prints one line for each check, in the order in which they build upon each other.

Everything that it starts it stops again; what it writes goes into a directory of its own.
"""
import argparse
import contextlib
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time

from . import checks
from .broker import BrokerFailed, free_ports
from .cache import Cache, Unprepared
from .check import Failed, expect, expect_contains

KAFKA = 4
READY_SECONDS_MAX = 60
TOOL_SECONDS_MAX = 60
CLUSTER_ID = "4L6g3nShT-eMCtK--X86sw"
SETTINGS = ["log.retention.ms=-1", "broker.session.timeout.ms=3000", "broker.heartbeat.interval.ms=500"]
CLASSES = {
    "kafka-topics": "org.apache.kafka.tools.TopicCommand",
    "kafka-console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "kafka-console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "kafka-dump-log": "kafka.tools.DumpLogSegments",
    "kafka-features": "org.apache.kafka.tools.FeatureCommand",
    "kafka-metadata-quorum": "org.apache.kafka.tools.MetadataQuorumCommand",
    "kafka-reassign-partitions": "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
    "kafka-leader-election": "org.apache.kafka.tools.LeaderElectionCommand",
    "kafka-storage": "kafka.tools.StorageTool",
}


class Node:
    """A process of the cluster, with its directory, its output and its address for clients."""

    def __init__(self, number, directory, port, command):
        self.number = number
        self.home = pathlib.Path(directory) / f"node-{number}"
        self.home.mkdir(exist_ok=True)
        self.data = self.home / "data"
        self.port = port
        self.command = command
        self.process = None

    def start(self):
        with open(self.home / "log", "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.home)

    def end(self, how=signal.SIGTERM):
        if self.process is None:
            return
        self.process.send_signal(how)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def output(self):
        return (self.home / "log").read_text(errors="replace")

    def segment(self, partition):
        return self.data / partition / "00000000000000000000.log"


class Cluster:
    """Nodes by number, and Apache Kafka's tools against them."""

    def __init__(self, jars, binary):
        self.jars = jars
        self.binary = binary
        self.nodes = {}

    def java(self, *memory):
        logging = f"-Dlog4j2.configurationFile={self.jars / 'tools.properties'}"
        return ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *memory, logging, "-cp", f"{self.jars / 'jars'}/*"]

    def tool(self, name, *arguments, stdin="", check=True):
        command = [*self.java(), CLASSES[name], *map(str, arguments)]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=TOOL_SECONDS_MAX)
        if check and done.returncode != 0:
            raise Failed(f"{name} {' '.join(map(str, arguments))} ended with exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def ask(self, name, *arguments, **more):
        return self.tool(name, "--bootstrap-server", self.bootstrap(), *arguments, **more)

    def bootstrap(self):
        live = [node for node in self.nodes.values() if node.process is not None and node.port]
        return ",".join(f"127.0.0.1:{node.port}" for node in live)

    def end(self):
        for node in sorted(self.nodes.values(), key=lambda node: -node.number):
            node.end()

    def partition(self, topic):
        """Leader, replicas and ISR of the only partition of a topic."""
        # Kalda's own tool: it is asked often, and starts in no time.
        command = [self.binary, "topics", "--bootstrap-server", self.bootstrap(), "--describe", "--topic", topic]
        row = subprocess.run(command, capture_output=True, text=True, timeout=TOOL_SECONDS_MAX).stdout
        found = re.search(r"Leader: (\S+)\tReplicas: (\S+)\tIsr: (\S*)", row)
        expect(found, f"described as:\n{row}")
        numbers = lambda text: sorted(int(part) for part in text.split(",") if part)
        return found.group(1), numbers(found.group(2)), numbers(found.group(3))

    def produce(self, topic, lines):
        text = "".join(f"{line}\n" for line in lines)
        self.ask("kafka-console-producer", "--topic", topic, "--producer-property", "acks=all", stdin=text)

    def consume(self, topic, count):
        done = self.ask("kafka-console-consumer", "--topic", topic, "--partition", "0", "--offset", "earliest", "--max-messages", count, "--timeout-ms", "20000")
        return done.splitlines()


def eventually(look, what):
    """Waits until `look` answers something; its failures on the way are of no matter."""
    deadline = time.monotonic() + READY_SECONDS_MAX
    while True:
        try:
            seen = look()
            problem = f"waited too long for {what}"
        except (Failed, subprocess.TimeoutExpired) as failed:
            seen, problem = None, f"{what}: {failed}"
        if seen:
            return seen
        expect(time.monotonic() < deadline, problem)
        time.sleep(0.2)


def kalda(cluster, binary, number, directory, port, overrides):
    overrides = [f"node.id={number}", f"log.dirs={directory}/node-{number}/data", *SETTINGS, *overrides]
    command = [binary, "start", *(part for override in overrides for part in ("--override", override))]
    node = Node(number, directory, port, command)
    cluster.nodes[number] = node
    return node


def kafka(cluster, number, directory, port, settings, format_with=()):
    java = [*cluster.java("-Xmx256m")[:-3], f"-Dlog4j2.configurationFile={cluster.jars / 'server.properties'}", *cluster.java()[-2:]]
    node = Node(number, directory, port, None)
    properties = node.home / "server.properties"
    all_of_them = [f"node.id={number}", f"log.dirs={node.data}", *SETTINGS, *settings]
    properties.write_text("".join(f"{line}\n" for line in all_of_them))
    cluster.tool("kafka-storage", "format", f"--cluster-id={CLUSTER_ID}", "-c", properties, *format_with)
    node.command = [*java, "kafka.Kafka", str(properties)]
    cluster.nodes[number] = node
    return node


class Ours:
    """Kalda's controllers, and one broker that is Apache Kafka."""

    def __init__(self, cluster, binary, directory):
        self.cluster = cluster
        ports = free_ports(7)
        clients, controllers = ports[:4], ports[4:]
        voters = ",".join(f"{number}@127.0.0.1:{port}" for number, port in zip((1, 2, 3), controllers))
        self.controllers = ",".join(f"127.0.0.1:{port}" for port in controllers)
        self.common = [
            f"controller.quorum.voters={voters}",
            "controller.listener.names=CONTROLLER",
            "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        ]
        os.environ["CLUSTER_ID"] = CLUSTER_ID
        for number, (port, controller) in enumerate(zip(clients, controllers), start=1):
            kalda(cluster, binary, number, directory, port, [
                "process.roles=broker,controller",
                f"listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
                *self.common,
            ]).start()
        kafka(cluster, KAFKA, directory, clients[3], [
            "process.roles=broker", f"listeners=PLAINTEXT://127.0.0.1:{clients[3]}", "inter.broker.listener.name=PLAINTEXT", *self.common,
        ]).start()

    def registers(self):
        def seen():
            printed = self.cluster.ask("kafka-topics", "--create", "--topic", "probe", "--replica-assignment", str(KAFKA), check=False)
            return "Created topic probe." in printed
        eventually(seen, "Kafka's broker to be registered")

    def led_by(self, topic, replicas):
        self.cluster.ask("kafka-topics", "--create", "--topic", topic, "--replica-assignment", ":".join(map(str, replicas)))
        everyone = (str(replicas[0]), sorted(replicas), sorted(replicas))
        eventually(lambda: self.cluster.partition(topic) == everyone, "all replicas in sync")
        lines = [f"{topic} {number} {'x' * 50}" for number in range(1000)]
        self.cluster.produce(topic, lines)
        read = self.cluster.consume(topic, len(lines))
        expect(read == lines, f"{len(read)} lines were read, or other ones")
        self.same_bytes(topic)

    def same_bytes(self, topic):
        holders = [node for node in self.cluster.nodes.values() if (node.data / f"{topic}-0").exists()]
        expect(len(holders) == 3, f"{len(holders)} nodes have the partition")

        def same():
            written = [content(node.segment(f"{topic}-0")) for node in holders]
            return written[0] and all(other == written[0] for other in written)

        eventually(same, "segments that are the same byte for byte")

    def fails_over_to_kafka(self):
        leader, replicas, _ = self.cluster.partition("fromkalda")
        self.cluster.nodes[int(leader)].end(signal.SIGKILL)
        # It is the first of those that are left, in the order of the assignment.
        eventually(lambda: self.cluster.partition("fromkalda")[0] == str(KAFKA), "Kafka's broker to lead")
        self.cluster.produce("fromkalda", ["after the kill"])
        self.cluster.nodes[int(leader)].start()
        eventually(lambda: self.cluster.partition("fromkalda")[2] == replicas, "the killed one in sync again")
        read = self.cluster.consume("fromkalda", 1001)
        expect(len(read) == 1001 and read[-1] == "after the kill", f"{len(read)} lines were read")
        self.same_bytes("fromkalda")

    def quorum_status(self):
        for target in (["--bootstrap-server", self.cluster.bootstrap()], ["--bootstrap-controller", self.controllers]):
            status = self.cluster.tool("kafka-metadata-quorum", *target, "describe", "--status")
            expect_contains(status, f"ClusterId:              {CLUSTER_ID}\n")
            expect(re.search(r"^LeaderId: +[123]$", status, re.MULTILINE), f"printed:\n{status}")
            expect(re.search(r"^CurrentVoters: .*\"id\": 1.*\"id\": 2.*\"id\": 3", status, re.MULTILINE), f"printed:\n{status}")
            expect(re.search(r"^CurrentObservers: .*\"id\": 4", status, re.MULTILINE), f"printed:\n{status}")

    def quorum_replication(self):
        table = self.cluster.ask("kafka-metadata-quorum", "describe", "--replication")
        rows = {row.split()[0]: row.split()[-1] for row in table.splitlines()[1:] if row.strip()}
        expect(sorted(rows) == ["1", "2", "3", "4"], f"printed:\n{table}")
        expect(sorted(rows[number] for number in "123") == ["Follower", "Follower", "Leader"], f"printed:\n{table}")
        expect(rows["4"] == "Observer", f"printed:\n{table}")

    def features(self):
        printed = self.cluster.ask("kafka-features", "describe")
        for feature in ("metadata.version", "group.version", "transaction.version", "eligible.leader.replicas.version"):
            expect(re.search(rf"^Feature: {re.escape(feature)}\t.*FinalizedVersionLevel: \S+", printed, re.MULTILINE), f"printed:\n{printed}")

    def metadata_log(self):
        log = self.cluster.nodes[1].segment("__cluster_metadata-0")
        printed = self.cluster.tool("kafka-dump-log", "--cluster-metadata-decoder", "--files", log)
        expect("isvalid: false" not in printed, "a batch is not valid")
        for record in ("REGISTER_BROKER_RECORD", "TOPIC_RECORD", "PARTITION_RECORD", "FEATURE_LEVEL_RECORD", "LeaderChange"):
            expect_contains(printed, record)
        expect('"name":"fromkalda"' in printed, "the topic's record is not there")

    def throttled_reassignment(self):
        plan = self.cluster.nodes[1].home / "plan.json"
        plan.write_text('{"version":1,"partitions":[{"topic":"fromkalda","partition":0,"replicas":[2,3,4]}]}')
        arguments = ["--reassignment-json-file", str(plan)]
        printed = self.cluster.ask("kafka-reassign-partitions", "--execute", "--throttle", "20000000", *arguments)
        expect_contains(printed, "Successfully started partition reassignment for fromkalda-0")
        done = lambda: "is completed" in self.cluster.ask("kafka-reassign-partitions", "--verify", *arguments)
        eventually(done, "the end of the reassignment")
        expect(self.cluster.partition("fromkalda")[1] == [2, 3, 4], "the replicas are others")
        verified = self.cluster.ask("kafka-reassign-partitions", "--verify", *arguments)
        expect_contains(verified, "Clearing broker-level throttles on brokers 1,2,3,4", "Clearing topic-level throttles on topic fromkalda")

    def checks(self):
        return [
            ("registers with Kalda's controllers", self.registers),
            ("leads, and Kaldas copy: read back and equal byte for byte", lambda: self.led_by("fromkafka", [KAFKA, 1, 2])),
            ("copies from a Kalda that leads: read back and equal byte for byte", lambda: self.led_by("fromkalda", [1, KAFKA, 2])),
            ("leads after kill -9 of the Kalda that led, and is copied back", self.fails_over_to_kafka),
            ("kafka-reassign-partitions --throttle moves a partition and clears its throttles", self.throttled_reassignment),
            ("kafka-metadata-quorum describe --status, from brokers and from controllers", self.quorum_status),
            ("kafka-metadata-quorum describe --replication", self.quorum_replication),
            ("kafka-features describe", self.features),
            ("kafka-dump-log --cluster-metadata-decoder reads Kalda's metadata log", self.metadata_log),
        ]


class Theirs:
    """One controller of Apache Kafka with one broker of Kafka's in it, and one broker that is Kalda."""

    def __init__(self, cluster, binary, directory, dynamic):
        self.cluster = cluster
        client, controller, ours = free_ports(3)
        quorum = f"controller.quorum.bootstrap.servers=127.0.0.1:{controller}" if dynamic else f"controller.quorum.voters=1@127.0.0.1:{controller}"
        common = [
            quorum,
            "controller.listener.names=CONTROLLER",
            "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "inter.broker.listener.name=PLAINTEXT",
        ]
        kafka(cluster, 1, directory, client, [
            "process.roles=broker,controller",
            f"listeners=PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}",
            "offsets.topic.replication.factor=1", *common,
        ], ["--standalone"] if dynamic else []).start()
        os.environ["CLUSTER_ID"] = CLUSTER_ID
        kalda(cluster, binary, 2, directory, ours, ["process.roles=broker", f"listeners=PLAINTEXT://127.0.0.1:{ours}", *common]).start()

    def registers(self):
        def seen():
            printed = self.cluster.tool(
                "kafka-topics", "--bootstrap-server", f"127.0.0.1:{self.cluster.nodes[1].port}",
                "--create", "--topic", "probe", "--replica-assignment", "2", check=False,
            )
            return "Created topic probe." in printed
        eventually(seen, "Kalda's broker to be registered")

    def led_by(self, topic, replicas):
        self.cluster.ask("kafka-topics", "--create", "--topic", topic, "--replica-assignment", ":".join(map(str, replicas)))
        eventually(lambda: self.cluster.partition(topic) == (str(replicas[0]), sorted(replicas), sorted(replicas)), "all replicas in sync")
        lines = [f"{topic} {number} {'x' * 50}" for number in range(1000)]
        self.cluster.produce(topic, lines)
        expect(self.cluster.consume(topic, len(lines)) == lines, "other lines were read")
        one, other = (self.cluster.nodes[number].segment(f"{topic}-0") for number in (1, 2))
        eventually(lambda: content(one) and content(one) == content(other), "segments that are the same byte for byte")

    def fails_over(self):
        self.cluster.nodes[2].end(signal.SIGKILL)
        eventually(lambda: self.cluster.partition("fromkalda")[0] == "1", "Kafka to lead")
        self.cluster.produce("fromkalda", ["after the kill"])
        self.cluster.nodes[2].start()
        eventually(lambda: self.cluster.partition("fromkalda")[2] == [1, 2], "the killed one in sync again")
        expect(len(self.cluster.consume("fromkalda", 1001)) == 1001, "lines are missing")

    def checks(self):
        return [
            ("registers with Kafka's controller", self.registers),
            ("leads, and Kafka copies: read back and equal byte for byte", lambda: self.led_by("fromkalda", [2, 1])),
            ("copies from Kafka: read back and equal byte for byte", lambda: self.led_by("fromkafka", [1, 2])),
            ("is killed and comes back in sync", self.fails_over),
        ]


def content(path):
    """What is written of a segment: behind it there may be zeroes, laid out in advance."""
    try:
        written = path.read_bytes()
    except OSError:
        return b""
    end = 0
    while end + 12 <= len(written):
        length = int.from_bytes(written[end + 8:end + 12], "big")
        if length == 0:
            break
        end += 12 + length
    return written[:end]


def arguments():
    parser = argparse.ArgumentParser(prog="conformance/mixed", description="Apache Kafka and Kalda in one cluster.")
    parser.add_argument("--kalda", metavar="BINARY", required=True, help="the Kalda binary")
    parser.add_argument("--only", metavar="REGEX", default="", help="only clusters whose name matches: ours, theirs-static, theirs-dynamic")
    parser.add_argument("--keep", action="store_true", help="keep the directories, and say where they are")
    return parser.parse_args()


def run(name, subject, make, cache, binary, directory):
    """Runs the checks of one cluster; they build upon each other, so the first that fails ends them."""
    cluster = Cluster(cache.kafka_jars(checks.KAFKA_TOOLS), binary)
    passed = 0
    line = f"{subject}  starts"
    try:
        for what, work in make(cluster, directory).checks():
            line = f"{subject}  {what}"
            work()
            passed += 1
            print(f"ok  {line}", flush=True)
        return passed, 0
    except (Failed, BrokerFailed, Unprepared, subprocess.TimeoutExpired) as problem:
        print(f"FAIL  {line}\n    {str(problem).strip()[-2000:]}", flush=True)
        for node in cluster.nodes.values():
            tail = node.output().splitlines()[-15:] if (node.home / "log").exists() else []
            print(f"    --- node {node.number} of {name}\n" + "\n".join(f"    {entry[:300]}" for entry in tail), flush=True)
        return passed, 1
    finally:
        cluster.end()


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    started = time.monotonic()
    cache = Cache(os.environ.get("KALDA_CONFORMANCE_CACHE") or os.path.expanduser("~/.cache/kalda-conformance"))
    binary = os.path.abspath(options.kalda)
    version = checks.KAFKA_TOOLS
    clusters = [
        ("ours", f"kafka {version} under kalda", lambda cluster, at: Ours(cluster, binary, at)),
        ("theirs-static", f"kalda under kafka {version}, static voters", lambda cluster, at: Theirs(cluster, binary, at, False)),
        ("theirs-dynamic", f"kalda under kafka {version}, dynamic voters", lambda cluster, at: Theirs(cluster, binary, at, True)),
    ]
    passed = failed = 0
    with contextlib.ExitStack() as stack:
        directory = tempfile.mkdtemp(prefix="kalda-mixed-") if options.keep else stack.enter_context(tempfile.TemporaryDirectory(prefix="kalda-mixed-"))
        if options.keep:
            print(directory)
        for name, subject, make in clusters:
            if not re.search(options.only, name):
                continue
            home = pathlib.Path(directory) / name
            home.mkdir()
            more = run(name, subject, make, cache, binary, home)
            passed, failed = passed + more[0], failed + more[1]
    print(f"{passed} passed, {failed} failed in {time.monotonic() - started:.0f} s")
    return 1 if failed or passed == 0 else 0
