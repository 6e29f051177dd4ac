"""Hostile clients and broken files against the real program. After every attack the broker serves an
ordinary produce and fetch, its memory stayed below a named limit, and the log says what happened.

    test/hostile/attacks.py [--only NAME] [--seed N] [--keep]
"""
import argparse
import os
import pathlib
import random
import resource
import shutil
import struct
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import batches  # noqa: E402
import codec  # noqa: E402
import wire  # noqa: E402
from lib.target import TargetError  # noqa: E402
from site_under_attack import BASE, FRAME_MAX, MIB, REQUEST_MEMORY, Site, frame  # noqa: E402

ATTACKS = []


def attack(function):
    ATTACKS.append(function)
    return function


class Skipped(Exception):
    pass


def expect(condition, text):
    if not condition:
        raise AssertionError(text)


def expect_memory(site, limit):
    peak = site.peak()
    expect(peak <= limit, f"VmRSS reached {peak // MIB} MiB, limit {limit // MIB} MiB")


def expect_health(site, when="afterwards"):
    wrong = site.health()
    expect(wrong is None, f"{when}: {wrong}")


# ---- requests ----

@attack
def every_api_and_version_with_random_bodies(chance):
    """Each is answered or its connection closed; what decodes may well be carried out."""
    rounds = 40 if os.environ.get("TEST_LONG") else 4
    with Site() as site:
        expect_health(site, "before")
        site.reset_peak()
        sent = answered = 0
        for key in sorted(codec.APIS):
            known = codec.versions(key) or (0, 0)
            for version in range(known[0], known[1] + 1):
                for _ in range(rounds):
                    body = codec.random_body(key, version, chance) if codec.versions(key) else chance.randbytes(20)
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
        expect(site.await_descriptors(before), "descriptors are left over")
        expect(site.said("request not understood") or site.said("request refused"), "the log says nothing of it")
        expect_health(site)


@attack
def a_client_that_sends_a_byte_at_a_time(chance):
    with Site() as site:
        expect_health(site, "before")
        with site.connect() as connection:
            data = frame(codec.encode(wire.PRODUCE, 9, 5, wire.produce_body("health", batches.batch())))
            for byte in data:
                connection.send(bytes([byte]))
            error, _ = wire.produced(connection.answer(wire.PRODUCE, 9, 5))
            expect(error == "NONE", f"answered {error}")
            data = frame(codec.encode(wire.METADATA, 9, 6, {"Topics": None})) * 3
            for at in range(0, len(data), 3):
                connection.send(data[at:at + 3])
            for _ in range(3):
                connection.answer(wire.METADATA, 9, 6)
        expect_health(site)


@attack
def frames_that_announce_more_than_they_send(chance):
    """Connections that each announce the largest frame: what is held grows with what arrives, up to the budget, and
    small requests of others pass."""
    with Site() as site:
        expect_health(site, "before")
        site.reset_peak()
        before = site.descriptors()
        connections = []
        for _ in range(300):
            connection = site.connect()
            connection.send(struct.pack(">ihhi", FRAME_MAX, wire.PRODUCE, 9, 1))
            connections.append(connection)
        expect_memory(site, BASE)
        expect_health(site, "while frames are announced")
        chunk = bytes(MIB)
        for connection in connections[:200]:
            connection.sock.settimeout(0.02)
            try:
                connection.send(chunk)
            except wire.Silent:
                pass
        time.sleep(0.5)
        expect_memory(site, BASE + REQUEST_MEMORY)
        expect_health(site, "while frames are stuck")
        for connection in connections:
            connection.close()
        expect(site.await_descriptors(before), "descriptors are left over")
        expect_health(site)


@attack
def clients_that_vanish_within_a_frame(chance):
    with Site() as site:
        expect_health(site, "before")
        before = site.descriptors()
        whole = frame(codec.encode(wire.PRODUCE, 9, 1, wire.produce_body("health", batches.batch(count=50))))
        for n in range(1000):
            connection = site.connect()
            connection.send(whole[:chance.randrange(len(whole))])
            connection.reset() if n % 2 else connection.close()
        expect(site.await_descriptors(before), "descriptors are left over")
        expect_health(site)


@attack
def clients_that_vanish_within_an_answer(chance):
    with Site() as site:
        expect_health(site, "before")
        with site.connect() as connection:
            wire.create_topic(connection, "large")
        site.fill("large", 32, 900_000)
        before = site.descriptors()
        site.reset_peak()
        request = frame(codec.encode(wire.FETCH, 11, 1, wire.fetch_body("large", 0, PartitionMaxBytes=1 << 25, MaxBytes=1 << 25)))
        waiting = frame(codec.encode(wire.FETCH, 11, 1, wire.fetch_body("large", 32, max_wait_ms=30000)))
        for n in range(400):
            connection = site.connect()
            connection.send(waiting if n % 4 == 3 else request)
            if n % 4 < 2:
                connection.sock.recv(chance.randrange(1, 100_000))
            connection.reset() if n % 2 else connection.close()
        expect(site.await_descriptors(before + 2), f"{site.descriptors()} descriptors where {before} were")
        expect_memory(site, BASE)
        expect_health(site)


