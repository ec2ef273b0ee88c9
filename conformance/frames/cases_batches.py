"""Record batches that lie: about their sum, their counts, their format and their size."""
from .batches import GZIP, LZ4, SNAPPY, ZSTD, batch, gzip_bomb, lz4_bomb, message, record, snappy_bomb, varint, zstd_bomb
from .wire import (
    Broken, CORRUPT_MESSAGE, INVALID_RECORD, INVALID_REQUIRED_ACKS, NONE, UNSUPPORTED_COMPRESSION_TYPE,
    UNSUPPORTED_FOR_MESSAGE_FORMAT, log_end, produce, produce_request,
)

# What a bomb may cost: buffers of the codec and the request itself, never what it unpacks to.
BOMB_GROWTH_MAX = 256 << 20


def refused(broker, records, *codes, **options):
    """The batch must be refused with one of the codes and leave the log as it was."""
    topic = broker.new_topic()
    with broker.connect() as connection:
        error, _ = produce(connection, topic, records, **options)
        if error not in codes:
            raise Broken(f"answered error {error}, want one of {codes}")
        if log_end(connection, topic) != 0:
            raise Broken("the refused batch is in the log")
        error, offset = produce(connection, topic, batch(record(b"honest")))
        if (error, offset) != (NONE, 0):
            raise Broken(f"an honest batch then got error {error} at offset {offset}")


def wrong_crc(broker):
    """Batch with a wrong CRC: CORRUPT_MESSAGE."""
    refused(broker, batch(record(b"x"), crc=1), CORRUPT_MESSAGE)


def two_batches(broker):
    """Two batches for one partition: INVALID_RECORD."""
    refused(broker, batch(record(b"a")) + batch(record(b"b")), INVALID_RECORD)


def magic_0(broker):
    """Message of magic 0 in Produce v7: refused."""
    refused(broker, message(0), INVALID_RECORD, UNSUPPORTED_FOR_MESSAGE_FORMAT)


def magic_1(broker):
    """Message of magic 1 in Produce v7: refused."""
    refused(broker, message(1), INVALID_RECORD, UNSUPPORTED_FOR_MESSAGE_FORMAT)


def unknown_magic(broker):
    """Batch of magic 9: refused."""
    refused(broker, batch(record(b"x"), magic=9), INVALID_RECORD, CORRUPT_MESSAGE)


def count_too_large(broker):
    """Batch that counts more records than it holds: refused."""
    refused(broker, batch(record(b"x"), count=5), INVALID_RECORD, CORRUPT_MESSAGE)


def count_huge(broker):
    """Batch that counts 2147483647 records: refused."""
    refused(broker, batch(record(b"x"), count=0x7FFFFFFF), INVALID_RECORD, CORRUPT_MESSAGE)


def count_too_small(broker):
    """Batch that holds more records than it counts: refused."""
    refused(broker, batch(record(b"x") + record(b"y", 1), count=1), INVALID_RECORD, CORRUPT_MESSAGE)


def last_offset_delta_lies(broker):
    """Batch whose last offset delta does not fit its count: refused."""
    refused(broker, batch(record(b"x"), count=1, last_offset_delta=1_000_000), INVALID_RECORD, CORRUPT_MESSAGE)


def length_too_large(broker):
    """Batch that claims to be longer than the request: refused."""
    refused(broker, batch(record(b"x"), length=1_000_000), INVALID_RECORD, CORRUPT_MESSAGE)


def record_length_lies(broker):
    """Record that claims to be longer than its batch: refused."""
    refused(broker, batch(varint(1 << 30) + b"\0" * 16), INVALID_RECORD, CORRUPT_MESSAGE)


def reserved_codec(broker):
    """Batch with a codec number nobody gave out: refused."""
    refused(broker, batch(record(b"x"), attributes=7), INVALID_RECORD, CORRUPT_MESSAGE, UNSUPPORTED_COMPRESSION_TYPE)


def not_gzip(broker):
    """Batch that says gzip and is not: refused."""
    refused(broker, batch(b"this is no gzip stream", attributes=GZIP), INVALID_RECORD, CORRUPT_MESSAGE)


def zstd_too_early(broker):
    """zstd in Produce v3: UNSUPPORTED_COMPRESSION_TYPE."""
    topic = broker.new_topic()
    with broker.connect() as connection:
        reader = connection.ask(produce_request(topic, batch(b"\x28\xb5\x2f\xfd", attributes=ZSTD), version=3))
        reader.i32()
        reader.string()
        reader.i32()
        reader.i32()
        error = reader.i16()
        if error != UNSUPPORTED_COMPRESSION_TYPE:
            raise Broken(f"answered error {error}, want {UNSUPPORTED_COMPRESSION_TYPE}")


def bomb(broker, codec, data):
    before = broker.resident_bytes()
    refused(broker, batch(data, attributes=codec), INVALID_RECORD, CORRUPT_MESSAGE)
    broker.expect_grown_less(before, BOMB_GROWTH_MAX, "for a bomb")


def bomb_gzip(broker):
    """gzip bomb, 1 MB to 1 GiB: refused, memory bounded."""
    bomb(broker, GZIP, gzip_bomb())


def bomb_snappy(broker):
    """snappy block that claims 2 GiB: refused, memory bounded."""
    bomb(broker, SNAPPY, snappy_bomb())


def bomb_lz4(broker):
    """lz4 bomb, 1 MB to 240 MiB: refused, memory bounded."""
    bomb(broker, LZ4, lz4_bomb())


def bomb_zstd(broker):
    """zstd bomb, 32 KiB to 1 GiB: refused, memory bounded."""
    bomb(broker, ZSTD, zstd_bomb())


def acks_5(broker):
    """acks=5: INVALID_REQUIRED_ACKS."""
    refused(broker, batch(record(b"x")), INVALID_REQUIRED_ACKS, acks=5)


# Apache Kafka answers these with UNKNOWN_SERVER_ERROR, which producers take for fatal and which
# blames the broker for a client's fault. Kalda names the fault.
for case in (reserved_codec, not_gzip, bomb_snappy):
    case.apache_differs = "answers UNKNOWN_SERVER_ERROR"

CASES = {case.__name__: case for case in (
    wrong_crc, two_batches, magic_0, magic_1, unknown_magic, count_too_large, count_huge, count_too_small,
    last_offset_delta_lies, length_too_large, record_length_lies, reserved_codec, not_gzip, zstd_too_early,
    bomb_gzip, bomb_snappy, bomb_lz4, bomb_zstd, acks_5,
)}
