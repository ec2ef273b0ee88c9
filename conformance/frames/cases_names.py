"""Names that would escape a directory, and topics too large to be meant."""
from .wire import (
    Broken, INVALID_PARTITIONS, INVALID_TOPIC_EXCEPTION, METADATA, POLICY_VIOLATION, array, create_topic, i8, request, string,
)

NAMES = ["../x", "..", ".", "", "a/b", "/etc/passwd", "a\0b", "a\nb", "x" * 250, "é"]


def create_bad_names(broker):
    """CreateTopics with names that are none: INVALID_TOPIC_EXCEPTION."""
    with broker.connect() as connection:
        for name in NAMES:
            error = create_topic(connection, name)
            if error != INVALID_TOPIC_EXCEPTION:
                raise Broken(f"{name[:20]!r} was answered with error {error}")


def metadata_bad_names(broker):
    """Automatic creation of names that are none: INVALID_TOPIC_EXCEPTION."""
    with broker.connect() as connection:
        for name in NAMES:
            reader = connection.ask(request(METADATA, 4, array(string(name)) + i8(1)))
            error = topic_error(reader)
            if error != INVALID_TOPIC_EXCEPTION:
                raise Broken(f"{name[:20]!r} was answered with error {error}")


def topic_error(reader):
    """The error of the one topic in an answer to Metadata v4."""
    reader.i32()
    for _ in range(reader.i32()):
        reader.i32()
        reader.string()
        reader.i32()
        reader.string()
    reader.string()
    reader.i32()
    if reader.i32() != 1:
        raise Broken("Metadata did not answer for exactly one topic")
    return reader.i16()


def longest_name(broker):
    """The longest name allowed, 249 characters, is accepted."""
    with broker.connect() as connection:
        name = (broker.new_topic() + "-").ljust(249, "x")
        error = create_topic(connection, name)
        if error != 0:
            raise Broken(f"answered error {error}")


def too_many_partitions(broker):
    """CreateTopics with 2147483647 partitions: refused, memory bounded."""
    before = broker.resident_bytes()
    with broker.connect() as connection:
        error = create_topic(connection, "hostile-wide", 0x7FFFFFFF)
        if error not in (INVALID_PARTITIONS, POLICY_VIOLATION):
            raise Broken(f"answered error {error}")
    broker.expect_grown_less(before, 64 << 20, "for a topic that was refused")


CASES = {case.__name__: case for case in (create_bad_names, metadata_bad_names, longest_name, too_many_partitions)}
