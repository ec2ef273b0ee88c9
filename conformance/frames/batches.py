"""Record batches written by hand: honest ones, and ones that lie."""
import struct
import zlib

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
GIB = 1 << 30

_CRC32C = []
for _n in range(256):
    for _ in range(8):
        _n = _n >> 1 ^ (0x82F63B78 if _n & 1 else 0)
    _CRC32C.append(_n)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC32C[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def varint(n):
    n = n << 1 ^ n >> 63
    out = bytearray()
    while n & ~0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def record(value, offset_delta=0):
    body = b"\0" + varint(0) + varint(offset_delta) + varint(-1) + varint(len(value)) + value + varint(0)
    return varint(len(body)) + body


def batch(records, count=1, attributes=0, magic=2, crc=None, length=None, last_offset_delta=None):
    """A v2 batch; every field that can lie may be given."""
    delta = count - 1 if last_offset_delta is None else last_offset_delta
    time = 1_700_000_000_000
    checked = struct.pack(">hiqqqhii", attributes, delta, time, time, -1, -1, -1, count) + records
    crc = crc32c(checked) if crc is None else crc
    rest = struct.pack(">ibI", -1, magic, crc) + checked
    return struct.pack(">qi", 0, len(rest) if length is None else length) + rest


def message(magic):
    """One message of the formats before batches."""
    rest = struct.pack(">bb", magic, 0) + (struct.pack(">q", 1_700_000_000_000) if magic else b"")
    rest += struct.pack(">i", -1) + struct.pack(">i", 3) + b"old"
    body = struct.pack(">I", zlib.crc32(rest)) + rest
    return struct.pack(">qi", 0, len(body)) + body


def record_start(claimed):
    """The start of a record that claims more than ever follows."""
    start = b"\0" + varint(0) + varint(0) + varint(-1) + varint(claimed)
    return varint(claimed + len(start)) + start


def gzip_bomb():
    """1 GiB of zeros in about 1 MB."""
    pack = zlib.compressobj(9, zlib.DEFLATED, 31)
    chunk = bytes(1 << 20)
    return pack.compress(record_start(GIB + GIB // 2)) + b"".join(pack.compress(chunk) for _ in range(1024)) + pack.flush()


def zstd_bomb():
    """1 GiB in 32 KiB: one raw block, then blocks that each repeat one byte 128 KiB long."""
    start = record_start(GIB + GIB // 2)
    blocks = [block_header(len(start), 0, 0) + start]
    blocks += [block_header(128 << 10, 1, n == 8191) + b"\0" for n in range(8192)]
    window_of_8_mib = b"\x68"
    return b"\x28\xb5\x2f\xfd" + b"\x00" + window_of_8_mib + b"".join(blocks)


def block_header(size, kind, last):
    return struct.pack("<I", size << 3 | kind << 1 | last)[:3]


def lz4_bomb():
    """As far as lz4 goes below the largest batch: 240 MiB, 255 to 1."""
    start = record_start(GIB)
    block = bytes([min(len(start), 15) << 4 | 15]) + start + struct.pack("<H", 1)
    block += b"\xff" * 16_400 + b"\x00" + b"\x50" + b"\0" * 5
    descriptor = b"\x60\x70"
    blocks = b"".join(struct.pack("<I", len(block)) + block for _ in range(60))
    return b"\x04\x22\x4d\x18" + descriptor + bytes([xxh32(descriptor) >> 8 & 0xFF]) + blocks + struct.pack("<I", 0)


def xxh32(data):
    """xxHash32 with seed 0 of fewer than four bytes, which is all a frame header needs."""
    mask = 0xFFFFFFFF
    h = 374761393 + len(data) & mask
    for byte in data:
        h = h + byte * 374761393 & mask
        h = ((h << 11 | h >> 21) & mask) * 2654435761 & mask
    h = (h ^ h >> 15) * 2246822519 & mask
    h = (h ^ h >> 13) * 3266489917 & mask
    return h ^ h >> 16


def snappy_bomb():
    """A block of a few bytes that claims to become 2 GiB."""
    claimed = b"\xff\xff\xff\xff\x07"
    block = claimed + b"\x00a" + b"\xfe\x01\x00" * 100
    return b"\x82SNAPPY\x00" + struct.pack(">ii", 1, 1) + struct.pack(">i", len(block)) + block
