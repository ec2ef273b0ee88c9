"""Just enough of the protocol to write frames by hand and to read the few answers that matter."""
import itertools
import os
import socket
import struct
import time

PRODUCE, FETCH, LIST_OFFSETS, METADATA, API_VERSIONS, CREATE_TOPICS = 0, 1, 2, 3, 18, 19

NONE = 0
OFFSET_OUT_OF_RANGE = 1
CORRUPT_MESSAGE = 2
INVALID_TOPIC_EXCEPTION = 17
INVALID_REQUIRED_ACKS = 21
UNSUPPORTED_VERSION = 35
INVALID_PARTITIONS = 37
POLICY_VIOLATION = 44
UNSUPPORTED_FOR_MESSAGE_FORMAT = 43
UNSUPPORTED_COMPRESSION_TYPE = 76
INVALID_RECORD = 87

PATIENCE = 15
_numbers = itertools.count(1)


class Broken(Exception):
    """The broker did not behave as the case demands."""


def i8(n):
    return struct.pack(">b", n)


def i16(n):
    return struct.pack(">h", n)


def i32(n):
    return struct.pack(">i", n)


def i64(n):
    return struct.pack(">q", n)


def string(text):
    data = text.encode()
    return i16(len(data)) + data


def array(*items):
    return i32(len(items)) + b"".join(items)


def framed(payload):
    return i32(len(payload)) + payload


def header(key, version, correlation_id):
    """Request header v1."""
    return struct.pack(">hhi", key, version, correlation_id) + string("hostile")


def request(key, version, body, correlation_id=7):
    return framed(header(key, version, correlation_id) + body)


class Reader:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, count):
        if count < 0 or self.at + count > len(self.data):
            raise Broken(f"the answer ends after {len(self.data)} bytes: {self.data[:64].hex()}")
        self.at += count
        return self.data[self.at - count : self.at]

    def i16(self):
        return struct.unpack(">h", self.take(2))[0]

    def i32(self):
        return struct.unpack(">i", self.take(4))[0]

    def i64(self):
        return struct.unpack(">q", self.take(8))[0]

    def string(self):
        length = self.i16()
        return None if length < 0 else self.take(length).decode()

    def end(self):
        if self.at != len(self.data):
            raise Broken(f"{len(self.data) - self.at} bytes too many in the answer")


class Connection:
    def __init__(self, broker):
        self.socket = socket.create_connection((broker.host, broker.port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def receive(self, count):
        data = bytearray()
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                raise EOFError("the broker closed the connection")
            data += piece
        return bytes(data)

    def answer(self):
        """Correlation id and a reader over the body of the next answer."""
        length = struct.unpack(">i", self.receive(4))[0]
        reader = Reader(self.receive(length))
        return reader.i32(), reader

    def ask(self, frame, correlation_id=7):
        self.send(frame)
        got, reader = self.answer()
        if got != correlation_id:
            raise Broken(f"answer to request {got}, want {correlation_id}")
        return reader

    def expect_closed(self):
        """The broker must close without a word."""
        try:
            seen = self.socket.recv(4096)
        except ConnectionError:
            return
        except socket.timeout:
            raise Broken(f"the connection is still open after {PATIENCE} s") from None
        if seen:
            raise Broken(f"answered instead of closing: {seen[:64].hex()}")


class Broker:
    def __init__(self, bootstrap, pid=None):
        self.host, port = bootstrap.rsplit(":", 1)
        self.port = int(port)
        self.pid = pid

    def connect(self):
        return Connection(self)

    def expect_serving(self, when):
        """Metadata on a connection of its own, answered promptly."""
        started = time.monotonic()
        try:
            with self.connect() as connection:
                brokers = connection.ask(request(METADATA, 1, i32(0))).i32()
        except (OSError, EOFError) as problem:
            raise Broken(f"{when}, metadata was refused: {problem}") from None
        if brokers < 1:
            raise Broken(f"{when}, metadata names {brokers} brokers")
        if time.monotonic() - started > 5:
            raise Broken(f"{when}, metadata took {time.monotonic() - started:.1f} s")

    def resident_bytes(self):
        """None if the broker's process is not known."""
        if self.pid is None:
            return None
        with open(f"/proc/{self.pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def expect_grown_less(self, before, bytes_max, why):
        if before is not None:
            grown = self.resident_bytes() - before
            if grown > bytes_max:
                raise Broken(f"memory grew by {grown >> 20} MiB {why}, more than {bytes_max >> 20} MiB")

    def new_topic(self):
        """A topic with one partition that is ready to be written to."""
        name = f"hostile-{os.getpid()}-{next(_numbers)}"
        with self.connect() as connection:
            error = create_topic(connection, name)
            if error != NONE:
                raise Broken(f"a topic could not be created: error {error}")
            deadline = time.monotonic() + PATIENCE
            while latest_offset(connection, name)[0] != NONE:
                if time.monotonic() > deadline:
                    raise Broken("a created topic does not become ready")
                time.sleep(0.02)
        return name


def create_topic(connection, name, partitions=1):
    """CreateTopics v4; the error of the one topic."""
    topic = string(name) + i32(partitions) + i16(1) + array() + array()
    reader = connection.ask(request(CREATE_TOPICS, 4, array(topic) + i32(10_000) + i8(0)))
    reader.i32()
    if reader.i32() != 1:
        raise Broken("CreateTopics did not answer for exactly one topic")
    reader.string()
    return reader.i16()


def produce_request(topic, records, acks=-1, version=7, correlation_id=7):
    partition = i32(0) + i32(len(records)) + records
    body = i16(-1) + i16(acks) + i32(10_000) + array(string(topic) + array(partition))
    return request(PRODUCE, version, body, correlation_id)


def produce(connection, topic, records, **options):
    """Error and base offset of the one partition."""
    return read_produce(connection.ask(produce_request(topic, records, **options)))


def read_produce(reader):
    if reader.i32() != 1:
        raise Broken("Produce did not answer for exactly one topic")
    reader.string()
    reader.i32()
    reader.i32()
    return reader.i16(), reader.i64()


def latest_offset(connection, topic):
    """ListOffsets v1: error and latest offset of partition 0."""
    body = i32(-1) + array(string(topic) + array(i32(0) + i64(-1)))
    reader = connection.ask(request(LIST_OFFSETS, 1, body))
    reader.i32()
    reader.string()
    reader.i32()
    reader.i32()
    error, _, offset = reader.i16(), reader.i64(), reader.i64()
    return error, offset


def log_end(connection, topic):
    error, offset = latest_offset(connection, topic)
    if error != NONE:
        raise Broken(f"ListOffsets answered error {error}")
    return offset


def fetch_request(topic, offset=0, max_wait_ms=500, min_bytes=1, correlation_id=7):
    partition = i32(0) + i64(offset) + i32(1 << 20)
    body = i32(-1) + i32(max_wait_ms) + i32(min_bytes) + i32(1 << 20) + i8(0) + array(string(topic) + array(partition))
    return request(FETCH, 4, body, correlation_id)
