"""What a broker answers to requests with one fault each, as text to be compared: the same code runs
against Jackdaw and against Apache Kafka. A case is a function that yields (name, answer)."""
import struct
import time

import batches
import codec
import wire
from batches import batch, record
from wire import FETCH, LIST_OFFSETS, METADATA, PRODUCE

CASES = []
MAX32, MAX64 = 2**31 - 1, 2**63 - 1
OFFSET_FOR_LEADER_EPOCH, API_VERSIONS, DELETE_TOPICS, DELETE_RECORDS, INIT_PRODUCER_ID = 23, 18, 20, 21, 22
DESCRIBE_CONFIGS, ALTER_CONFIGS, DESCRIBE_LOG_DIRS, CREATE_PARTITIONS, INCREMENTAL = 32, 33, 35, 37, 44


def case(function):
    CASES.append(function)
    return function


class World:
    """A broker and the topics that the cases share."""

    def __init__(self, address):
        self.address, self.ids, self.serial = address, {}, 0

    def connect(self, timeout_s=wire.ANSWER_S):
        return wire.Connection(self.address, timeout_s)

    def topic(self, name, **configs):
        """The topic of that name, made when it is first asked for."""
        if name not in self.ids:
            with self.connect() as connection:
                configs = {key.replace("_", "."): str(value) for key, value in configs.items()}
                self.ids[name] = wire.create_topic(connection, name, configs=configs)
        return name

    def fresh(self, **configs):
        self.serial += 1
        return self.topic(f"fresh-{self.serial}", **configs)

    def ask(self, key, version, body, show):
        """The answer to one request on a connection of its own, as `show` tells it."""
        try:
            with self.connect() as connection:
                return show(connection.request(key, version, body))
        except wire.Closed:
            return "closed"
        except wire.Silent:
            return "silent"

    def ask_raw(self, frame, key, version, show, size=None, whole=None):
        try:
            with self.connect(5) as connection:
                connection.send(whole) if whole is not None else connection.send_frame(frame, size)
                return show(connection.answer(key, version))
        except wire.Closed:
            return "closed"
        except wire.Silent:
            return "silent"

    def produce(self, topic, records, version=11, **fields):
        body = wire.produce_body(topic, records, **fields)
        return self.ask(PRODUCE, version, body, show_produced)

    def offered(self, topic, **lies):
        return self.produce(topic, batch(**lies))


def name_of(part, field="ErrorCode"):
    return codec.error_name(part[field])


def show_produced(answer):
    shown = []
    for topic in answer["Responses"]:
        for part in topic["PartitionResponses"]:
            text = f"{part['Index']} {name_of(part)}"
            if part["ErrorCode"] == 0:
                text += f" at {part['BaseOffset']}" + (" stamped" if part["LogAppendTimeMs"] != -1 else "")
            elif part["BaseOffset"] != -1 or part["LogAppendTimeMs"] != -1:
                text += f" base {part['BaseOffset']} time {part['LogAppendTimeMs']}"
            if part.get("LogStartOffset", -1) != -1:
                text += f" start {part['LogStartOffset']}"
            if part.get("RecordErrors"):
                text += f" records {[one['BatchIndex'] for one in part['RecordErrors']][:5]}"
            shown.append(text)
    return "; ".join(shown) or "nothing"


def show_fetched(answer):
    shown = [] if answer.get("ErrorCode", 0) == 0 else [name_of(answer)]
    if answer.get("SessionId"):
        shown.append("session")
    for topic in answer["Responses"]:
        for part in topic["Partitions"]:
            records = part["Records"]
            text = f"{part['PartitionIndex']} {name_of(part)} hw {part['HighWatermark']} lso {part['LastStableOffset']}"
            text += f" start {part.get('LogStartOffset')} records {None if records is None else len(records)}"
            if part["AbortedTransactions"] is not None:
                text += f" aborted {part['AbortedTransactions']}"
            for tag in ("DivergingEpoch", "CurrentLeader"):
                if tag in part:
                    text += f" {tag} {part[tag]}"
            shown.append(text)
    return "; ".join(shown) or "nothing"


# ---- produce ----

@case
def produce_good(world):
    topic = world.fresh()
    for name, number in batches.CODECS.items():
        yield name, world.offered(topic, codec=number, count=3)
    for version in range(3, 13):
        yield f"version {version}", world.produce(topic, batch(), version=version)
    yield "version 13", world.produce(None, batch(), version=13, topic_id=world.ids[topic])
    yield "acks 1", world.produce(topic, batch(), acks=1)
    yield "a torn batch behind it", world.produce(topic, batch() + batch()[:40])
    yield "headers", world.offered(topic, records=[record(headers=[(b"a", b"b"), (b"c", None)])])
    yield "an empty key and no value", world.offered(topic, records=[record(key=b"", value=None)])
    yield "timeout 0", world.produce(topic, batch(), timeout_ms=0)
    yield "timeout -1", world.produce(topic, batch(), timeout_ms=-1)


