"""Compaction by a running broker, in every codec: topics are written over and over while their cleaner works; then
the Java consumer finds the last value of every key at its offset, and of deleted keys nothing; and Kafka's
DumpLogSegments reads every file. The same after a kill and a restart in the middle.

    test/storage/compaction.py [--target jackdaw|kafka] [--seed S] [--keep]
"""
import contextlib
import pathlib
import random
import sys
import time
import zlib

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent)]

from confluent_kafka import Producer  # noqa: E402
from confluent_kafka.admin import AdminClient, NewTopic  # noqa: E402

from lib import program  # noqa: E402
from lib.driver import Driver  # noqa: E402
from lib.target import Target, TargetError  # noqa: E402

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
KEYS, DELETED = 300, 50  # the first of them end as tombstones
ROUNDS = 60
VALUE_BYTES = 400
SEGMENT_BYTES = 1048576  # the least that Kafka allows
WAIT_S = 120
SETTINGS = {"log.cleaner.backoff.ms": "100", "log.cleaner.threads": "2", "log.retention.check.interval.ms": "500",
            "log.initial.task.delay.ms": "500", "log.segment.delete.delay.ms": "100"}
TOPIC_SETTINGS = {"cleanup.policy": "compact", "segment.bytes": str(SEGMENT_BYTES), "min.cleanable.dirty.ratio": "0.01",
                  "delete.retention.ms": "100"}


class Topic:
    def __init__(self, codec, address, chance):
        self.name, self.chance, self.last, self.problems = f"compacted-{codec}", chance, {}, []
        self.producer = Producer({"bootstrap.servers": address, "enable.idempotence": True, "compression.type": codec, "linger.ms": 5,
                                  "log_level": 0, "message.timeout.ms": 60000, "batch.num.messages": 50,
                                  "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 200})

    def put(self, key, value):
        def done(error, message):
            if error:
                self.problems.append(str(error))
            elif message.offset() >= self.last.get(key, (-1, None))[0]:
                self.last[key] = (message.offset(), value)
        self.producer.produce(self.name, value, key, 0, on_delivery=done)
        self.producer.poll(0)

    def round(self, number):
        """Half of a value can be pressed, half of it cannot."""
        for key in self.chance.sample(range(KEYS), KEYS * 2 // 3):
            value = f"{self.name} {key} {number} ".encode() * 5 + self.chance.randbytes(VALUE_BYTES // 2)
            self.put(f"key-{key}".encode(), value)

    def finish(self):
        for key in range(KEYS):
            self.put(f"key-{key}".encode(), None if key < DELETED else f"{self.name} {key} last".encode() * 8)
        self.producer.flush(60)


def read(driver, address, topic, path):
    driver.call("consume", timeout_s=WAIT_S, timeout_ms=(WAIT_S - 10) * 1000, to_file=str(path),
                config={"bootstrap.servers": address, "auto.offset.reset": "none", "enable.auto.commit": "false"},
                **{"from": [[topic, 0, "earliest"]]})
    found = {}
    for line in open(path):
        _, _, offset, checksum, key = line.split()
        found.setdefault(key.encode(), []).append((int(offset), int(checksum)))
    return found


def wrong_in(topic, found):
    """Whatever else is left of a key, its last record is."""
    wrong = []
    for key, (offset, value) in topic.last.items():
        records = found.get(key, [])
        if value is not None and (not records or records[-1] != (offset, zlib.crc32(value))):
            wrong.append(f"{topic.name} {key}: {records[-1:]}, not offset {offset}")
        if value is None and records and records[-1][0] != offset:
            wrong.append(f"{topic.name} {key} was deleted at {offset}, and is there at {records[-1]}")
    return wrong


def dump(driver, target, topic):
    for kind in ("log", "index", "timeindex"):
        files = sorted((target.data / f"{topic}-0").glob(f"*.{kind}"))
        driver.dump_log(files, "--deep-iteration" if kind == "log" else "--verify-index-only", cleaned=True, timeout_s=WAIT_S)


def cleaned(target, topic, driver, path):
    """Waits until no key has two records below the active segment: something has to be appended meanwhile, or the
    active segment would never be closed."""
    deadline = time.monotonic() + WAIT_S
    while True:
        for key in range(KEYS):
            topic.put(f"filler-{key}".encode(), topic.chance.randbytes(VALUE_BYTES * 3))
        topic.producer.flush(60)
        size, segments = target.log_bytes(topic.name), len(target.segments(topic.name))
        if size < 3 * SEGMENT_BYTES and segments <= 4:
            found = read(driver, target.address, topic.name, path)
            if not any(f"key-{key}".encode() in found for key in range(DELETED)) and \
                    all(len(found[f"key-{key}".encode()]) == 1 for key in range(DELETED, KEYS)):
                return found
        if time.monotonic() > deadline:
            raise TargetError(f"{topic.name} is not cleaned: {size} bytes in {segments}")


def make(address, seed):
    topics = [Topic(codec, address, random.Random(f"{seed}/{codec}")) for codec in CODECS]
    admin = AdminClient({"bootstrap.servers": address, "log_level": 0})
    for future in admin.create_topics([NewTopic(topic.name, 1, 1, config=TOPIC_SETTINGS) for topic in topics]).values():
        future.result(60)
    return topics


def write(target, topics):
    for number in range(ROUNDS):
        for topic in topics:
            topic.round(number)
        if number == ROUNDS // 2:
            target.kill()
            target.start()
    for topic in topics:
        topic.finish()


def run(options, folder):
    problems, path = [], folder / "read.txt"
    with Target(options.target, folder, SETTINGS) as target, contextlib.closing(Driver(folder / "driver.log")) as driver:
        topics = make(target.address, options.seed)
        write(target, topics)
        for topic in topics:
            problems += topic.problems + wrong_in(topic, read(driver, target.address, topic.name, path))
        for topic in topics:
            problems += wrong_in(topic, cleaned(target, topic, driver, path))
        target.stop()
        for topic in topics:
            dump(driver, target, topic.name)
        target.start()
        for topic in topics:
            problems += wrong_in(topic, read(driver, target.address, topic.name, path))
    return problems


def main():
    name = "kafkas_reader_finds_what_compaction_left_in_every_codec"
    return program.prove(name, program.parser().parse_args(), run)


if __name__ == "__main__":
    sys.exit(main())
