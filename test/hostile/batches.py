"""Record batches with any field a lie, and compressed sections that grow to gigabytes.

CRC-32C, snappy's and LZ4's frames are written here by hand: the standard library has none of them, and a bomb
is easier written than compressed. Formats: the protocol guide's "Record Batch"; snappy's format_description;
LZ4 frame format 1.6; RFC 1952; RFC 8878."""
import struct
import zlib

from codec import uvarint, varint

NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
CODECS = {"none": NONE, "gzip": GZIP, "snappy": SNAPPY, "lz4": LZ4, "zstd": ZSTD}
TRANSACTIONAL, CONTROL = 0x10, 0x20

_CRC_TABLE = []
for _byte in range(256):
    for _ in range(8):
        _byte = _byte >> 1 ^ 0x82F63B78 if _byte & 1 else _byte >> 1
    _CRC_TABLE.append(_byte)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC_TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def record(value=b"value", key=None, offset_delta=0, timestamp_delta=0, headers=(), attributes=0, **lies):
    """One record; lies: length, key_size, value_size, header_count as they should be written."""
    def sized(data, size):
        return varint((-1 if data is None else len(data)) if size is None else size) + (data or b"")

    body = bytes([attributes]) + varint(timestamp_delta) + varint(offset_delta)
    body += sized(key, lies.get("key_size")) + sized(value, lies.get("value_size"))
    body += varint(lies.get("header_count", len(headers)))
    for name, content in headers:
        body += sized(name, None) + sized(content, None)
    return varint(lies.get("length", len(body))) + body


def batch(records=None, count=1, codec=NONE, data=None, **lies):
    """A batch of `count` records (or of these record bytes). `data` replaces the section after the header, as
    it stands. Every header field may be overridden; size and crc are right unless they are, too."""
    if records is None:
        records = [record(offset_delta=n) for n in range(count)]
    else:
        count = len(records)
    section = compress(codec, b"".join(records)) if data is None else data
    now = lies.get("timestamp", 1_600_000_000_000)
    body = struct.pack(">hiqqqhii", lies.get("attributes", codec), lies.get("last_offset_delta", count - 1),
                       lies.get("base_timestamp", now), lies.get("max_timestamp", now), lies.get("producer_id", -1),
                       lies.get("producer_epoch", -1), lies.get("base_sequence", -1), lies.get("record_count", count)) + section
    crc = lies.get("crc", crc32c(body))
    return struct.pack(">qiibI", lies.get("base_offset", 0), lies.get("size", len(body) + 9), lies.get("leader_epoch", -1),
                       lies.get("magic", 2), crc & 0xFFFFFFFF) + body


def legacy(magic=1, value=b"value", key=None):
    """A message of the old formats 0 and 1."""
    body = struct.pack(">bb", magic, 0) + (struct.pack(">q", 1_600_000_000_000) if magic else b"")
    for data in (key, value):
        body += struct.pack(">i", -1 if data is None else len(data)) + (data or b"")
    message = struct.pack(">I", zlib.crc32(body)) + body
    return struct.pack(">qi", 0, len(message)) + message


# ---- compression ----

def snappy_block(data):
    """Literals only."""
    out = bytearray(uvarint(len(data)))
    for at in range(0, len(data), 60):
        part = data[at:at + 60]
        out += bytes([(len(part) - 1) << 2]) + part
    return bytes(out)


def snappy_java(blocks):
    return b"\x82SNAPPY\0" + struct.pack(">ii", 1, 1) + b"".join(struct.pack(">i", len(one)) + one for one in blocks)


def xxh32(data):
    """The checksum of LZ4's frame header, for fewer than 16 bytes."""
    mask = 0xFFFFFFFF
    acc = 0x165667B1 + len(data) & mask
    at = 0
    while at + 4 <= len(data):
        acc = acc + int.from_bytes(data[at:at + 4], "little") * 0xC2B2AE3D & mask
        acc = (acc << 17 | acc >> 15) & mask
        acc = acc * 0x27D4EB2F & mask
        at += 4
    for byte in data[at:]:
        acc = acc + byte * 0x165667B1 & mask
        acc = (acc << 11 | acc >> 21) & mask
        acc = acc * 0x9E3779B1 & mask
    acc = (acc ^ acc >> 15) * 0x85EBCA77 & mask
    acc = (acc ^ acc >> 13) * 0xC2B2AE3D & mask
    return acc ^ acc >> 16


def lz4_frame(blocks, block_size_id=7):
    """Blocks as (bytes, compressed or not)."""
    head = bytes([0x60, block_size_id << 4])  # version 1, independent blocks, no checksums
    out = b"\x04\x22\x4d\x18" + head + bytes([xxh32(head) >> 8 & 0xFF])
    for data, compressed in blocks:
        out += struct.pack("<I", len(data) | (0 if compressed else 1 << 31)) + data
    return out + struct.pack("<I", 0)


def zstd_frame(blocks):
    """Blocks as (type, size, bytes): 0 raw, 1 one byte repeated `size` times."""
    out = b"\x28\xb5\x2f\xfd" + bytes([0x00, 0x50])  # no size, no checksum; a window of 1 MiB
    for number, (kind, size, data) in enumerate(blocks):
        last = number == len(blocks) - 1
        out += struct.pack("<I", size << 3 | kind << 1 | last)[:3] + data
    return out


def gzip_stream(parts):
    """Parts as iterables of bytes; the result is compressed as it grows."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    out = bytearray()
    for part in parts:
        out += packer.compress(part)
    return bytes(out + packer.flush())


def compress(codec, data):
    if codec == GZIP:
        return gzip_stream([data])
    if codec == SNAPPY:
        return snappy_java([snappy_block(data)])
    if codec == LZ4:
        return lz4_frame([(data[at:at + (1 << 22)], False) for at in range(0, len(data), 1 << 22)])
    if codec == ZSTD:
        return zstd_frame([(0, len(data[at:at + (1 << 17)]), data[at:at + (1 << 17)]) for at in range(0, len(data), 1 << 17)])
    return data


def bomb(codec, plain_bytes, head=b""):
    """A section that decompresses to `head` and then about `plain_bytes` zeros, built without holding them."""
    if codec == GZIP:
        def parts():
            yield head
            chunk = bytes(1 << 20)
            for _ in range(plain_bytes >> 20):
                yield chunk
        return gzip_stream(parts())
    if codec == ZSTD:
        return zstd_frame([(0, len(head), head)] + [(1, 1 << 17, b"\0")] * (plain_bytes >> 17))
    if codec == LZ4:
        block_bytes = 1 << 22
        # One literal zero, a match of the byte before for as long as the block goes, and the five literals
        # with which every block must end.
        extra = block_bytes - 1 - 5 - 19
        block = b"\x1f\0\x01\0" + b"\xff" * (extra // 255) + bytes([extra % 255]) + b"\x50" + bytes(5)
        return lz4_frame([(head, False)] + [(block, True)] * (plain_bytes // block_bytes))
    if codec == SNAPPY:
        block_bytes = 1 << 22
        copies = (block_bytes - 64) // 64
        block = uvarint(64 + copies * 64) + bytes([59 << 2]) + bytes(60) + bytes([3 << 2]) + bytes(4)
        block += (bytes([63 << 2 | 2]) + b"\x01\0") * copies
        return snappy_java([snappy_block(head)] + [block] * (plain_bytes // block_bytes))
    raise ValueError(codec)
