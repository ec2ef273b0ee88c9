"""Several nodes of Kalda, each broker and controller, and the one who kills them now and then.

At most one of them is down at a time: who kills waits until the last one is back in every ISR.
"""
import base64
import contextlib
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import threading
import time
import uuid

from .broker import READY_SECONDS_MAX, SETTINGS, STOP_SECONDS_MAX, Broker, BrokerFailed, await_ready, free_ports

# How long a node is down, and how long all are up before the next one dies.
DOWN_SECONDS = (0.5, 4)
UP_SECONDS = (2, 6)


class Node:
    """One process after another over one directory."""

    def __init__(self, command, directory, bootstrap, environment):
        self.command = command
        self.directory = directory
        self.bootstrap = bootstrap
        self.environment = environment
        self.process = None
        self.lives = 0

    def start(self):
        self.lives += 1
        with open(self.output(), "wb") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory, env=self.environment)

    def output(self):
        return self.directory / f"life-{self.lives}.log"

    def complain_if_ended(self):
        if self.process.poll() is not None:
            raise BrokerFailed(f"{self.bootstrap} ended with exit code {self.process.returncode}\n{self.output().read_text(errors='replace')}")

    def await_ready(self):
        await_ready(self.bootstrap, self.complain_if_ended)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def kalda_cluster(binary, directory, count, is_killed):
    try:
        found = os.path.abspath(shutil.which(binary) or binary)
        nodes = made(found, pathlib.Path(directory), count)
        with contextlib.ExitStack() as running:
            for node in nodes:
                node.start()
                running.callback(node.stop)
            for node in nodes:
                node.await_ready()
            bootstrap = ",".join(node.bootstrap for node in nodes)
            with killing(found, nodes) if is_killed else contextlib.nullcontext():
                yield Broker(bootstrap, nodes=count, is_killed=is_killed)
            for node in nodes:
                node.complain_if_ended()
    except OSError as problem:
        raise BrokerFailed(f"{binary}: {problem}") from None


def made(binary, directory, count):
    ports = free_ports(2 * count)
    pairs = list(enumerate(zip(ports[:count], ports[count:]), start=1))
    voters = ",".join(f"{id}@127.0.0.1:{controller}" for id, (_, controller) in pairs)
    cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    nodes = []
    for id, (port, controller) in pairs:
        home = directory / f"node-{id}"
        home.mkdir()
        overrides = [
            "process.roles=broker,controller",
            f"node.id={id}",
            f"controller.quorum.voters={voters}",
            "controller.listener.names=CONTROLLER",
            f"listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
            f"log.dirs={home / 'data'}",
            f"default.replication.factor={min(count, 3)}",
            f"min.insync.replicas={min(count, 2)}",
            *SETTINGS,
        ]
        command = [binary, "start", *(part for override in overrides for part in ("--override", override))]
        nodes.append(Node(command, home, f"127.0.0.1:{port}", {**os.environ, "CLUSTER_ID": cluster_id}))
    return nodes


@contextlib.contextmanager
def killing(binary, nodes):
    """Kills one node after the other, in an order that is drawn, until the block ends."""
    ended = threading.Event()
    killer = Killer(binary, nodes, ended)
    killer.start()
    try:
        yield
    finally:
        ended.set()
        killer.join()
        print(f"{killer.kills} nodes were killed", flush=True)
    if killer.problem:
        raise BrokerFailed(killer.problem)


class Killer(threading.Thread):
    def __init__(self, binary, nodes, ended):
        super().__init__(daemon=True)
        self.binary = binary
        self.nodes = nodes
        self.ended = ended
        self.kills = 0
        self.problem = None

    def run(self):
        try:
            while not self.ended.wait(random.uniform(*UP_SECONDS)):
                node = random.choice(self.nodes)
                node.complain_if_ended()
                os.kill(node.process.pid, signal.SIGKILL)
                node.process.wait()
                self.kills += 1
                self.ended.wait(random.uniform(*DOWN_SECONDS))
                node.start()
                node.await_ready()
                self.await_whole()
        except BrokerFailed as problem:
            self.problem = str(problem)

    def await_whole(self):
        deadline = time.monotonic() + READY_SECONDS_MAX
        command = [self.binary, "topics", "--bootstrap-server", ",".join(node.bootstrap for node in self.nodes), "--describe", "--under-replicated-partitions"]
        while True:
            done = subprocess.run(command, capture_output=True, text=True)
            lacking = [line for line in done.stdout.splitlines() if re.search("Partition: ", line)]
            if done.returncode == 0 and not lacking:
                return
            if time.monotonic() > deadline:
                raise BrokerFailed(f"not in sync {READY_SECONDS_MAX} s after a kill:\n{done.stdout}{done.stderr}")
            time.sleep(0.2)
