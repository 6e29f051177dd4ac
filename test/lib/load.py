"""Idempotent load from librdkafka with every delivery report noted, and the Java consumer's view of it."""
import random
import threading

from confluent_kafka import KafkaError, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from lib.driver import Driver

READ_S = 300


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


class Load(threading.Thread):
    """One idempotent producer that sends until told to stop, and notes what was acknowledged."""

    def __init__(self, number, address, topic, partitions, ledger, lock, seed):
        super().__init__(daemon=True)
        self.prefix, self.ledger, self.lock = f"p{number}", ledger, lock
        self.topic, self.partitions = topic, partitions
        self.chance = random.Random(f"{seed}/{number}")
        self.sent, self.acknowledged, self.fatal, self.failed = set(), 0, None, []
        self.stopping = threading.Event()
        self.producer = Producer({
            "bootstrap.servers": address, "enable.idempotence": True, "linger.ms": 2, "log_level": 0,
            "queue.buffering.max.messages": 20_000,
            "compression.type": self.chance.choice(["none", "lz4", "zstd", "gzip", "snappy"]),
            "message.timeout.ms": 120_000, "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 200,
            "topic.metadata.refresh.interval.ms": 5000, "error_cb": self.error})

    def error(self, error):
        if error.fatal() or error.code() == KafkaError._FATAL:
            self.fatal = self.producer.fatal_error() if hasattr(self.producer, "fatal_error") else str(error)

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
        while not self.stopping.is_set() and not self.fatal:
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