@case
def produce_header(world):
    topic = world.topic("header")
    for lie in (0, 1, MAX32):
        yield f"crc {lie}", world.offered(topic, crc=lie)
    for magic in (-1, 0, 1, 3, 127):
        yield f"magic {magic}", world.offered(topic, magic=magic)
    for magic in (0, 1):
        yield f"a legacy message {magic}", world.produce(topic, batches.legacy(magic))
        yield f"a legacy message {magic}, version 3", world.produce(topic, batches.legacy(magic), version=3)
    for count in (-1, 0, 1, 3, MAX32):
        yield f"count {count} of 2", world.offered(topic, count=2, record_count=count)
    for last in (-2, -1, 0, 2, MAX32):
        yield f"last offset delta {last} of 2", world.offered(topic, count=2, last_offset_delta=last)
    for count in (1, 3, MAX32):
        lies = {"record_count": count, "last_offset_delta": count - 1}
        yield f"count and delta of {count} with 2", world.offered(topic, count=2, **lies)
    for size in (-2**31, -1, 0, 13, 14, 48, 49, 50, 10_000, MAX32):
        yield f"size {size}", world.offered(topic, size=size)
    for size in (0, 1, 11, 12, 16, 17, 60, 61, 62):
        yield f"cut to {size} bytes", world.produce(topic, batch()[:size])
    yield "no records at all", world.produce(topic, None)
    yield "a batch without records", world.offered(topic, records=[], last_offset_delta=-1)
    yield "a batch without records, delta 0", world.offered(topic, records=[], last_offset_delta=0)
    yield "two batches", world.produce(topic, batch() + batch())
    yield "garbage behind it", world.produce(topic, batch() + bytes(100))
    yield "garbage", world.produce(topic, b"\xa5" * 100)
    for base in (-1, 1, MAX64):
        yield f"base offset {base}", world.offered(topic, base_offset=base)
    for bits in (5, 6, 7):
        yield f"codec {bits}", world.offered(topic, attributes=bits)
    yield "log append time claimed", world.offered(topic, attributes=8)
    yield "unused attributes", world.offered(world.fresh(), attributes=0x7F80)
    yield "control", world.offered(topic, attributes=batches.CONTROL)
    yield "control and transactional", world.offered(topic, attributes=batches.CONTROL | batches.TRANSACTIONAL)


@case
def produce_records(world):
    topic = world.topic("records")
    for length in (-1, 0, 1, 5, 100, MAX32):
        yield f"length {length}", world.offered(topic, records=[record(length=length)])
    for size in (-2, -100, 100, MAX32):
        yield f"key size {size}", world.offered(topic, records=[record(key_size=size)])
        yield f"value size {size}", world.offered(topic, records=[record(value_size=size)])
    for count in (-1, 1, 100, MAX32):
        yield f"header count {count}", world.offered(topic, records=[record(header_count=count)])
    yield "a header without name", world.offered(topic, records=[record(headers=[(None, b"x")])])
    yield "bytes behind the last record", world.offered(topic, records=[record() + b"\0\0"])
    yield "bytes within the record", world.offered(topic, records=[batches.varint(20) + bytes(20)])
    yield "a varint without end", world.offered(topic, records=[b"\xff" * 20])
    yield "attributes of a record", world.offered(world.fresh(), records=[record(attributes=0x55)])
    yield "offsets 0, 0", world.offered(world.fresh(), records=[record(), record()])
    yield "offsets 1, 0", world.offered(world.fresh(), records=[record(offset_delta=1), record()])
    yield "offset -1", world.offered(world.fresh(), records=[record(offset_delta=-1)])
    compacted = world.topic("compacted", cleanup_policy="compact")
    yield "no key on a compacted topic", world.offered(compacted)
    mixed = [record(key=b"k"), record(offset_delta=1), record(key=b"k", offset_delta=2), record(offset_delta=3)]
    yield "some keys on a compacted topic", world.offered(compacted, records=mixed)
    yield "an empty key on a compacted topic", world.offered(compacted, records=[record(key=b"")])


@case
def produce_timestamps(world):
    topic = world.topic("times", message_timestamp_before_max_ms=1000, message_timestamp_after_max_ms=1000)
    free = world.fresh()
    for stamp in (-1, -2, 0, -2**63, MAX64, 4_000_000_000_000):
        yield f"timestamp {stamp}, bounded", world.offered(topic, timestamp=stamp)
        yield f"timestamp {stamp}", world.offered(free, timestamp=stamp)
        yield f"timestamp {stamp}, compressed", world.offered(free, timestamp=stamp, codec=batches.GZIP)
    yield "max timestamp lies", world.offered(free, max_timestamp=5)
    yield "timestamps overflow", world.offered(free, base_timestamp=MAX64, records=[record(timestamp_delta=10)])
    two = [record(), record(offset_delta=1, timestamp_delta=-2_000_000_000_000)]
    yield "one of two is out of bounds", world.offered(topic, records=two)
    stamped = world.topic("stamped", message_timestamp_type="LogAppendTime")
    yield "log append time", world.offered(stamped)
    yield "log append time claimed on its topic", world.offered(stamped, attributes=8)
    yield "log append time, timestamp -2", world.offered(stamped, timestamp=-2)


