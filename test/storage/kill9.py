"""`kill -9` under idempotent load. Rounds of: a librdkafka producer sends and notes every delivery report;
at a random moment the broker is killed and started again; the producer goes on. At the end the Java
consumer reads everything: each acknowledged (partition, offset, checksum) is there, nothing twice,
nothing out of order, nothing that was not sent.

    test/storage/kill9.py [--target jackdaw|kafka] [--rounds N] [--seed S] [--seconds S]
"""
import argparse
import pathlib
import random
import shutil
import sys
import tempfile
import threading
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent)]

from confluent_kafka import KafkaError, Producer  # noqa: E402
from confluent_kafka.admin import AdminClient, NewTopic  # noqa: E402

from lib.driver import Driver  # noqa: E402
from lib.ledger import Ledger  # noqa: E402
from lib.target import Target, TargetError  # noqa: E402

TOPIC = "ledger"
PARTITIONS = 4
PRODUCERS = 2
READ_S = 300


class Load(threading.Thread):
    """One idempotent producer that sends until told to stop."""

    def __init__(self, number, address, ledger, lock, seed):
        super().__init__(daemon=True)
        self.prefix, self.ledger, self.lock = f"p{number}", ledger, lock
        self.chance = random.Random(f"{seed}/{number}")
        self.sent, self.acknowledged, self.fatal, self.failed = set(), 0, None, []
        self.stopping = threading.Event()
        self.producer = Producer({
            "bootstrap.servers": address, "enable.idempotence": True, "linger.ms": 2, "log_level": 0,
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
                self.producer.produce(TOPIC, value, name.encode(), number % PARTITIONS, on_delivery=self.delivered(name, value))
                number += 1
            except BufferError:
                self.producer.poll(0.05)
            self.producer.poll(0.001 if number % 50 == 0 else 0)
        self.producer.flush(60)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", choices=("jackdaw", "kafka"), default="jackdaw")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else int(time.time())
    chance = random.Random(seed)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="kill9-"))
    name = f"what_was_acknowledged_survives_{options.rounds}_kills"
    problems, restarts = [], []
    target = Target(options.target, folder, {"log.segment.bytes": "4194304"})
    loads, ledger, lock = [], Ledger(), threading.Lock()
    try:
        target.start()
        admin = AdminClient({"bootstrap.servers": target.address, "log_level": 0})
        admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])[TOPIC].result(30)
        del admin
        loads = [Load(n, target.address, ledger, lock, seed) for n in range(PRODUCERS)]
        for load in loads:
            load.start()
        for _ in range(options.rounds):
            # The random moment: a time of its own after the load has moved on since the last start.
            before = [load.acknowledged for load in loads]
            deadline = time.monotonic() + 60
            while any(load.acknowledged <= was for load, was in zip(loads, before)):
                if time.monotonic() > deadline or any(load.fatal for load in loads):
                    raise TargetError(f"the load did not go on: fatal {[load.fatal for load in loads]}")
                time.sleep(0.005)
            time.sleep(chance.uniform(0, 0.5))
            if not target.alive():
                raise TargetError(f"the broker ended by itself: {target.last_words()}")
            target.kill()
            target.start()
            restarts.append(target.ready_s)
        for load in loads:
            load.stopping.set()
        for load in loads:
            load.join(120)
        problems += [f"{load.prefix} had a fatal error: {load.fatal}" for load in loads if load.fatal]
        problems += [failure for load in loads for failure in load.failed[:3]]
        driver = Driver(folder / "driver.log")
        dump = folder / "read.txt"
        count = driver.call("consume", timeout_s=READ_S + 10, timeout_ms=READ_S * 1000, to_file=str(dump),
                            config={"bootstrap.servers": target.address, "auto.offset.reset": "none", "enable.auto.commit": "false"},
                            **{"from": [[TOPIC, partition, "earliest"] for partition in range(PARTITIONS)]})
        driver.close()
        problems += ledger.check(dump, set().union(*(load.sent for load in loads)))
        print(f"seed {seed}: {len(ledger.promised)} acknowledged, {count} read, {options.rounds} kills, "
              f"restart {max(restarts):.2f} s at most")
    except Exception as thrown:
        problems.append(f"{type(thrown).__name__}: {thrown}")
    finally:
        for load in loads:
            load.stopping.set()
        if target.alive():
            target.kill()
    if problems:
        print("\n".join(problems[:20]))
        print(f"FAIL {name} (seed {seed}, {len(problems)} problems; kept {folder})")
        return 1
    print(f"ok {name}")
    if not options.keep:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
