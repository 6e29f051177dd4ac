"""Cases of the APIs that write, read and look for records."""
import batches
import codec
import wire
from batches import batch, record
from cases import API_VERSIONS, MAX32, MAX64, case, fetched, filled, listed, name_of, show_fetched, show_offsets, show_produced
from wire import FETCH, LIST_OFFSETS, PRODUCE

OFFSET_FOR_LEADER_EPOCH = 23


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