@case
def produce_compressed(world):
    topic = world.topic("codecs")
    for name, number in batches.CODECS.items():
        if number == batches.NONE:
            continue
        whole = batches.compress(number, record() + record(offset_delta=1))
        two = {"codec": number, "count": 2, "last_offset_delta": 1}
        yield f"{name}: nothing", world.offered(topic, data=b"", **two)
        yield f"{name}: garbage", world.offered(topic, data=b"\xa5" * 50, **two)
        yield f"{name}: plain bytes", world.offered(topic, data=record() + record(offset_delta=1), **two)
        for cut in (1, 5, 10):
            yield f"{name}: cut by {cut}", world.offered(topic, data=whole[:-cut], **two)
        yield f"{name}: bytes behind", world.offered(topic, data=whole + b"\0\0\0", **two)
        yield f"{name}: stream behind", world.offered(topic, data=whole + whole, **two)
        for count in (1, 3, 1000):
            lies = {"codec": number, "count": count, "last_offset_delta": count - 1}
            yield f"{name}: count {count} of 2", world.offered(topic, data=whole, **lies)
        gap = batches.compress(number, record() + record(offset_delta=2))
        yield f"{name}: a gap in the offsets", world.offered(topic, data=gap, **two)
        bad = batches.compress(number, record() + record(offset_delta=1, key_size=MAX32))
        yield f"{name}: a key size that lies", world.offered(topic, data=bad, **two)
        bad = batches.compress(number, record() + record(offset_delta=1, length=MAX32))
        yield f"{name}: a length that lies", world.offered(topic, data=bad, **two)
    for version in (3, 6, 7):
        yield f"zstd in version {version}", world.produce(world.topic("zstd"), batch(codec=batches.ZSTD), version=version)
    for target in ("gzip", "uncompressed", "zstd"):
        retyped = world.topic(f"to-{target}", compression_type=target)
        for name, number in batches.CODECS.items():
            yield f"{name} to {target}", world.offered(retyped, codec=number, count=2)
        yield f"offsets 0, 0 to {target}", world.offered(retyped, records=[record(), record()])


@case
def produce_sizes(world):
    small = world.topic("small", max_message_bytes=1000)
    for size in (900, 925, 930, 935, 940, 2000):
        yield f"value of {size} of 1000", world.offered(world.fresh(max_message_bytes=1000), records=[record(b"x" * size)])
    yield "too large and a wrong crc", world.offered(small, records=[record(b"x" * 2000)], crc=1)
    yield "too large and base offset 1", world.offered(small, records=[record(b"x" * 2000)], base_offset=1)
    yield "larger when stored plain", world.offered(
        world.topic("inflated", compression_type="uncompressed", max_message_bytes=1000), codec=batches.GZIP,
        records=[record(bytes(5000))])
    yield "over the default", world.offered(world.topic("large"), records=[record(bytes(1_100_000))])
    segment = world.topic("segment", segment_bytes=1048576, max_message_bytes=2_000_000)
    yield "larger than a segment", world.offered(segment, records=[record(bytes(1_500_000))])


@case
def produce_request(world):
    topic = world.topic("request")
    good = batch()
    for acks in (2, -2, 32767, -32768):
        yield f"acks {acks}", world.produce(topic, good, acks=acks)
        yield f"acks {acks} and an unknown topic", world.produce("nowhere", good, acks=acks)
    for version in (3, 8, 11, 12):
        yield f"unknown topic, version {version}", world.produce("nowhere", good, version=version)
    for partition in (1, -1, MAX32, -2**31):
        yield f"partition {partition}", world.produce(topic, good, partition=partition)
    for name in ("", ".", "a b", "x" * 300):
        yield f"topic {name[:10]!r}", world.produce(name, good)
    yield "unknown topic id", world.produce(None, good, version=13, topic_id=b"\x42" * 16)
    yield "topic id zero", world.produce(None, good, version=13)
    yield "unknown topic and a wrong crc", world.produce("nowhere", batch(crc=1))
    yield "unknown topic and no records", world.produce("nowhere", None)
    yield "unknown topic and magic 1", world.produce("nowhere", batches.legacy(1))
    yield "a transactional id", world.produce(topic, good, transactional_id="x")
    part = {"Index": 0, "Records": good}
    one = {"Name": topic, "PartitionData": [part]}
    for name, topics in (("no topics", []), ("no partitions", [{"Name": topic, "PartitionData": []}]),
                         ("a partition twice", [{"Name": topic, "PartitionData": [part, part]}]),
                         ("a topic twice", [one, one]),
                         ("a good and an unknown one", [one, {"Name": "nowhere", "PartitionData": [part]}])):
        fresh = world.fresh()
        topics = [{**entry, "Name": fresh if entry["Name"] == topic else entry["Name"]} for entry in topics]
        body = {"Acks": -1, "TimeoutMs": 1000, "TopicData": topics}
        answer = world.ask(PRODUCE, 11, body, lambda answer: "; ".join(sorted(show_produced(answer).split("; "))))
        yield name, answer
    too_few = world.topic("too-few", min_insync_replicas=2)
    for acks in (-1, 1):
        yield f"min.insync.replicas 2, acks {acks}", world.produce(too_few, good, acks=acks)


@case
def produce_without_answer(world):
    topic = world.fresh()
    for name, records in (("good", batch()), ("wrong crc", batch(crc=1)), ("no batch", b""), ("unknown topic", batch())):
        try:
            with world.connect() as connection:
                body = wire.produce_body("nowhere" if name == "unknown topic" else topic, records, acks=0)
                connection.send_frame(codec.encode(PRODUCE, 11, 1, body))
                answer = connection.request(API_VERSIONS, 0, {})
                yield name, f"goes on {name_of(answer)}"
        except wire.Closed:
            yield name, "closed"


