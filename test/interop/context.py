"""What scenarios share: the brokers under test, the driver, a client to prepare and check with, and the
records that every producer has written for every consumer."""
import pathlib
import random
import time
from dataclasses import replace

from clients.aio import Aio
from clients.base import ClientError, Record
from clients.confluent import Confluent
from clients.java import Java
from clients.kafka_python import KafkaPython
from clients.kcat import Kcat
from clients.tools import Tools
from lib import paths
from lib.driver import Driver
from lib.segments import batches
from lib.target import Target, TargetError

CLIENTS = [Kcat, Confluent, KafkaPython, Aio, Java, Tools]
SETTLED_S = 10 * paths.PATIENCE
# What the records' own timestamps count from; not so long ago that retention takes them.
BEGAN_MS = int(time.time() - 3600) * 1000


class Mismatch(AssertionError):
    pass


def expect(got, wanted, what):
    if got != wanted:
        raise Mismatch(f"{what}: {got!r:.300}, expected {wanted!r:.300}")


def eventually(call, wanted, what):
    """For what a broker does only after it has answered: Kafka's answers to changes of metadata may come
    before its own view of them."""
    deadline = time.monotonic() + SETTLED_S
    while True:
        try:
            got = call()
        except ClientError as thrown:
            if time.monotonic() > deadline:
                raise
            got = thrown
        if got == wanted or time.monotonic() > deadline:
            return expect(got, wanted, what)
        time.sleep(0.02)


def expect_error(call, *names):
    try:
        got = call()
    except ClientError as thrown:
        if thrown.name not in names:
            raise Mismatch(f"refused with {thrown}, expected {' or '.join(names)}") from None
        return
    raise Mismatch(f"it answered {got!r:.200}, expected {' or '.join(names)}")


def binary_records():
    """Everything that a record may be."""
    chance = random.Random(4)
    records = [
        Record(None, b"no key"),
        Record(b"key", b"value"),
        Record(b"", b""),
        Record(b"tombstone", None),
        Record(None, None),
        Record(bytes(range(256)), bytes(range(256)) * 4),
        Record("ключ".encode(), "значение ☃".encode()),
        Record(b"headers", b"", (("one", b"1"), ("one", b"2"), ("null", None), ("empty", b""), ("bytes", bytes(range(256))))),
        Record(b"repeating", b"0123456789abcdef" * 6400),
        Record(b"random", chance.randbytes(100_000)),
    ]
    records += [Record(b"%d" % n, b'{"n": %d, "text": "much the same as its neighbour"}' % n) for n in range(60)]
    # Not in order, as real ones are not.
    return [Record(r.key, r.value, r.headers, BEGAN_MS + n * 1000 - (n % 7) * 5000) for n, r in enumerate(records)]


def text_records():
    """For clients that read lines: text, keys, and the same header throughout."""
    lines = [("plain", "line"), ("empty", ""), ("юникод", "☃ snow"), ("long", "0123456789abcdef" * 3000)]
    lines += [(str(n), f"line {n} which is much the same as its neighbour") for n in range(60)]
    return [Record(key.encode(), value.encode(), (("origin", b"text"),)) for key, value in lines]


