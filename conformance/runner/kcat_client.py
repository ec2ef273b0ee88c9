"""Checks of kcat, which most people try first."""
import re
import shutil
import subprocess

from .check import Check, expect, expect_contains

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


class Name:
    """kcat with its version, which the distribution decides and which is known once it is installed."""

    def __str__(self):
        if not shutil.which("kcat"):
            return "kcat"
        told = subprocess.run(["kcat", "-V"], capture_output=True, text=True).stdout
        version = re.search(r"Version (\S+) .*?librdkafka (\S+)", told)
        return f"kcat {version[1]} (librdkafka {version[2]})" if version else "kcat"


def checks():
    yield Check(Name(), "-L metadata", metadata)
    yield Check(Name(), "-P and -C with keys, headers and offsets", round_trip)
    for codec in CODECS:
        yield Check(Name(), f"{codec}, round trip", codec_round_trip(codec))


def kcat(rig, *arguments, stdin=""):
    return rig.call([rig.cache.kcat(), "-b", rig.bootstrap, *arguments], stdin=stdin).stdout


def metadata(rig):
    topic = rig.topic("kcat-l")
    kcat(rig, "-P", "-t", topic, stdin="one\n")
    listed = kcat(rig, "-L", "-t", topic)
    expect(re.search(rf'topic "{topic}" with 1 partitions:\n\s+partition 0, leader \d+, replicas: \d+(,\d+)*, isrs: \d+(,\d+)*\n', listed), f"unexpected listing:\n{listed}")
    expect_contains(kcat(rig, "-L"), f'topic "{topic}"')


def round_trip(rig):
    topic = rig.topic("kcat-pc")
    kcat(rig, "-P", "-t", topic, "-p", "0", "-K:", "-H", "h=v", stdin="k1:v1\nk2:v2\nk3:v3\n")
    shown = "%o %k %s %h\n"
    whole = kcat(rig, "-C", "-t", topic, "-p", "0", "-o", "beginning", "-e", "-q", "-f", shown)
    expect(whole == "0 k1 v1 h=v\n1 k2 v2 h=v\n2 k3 v3 h=v\n", f"consumed:\n{whole}")
    tail = kcat(rig, "-C", "-t", topic, "-p", "0", "-o", "2", "-e", "-q", "-f", shown)
    expect(tail == "2 k3 v3 h=v\n", f"consumed from offset 2:\n{tail}")
    last = kcat(rig, "-C", "-t", topic, "-p", "0", "-o", "-2", "-e", "-q", "-f", shown)
    expect(last == "1 k2 v2 h=v\n2 k3 v3 h=v\n", f"consumed the last two:\n{last}")
    queried = kcat(rig, "-Q", "-t", f"{topic}:0:-1")
    expect_contains(queried, f"{topic} [0] offset 3")


def codec_round_trip(codec):
    def work(rig):
        topic = rig.topic(f"kcat-{codec}")
        text = "".join(f"message {n} {'x' * 40}\n" for n in range(500))
        kcat(rig, "-P", "-t", topic, "-p", "0", "-z", codec, stdin=text)
        consumed = kcat(rig, "-C", "-t", topic, "-p", "0", "-o", "beginning", "-e", "-q")
        expect(consumed == text, f"{len(consumed)} bytes came back of {len(text)}")

    return work
