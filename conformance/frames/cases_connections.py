"""Connections that behave badly, and the order in which a connection is answered."""
import contextlib
import socket
import time

from .batches import batch, record
from .wire import (
    API_VERSIONS, Broken, METADATA, NONE, OFFSET_OUT_OF_RANGE, fetch_request, i32, log_end, produce_request, read_produce, request,
)

SLOW_CONNECTIONS = 200
# A client that never reads may hold back this much before the broker stops reading from it.
UNREAD_BYTES_MAX = 64 << 20


def half_frames(broker):
    """A hundred connections that close in the middle of a frame."""
    whole = request(METADATA, 1, i32(0))
    for n in range(100):
        with broker.connect() as connection:
            connection.send(whole[: 1 + n % (len(whole) - 1)])


def slowloris(broker):
    """Two hundred connections that hold an unfinished frame; one finishes byte by byte."""
    whole = request(METADATA, 1, i32(0))
    with contextlib.ExitStack() as held:
        slow = [held.enter_context(broker.connect()) for _ in range(SLOW_CONNECTIONS)]
        for connection in slow:
            connection.send(whole[:6])
        broker.expect_serving("beside the slow ones")
        for byte in whole[6:]:
            slow[0].send(bytes([byte]))
            time.sleep(0.01)
        if slow[0].answer()[0] != 7:
            raise Broken("the slow request got the answer of another")


def pipelined(broker):
    """Requests sent without waiting are answered in order, a long poll among them."""
    topic = broker.new_topic()
    with broker.connect() as connection:
        connection.send(fetch_request(topic, max_wait_ms=1000, correlation_id=0))
        connection.send(b"".join(request((METADATA, API_VERSIONS)[n % 2], n % 2 ^ 1, (i32(0), b"")[n % 2], n) for n in range(1, 100)))
        connection.send(produce_request(topic, batch(record(b"x")), correlation_id=100))
        for want in range(101):
            got, reader = connection.answer()
            if got != want:
                raise Broken(f"answer to request {got}, want {want}")
        if read_produce(reader) != (NONE, 0):
            raise Broken("the last request of the row failed")


def acks_0(broker):
    """acks=0 is never answered, and the record is kept."""
    topic = broker.new_topic()
    with broker.connect() as connection:
        connection.send(produce_request(topic, batch(record(b"x")), acks=0, correlation_id=1))
        connection.send(request(METADATA, 1, i32(0), 2))
        got, _ = connection.answer()
        if got != 2:
            raise Broken(f"request {got} was answered, want only 2")
        if log_end(connection, topic) != 1:
            raise Broken("the record is not in the log")


def acks_0_refused(broker):
    """acks=0 that fails closes the connection, for there is no answer to carry the error."""
    topic = broker.new_topic()
    with broker.connect() as connection:
        connection.send(produce_request(topic, batch(record(b"x"), crc=1), acks=0))
        connection.expect_closed()


def fetch_beyond_end(broker):
    """Fetch beyond the end: OFFSET_OUT_OF_RANGE at once."""
    topic = broker.new_topic()
    with broker.connect() as connection:
        reader = connection.ask(fetch_request(topic, offset=1_000_000, max_wait_ms=10_000))
        reader.i32()
        reader.i32()
        reader.string()
        reader.i32()
        reader.i32()
        error = reader.i16()
        if error != OFFSET_OUT_OF_RANGE:
            raise Broken(f"answered error {error}, want {OFFSET_OUT_OF_RANGE}")


def never_reading(broker):
    """A client that sends and never reads is held back, memory bounded."""
    before = broker.resident_bytes()
    chunk = request(API_VERSIONS, 0, b"") * 2000
    with broker.connect() as connection:
        connection.socket.settimeout(2)
        sent = 0
        with contextlib.suppress(socket.timeout, ConnectionError):
            while sent < UNREAD_BYTES_MAX:
                connection.send(chunk)
                sent += len(chunk)
        if sent >= UNREAD_BYTES_MAX:
            raise Broken(f"{sent >> 20} MiB of requests were taken without one answer being read")
        broker.expect_serving("beside the client that never reads")
        broker.expect_grown_less(before, 64 << 20, "for a client that never reads")


CASES = {case.__name__: case for case in (
    half_frames, slowloris, pipelined, acks_0, acks_0_refused, fetch_beyond_end, never_reading,
)}