class Context:
    def __init__(self, kind, folder):
        self.kind, self.folder = kind, pathlib.Path(folder)
        self._targets, self._driver, self._topics, self._corpus, self._restarted = {}, None, 0, {}, None
        self.target = self.use()
        self.clients = [client(self) for client in CLIENTS]
        self.helper = self.by_name("confluent-kafka")

    def by_name(self, name):
        return next(client for client in self.clients if client.name == name)

    def use(self, **settings):
        """A broker with these settings more; one that stands is used again."""
        key = tuple(sorted(settings.items()))
        if key not in self._targets:
            self._targets[key] = Target(self.kind, self.folder / f"node-{len(self._targets)}", settings)
        self.target = self._targets[key]
        if not self.target.alive():
            self.target.start()
        return self.target

    @property
    def driver(self):
        if self._driver is None or self._driver.process.poll() is not None:
            self._driver = Driver(self.folder / "driver.log")
        return self._driver

    def stop(self):
        """Stops every broker in order; returns what went wrong."""
        problems = []
        for target in self._targets.values():
            try:
                if target.stop() != 0:
                    problems.append(f"status {target.process.returncode}: {target.last_words()}")
            except TargetError as thrown:
                problems.append(str(thrown))
        return "; ".join(problems)

    def close(self):
        if self._driver:
            self._driver.close()
        for target in self._targets.values():
            if target.alive():
                target.kill()

    def name(self, hint="topic"):
        self._topics += 1
        return f"{hint}-{self._topics}"

    def topic(self, hint="topic", partitions=1, **config):
        """A new topic, made by the helper; the settings' dots are underscores here."""
        name = self.name(hint)
        self.helper.create_topic(name, partitions, {key.replace("_", "."): str(value) for key, value in config.items()})
        self.settle(name, partitions)
        return name

    def settle(self, topic, partitions=1):
        """Waits until the broker itself has seen a new topic. What Kafka says it leads it may lead up to 70 ms later, and until
        then it loses what is sent with acks=0; Jackdaw leads what it says it leads."""
        wanted = {partition: 1 for partition in range(partitions)}
        eventually(lambda: self.helper.metadata(topic)["leaders"], wanted, f"partitions and leaders of {topic}")
        for partition in wanted if self.kind == "kafka" else ():
            eventually(lambda at=partition: self.helper.list_offsets(topic, at, "earliest"), 0, f"the log of {topic}-{partition}")

    def fill(self, topic, count, partition=0, **more):
        """Numbered records with timestamps a second apart."""
        records = [Record(b"k%d" % n, b"v%d" % n, (), BEGAN_MS + n * 1000, partition) for n in range(count)]
        self.helper.produce(topic, records, **more)
        return records

    def restarted(self):
        """A topic with the default number of partitions, here two, that has been through a restart."""
        if self._restarted is None:
            topic = self.name("restarted")
            self.helper.create_topic(topic, -1, {"retention.ms": "77777777"})
            self.settle(topic, 2)
            records = self.fill(topic, 50, 1, codec="zstd", idempotent=True)
            expect(self.target.stop(), 0, "exit status of the broker")
            self.target.start()
            self.settle(topic, 2)
            expect(self.helper.describe_config("topic", topic)["retention.ms"], "77777777", "retention.ms")
            self._restarted = topic, records
        return self._restarted

    def other(self, client):
        """Somebody else to read what a client wrote."""
        return self.helper if client is not self.helper else self.by_name("kafka-python")

    def records_for(self, client):
        if "binary" not in client.can:
            return text_records()
        records = binary_records()
        if "nothing" not in client.can:
            records = [one for one in records if (one.key, one.value) != (None, None)]
        if "null-headers" not in client.can:
            records = [replace(one, headers=tuple(header for header in one.headers if header[1] is not None))
                       for one in records]
        return records

    def corpus(self, client, codec):
        """The topic that this client filled with this codec, and the records; filled once."""
        key = (client.name, codec)
        if key not in self._corpus:
            topic = self.topic(f"corpus-{codec}")
            records = self.records_for(client)
            started_ms = int(time.time() * 1000)
            try:
                placed = client.produce(topic, records, codec=codec)
                self._corpus[key] = (topic, records, placed, started_ms)
            except Exception as thrown:
                self._corpus[key] = thrown
        found = self._corpus[key]
        if isinstance(found, Exception):
            raise found
        return found

    def compare(self, reader, got, records, since_ms):
        """What a reader showed against what was written."""
        expect(len(got), len(records), "records read")
        for number, (one, record) in enumerate(zip(got, records)):
            wanted = reader.view(record)
            expect(one.offset, number, "offset")
            for field in ("key", "value", "headers"):
                expect(getattr(one, field), getattr(wanted, field), f"{field} at offset {number}")
            if record.timestamp is not None:
                expect(one.timestamp, record.timestamp, f"timestamp at offset {number}")
            elif not since_ms - 1000 <= one.timestamp <= time.time() * 1000 + 1000:
                raise Mismatch(f"timestamp at offset {number}: {one.timestamp} is not now")

    def batches(self, topic, partition=0):
        return [batch for path in self.target.segments(topic, partition) for batch in batches(path)]

    def batch_count_of_codec(self, topic, codec):
        found = self.batches(topic)
        # A client may leave a batch uncompressed that would not shrink.
        expect({batch.codec for batch in found} - {"none"} or {"none"}, {codec}, "codecs of the batches on disk")
        expect(sum(batch.count for batch in found) > len(found), True, "batches hold several records")
        return len(found)
