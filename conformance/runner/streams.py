"""Kafka Streams: a word count with exactly_once_v2 whose process is killed and started again."""
import pathlib
import subprocess
import tempfile

from .cache import ROOM, contents, install
from .check import Check, Failed
from .java_clients import java


def checks(version):
    yield Check(f"kafka-streams {version}", "word count, exactly_once_v2, killed and started again", word_count(version))


def word_count(version):
    def work(rig):
        jars = rig.cache.jars(f"kafka-streams-{version}", [f"org.apache.kafka:kafka-streams:{version}"])
        classes = compiled(rig.cache, version, jars)
        topic = rig.topic("streams")

        directory = pathlib.Path(tempfile.mkdtemp(dir=rig.directory))

        def command(*arguments):
            return [str(part) for part in [*java(jars, classes), "WordCount", rig.bootstrap, topic, *arguments]]

        def counting(errors):
            return subprocess.Popen(command("run", directory / "state"), stdout=subprocess.DEVNULL, stderr=errors)

        rig.call(command("create"))
        with open(directory / "streams.log", "w+") as errors:
            for first, awaited in ((0, "some"), (300, "some"), (600, "all")):
                rig.call(command("feed", str(first), "300"))
                process = counting(errors)
                try:
                    rig.call(command("await", str(first + 300), awaited))
                except Failed as failed:
                    errors.seek(0)
                    raise Failed(f"{failed}\n{errors.read()[-4000:]}") from None
                finally:
                    # As a machine that dies: nothing is closed, a transaction may be open.
                    process.kill()
                    process.wait()

    return work


def compiled(cache, version, jars):
    sources = sorted((ROOM / "java" / "streams").glob("*.java"))

    def make(directory):
        install(["javac", "-nowarn", "-Xlint:none", "-d", directory, "-cp", f"{jars / 'jars'}/*", *sources])

    return cache.once(f"java-streams/{version}", contents(sources), make)
