"""Installs clients into the cache directory, each once, in exactly the versions checks.py names.

Each installation is made under its own lock, so that checks running side by side wait for one
another, and is marked complete only at its end, so that an interrupted one is made anew.
"""
import collections
import os
import pathlib
import shutil
import subprocess
import threading

ROOM = pathlib.Path(__file__).resolve().parent.parent
INSTALL_SECONDS_MAX = 600

LOGGING = """status=error
appender.err.type=Console
appender.err.name=ERR
appender.err.target=SYSTEM_ERR
appender.err.layout.type=PatternLayout
appender.err.layout.pattern=[%d] %p %m (%c)%n
rootLogger.level={level}
rootLogger.appenderRef.err.ref=ERR
"""


class Unprepared(Exception):
    """A client could not be installed or built."""


class Cache:
    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.root.mkdir(parents=True, exist_ok=True)
        self.locks = collections.defaultdict(threading.Lock)
        self.guard = threading.Lock()

    def once(self, name, fingerprint, make):
        """The directory `name`, made by `make(directory)` unless it was made for the same input."""
        with self.guard:
            lock = self.locks[name]
        directory = self.root / name
        stamp = directory / ".complete"
        with lock:
            if not (stamp.exists() and stamp.read_text() == fingerprint):
                shutil.rmtree(directory, ignore_errors=True)
                directory.mkdir(parents=True)
                make(directory)
                stamp.write_text(fingerprint)
        return directory

    def kafka_jars(self, version):
        """Class path of the broker and the tools of Apache Kafka."""
        artifacts = [f"org.apache.kafka:kafka_2.13:{version}", f"org.apache.kafka:kafka-tools:{version}"]
        return self.jars(f"kafka-{version}", artifacts)

    def client_jars(self, version):
        return self.jars(f"kafka-clients-{version}", [f"org.apache.kafka:kafka-clients:{version}"])

    def jars(self, name, artifacts):
        """Artifacts and what they need at run time; logging goes to standard error."""
        artifacts = artifacts + ["org.apache.logging.log4j:log4j-slf4j-impl:2.25.3", "org.apache.logging.log4j:log4j-core:2.25.3"]

        def make(directory):
            (directory / "pom.xml").write_text(project(artifacts))
            copy = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
            install(["mvn", "-q", "-B", "-f", directory / "pom.xml", copy, f"-DoutputDirectory={directory / 'jars'}", "-DincludeScope=runtime"])
            # Some releases bring a second logging back end, which would win by chance.
            for jar in (directory / "jars").glob("*.jar"):
                if jar.name.startswith(("slf4j-reload4j", "slf4j-simple", "logback-", "log4j-slf4j2-")):
                    jar.unlink()
            (directory / "tools.properties").write_text(LOGGING.format(level="warn"))
            (directory / "server.properties").write_text(LOGGING.format(level="info"))

        return self.once("maven/" + name, " ".join(artifacts), make)

    def java_checks(self, version):
        """Directory of the compiled Java checks, for one release of kafka-clients."""
        jars = self.client_jars(version)
        sources = sorted((ROOM / "java").glob("*.java"))

        def make(directory):
            install(["javac", "-nowarn", "-Xlint:none", "-d", directory, "-cp", f"{jars / 'jars'}/*", *sources])

        return self.once("java-checks/" + version, contents(sources), make)

    def python(self, requirements):
        """Interpreter of a virtual environment with these packages."""
        def make(directory):
            install(["python3", "-m", "venv", directory])
            install([directory / "bin/pip", "install", "-q", *requirements])

        name = "python/" + "-".join(requirements).replace("==", "-")
        return self.once(name, " ".join(requirements), make) / "bin/python"

    def node(self, packages):
        """Directory whose node_modules hold these packages."""
        def make(directory):
            install(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", directory, *packages])

        return self.once("node/" + "-".join(packages).replace("@", "-"), " ".join(packages), make)

    def go(self, program, module_path, version):
        """The binary of conformance/go/PROGRAM built against one release of its client.

        The sources name the newest module path; `module_path` replaces it for releases that
        were published under another one.
        """
        sources = sorted((ROOM / "go" / program).glob("*.go"))
        module = [ROOM / "go" / program / "mod" / f"{version}.{kind}" for kind in ("mod", "sum")]

        def make(directory):
            for source in sources:
                text = source.read_text()
                if module_path:
                    text = text.replace(*module_path)
                (directory / source.name).write_text(text)
            shutil.copy(module[0], directory / "go.mod")
            shutil.copy(module[1], directory / "go.sum")
            install(["go", "build", "-buildvcs=false", "-o", "check", "."], cwd=directory)

        return self.once(f"go/{program}-{version}", contents(sources + module), make) / "check"

    def kcat(self):
        """Path of kcat, from the distribution's package if it is not there yet."""
        with self.guard:
            lock = self.locks["kcat"]
        with lock:
            if not shutil.which("kcat"):
                prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
                try:
                    install([*prefix, "apt-get", "install", "-y", "-q", "kcat"])
                except Unprepared:
                    install([*prefix, "apt-get", "update", "-q"])
                    install([*prefix, "apt-get", "install", "-y", "-q", "kcat"])
            return "kcat"


def contents(paths):
    return "\n".join(path.name + "\n" + path.read_text() for path in paths)


def project(artifacts):
    dependencies = ""
    for artifact in artifacts:
        group, name, version = artifact.split(":")
        dependencies += f"<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId><version>{version}</version></dependency>"
    return (
        "<project><modelVersion>4.0.0</modelVersion><groupId>kalda</groupId><artifactId>conformance</artifactId>"
        f"<version>1</version><packaging>pom</packaging><dependencies>{dependencies}</dependencies></project>"
    )


def install(command, cwd=None):
    command = [str(part) for part in command]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS_MAX, cwd=cwd)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise Unprepared(f"{command[0]}: {problem}") from None
    if done.returncode != 0:
        raise Unprepared(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
