"""Frames that lie about their length, their kind or their counts."""
from .wire import (
    API_VERSIONS, Broken, CREATE_TOPICS, FETCH, METADATA, PRODUCE, UNSUPPORTED_VERSION,
    array, framed, header, i8, i16, i32, request, string,
)

# A count that would take gigabytes if it were believed.
HUGE = 0x7FFFFFFF
# A stranger's count may cost the broker no more than this while it looks at the frame.
GROWTH_MAX = 64 << 20


def closes(broker, data):
    before = broker.resident_bytes()
    with broker.connect() as connection:
        connection.send(data)
        connection.expect_closed()
    broker.expect_grown_less(before, GROWTH_MAX, "for a frame that was refused")


def negative_length(broker):
    """Negative frame length."""
    closes(broker, i32(-1) + b"x" * 16)


def huge_length(broker):
    """Frame length of 2 GiB."""
    closes(broker, i32(HUGE) + b"x" * 16)


def length_beyond_limit(broker):
    """Frame length one byte beyond socket.request.max.bytes."""
    closes(broker, i32(104_857_600 + 1) + b"x" * 16)


def empty_frame(broker):
    """Frame without a header."""
    closes(broker, i32(0))


def truncated_header(broker):
    """Frame that ends inside its header."""
    closes(broker, framed(i16(METADATA)))


def header_string_overrun(broker):
    """Client id that claims to be longer than the frame."""
    closes(broker, framed(i16(METADATA) + i16(1) + i32(7) + i16(0x7FFF) + b"x"))


def unknown_key(broker):
    """Unknown api key."""
    closes(broker, request(9999, 0, b""))


def negative_key(broker):
    """Negative api key."""
    closes(broker, request(-2, 0, b""))


def unknown_version(broker):
    """Known api key in a version that does not exist."""
    closes(broker, request(METADATA, 99, i32(0)))


def api_versions_99(broker):
    """ApiVersions v99 is answered in v0 with error 35 and the range of key 18."""
    with broker.connect() as connection:
        # The header of a future version is taken to end in tagged fields, here none.
        reader = connection.ask(request(API_VERSIONS, 99, b"\0" + b"\xff" * 8))
        error, count = reader.i16(), reader.i32()
        if error != UNSUPPORTED_VERSION or count != 1:
            raise Broken(f"answered error {error} with {count} keys, want 35 with one")
        key, low, high = reader.i16(), reader.i16(), reader.i16()
        if key != API_VERSIONS or low != 0 or high < 3:
            raise Broken(f"answered key {key} with versions {low} to {high}")
        reader.end()
        error = connection.ask(request(API_VERSIONS, 0, b"")).i16()
        if error != 0:
            raise Broken(f"the same connection then answered error {error}")


def metadata_huge_array(broker):
    """Metadata v1 with 2147483647 topics."""
    closes(broker, request(METADATA, 1, i32(HUGE)))


def metadata_negative_array(broker):
    """Metadata v1 with a negative count that is not null."""
    with broker.connect() as connection:
        connection.send(request(METADATA, 1, i32(-5)))
        try:
            connection.answer()
        except (EOFError, ConnectionError):
            pass


def metadata_compact_huge_array(broker):
    """Metadata v9 with a compact array of 2147483646 topics."""
    flexible = header(METADATA, 9, 7) + b"\0"
    closes(broker, framed(flexible + b"\xff\xff\xff\xff\x07"))


def endless_varint(broker):
    """Metadata v9 with a count whose varint never ends."""
    flexible = header(METADATA, 9, 7) + b"\0"
    closes(broker, framed(flexible + b"\xff" * 32))


def huge_tagged_fields(broker):
    """Header with 4294967295 tagged fields."""
    closes(broker, framed(header(METADATA, 9, 7) + b"\xff\xff\xff\xff\x0f"))


def fetch_huge_array(broker):
    """Fetch v4 with 2147483647 topics."""
    closes(broker, request(FETCH, 4, i32(-1) + i32(0) + i32(1) + i32(1 << 20) + i8(0) + i32(HUGE)))


def fetch_huge_partition_array(broker):
    """Fetch v4 with 2147483647 partitions of a topic."""
    closes(broker, request(FETCH, 4, i32(-1) + i32(0) + i32(1) + i32(1 << 20) + i8(0) + i32(1) + string("t") + i32(HUGE)))


def produce_huge_records(broker):
    """Produce v7 whose records claim 2 GiB."""
    closes(broker, request(PRODUCE, 7, i16(-1) + i16(-1) + i32(1000) + i32(1) + string("t") + i32(1) + i32(0) + i32(HUGE)))


def create_topics_huge_array(broker):
    """CreateTopics v4 with 2147483647 configs."""
    topic = string("t") + i32(1) + i16(1) + array() + i32(HUGE)
    closes(broker, request(CREATE_TOPICS, 4, i32(1) + topic))


def http_request(broker):
    """An HTTP request."""
    closes(broker, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")


def tls_hello(broker):
    """A TLS hello on a plaintext listener."""
    closes(broker, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x5a" * 512)


CASES = {case.__name__: case for case in (
    negative_length, huge_length, length_beyond_limit, empty_frame, truncated_header, header_string_overrun,
    unknown_key, negative_key, unknown_version, api_versions_99, metadata_huge_array, metadata_negative_array,
    metadata_compact_huge_array, endless_varint, huge_tagged_fields, fetch_huge_array, fetch_huge_partition_array,
    produce_huge_records, create_topics_huge_array, http_request, tls_hello,
)}
