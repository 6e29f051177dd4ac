"""Requests that lie, and small ones that ask for much."""
import os
import struct
import time

from attack import MIB, Site, attack, expect, expect_descriptors, expect_health, expect_memory, expect_others_served, sizes_of_answers
import batches
import codec
import wire
from site_under_attack import ANSWER_MAX, ARENA_MAX, BASE, LOOPS, REQUEST_MEMORY


@attack
def every_api_and_version_with_random_bodies(chance):
    """Each is answered or its connection closed; what decodes may well be carried out."""
    rounds = 40 if os.environ.get("TEST_LONG") else 4
    with Site() as site:
        expect_health(site, "before")
        with site.connect() as connection:
            ids = [wire.create_topic(connection, name, partitions=2).bytes for name in ("known", "too")]
        known = {"names": ["known", "too", "1", "0", "retention.ms", "cleanup.policy", "compact,delete"], "ids": ids,
                 "records": [batches.batch(count=3), batches.batch(codec=batches.GZIP), batches.batch(crc=1),
                             batches.batch(producer_id=5, producer_epoch=0, base_sequence=0),
                             batches.batch(producer_id=5, producer_epoch=0, base_sequence=0, attributes=batches.TRANSACTIONAL)]}
        site.reset_peak()
        sent = answered = 0
        for key in sorted(codec.APIS):
            first, last = codec.versions(key) or (0, 0)
            for version in range(first, last + 1):
                for _ in range(rounds):
                    body = codec.random_body(key, version, chance, **known) if codec.versions(key) else chance.randbytes(20)
                    for data in (body, mangle(body, chance), chance.randbytes(chance.randint(0, 200))):
                        sent += 1
                        answered += offer(site, key, version, data)
            expect(site.target.alive(), f"the broker ended at API {key}: {site.target.last_words()}")
        print(f"{sent} requests, {answered} answered, VmRSS at most {site.peak() // MIB} MiB")
        expect(answered > 100, "hardly any request was understood")
        expect_memory(site, BASE + REQUEST_MEMORY)
        expect_health(site)


