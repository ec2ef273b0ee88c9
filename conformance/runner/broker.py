"""Starts the broker under test, waits until it accepts connections, and stops it again."""
import base64
import contextlib
import dataclasses
import functools
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import time
import typing
import uuid

READY_SECONDS_MAX = 60
STOP_SECONDS_MAX = 30

# Every check forms groups of its own, each of which would wait three seconds for its first members; and
# the messages of many carry times of long ago, for which retention would delete them under way.
SETTINGS = ["group.initial.rebalance.delay.ms=500", "log.retention.ms=-1"]


class BrokerFailed(Exception):
    """The broker did not come up; the text holds the end of its output."""


@dataclasses.dataclass(frozen=True)
class Broker:
    """`log_dir`, `pid` and `another` are known only of a broker the runner started itself.

    `another(directory, bootstrap=None)` starts one more such broker, over what is in the directory.
    Of a cluster, `bootstrap` names every node, and `nodes` is how many there are; `is_killed` if one
    of them dies now and then.
    """

    bootstrap: str
    log_dir: pathlib.Path = None
    pid: int = None
    apache_version: tuple = ()
    another: typing.Callable = None
    nodes: int = 1
    is_killed: bool = False


@contextlib.contextmanager
def foreign_broker(bootstrap):
    await_ready(bootstrap, lambda: None)
    yield Broker(bootstrap)


@contextlib.contextmanager
def kalda_broker(binary, directory, bootstrap=None):
    found = os.path.abspath(shutil.which(binary) or binary)
    bootstrap = bootstrap or f"127.0.0.1:{free_ports(1)[0]}"
    log_dir = pathlib.Path(directory) / "kalda-data"
    overrides = [f"listeners=PLAINTEXT://{bootstrap}", f"log.dirs={log_dir}", *SETTINGS]
    command = [found, "start", *(part for override in overrides for part in ("--override", override))]
    with started(command, directory, bootstrap) as process:
        yield Broker(bootstrap, log_dir, process.pid, another=functools.partial(kalda_broker, binary))


@contextlib.contextmanager
def apache_broker(jars, version, directory, bootstrap=None):
    port, controller_port = free_ports(2)
    bootstrap = bootstrap or f"127.0.0.1:{port}"
    log_dir = pathlib.Path(directory) / "kafka-data"
    properties = pathlib.Path(directory) / "server.properties"
    properties.write_text(
        "process.roles=broker,controller\n"
        "node.id=1\n"
        f"controller.quorum.voters=1@127.0.0.1:{controller_port}\n"
        f"listeners=PLAINTEXT://{bootstrap},CONTROLLER://127.0.0.1:{controller_port}\n"
        "controller.listener.names=CONTROLLER\n"
        "offsets.topic.replication.factor=1\n"
        "transaction.state.log.replication.factor=1\n"
        "transaction.state.log.min.isr=1\n"
        f"log.dirs={log_dir}\n"
        + "".join(f"{setting}\n" for setting in SETTINGS)
    )
    java = ["java", "-XX:+UseSerialGC", f"-Dlog4j2.configurationFile={jars / 'server.properties'}", "-cp", f"{jars / 'jars'}/*"]
    cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    if not log_dir.exists():
        formatted = subprocess.run([*java, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}", "-c", properties], capture_output=True, text=True)
        if formatted.returncode != 0:
            raise BrokerFailed(formatted.stdout + formatted.stderr)
    parsed = tuple(int(part) for part in version.split("."))
    with started([*java[:1], "-Xmx512m", *java[1:], "kafka.Kafka", str(properties)], directory, bootstrap) as process:
        yield Broker(bootstrap, log_dir, process.pid, parsed, functools.partial(apache_broker, jars, version))


@contextlib.contextmanager
def started(command, directory, bootstrap):
    output = pathlib.Path(directory) / "broker.log"
    try:
        with open(output, "wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=directory)
    except OSError as problem:
        raise BrokerFailed(f"{command[0]}: {problem}") from None

    def complain_if_ended():
        if process.poll() is not None:
            raise BrokerFailed(f"ended with exit code {process.returncode}\n{output.read_text(errors='replace')}")

    try:
        await_ready(bootstrap, complain_if_ended)
        yield process
        complain_if_ended()
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_ports(count):
    """Ports nobody listens on; all are held until the last is found, so that they differ."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def await_ready(bootstrap, complain_if_ended):
    """Returns when a Metadata request names a live broker, which is when clients can be served."""
    host, port = bootstrap.rsplit(":", 1)
    deadline = time.monotonic() + READY_SECONDS_MAX
    while True:
        complain_if_ended()
        try:
            if brokers_named(host, int(port)) > 0:
                return
            problem = "its metadata names no broker"
        except (OSError, EOFError, struct.error) as seen:
            problem = str(seen) or type(seen).__name__
        if time.monotonic() > deadline:
            raise BrokerFailed(f"{bootstrap} was not ready after {READY_SECONDS_MAX} s: {problem}")
        time.sleep(0.05)


def brokers_named(host, port):
    """How many brokers the answer to Metadata v1 without topics holds."""
    body = struct.pack(">hhih", 3, 1, 1, -1) + struct.pack(">i", 0)
    with socket.create_connection((host, port), timeout=5) as connection:
        connection.sendall(struct.pack(">i", len(body)) + body)
        stream = connection.makefile("rb")
        head = stream.read(12)
        if len(head) < 12:
            raise EOFError("the connection was closed")
        return struct.unpack(">iii", head)[2]
