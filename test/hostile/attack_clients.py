"""Clients that are slow, vanish, never read, or are too many."""
import resource
import socket
import struct
import threading
import time

from attack import MIB, Site, Skipped, attack, expect, expect_descriptors, expect_health, expect_memory, expect_said, frame
import batches
import codec
import wire
from site_under_attack import BASE, FRAME_MAX, LOOPS, REQUEST_MEMORY, RESPONSE_MEMORY

DESCRIBE_CONFIGS = 32


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
def large_frames_that_never_end(chance):
    """The memory for requests is full of frames whose clients send a byte now and then: large frames of others
    come through all the same, and what is held stays within the limit and one frame more for each loop."""
    with Site() as site:
        expect_health(site, "before")
        with site.connect() as connection:
            wire.create_topic(connection, "large")
        good = codec.encode(wire.PRODUCE, 11, 1, wire.produce_body("large", batches.batch([batches.record(bytes(900_000))])))
        site.reset_peak()
        slow = [site.connect() for _ in range(60)]
        stop = threading.Event()

        def drip():
            part = bytes(2 * MIB)
            for connection in slow:
                connection.sock.setblocking(False)
                connection.sock.send(struct.pack(">ihhi", FRAME_MAX, wire.PRODUCE, 9, 1))
            while not stop.wait(0.02):
                for connection in slow:
                    try:
                        connection.sock.send(part)
                    except OSError:
                        pass
                part = b"\0"

        dripping = threading.Thread(target=drip, daemon=True)
        dripping.start()
        time.sleep(1)  # they have filled what they can
        started = time.monotonic()
        for n in range(4):
            with site.connect(60) as connection:
                connection.send_frame(good)
                error, _ = wire.produced(connection.answer(wire.PRODUCE, 11, 1))
                expect(error == "NONE", f"a large produce was answered {error}")
        took = time.monotonic() - started
        stop.set()
        dripping.join()
        print(f"4 large requests took {took:.1f} s, VmRSS at most {site.peak() // MIB} MiB")
        expect_memory(site, BASE + REQUEST_MEMORY + (1 + LOOPS) * FRAME_MAX)
        for connection in slow:
            connection.close()
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
        expect_descriptors(site, before)
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
        expect_descriptors(site, before + 2)
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
def clients_that_do_not_take_large_answers(chance):
    """Small requests, answers of a megabyte, and nobody reads them: above the limit those go who took nothing for
    the longest. Who does read gets all of its answers."""
    with Site() as site:
        expect_health(site, "before")
        body = {"Resources": [{"ResourceType": 2, "ResourceName": "health", "ConfigurationKeys": None}] * 100,
                "IncludeSynonyms": True, "IncludeDocumentation": True}
        request = frame(codec.encode(DESCRIBE_CONFIGS, 4, 1, body))
        site.reset_peak()
        connections = []
        with site.connect() as reader:
            whole = reader.request(DESCRIBE_CONFIGS, 4, body)
            for n in range(500):
                connection = site.connect(receive_bytes=4096)
                connections.append(connection)
                connection.send(request)
                if n % 50 == 0:
                    expect(reader.request(DESCRIBE_CONFIGS, 4, body) == whole, "the reader's answer is another one")
            expect_said(site, "answers that are not taken use up the memory")
            expect_health(site, "while answers are not taken")
            expect(reader.request(DESCRIBE_CONFIGS, 4, body) == whole, "the reader's answer is another one")
        print(f"VmRSS at most {site.peak() // MIB} MiB with {len(connections)} that do not read")
        expect_memory(site, BASE + RESPONSE_MEMORY)
        for connection in connections:
            connection.close()
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
        expect_descriptors(site, before)
        expect_health(site)


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
            expect(site.sanitized or each < 4096, f"{each:.0f} bytes for each connection")
            for connection in connections[::7]:
                connection.send(request)
            for connection in connections[::7]:
                connection.answer(18, 0, 1)
        finally:
            for connection in connections:
                connection.close()
        expect_descriptors(site, descriptors)
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
            resource.prlimit(site.pid, resource.RLIMIT_NOFILE, (limit, limit))
            waiting = [begin_connecting(site.address) for _ in range(200)]  # beyond the limit they wait in the kernel
            expect_said(site, "cannot accept a connection")
            # No descriptor is left for a segment either: Kafka's retriable error, and its directory stays.
            for n in range(3):
                error = offered(early, "other", n)
                expect(error in ("NONE", "KAFKA_STORAGE_ERROR"), f"produce was answered {error}")
            error = offered(early, "health")
            expect(error in ("NONE", "KAFKA_STORAGE_ERROR"), f"the open segment was answered {error}")
            for sock in waiting:
                sock.close()
            expect_health(site)
            for n in range(3):
                error = offered(early, "other", n)
                expect(error == "NONE", f"afterwards produce was answered {error}")
        expect(site.log().count("cannot accept a connection") < 200, "the log is flooded")


def begin_connecting(address):
    host, _, port = address.rpartition(":")
    sock = socket.socket()
    sock.setblocking(False)
    sock.connect_ex((host, int(port)))
    return sock


def offered(connection, topic, partition=0):
    body = wire.produce_body(topic, batches.batch(), partition=partition)
    return wire.produced(connection.request(wire.PRODUCE, 11, body))[0]


@attack
def connections_that_only_connect(chance):
    with Site() as site:
        expect_health(site, "before")
        before = site.descriptors()
        for n in range(3000):
            connection = site.connect()
            connection.reset() if n % 2 else connection.close()
        expect_descriptors(site, before)
        expect_health(site)


@attack
def bad_requests_do_not_fill_the_log(chance):
    with Site() as site:
        expect_health(site, "before")
        started = time.monotonic()
        for n in range(3000):
            with site.connect() as connection:
                connection.send(struct.pack(">i", -5) if n % 2 else frame(struct.pack(">hhih", 3, 99, 1, 500) + b"x" * 500))
        expect_said(site, "closing connection")
        time.sleep(1)
        with site.connect() as connection:
            connection.send(struct.pack(">i", -5))
            expect(connection.ended(5), "a negative size is taken")
        expect_said(site, "lines about bad clients were left out")
        lines, took = site.log().count("closing connection"), time.monotonic() - started
        # CONN_LINES_PER_SECOND of src/net/conn.h, of each loop.
        expect(lines <= LOOPS * 50 * (took + 2), f"{lines} lines in {took:.1f} s")
        expect_health(site)


@attack
def idle_connections_are_closed(chance):
    with Site({"connections.max.idle.ms": "1000"}) as site:
        with site.connect() as silent, site.connect() as begun:
            begun.send(b"\0\0")
            expect(silent.ended(10), "an idle connection stays")
            expect(begun.ended(10), "a connection that began a frame and is silent since stays")
        expect_health(site)