@case
def produce_idempotent(world):
    topic = world.fresh()

    def sent(producer, epoch, sequence, count=1, **lies):
        return world.offered(topic, count=count, producer_id=producer, producer_epoch=epoch, base_sequence=sequence, **lies)

    yield "begins", sent(1000, 0, 0, 2)
    yield "goes on", sent(1000, 0, 2, 3)
    yield "again the last", sent(1000, 0, 2, 3)
    yield "again the first", sent(1000, 0, 0, 2)
    yield "overlaps", sent(1000, 0, 1, 2)
    yield "a part of the last", sent(1000, 0, 2, 2)
    yield "a gap", sent(1000, 0, 7)
    yield "before the first", sent(1000, 0, 0)
    for n in range(5):
        yield f"batch {n}", sent(1000, 0, 5 + n)
    yield "forgotten by now", sent(1000, 0, 2, 3)
    yield "the oldest known", sent(1000, 0, 5)
    yield "a new epoch at 3", sent(1000, 1, 3)
    yield "a new epoch at 0", sent(1000, 1, 0)
    yield "the old epoch", sent(1000, 0, 10)
    yield "an unknown producer at 5", sent(1001, 0, 5)
    yield "and on", sent(1001, 0, 6)
    yield "the sequence wraps", sent(1002, 0, MAX32, 2)
    yield "after the wrap", sent(1002, 0, 1)
    for fields in ((1003, -1, 0), (1004, 0, -1), (1005, -1, -1), (-2, 0, 0), (-1, 0, 0), (-1, -1, 0), (1006, 0, -2), (1007, -5, 0)):
        yield "producer %d epoch %d sequence %d" % fields, sent(*fields)
    yield "transactional, no id", sent(1008, 0, 0, attributes=batches.TRANSACTIONAL)
    yield "transactional, no producer", world.offered(topic, attributes=batches.TRANSACTIONAL)
    body = wire.produce_body(topic, batch(producer_id=1009, producer_epoch=0, base_sequence=0, attributes=0x10), transactional_id="t")
    yield "transactional, no such transaction", world.ask(PRODUCE, 11, body, show_produced)


# ---- fetch ----

def fetched(world, topic, offset, version=11, **fields):
    body = wire.fetch_body(topic, offset, topic_id=world.ids.get(topic), **fields)
    if version < 7:
        body.pop("SessionId", None)
    return world.ask(FETCH, version, body, show_fetched)


def filled(world):
    name = "filled"
    if name not in world.ids:
        world.topic(name)
        for _ in range(3):
            world.offered(name, count=2)
    return name


@case
def fetch(world):
    topic = filled(world)
    for version in range(4, 19):
        yield f"version {version}", fetched(world, topic, 0, version)
    for offset in (1, 5, 6, 7, MAX64, -1, -2, -2**63):
        yield f"offset {offset}", fetched(world, topic, offset)
        yield f"offset {offset}, version 17", fetched(world, topic, offset, 17)
    for partition in (1, -1, MAX32):
        yield f"partition {partition}", fetched(world, topic, 0, partition=partition)
        yield f"partition {partition}, version 13", fetched(world, topic, 0, 13, partition=partition)
    yield "unknown topic", fetched(world, "nowhere", 0)
    yield "no topic name", fetched(world, "", 0)
    yield "topic id zero", fetched(world, "nowhere", 0, 13)
    body = wire.fetch_body(None, 0, topic_id=b"\x42" * 16)
    yield "unknown topic id", world.ask(FETCH, 13, body, show_fetched)
    for level in (1, 2, -1, 127):
        yield f"isolation {level}", fetched(world, topic, 0, IsolationLevel=level)
    for limit in (0, -1, 1, 100, -2**31):
        yield f"max bytes {limit}", fetched(world, topic, 0, MaxBytes=limit)
        yield f"partition max bytes {limit}", fetched(world, topic, 0, PartitionMaxBytes=limit)
    for least in (0, -1, MAX32):
        yield f"min bytes {least}", fetched(world, topic, 0, MinBytes=least)
    for wait in (-1, -2**31):
        yield f"max wait {wait}", fetched(world, topic, 6, max_wait_ms=wait)
    yield "waits in vain", fetched(world, topic, 6, max_wait_ms=100)
    for epoch in (0, 1, MAX32, -2):
        yield f"leader epoch {epoch}", fetched(world, topic, 0, CurrentLeaderEpoch=epoch)
        yield f"leader epoch {epoch}, version 17", fetched(world, topic, 0, 17, CurrentLeaderEpoch=epoch)
    for replica in (1, 2, -2, -3):
        yield f"replica {replica}", fetched(world, topic, 0, ReplicaId=replica)
    for epoch in (0, 1, 5):
        body = wire.fetch_body(topic, 0)
        body["Topics"][0]["Partitions"][0]["LastFetchedEpoch"] = epoch
        yield f"last fetched epoch {epoch}", world.ask(FETCH, 12, body, show_fetched)
    body = wire.fetch_body(topic, 0)
    body["Topics"] *= 2
    yield "a topic twice", world.ask(FETCH, 11, body, show_fetched)
    body = wire.fetch_body(topic, 0)
    body["Topics"][0]["Partitions"] *= 2
    yield "a partition twice", world.ask(FETCH, 11, body, show_fetched)
    yield "no topics", world.ask(FETCH, 11, wire.fetch_body(topic, 0) | {"Topics": []}, show_fetched)


