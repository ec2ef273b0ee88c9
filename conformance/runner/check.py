"""What a check is: a client, what it proves, and how to run it."""
import dataclasses
import itertools
import os
import subprocess
import typing

# A client that has not finished by then is stuck, not slow.
CLIENT_SECONDS_MAX = 90

_topic_numbers = itertools.count(1)


class Failed(Exception):
    """A check that did not hold; the text is shown below its line."""


@dataclasses.dataclass(frozen=True)
class Check:
    """`client` prints as program and version; `work(rig)` raises Failed when the check does not hold.

    `apache_differs` is a version of Apache Kafka and what it is known to do since then: against
    such a broker the check must fail, while Kalda must pass it. A check that `needs_directory`
    reads the broker's files, one that `needs_restart` starts brokers of its own; one that runs
    `alone` must not share the broker. `needs_one_node` says why it cannot hold in a cluster,
    `needs_peace` why not while nodes are killed.
    """

    client: object
    what: str
    work: typing.Callable
    apache_differs: tuple = None
    needs_directory: bool = False
    needs_restart: bool = False
    alone: bool = False
    needs_one_node: str = None
    needs_peace: str = None

    def line(self):
        return f"{self.client}  {self.what}"


class Rig:
    """What a running check may use: the prepared cache, the broker and a directory of its own."""

    def __init__(self, cache, broker, directory):
        self.cache = cache
        self.broker = broker
        self.bootstrap = broker.bootstrap
        self.directory = directory

    def topic(self, label):
        """A topic name no other check of any run uses."""
        return f"c{os.getpid()}-{next(_topic_numbers)}-{label}"

    def call(self, command, stdin="", env=None, cwd=None, check=True):
        """Runs a client to its end; its output goes to the report if it fails."""
        try:
            done = subprocess.run(
                [str(part) for part in command],
                input=stdin,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=CLIENT_SECONDS_MAX,
                env={**os.environ, **(env or {})},
                cwd=cwd,
            )
        except subprocess.TimeoutExpired as late:
            seen = b"".join(part if isinstance(part, bytes) else (part or "").encode() for part in (late.stdout, late.stderr))
            raise Failed(f"no end after {CLIENT_SECONDS_MAX} s\n{seen.decode(errors='replace')}") from None
        except OSError as problem:
            raise Failed(f"{command[0]}: {problem}") from None
        if check and done.returncode != 0:
            raise Failed(f"exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done


def expect(holds, otherwise):
    if not holds:
        raise Failed(otherwise)


def expect_contains(text, *parts):
    for part in parts:
        expect(part in text, f"missing {part!r} in:\n{text}")
