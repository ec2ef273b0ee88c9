"""Runs checks side by side and prints one line for each, in the order of the list."""
import concurrent.futures
import re
import textwrap
import threading
import time

from .broker import BrokerFailed
from .cache import Unprepared
from .check import Failed, Rig

# The end of a failing client's output tells more than its start.
OUTPUT_LINES_MAX = 40


class Report:
    def __init__(self, started):
        self.started = started
        self.passed = 0
        self.failed = 0
        self.known = 0
        self.lock = threading.Lock()

    def run(self, selected, cache, broker, directory, jobs):
        rig = Rig(cache, broker, directory)
        for check in selected:
            if left_out(check, broker):
                print(f"left out  {check.line()}  ({left_out(check, broker)})")
        selected = [check for check in selected if not left_out(check, broker)]
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            try:
                together = [(check, pool.submit(outcome, check, rig)) for check in selected if not check.alone]
                for check, future in together:
                    self.note(check, future.result(), broker)
            except KeyboardInterrupt:
                pool.shutdown(cancel_futures=True)
                raise
        for check in selected:
            if check.alone:
                self.note(check, outcome(check, rig), broker)

    def note(self, check, problem, broker):
        since, difference = check.apache_differs or ((), "")
        if since and broker.apache_version >= since:
            if problem is None:
                self.fail(check.line(), f"no longer true of Apache Kafka: {difference}")
            else:
                self.known += 1
                print(f"known  {check.line()}  (Apache Kafka {difference})", flush=True)
        elif problem is None:
            self.passed += 1
            print(f"ok  {check.line()}", flush=True)
        else:
            self.fail(check.line(), problem)

    def fail(self, line, problem):
        self.failed += 1
        lines = problem.strip().splitlines()[-OUTPUT_LINES_MAX:]
        print(f"FAIL  {line}\n" + textwrap.indent("\n".join(lines), "    "), flush=True)

    def summarise(self):
        known = f", {self.known} known to differ in Apache Kafka" if self.known else ""
        print(f"{self.passed} passed, {self.failed} failed{known} in {time.monotonic() - self.started:.0f} s")


def left_out(check, broker):
    """Why the check cannot be run against such a broker, or None."""
    if check.needs_directory and broker.nodes > 1:
        return "it reads one node's directory, and the records are where the leader is"
    if check.needs_restart and broker.nodes > 1:
        return "it starts and stops a broker of its own"
    if check.needs_one_node and broker.nodes > 1:
        return check.needs_one_node
    if check.needs_peace and broker.is_killed:
        return check.needs_peace
    if check.needs_directory and broker.log_dir is None:
        return "the broker's directory is not known"
    if check.needs_restart and broker.another is None:
        return "how to start the broker is not known"
    return None


# A client that gives up when the node it talks to dies is started anew, as its user would; with a
# topic of its own. What it read or wrote wrong is never forgiven.
TRIES_WHILE_KILLED = 3
GAVE_UP = re.compile(
    r"connection refused|ECONNREFUSED|connection reset|broken pipe|closed connection|\bEOF\b|deadline exceeded|i/o timeout"
    # Without a connection to the controller kafka-go 0.4.25 says this, or panics.
    r"|Broker Not Available|interface {} is \*(errors.errorString|net.OpError)"
    # A node that just came back, or that leads something new, may not know it yet.
    r"|Unknown ?Topic ?Or ?Partition"
    # A member that closes while its coordinator is down cannot commit, and its listener hears so.
    r"|Coordinator unknown and consumer is closing"
    # sarama tries three times within 0.3 s by default, which is less than an election may take.
    r"|Failed to deliver \d+ messages.*(leadership election|not the leader)"
    # A producer that is not idempotent may write twice what it has to send again.
    r"|delivery \d+ has offset|message \d+ was acknowledged at"
    # Java's admin client lists transactions at all brokers, and cannot go on without one that is gone.
    r"|Unexpected key set: \[BrokerKey",
    re.IGNORECASE,
)


def outcome(check, rig):
    """None if the check holds, else what to show below its line."""
    tries = TRIES_WHILE_KILLED if rig.broker.is_killed else 1
    for left in reversed(range(tries)):
        try:
            check.work(rig)
            return None
        except (Failed, Unprepared, BrokerFailed) as problem:
            if left == 0 or not GAVE_UP.search(str(problem)):
                return str(problem) or "no output"
            print(f"again  {check.line()}  ({str(problem).strip().splitlines()[-1][:120]})", flush=True)
