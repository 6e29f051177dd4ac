"""Idempotent load from librdkafka with every delivery report noted, a broker that is killed meanwhile, and the Java
consumer's view of what is left."""
import random
import threading
import time

from confluent_kafka import KafkaError, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from lib.driver import Driver
from lib.target import TargetError

READ_S = 300
MOVE_S = 90  # within which every load goes on after a start


def create_topic(address, topic, partitions):
    admin = AdminClient({"bootstrap.servers": address, "log_level": 0})
    admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(30)


def read_back(address, topic, partitions, path, log, **config):
    """The Java consumer reads the topic into lines as Ledger.check wants them; returns their number."""
    driver = Driver(log)
    try:
        return driver.call("consume", timeout_s=READ_S + 10, timeout_ms=READ_S * 1000, to_file=str(path),
                           config={"bootstrap.servers": address, "auto.offset.reset": "none", "enable.auto.commit": "false",
                                   **config},
                           **{"from": [[topic, partition, "earliest"] for partition in range(partitions)]})
    finally:
        driver.close()


def await_moved(loads):
    """Waits until each has had more acknowledged than now."""
    before = [load.acknowledged for load in loads]
    deadline = time.monotonic() + MOVE_S
    while any(load.acknowledged <= was for load, was in zip(loads, before)):
        if time.monotonic() > deadline or any(load.problem for load in loads):
            raise TargetError(f"the load did not go on: {[load.problem for load in loads]}")
        time.sleep(0.005)


def kill_under_load(target, loads, rounds, chance):
    """Starts the loads, kills the broker and starts it again so many times, each time at a random moment after all
    loads have moved on, and ends them. A load is a thread with `acknowledged`, `problem` and `stopping`. Returns the
    longest start, in seconds."""
    longest_s = 0
    for load in loads:
        load.start()
    try:
        for _ in range(rounds):
            await_moved(loads)
            time.sleep(chance.uniform(0, 0.5))
            if not target.alive():
                raise TargetError(f"the broker ended by itself: {target.last_words()}")
            target.kill()
            target.start()
            longest_s = max(longest_s, target.ready_s)
    finally:
        for load in loads:
            load.stopping.set()
    for load in loads:
        load.join(120)
    return longest_s


class Load(threading.Thread):
    """One idempotent producer that sends until told to stop, and notes what was acknowledged."""

    def __init__(self, number, address, topic, partitions, ledger, lock, seed):
        super().__init__(daemon=True)
        self.prefix, self.ledger, self.lock = f"p{number}", ledger, lock
        self.topic, self.partitions = topic, partitions
        self.chance = random.Random(f"{seed}/{number}")
        self.sent, self.acknowledged, self.problem, self.failed = set(), 0, None, []
        self.stopping = threading.Event()
        self.producer = Producer({
            "bootstrap.servers": address, "enable.idempotence": True, "linger.ms": 2, "log_level": 0,
            "queue.buffering.max.messages": 20_000,
            "compression.type": self.chance.choice(["none", "lz4", "zstd", "gzip", "snappy"]),
            "message.timeout.ms": 120_000, "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 200,
            "topic.metadata.refresh.interval.ms": 5000, "error_cb": self.error})

    def error(self, error):
        if error.fatal() or error.code() == KafkaError._FATAL:
            self.problem = self.producer.fatal_error() if hasattr(self.producer, "fatal_error") else str(error)

    def delivered(self, name, value):
        def done(error, message):
            with self.lock:
                if error:
                    self.failed.append(f"{name}: {error}")
                else:
                    self.acknowledged += 1
                    self.ledger.acknowledge(message.partition(), message.offset(), value, name)
        return done

    def run(self):
        number = 0
        while not self.stopping.is_set() and not self.problem:
            name = f"{self.prefix}.{number}"
            value = self.chance.randbytes(self.chance.choice([10, 100, 1000, 5000]))
            self.sent.add(name)
            try:
                self.producer.produce(self.topic, value, name.encode(), number % self.partitions,
                                      on_delivery=self.delivered(name, value))
                number += 1
            except BufferError:
                self.producer.poll(0.05)
            self.producer.poll(0.005 if number % 50 == 0 else 0)
        self.producer.flush(60)