@case
def fetch_session(world):
    topic = filled(world)
    for identity, epoch in ((0, 1), (0, MAX32), (5, 1), (5, 0), (5, -1), (-1, 1), (MAX32, MAX32), (0, -1), (0, -2)):
        answer = fetched(world, topic, 0, SessionId=identity, SessionEpoch=epoch)
        yield f"session {identity} epoch {epoch}", answer

    def step(connection, identity, epoch, topics=(), forgotten=(), version=12):
        body = {"MaxWaitMs": 0, "MinBytes": 0, "SessionId": identity, "SessionEpoch": epoch,
                "Topics": list(topics), "ForgottenTopicsData": list(forgotten)}
        try:
            answer = connection.request(FETCH, version, body)
            return answer["SessionId"], show_fetched(answer)
        except wire.Closed:
            return 0, "closed"

    def want(partition, offset):
        return {"Topic": topic, "TopicId": world.ids[topic], "Partitions": [
            {"Partition": partition, "FetchOffset": offset, "PartitionMaxBytes": 1000}]}

    with world.connect() as connection:
        identity, answer = step(connection, 0, 0, [want(0, 6)])
        yield "begins", answer
        yield "nothing new", step(connection, identity, 1)[1]
        yield "a lower offset", step(connection, identity, 2, [want(0, 0)])[1]
        yield "an unknown partition", step(connection, identity, 3, [want(7, 0)])[1]
        yield "it is told again", step(connection, identity, 4)[1]
        yield "it is forgotten", step(connection, identity, 5, [want(0, 6)], [{"Topic": topic, "Partitions": [7]}])[1]
        yield "nothing new again", step(connection, identity, 6)[1]
        yield "the wrong epoch", step(connection, identity, 99)[1]
        yield "an old epoch", step(connection, identity, 1)[1]
        yield "the right one still", step(connection, identity, 7)[1]
        yield "by id in a session by name", step(connection, identity, 8, version=13)[1]
        yield "everything forgotten", step(connection, identity, 8, (), [{"Topic": topic, "Partitions": [0]}])[1]
        yield "ended", step(connection, identity, -1)[1]
        yield "after the end", step(connection, identity, 9)[1]


# ---- offsets ----

def show_offsets(answer):
    return "; ".join(
        f"{part['PartitionIndex']} {name_of(part)} offset {part['Offset']} time {part['Timestamp']} epoch {part.get('LeaderEpoch')}"
        for topic in answer["Topics"] for part in topic["Partitions"]) or "nothing"


def listed(world, topic, stamp, version=11, partition=0, epoch=-1, **fields):
    body = {"ReplicaId": -1, "TimeoutMs": 1000, "Topics": [{"Name": topic, "Partitions": [
        {"PartitionIndex": partition, "Timestamp": stamp, "CurrentLeaderEpoch": epoch}]}], **fields}
    return world.ask(LIST_OFFSETS, version, body, show_offsets)


@case
def list_offsets(world):
    topic, empty = filled(world), world.topic("empty")
    for version in range(1, 12):
        for stamp in (-1, -2, -3, -4, -5, -6, -7, 0):
            yield f"version {version} timestamp {stamp}", listed(world, topic, stamp, version)
    for stamp in (-8, -100, -2**63, 1_600_000_000_000, 1_600_000_000_001, MAX64):
        yield f"timestamp {stamp}", listed(world, topic, stamp)
    for stamp in (-1, -2, -3, 0, 5):
        yield f"empty, timestamp {stamp}", listed(world, empty, stamp)
        yield f"empty, timestamp {stamp}, version 1", listed(world, empty, stamp, 1)
    for level in (1, 2, -1):
        yield f"isolation {level}", listed(world, topic, -1, IsolationLevel=level)
    for replica in (1, 2, -2, -3):
        yield f"replica {replica}", listed(world, topic, -1, ReplicaId=replica)
    for epoch in (0, 1, MAX32, -2):
        yield f"leader epoch {epoch}", listed(world, topic, -1, epoch=epoch)
    for partition in (1, -1):
        yield f"partition {partition}", listed(world, topic, -1, partition=partition)
    yield "unknown topic", listed(world, "nowhere", -1)
    yield "no topic name", listed(world, "", -1)
    yield "timeout -1", listed(world, topic, 0, TimeoutMs=-1)
    part = {"PartitionIndex": 0, "Timestamp": -1}
    for name, topics in (("a partition twice", [{"Name": topic, "Partitions": [part, part]}]),
                         ("a topic twice", [{"Name": topic, "Partitions": [part]}] * 2),
                         ("no topics", []), ("no partitions", [{"Name": topic, "Partitions": []}])):
        yield name, world.ask(LIST_OFFSETS, 11, {"ReplicaId": -1, "Topics": topics}, show_offsets)


@case
def offset_for_leader_epoch(world):
    topic, empty = filled(world), world.topic("empty")

    def show(answer):
        return "; ".join(f"{part['Partition']} {name_of(part)} epoch {part['LeaderEpoch']} end {part['EndOffset']}"
                         for one in answer["Topics"] for part in one["Partitions"]) or "nothing"

    def asked(name, epoch, version=4, partition=0, current=-1, **fields):
        body = {"ReplicaId": -2, "Topics": [{"Topic": name, "Partitions": [
            {"Partition": partition, "CurrentLeaderEpoch": current, "LeaderEpoch": epoch}]}], **fields}
        return world.ask(OFFSET_FOR_LEADER_EPOCH, version, body, show)

    for version in (2, 3, 4):
        for epoch in (-2, -1, 0, 1, MAX32):
            yield f"version {version} epoch {epoch}", asked(topic, epoch, version)
    for epoch in (-1, 0, 1):
        yield f"empty, epoch {epoch}", asked(empty, epoch)
    for current in (0, 1, -2):
        yield f"current epoch {current}", asked(topic, 0, current=current)
    for replica in (-1, 1, 2):
        yield f"replica {replica}", asked(topic, 0, ReplicaId=replica)
    yield "unknown topic", asked("nowhere", 0)
    yield "partition 3", asked(topic, 0, partition=3)


# ---- topics and the rest ----