def mangle(body, chance):
    """One to three small lies in a body that was right."""
    data = bytearray(body)
    for _ in range(chance.randint(1, 3)):
        if not data:
            break
        at = chance.randrange(len(data))
        what = chance.randrange(4)
        if what == 0:
            data[at] ^= 1 << chance.randrange(8)
        elif what == 1:
            data[at] = chance.choice([0, 1, 0x7F, 0x80, 0xFF])
        elif what == 2:
            del data[at:]
        else:
            data[at:at + 4] = chance.choice([b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\0"])
    return bytes(data)


def offer(site, key, version, body):
    """Sends one request; whether it was answered. What waits for long is left."""
    try:
        with site.connect(0.2) as connection:
            connection.send_frame(codec.encode_header(key, version, 7) + body)
            (number,) = struct.unpack(">i", connection.receive_frame()[:4])
            expect(number == 7, f"API {key} version {version} was answered to {number}")
            return True
    except (wire.Closed, wire.Silent):
        return False
    except (OSError, struct.error) as thrown:
        raise AssertionError(f"API {key} version {version}: {thrown}") from None


@attack
def every_cut_of_a_request(chance):
    """A produce request that ends at any byte, as a whole frame and as a connection that ends there."""
    with Site() as site:
        expect_health(site, "before")
        whole = codec.encode(wire.PRODUCE, 9, 1, wire.produce_body("health", batches.batch()))
        before = site.descriptors()
        for size in range(len(whole)):
            with site.connect() as connection:
                connection.send_frame(whole[:size])
                if size < len(whole) - 1:
                    expect(connection.ended(5), f"a request cut to {size} bytes neither fails nor ends")
            with site.connect() as connection:
                connection.send_frame(whole[:size], len(whole))
        expect_descriptors(site, before)
        expect(site.said("request not understood") or site.said("request refused"), "the log says nothing of it")
        expect_health(site)


@attack
def answers_much_larger_than_their_requests(chance):
    """One name asked for again and again would make an answer of gigabytes."""
    with Site() as site:
        expect_health(site, "before")
        with site.connect() as connection:
            wire.create_topic(connection, "wide", partitions=1000)
        site.reset_peak()
        many = 100_000
        one = {"ResourceType": 2, "ResourceName": "wide", "ConfigurationKeys": None}
        requests = {
            "metadata": (wire.METADATA, 9, {"Topics": [{"Name": "wide"}] * many}),
            "describe configs": (32, 4, {"Resources": [one] * many, "IncludeSynonyms": True, "IncludeDocumentation": True}),
            "describe log dirs": (35, 4, {"Topics": [{"Topic": "wide", "Partitions": list(range(1000))}] * (many // 1000)}),
            "describe topic partitions": (75, 0, {"Topics": [{"Name": "wide"}] * many, "ResponsePartitionLimit": 2**31 - 1}),
            "describe producers": (61, 0, {"Topics": [{"Name": "wide", "PartitionIndexes": list(range(1000))}] * (many // 1000)}),
        }
        for name, (key, version, body) in requests.items():
            site.reset_peak()
            connections = [site.connect(30) for _ in range(3)]
            for connection in connections:
                connection.send_frame(codec.encode(key, version, 1, body))
            print(f"{name}: answers of {sizes_of_answers(connections)}, VmRSS at most {site.peak() // MIB} MiB")
            expect_memory(site, BASE + REQUEST_MEMORY + LOOPS * (ARENA_MAX + ANSWER_MAX))
            expect_health(site, f"after {name}")


@attack
def arrays_that_are_all_overhead(chance):
    """Requests of small elements, whose decoded form is many times larger than the frame."""
    with Site() as site:
        expect_health(site, "before")
        with site.connect() as connection:
            wire.create_topic(connection, "wide", partitions=100)
        part = {"Index": 0, "Records": b""}
        fetch_part = {"Partition": 0, "FetchOffset": 0, "PartitionMaxBytes": 100}
        requests = {
            "produce, partitions": (wire.PRODUCE, 9, {"Acks": 1, "TopicData": [{"Name": "x", "PartitionData": [part] * 500_000}]}),
            "produce, topics": (wire.PRODUCE, 9, {"Acks": 1, "TopicData": [{"Name": "", "PartitionData": []}] * 1_000_000}),
            "fetch, partitions": (wire.FETCH, 12, {"MaxWaitMs": 0, "Topics": [{"Topic": "wide", "Partitions": [fetch_part] * 300_000}]}),
            "fetch, topics": (wire.FETCH, 12, {"MaxWaitMs": 0, "Topics": [{"Topic": "", "Partitions": []}] * 1_000_000}),
            "list offsets": (wire.LIST_OFFSETS, 7, {"ReplicaId": -1, "Topics": [{"Name": "wide", "Partitions": [
                {"PartitionIndex": 0, "Timestamp": 0}] * 500_000}]}),
            "metadata": (wire.METADATA, 9, {"Topics": [{"Name": ""}] * 2_000_000}),
            "create topics": (wire.CREATE_TOPICS, 5, {"TimeoutMs": 1, "ValidateOnly": True, "Topics": [
                {"Name": "", "NumPartitions": 1, "ReplicationFactor": 1}] * 200_000}),
            "assignments": (wire.CREATE_TOPICS, 5, {"TimeoutMs": 1, "ValidateOnly": True, "Topics": [
                {"Name": "y", "NumPartitions": -1, "ReplicationFactor": -1,
                 "Assignments": [{"PartitionIndex": 0, "BrokerIds": [1]}] * 500_000}]}),
        }
        for name, (key, version, body) in requests.items():
            expect_others_served(site, name, key, version, body, 3)
        expect_health(site)


# VALIDATE_PLAIN_MAX_BYTES of src/record/validate.h.
PLAIN_MAX = 256 * MIB
# Batches that are decompressed at a time may hold as much as requests may, but one may pass that: with the record at
# hand, the window of zstd, and the batch that is built anew.
PLAIN_HELD_MAX = REQUEST_MEMORY + PLAIN_MAX + 128 * MIB + PLAIN_MAX


@attack
def decompression_bombs(chance):
    """Far more than a batch may stand for, and just less: one huge record, a stream of nothing, many records.
    Several at a time, to topics that keep the batch, store it plain, or compress it anew."""
    topics = {"kept": {}, "plain": {"compression.type": "uncompressed"}, "repacked": {"compression.type": "lz4"}}
    with Site() as site:
        expect_health(site, "before")
        with site.connect() as connection:
            for topic, configs in topics.items():
                wire.create_topic(connection, topic, configs={"max.message.bytes": str(8 * MIB), **configs})
        for name, (number, count, section) in bombs().items():
            data = batches.batch(data=section, attributes=number, record_count=count, last_offset_delta=count - 1)
            site.reset_peak()
            started = time.monotonic()
            connections = [(topic, site.connect(60)) for topic in topics for _ in range(2)]
            for topic, connection in connections:
                connection.send_frame(codec.encode(wire.PRODUCE, 11, 1, wire.produce_body(topic, data)))
            expect_health(site, f"while {name} is under way")
            answers = [wire.produced(connection.answer(wire.PRODUCE, 11, 1))[0] for _, connection in connections]
            for _, connection in connections:
                connection.close()
            print(f"{name}: {len(data)} bytes, {answers}, VmRSS at most {site.peak() // MIB} MiB, {time.monotonic() - started:.1f} s")
            allowed = {"INVALID_RECORD", "MESSAGE_TOO_LARGE", "REQUEST_TIMED_OUT"} | ({"NONE"} if name.endswith("records") else set())
            expect(set(answers) <= allowed, f"{name}: answered {answers}")
            expect_memory(site, BASE + REQUEST_MEMORY + PLAIN_HELD_MAX)
        expect_health(site)


def bombs():
    """Name to codec, records that the batch claims, and its section."""
    found = {}
    for name, number in batches.CODECS.items():
        if number == batches.NONE:
            continue
        for what, size in (("too much", PLAIN_MAX + 64 * MIB), ("just less", PLAIN_MAX - 16 * MIB)):
            size = size // 8 if number == batches.SNAPPY else size  # it cannot shrink more
            # Length, attributes, deltas, no key, and the value's size. Zeros follow.
            head = batches.varint(size - 100) + b"\0\0\0\x01" + batches.varint(size - 200)
            found[f"{name}, {what}, one record"] = number, 1, batches.bomb(number, size, head)
            found[f"{name}, {what}, zeros"] = number, 1, batches.bomb(number, size)
    run = 8  # blocks of 128 KiB
    parts = []
    for n in range(250):
        value_bytes = (run << 17) - 1  # the last zero is the number of headers
        body = b"\0\0" + batches.varint(n) + b"\x01" + batches.varint(value_bytes)
        head = batches.varint(len(body) + value_bytes + 1) + body
        parts += [(0, len(head), head)] + [(1, 1 << 17, b"\0")] * run
    found["zstd, just less, many records"] = batches.ZSTD, 250, batches.zstd_frame(parts)
    small = b"".join(batches.record(b"", offset_delta=n) for n in range(300_000))
    found["gzip, small records"] = batches.GZIP, 300_000, batches.gzip_stream([small])
    return found


# FETCH_SESSIONS_PARTITIONS_MAX of src/server/fetch_session.h; each with its topic's name.
SESSION_PARTITIONS_MAX = 1_000_000


@attack
def fetch_sessions_without_end(chance):
    """Sessions are a cache: neither their number nor their partitions grow without bound."""
    with Site() as site:
        expect_health(site, "before")
        site.reset_peak()
        part = [{"Partition": n, "FetchOffset": 0, "PartitionMaxBytes": 1} for n in range(50_000)]
        body = {"MaxWaitMs": 0, "MinBytes": 0, "SessionId": 0, "SessionEpoch": 0, "Topics": [{"Topic": "x" * 200, "Partitions": part}]}
        data = codec.encode(wire.FETCH, 11, 1, body)
        rounds = 40
        for _ in range(rounds):
            with site.connect(30) as connection:
                connection.send_frame(data)
                try:
                    connection.receive_frame()
                except wire.Closed:
                    pass
        print(f"{rounds} sessions of {len(part)} partitions: VmRSS at most {site.peak() // MIB} MiB")
        expect_memory(site, BASE + REQUEST_MEMORY + LOOPS * ARENA_MAX)
        expect_health(site)