@attack
def clients_that_never_read(chance):
    """Requests without end, answers never read: each connection is held at its output limit."""
    with Site() as site:
        expect_health(site, "before")
        with site.connect() as connection:
            wire.create_topic(connection, "large", partitions=200)
        site.fill("large", 16, 900_000)
        site.reset_peak()
        requests = {
            "metadata": codec.encode(wire.METADATA, 9, 1, {"Topics": None}),
            "fetch": codec.encode(wire.FETCH, 11, 1, wire.fetch_body("large", 0)),
            "versions": codec.encode(18, 0, 1, {}),
            "produce": codec.encode(wire.PRODUCE, 9, 1, wire.produce_body("large", batches.batch())),
        }
        connections = []
        for data in requests.values():
            for _ in range(10):
                connection = site.connect(0.3)
                connections.append(connection)
                many = frame(data) * 200
                try:
                    for _ in range(300):
                        connection.send(many)
                except (wire.Silent, wire.Closed):
                    pass
            expect_health(site, "while answers pile up")
        print(f"VmRSS at most {site.peak() // MIB} MiB with {len(connections)} that do not read")
        expect_memory(site, BASE + REQUEST_MEMORY + len(connections) * MIB)
        for connection in connections:
            connection.close()
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
            sizes = []
            for connection in connections:
                try:
                    sizes.append(len(connection.receive_frame()))
                except (wire.Closed, wire.Silent) as thrown:
                    sizes.append(type(thrown).__name__)
                connection.close()
            print(f"{name}: answers of {sizes}, VmRSS at most {site.peak() // MIB} MiB")
            expect_memory(site, BASE + 3 * REQUEST_MEMORY)
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
            site.reset_peak()
            data = codec.encode(key, version, 1, body)
            connections = [site.connect(60) for _ in range(3)]
            for connection in connections:
                connection.send_frame(data)
            took = time.monotonic()
            wrong = site.health(60)
            took = time.monotonic() - took
            sizes = []
            for connection in connections:
                try:
                    sizes.append(len(connection.receive_frame()))
                except (wire.Closed, wire.Silent) as thrown:
                    sizes.append(type(thrown).__name__)
                connection.close()
            print(f"{name}: {len(data)} bytes, answers of {sizes}, VmRSS at most {site.peak() // MIB} MiB, others waited {took:.2f} s")
            expect(wrong is None, f"during {name}: {wrong}")
            expect_memory(site, BASE + 4 * REQUEST_MEMORY)
        expect_health(site)


@attack
def decompression_bombs(chance):
    """Gigabytes of zeros in less than a message's limit: one huge record, a stream of nothing, and millions of
    small records."""
    with Site() as site:
        expect_health(site, "before")
        with site.connect() as connection:
            wire.create_topic(connection, "kept", configs={"max.message.bytes": str(8 * MIB)})
            wire.create_topic(connection, "plain", configs={"max.message.bytes": str(8 * MIB), "compression.type": "uncompressed"})
            wire.create_topic(connection, "repacked", configs={"max.message.bytes": str(8 * MIB), "compression.type": "lz4"})
        huge = 1 << 30
        # A record of a gigabyte: length, attributes, deltas, no key, and the value's size. Zeros follow.
        head = batches.varint(huge - 100) + b"\0\0\0\x01" + batches.varint(huge - 200)
        small = b"".join(batches.record(b"", offset_delta=n) for n in range(4_000_000))
        for name, number in batches.CODECS.items():
            if number == batches.NONE:
                continue
            plain = huge if number != batches.SNAPPY else huge // 8  # it cannot shrink more
            bombs = {"one record": batches.bomb(number, plain, head), "zeros": batches.bomb(number, plain)}
            if number == batches.GZIP:
                bombs["small records"] = batches.gzip_stream([small])
            for kind, section in bombs.items():
                for topic in ("kept", "plain", "repacked"):
                    count = 4_000_000 if kind == "small records" else 1
                    data = batches.batch(data=section, attributes=number, record_count=count, last_offset_delta=count - 1)
                    site.reset_peak()
                    started = time.monotonic()
                    with site.connect(60) as connection:
                        connection.send_frame(codec.encode(wire.PRODUCE, 11, 1, wire.produce_body(topic, data)))
                        expect_health(site, f"while {name}, {kind} is under way")
                        error, _ = wire.produced(connection.answer(wire.PRODUCE, 11, 1))
                    print(f"{name}, {kind}, {topic}: {len(data)} bytes, {error}, VmRSS at most {site.peak() // MIB} MiB, "
                          f"{time.monotonic() - started:.1f} s")
                    good = kind == "small records" and error == "NONE"
                    expect(good or error in ("INVALID_RECORD", "MESSAGE_TOO_LARGE", "CORRUPT_MESSAGE"), f"{name}, {kind}: answered {error}")
                    # VALIDATE_PLAIN_MAX_BYTES of src/record/validate.h, twice while a buffer grows.
                    expect_memory(site, BASE + REQUEST_MEMORY + 2 * 256 * MIB)
        expect_health(site)