@case
def metadata(world):
    topic = filled(world)

    def show(answer):
        return "; ".join(f"{one['Name']} {name_of(one)} {len(one['Partitions'])}"
                         for one in answer["Topics"] if one["Name"] != "__consumer_offsets") or "nothing"

    def asked(names, version=12, **fields):
        topics = None if names is None else [{"Name": name} for name in names]
        return world.ask(METADATA, version, {"Topics": topics, "AllowAutoTopicCreation": False, **fields}, show)

    for version in range(0, 14):
        yield f"version {version}", asked([topic], version)
    yield "none", asked([])
    for name in ("nowhere", "", ".", "..", "a b", "x" * 249, "x" * 250, "a/b", "é"):
        yield f"topic {name[:8]!r} of {len(name)}", asked([name])
    yield "a topic twice", asked([topic, topic])
    yield "no name, version 12", asked([None])
    yield "no name, version 10", asked([None], 10)
    for version in (10, 12, 13):
        for name, identity in (("known", world.ids[topic].bytes), ("unknown", b"\x42" * 16)):
            body = {"Topics": [{"TopicId": identity, "Name": None}], "AllowAutoTopicCreation": False}
            yield f"{name} id, version {version}", world.ask(METADATA, version, body, show)
    yield "both name and id", world.ask(METADATA, 12, {"Topics": [{"TopicId": b"\x42" * 16, "Name": topic}]}, show)


def show_topics(answer):
    return "; ".join(f"{one['Name']} {name_of(one)}" for one in answer.get("Topics", answer.get("Responses", answer.get("Results")))) or "nothing"


@case
def create_topics(world):
    topic = filled(world)

    def asked(*topics, version=7, **fields):
        full = [{"NumPartitions": 1, "ReplicationFactor": 1, **one} for one in topics]
        return world.ask(wire.CREATE_TOPICS, version, {"TimeoutMs": 5000, "Topics": full, **fields}, show_topics)

    for name in ("", ".", "..", "a b", "x" * 249, "x" * 250, "a/b", "é", "a:b", "a\n"):
        yield f"name {name[:8]!r} of {len(name)}", asked({"Name": name}, ValidateOnly=True)
    for partitions in (0, -1, -2, -2**31):
        yield f"partitions {partitions}", asked({"Name": "new", "NumPartitions": partitions}, ValidateOnly=True)
    for factor in (0, -1, -2, 2, 32767):
        yield f"replication factor {factor}", asked({"Name": "new", "ReplicationFactor": factor}, ValidateOnly=True)
    yield "exists", asked({"Name": topic})
    yield "exists, only to validate", asked({"Name": topic}, ValidateOnly=True)
    yield "a name twice", asked({"Name": "new"}, {"Name": "new"}, ValidateOnly=True)
    yield "nothing", asked()
    yield "a collision", asked({"Name": "col.li_sion"}, ValidateOnly=True) + " " + asked({"Name": "col.li_sion"}) + \
        " " + asked({"Name": "col_li.sion"}, ValidateOnly=True)
    for name, assignments in (
            ("of one", [(0, [1])]), ("to an unknown broker", [(0, [7])]), ("to one twice", [(0, [1, 1])]), ("to none", [(0, [])]),
            ("without 0", [(1, [1])]), ("0 twice", [(0, [1]), (0, [1])]), ("with a gap", [(0, [1]), (2, [1])]), ("of -1", [(-1, [1])])):
        one = {"Name": "new", "NumPartitions": -1, "ReplicationFactor": -1,
               "Assignments": [{"PartitionIndex": index, "BrokerIds": brokers} for index, brokers in assignments]}
        yield f"assignment {name}", asked(one, ValidateOnly=True)
    both = {"Name": "new", "NumPartitions": 3, "Assignments": [{"PartitionIndex": 0, "BrokerIds": [1]}]}
    yield "assignment and a count", asked(both, ValidateOnly=True)
    for key, value in (("retention.ms", "5"), ("retention.ms", "x"), ("retention.ms", ""), ("retention.ms", None), ("retention.ms", "-2"),
                       ("no.such.key", "1"), ("", "1"), ("cleanup.policy", "burn"), ("compression.type", "rar"), ("segment.bytes", "1"),
                       ("max.message.bytes", "-1"), ("min.insync.replicas", "0"), ("unclean.leader.election.enable", "maybe")):
        one = {"Name": "new", "Configs": [{"Name": key, "Value": value}]}
        yield f"config {key}={value}", asked(one, ValidateOnly=True)
    twice = {"Name": "new", "Configs": [{"Name": "retention.ms", "Value": "5"}, {"Name": "retention.ms", "Value": "6"}]}
    yield "a config twice", asked(twice, ValidateOnly=True)
    for version in range(2, 8):
        yield f"version {version}", asked({"Name": "new"}, ValidateOnly=True, version=version)


@case
def delete_topics(world):
    def asked(version, **fields):
        return world.ask(DELETE_TOPICS, version, {"TimeoutMs": 5000, **fields}, show_topics)

    for version in (1, 4, 5):
        yield f"unknown, version {version}", asked(version, TopicNames=["nowhere"])
        yield f"no name, version {version}", asked(version, TopicNames=[""])
    yield "unknown, version 6", asked(6, Topics=[{"Name": "nowhere"}])
    yield "an unknown id", asked(6, Topics=[{"Name": None, "TopicId": b"\x42" * 16}])
    yield "neither name nor id", asked(6, Topics=[{"Name": None}])
    topic = world.fresh()
    yield "both name and id", asked(6, Topics=[{"Name": topic, "TopicId": world.ids[topic]}])
    yield "a name twice", asked(6, Topics=[{"Name": topic}, {"Name": topic}])
    yield "known", asked(6, Topics=[{"Name": topic}])
    yield "known no more", asked(6, Topics=[{"Name": topic}])


