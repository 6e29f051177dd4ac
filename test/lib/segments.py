"""Reads the batch headers of a log segment, as much as tests compare. The format is Kafka's record
batch v2 (the protocol guide's "Record Batch"), big-endian."""
import struct
from dataclasses import dataclass

HEADER = struct.Struct(">qiibIhiqqqhii")
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


@dataclass(frozen=True)
class Batch:
    base_offset: int
    last_offset: int
    magic: int
    codec: str
    producer_id: int
    producer_epoch: int
    base_sequence: int
    count: int
    log_append_time: bool


def batches(path):
    """Every whole batch of a segment file; the active one may end within a batch."""
    data = path.read_bytes()
    found, at = [], 0
    while at + HEADER.size <= len(data):
        (base, size, _, magic, _, attributes, last, _, _, producer, epoch, sequence, count) = HEADER.unpack_from(data, at)
        if size <= 0 or at + 12 + size > len(data):
            break
        found.append(Batch(base, base + last, magic, CODECS[attributes & 7], producer, epoch, sequence, count,
                           bool(attributes & 8)))
        at += 12 + size
    return found