@attack
def a_flood_of_pipelined_requests(chance):
    """A hundred thousand requests in one go, answers read in between: none is lost, all in order."""
    with Site() as site:
        expect_health(site, "before")
        site.reset_peak()
        total = 100_000
        data = b"".join(frame(codec.encode(18, 0, n, {})) for n in range(total))
        with site.connect(60) as connection:
            sender = threading.Thread(target=connection.send, args=(data,), daemon=True)
            sender.start()
            for n in range(total):
                (number,) = struct.unpack(">i", connection.receive_frame()[:4])
                expect(number == n, f"answer {number} where {n} was due")
            sender.join(10)
        expect_memory(site, BASE)
        expect_health(site)


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
        expect_memory(site, BASE + 4 * REQUEST_MEMORY)
        expect_health(site)


# ---- connections ----

@attack
def ten_thousand_connections(chance):
    count = 10_000
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < count + 500:
        raise Skipped(f"the hard limit of open files is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with Site() as site:
        expect_health(site, "before")
        before, descriptors = site.status("VmRSS"), site.descriptors()
        connections = []
        try:
            for n in range(count):
                connections.append(site.connect())
            request = frame(codec.encode(18, 0, 1, {}))
            for connection in connections:
                connection.send(request)
            for connection in connections:
                connection.answer(18, 0, 1)
            expect_health(site, "with all of them connected")
            each = (site.status("VmRSS") - before) / count
            print(f"{count} connections, {each:.0f} bytes of VmRSS each")
            expect(each < 4096, f"{each:.0f} bytes for each connection")
            for connection in connections[::7]:
                connection.send(request)
            for connection in connections[::7]:
                connection.answer(18, 0, 1)
        finally:
            for connection in connections:
                connection.close()
        expect(site.await_descriptors(descriptors, 30), "descriptors are left over")
        expect_health(site)


@attack
def no_more_descriptors(chance):
    """Connections up to the limit of open files: who is connected is served, the log says it, and once some
    have gone others come in."""
    with Site() as site:
        expect_health(site, "before")
        with site.connect() as early:
            wire.create_topic(early, "other", partitions=3)
            limit = site.descriptors() + 50
            subprocess.run(["prlimit", f"--pid={site.pid}", f"--nofile={limit}:{limit}"], check=True)
            connections = []
            for _ in range(200):
                connections.append(site.connect())  # the kernel's queue takes what the broker does not
            expect(site.said("cannot accept a connection"), "the log says nothing of it")
            # No descriptor is left for a segment either: Kafka's retriable error, and its directory stays.
            for n in range(3):
                error, _ = wire.produced(early.request(wire.PRODUCE, 11, wire.produce_body("other", batches.batch(), partition=n)))
                expect(error in ("NONE", "KAFKA_STORAGE_ERROR"), f"produce was answered {error}")
            body = wire.produce_body("health", batches.batch())
            error, _ = wire.produced(early.request(wire.PRODUCE, 11, body))
            expect(error in ("NONE", "KAFKA_STORAGE_ERROR"), f"the open segment was answered {error}")
            for connection in connections:
                connection.close()
            expect_health(site)
            for n in range(3):
                error, _ = wire.produced(early.request(wire.PRODUCE, 11, wire.produce_body("other", batches.batch(), partition=n)))
                expect(error == "NONE", f"afterwards produce was answered {error}")
        expect(site.log().count("cannot accept a connection") < 200, "the log is flooded")


@attack
def connections_that_only_connect(chance):
    with Site() as site:
        expect_health(site, "before")
        before = site.descriptors()
        for n in range(3000):
            connection = site.connect()
            connection.reset() if n % 2 else connection.close()
        expect(site.await_descriptors(before), "descriptors are left over")
        expect_health(site)


@attack
def idle_connections_are_closed(chance):
    with Site({"connections.max.idle.ms": "1000"}) as site:
        with site.connect() as silent, site.connect() as begun:
            begun.send(b"\0\0")
            expect(silent.ended(10), "an idle connection stays")
            expect(begun.ended(10), "a connection that began a frame and is silent since stays")
        expect_health(site)


# ---- files ----

def segment(site, topic, number=0):
    return site.target.segments(topic)[number]


def read_all(site, topic, version=11, offset=0):
    """The answer to a fetch: 'closed', an error's name, or the number of bytes."""
    try:
        with site.connect() as connection:
            part = connection.request(wire.FETCH, version, wire.fetch_body(topic, offset))["Responses"][0]["Partitions"][0]
            return codec.error_name(part["ErrorCode"]) if part["ErrorCode"] else len(part["Records"])
    except wire.Closed:
        return "closed"


@attack
def a_segment_that_is_cut_under_the_broker(chance):
    with Site() as site:
        expect_health(site, "before")
        with site.connect() as connection:
            wire.create_topic(connection, "victim")
        site.fill("victim", 10, 10_000)
        os.truncate(segment(site, "victim"), 500)
        found = read_all(site, "victim")
        expect(found == "closed" or isinstance(found, str), f"a cut segment was answered with {found} bytes")
        expect(site.said("victim", 5) or site.said("segment", 1), "the log says nothing of it")
        expect_health(site)


@attack
def a_segment_with_flipped_bits_is_cut_at_recovery(chance):
    """A crash, and the disk lies about what was never synced: the log ends before the flipped byte."""
    with Site() as site:
        expect_health(site, "before")
        with site.connect() as connection:
            wire.create_topic(connection, "victim")
        site.fill("victim", 10, 1000)
        site.target.kill()
        path = segment(site, "victim")
        data = bytearray(path.read_bytes())
        size = len(data) // 10
        data[4 * size + 200] ^= 0x40
        path.write_bytes(data)
        site.target.start()
        with site.connect() as connection:
            answer = connection.request(wire.LIST_OFFSETS, 7, {"ReplicaId": -1, "Topics": [
                {"Name": "victim", "Partitions": [{"PartitionIndex": 0, "Timestamp": -1}]}]})
        end = answer["Topics"][0]["Partitions"][0]["Offset"]
        expect(end == 4, f"the log ends at {end}, not before the flipped byte at 4")
        expect(site.said("victim-0", 1), "the log says nothing of it")
        expect_health(site)


@attack
def a_segment_that_cannot_be_opened_at_start(chance):
    """Two directories; in one a segment is no file any more. What is on the other is served."""
    folders = ["one", "two"]
    with Site() as site:
        site.target.settings["log.dirs"] = ",".join(str(site.folder / name) for name in folders)
        site.target.kill()
        shutil.rmtree(site.target.data, ignore_errors=True)
        site.target.start()
        site.made = False
        with site.connect() as connection:
            for n in range(4):
                wire.create_topic(connection, f"victim-{n}")
        for n in range(4):
            site.fill(f"victim-{n}", 3, 1000)
        site.target.stop()
        paths = {n: next(path for name in folders for path in (site.folder / name).glob(f"victim-{n}-0/*.log")) for n in range(4)}
        bad = paths[3].parent.parent.name
        expect({path.parent.parent.name for path in paths.values()} == set(folders), "the topics are all in one directory")
        paths[3].unlink()
        paths[3].symlink_to(paths[3].name)  # it leads to itself: no open succeeds, not even root's
        try:
            site.target.start()
        except TargetError as ended:
            raise AssertionError(f"the broker does not start: {ended}") from None
        expect(site.said("victim-3", 1) or site.said("offline", 1), "the log says nothing of it")
        for n in range(4):
            found = read_all(site, f"victim-{n}")
            if n == 3:
                expect(isinstance(found, str) and found != "closed", f"the unreadable topic was answered {found}")
            elif paths[n].parent.parent.name != bad:
                expect(isinstance(found, int) and found > 3000, f"{paths[n].parent} was answered {found}")
        with site.connect() as connection:
            wire.create_topic(connection, "later")
        site.fill("later", 1, 100)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", action="append")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    status = 0
    for function in ATTACKS:
        name = function.__name__
        if options.only and name not in options.only:
            continue
        started = time.monotonic()
        try:
            function(random.Random(options.seed))
            print(f"ok {name} ({time.monotonic() - started:.1f} s)", flush=True)
        except Skipped as why:
            print(f"SKIP {name} ({why})", flush=True)
        except (AssertionError, TargetError, wire.Closed, wire.Silent, codec.Malformed, OSError) as thrown:
            text = str(thrown).replace("\n", " ")[:300]
            print(f"FAIL {name} ({type(thrown).__name__}: {text}; seed {options.seed})", flush=True)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