@case
def create_partitions(world):
    topic = world.topic("grows")

    def asked(name, count, assignments=None, **fields):
        one = {"Name": name, "Count": count, "Assignments": assignments}
        body = {"TimeoutMs": 5000, "ValidateOnly": True, "Topics": [one], **fields}
        return world.ask(CREATE_PARTITIONS, 3, body, show_topics)

    for count in (2, 1, 0, -1, 10):
        yield f"to {count}", asked(topic, count)
    yield "unknown", asked("nowhere", 2)
    yield "no name", asked("", 2)
    for brokers in ([[1]], [[1], [1]], [[7]], [[1, 1]], [[]], []):
        yield f"assigned {brokers}", asked(topic, 2, [{"BrokerIds": one} for one in brokers])
    one = {"Name": topic, "Count": 2, "Assignments": None}
    yield "a topic twice", world.ask(CREATE_PARTITIONS, 3, {"TimeoutMs": 1000, "Topics": [one, one]}, show_topics)


@case
def delete_records(world):
    def show(answer):
        return "; ".join(f"{part['PartitionIndex']} {name_of(part)} low {part['LowWatermark']}"
                         for one in answer["Topics"] for part in one["Partitions"]) or "nothing"

    topic = world.fresh()
    for _ in range(3):
        world.offered(topic, count=2)

    def asked(name, offset, partition=0):
        part = {"PartitionIndex": partition, "Offset": offset}
        return world.ask(DELETE_RECORDS, 2, {"TimeoutMs": 5000, "Topics": [{"Name": name, "Partitions": [part]}]}, show)

    for offset in (-2, 7, MAX64, 0, 2, 1, 3, -1, 5):
        yield f"below {offset}", asked(topic, offset)
    yield "partition 4", asked(topic, 0, 4)
    yield "unknown", asked("nowhere", 0)
    yield "the start afterwards", listed(world, topic, -2)
    yield "read below the start", fetched(world, topic, 0)


@case
def configs(world):
    topic = filled(world)

    def show_results(answer):
        results = answer.get("Results", answer.get("Responses"))
        return "; ".join(f"{one['ResourceType']} {one['ResourceName']} {name_of(one)}" +
                         (f" {len(one['Configs']) > 0}" if "Configs" in one else "") for one in results) or "nothing"

    for kind, name in ((2, topic), (2, "nowhere"), (2, ""), (2, "a b"), (4, "1"), (4, ""), (4, "7"), (4, "x"), (8, "1"), (8, "x"), (0, "x"),
                       (99, "x"), (-1, "x")):
        one = {"ResourceType": kind, "ResourceName": name, "ConfigurationKeys": None}
        yield f"describe {kind} {name!r}", world.ask(DESCRIBE_CONFIGS, 4, {"Resources": [one]}, show_results)
        for key, operation, value in (("retention.ms", 0, "100000"),):
            one = {"ResourceType": kind, "ResourceName": name, "Configs": [{"Name": key, "ConfigOperation": operation, "Value": value}]}
            body = {"ValidateOnly": True, "Resources": [one]}
            yield f"alter {kind} {name!r}", world.ask(INCREMENTAL, 1, body, show_results)
    for key, operation, value in (("retention.ms", 9, "1"), ("retention.ms", 0, "x"), ("retention.ms", 0, None), ("no.such", 0, "1"),
                                  ("no.such", 1, None), ("retention.ms", 2, "1"), ("cleanup.policy", 2, "compact"),
                                  ("cleanup.policy", 3, "compact"), ("cleanup.policy", 2, "burn"), ("", 0, "x")):
        one = {"ResourceType": 2, "ResourceName": topic, "Configs": [{"Name": key, "ConfigOperation": operation, "Value": value}]}
        body = {"ValidateOnly": True, "Resources": [one]}
        yield f"operation {operation} on {key}={value}", world.ask(INCREMENTAL, 1, body, show_results)
    one = {"ResourceType": 2, "ResourceName": topic, "Configs": []}
    yield "a resource twice", world.ask(INCREMENTAL, 1, {"ValidateOnly": True, "Resources": [one, one]}, show_results)
    pair = {"Name": "retention.ms", "ConfigOperation": 0, "Value": "5"}
    body = {"ValidateOnly": True, "Resources": [{"ResourceType": 2, "ResourceName": topic, "Configs": [pair, pair]}]}
    yield "a key twice", world.ask(INCREMENTAL, 1, body, show_results)


@case
def producer_ids(world):
    def asked(version=5, **fields):
        body = {"TransactionalId": None, "TransactionTimeoutMs": 60000, **fields}
        show = lambda one: f"{name_of(one)} id {one['ProducerId'] >= 0} epoch {one['ProducerEpoch']}"  # noqa: E731
        return world.ask(INIT_PRODUCER_ID, version, body, show)

    while asked().startswith("COORDINATOR_LOAD_IN_PROGRESS"):  # just started
        time.sleep(0.05)
    for version in range(0, 6):
        yield f"version {version}", asked(version)
    for producer, epoch in ((5, 0), (5, -1), (-1, 5), (-2, -2)):
        yield f"producer {producer} epoch {epoch}", asked(ProducerId=producer, ProducerEpoch=epoch)
    for timeout in (0, -1):
        yield f"timeout {timeout}", asked(TransactionTimeoutMs=timeout)


# ---- frames ----

def show_error(answer):
    return name_of(answer) if "ErrorCode" in answer else "answered"


@case
def api_versions(world):
    for version in range(0, 6):
        yield f"version {version}", world.ask(API_VERSIONS, version, {"ClientSoftwareName": "a", "ClientSoftwareVersion": "1"}, show_error)
    for version in (6, 100, 32767, -1, -32768):
        for name, flexible in (("flexible", True), ("inflexible", False)):
            frame = codec.encode_header(API_VERSIONS, version, 1, flexible=flexible)
            yield f"version {version}, {name}", world.ask_raw(frame, API_VERSIONS, 0, show_error)
    for name, number in (("", "1"), ("a", ""), ("a b", "1"), ("-a", "1"), ("a-", "1"), ("a.b-c", "1.2-x"), ("é", "1"), ("x" * 1000, "1")):
        body = {"ClientSoftwareName": name, "ClientSoftwareVersion": number}
        yield f"software {name[:5]!r} {number!r}", world.ask(API_VERSIONS, 4, body, show_error)
    for cluster, node in (("no-such-cluster", -1), (None, 1), (None, 7), ("no-such-cluster", 1)):
        body = {"ClientSoftwareName": "a", "ClientSoftwareVersion": "1", "ClusterId": cluster, "NodeId": node}
        yield f"cluster {cluster} node {node}", world.ask(API_VERSIONS, 5, body, show_error)


@case
def frames(world):
    good = codec.encode(METADATA, 9, 1, {"Topics": []})

    def sent(frame=good, key=METADATA, version=9, show=lambda _: "answered", **how):
        return world.ask_raw(frame, key, version, show, **how)

    yield "good", sent()
    for size in (-1, -2**31, 0, 1, 7, 104857601, MAX32):
        yield f"size {size}", sent(size=size)
    for cut in (1, 3, 7, 8, 9, 10, 12, 17, 18, len(good) - 1):
        yield f"cut to {cut}", sent(good[:cut])
    yield "a byte more", sent(good + b"\0")
    yield "100 bytes more", sent(good + bytes(100))
    for key in (-1, 93, 200, 32767, -32768, 4, 5, 6, 7):
        yield f"api key {key}", sent(codec.encode_header(key, 0, 1, flexible=False))
    for version in (-1, 14, 32767):
        yield f"version {version}", sent(codec.encode_header(METADATA, version, 1, flexible=True) + good[18:])
    for name, client in (("null", b"\xff\xff"), ("-2", b"\xff\xfe"), ("too long", b"\x7f\xff"), ("of bad UTF-8", b"\0\x02\xff\xfe")):
        yield f"client id {name}", sent(struct.pack(">hhi", METADATA, 9, 1) + client + good[17:])
    yield "the client id as a compact string", sent(struct.pack(">hhi", METADATA, 9, 1) + b"\x08hostile" + good[17:])

    def tagged(tags):
        return good[:17] + tags + good[18:]

    yield "an unknown tag in the header", sent(tagged(b"\x01\x63\x02ab"))
    yield "a tag twice in the header", sent(tagged(b"\x02\x63\x01a\x63\x01b"))
    yield "tags in the wrong order", sent(tagged(b"\x02\x63\x01a\x05\x01b"))
    yield "2^31 tags", sent(tagged(b"\xff\xff\xff\xff\x07"))
    yield "a tag larger than the frame", sent(tagged(b"\x01\x63\xff\xff\xff\xff\x07"))
    yield "a tag number without end", sent(tagged(b"\x01" + b"\xff" * 9))


@case
def lengths(world):
    topic = filled(world)

    def metadata_at(version, topics):
        frame = codec.encode_header(METADATA, version, 1) + topics
        return world.ask_raw(frame, METADATA, version, lambda answer: "answered")

    for count in (-1, -2, -2**31, 1, 1000, MAX32):
        yield f"array of {count}", metadata_at(1, struct.pack(">i", count))
    for count in (0, 1, 2, 1000, 2**31, 2**32 - 1):
        yield f"compact array of {count} less 1", metadata_at(9, codec.uvarint(count) + b"\0\0\0\0")
    yield "compact array without end", metadata_at(9, b"\xff" * 9 + b"\0\0\0\0")
    for size in (-1, -2, -32768, 0, 5, 32767):
        yield f"string of {size}", metadata_at(1, struct.pack(">ih", 1, size))
        yield f"string of {size}, version 0", metadata_at(0, struct.pack(">ih", 1, size))
    for size in (0, 1, 6, 2**15 + 1, 2**31, 2**32 - 1):
        yield f"compact string of {size} less 1", metadata_at(9, b"\x02" + codec.uvarint(size) + b"\0\0\0\0\0")
    for text in (b"\xff\xfe", b"\xed\xa0\x80", b"\xc0\x80", b"a\0b", b"\xf0\x9f\x98\x80"):
        yield f"a name of bytes {text.hex()}", metadata_at(1, struct.pack(">ih", 1, len(text)) + text)
    head = codec.encode_header(PRODUCE, 8, 1) + struct.pack(">hhi", -1, 1, 1000)
    name = struct.pack(">h", len(topic)) + topic.encode()
    for size in (-1, -2, -2**31, 0, 1, MAX32):
        frame = head + struct.pack(">i", 1) + name + struct.pack(">iii", 1, 0, size)
        yield f"records of {size}", world.ask_raw(frame, PRODUCE, 8, show_produced)
    for count in (-1, -2, 0, 1, 10**6, MAX32):
        yield f"{count} topics to produce", world.ask_raw(head + struct.pack(">i", count), PRODUCE, 8, show_produced)
        frame = head + struct.pack(">i", 1) + name + struct.pack(">i", count)
        yield f"{count} partitions to produce", world.ask_raw(frame, PRODUCE, 8, show_produced)
