"""`kill -9` under load in transactions. Rounds of: librdkafka producers write transactions over all
partitions and commit or abort them; at a random moment the broker is killed and started again; the
producers go on. At the end the Java consumer reads what is committed: of every transaction whose commit
was answered each record is there once; of one whose commit was asked for and never answered all or none;
of every other none; and the consumer comes to the end of every partition, so nothing is left open.

    test/storage/kill9_transactions.py [--target jackdaw|kafka] [--rounds N] [--seed S] [--keep]
"""
import pathlib
import random
import sys
import threading
import time
from collections import Counter

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent)]

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition  # noqa: E402

from lib import program  # noqa: E402
from lib.load import create_topic, kill_under_load, read_back  # noqa: E402
from lib.target import Target, TargetError  # noqa: E402

TOPIC = "ledger"
PARTITIONS = 4
PRODUCERS = 3
WAIT_S = 60


class Copier(threading.Thread):
    """Transactions one after the other; `fates` says what was asked for and what was answered."""

    def __init__(self, number, address, seed):
        super().__init__(daemon=True)
        self.prefix, self.address = f"t{number}", address
        self.chance = random.Random(f"{seed}/{number}")
        self.fates, self.acknowledged, self.problem = {}, 0, None
        self.stopping = threading.Event()

    def connect(self):
        while True:
            producer = Producer({"bootstrap.servers": self.address, "transactional.id": self.prefix, "linger.ms": 1,
                                 "log_level": 0, "transaction.timeout.ms": 30_000, "reconnect.backoff.ms": 20,
                                 "reconnect.backoff.max.ms": 200})
            try:
                producer.init_transactions(WAIT_S)
                return producer
            except KafkaException as thrown:
                if not thrown.args[0].retriable():
                    raise

    def transaction(self, producer, number):
        names = [f"{self.prefix}.{number}.{n}" for n in range(self.chance.randint(1, 20))]
        commit = self.chance.random() < 0.75
        self.fates[number] = ("never", names)
        producer.begin_transaction()
        for n, name in enumerate(names):
            producer.produce(TOPIC, b"x" * self.chance.choice([10, 100, 1000]), name.encode(), n % PARTITIONS)
        if not commit:
            self.again(lambda: producer.abort_transaction(WAIT_S))
            return
        producer.flush(WAIT_S)
        self.fates[number] = ("maybe", names)
        self.again(lambda: producer.commit_transaction(WAIT_S))
        self.fates[number] = ("committed", names)
        self.acknowledged += 1

    @staticmethod
    def again(call):
        while True:
            try:
                return call()
            except KafkaException as thrown:
                if not thrown.args[0].retriable():
                    raise

    def run(self):
        number = 0
        try:
            producer = self.connect()
            while not self.stopping.is_set():
                number += 1
                try:
                    self.transaction(producer, number)
                except KafkaException as thrown:
                    if thrown.args[0].txn_requires_abort():
                        try:
                            self.again(lambda: producer.abort_transaction(WAIT_S))
                            continue
                        except KafkaException:
                            pass
                    producer = self.connect()  # it fences what the last one left
        except Exception as thrown:
            self.problem = f"{self.prefix}: {type(thrown).__name__}: {thrown}"


def settled(address):
    """Waits until nothing is open: the ends for readers of committed records are those of all."""
    def ends(isolation):
        consumer = Consumer({"bootstrap.servers": address, "group.id": "ends", "isolation.level": isolation, "log_level": 0})
        try:
            return [consumer.get_watermark_offsets(TopicPartition(TOPIC, p), WAIT_S)[1] for p in range(PARTITIONS)]
        finally:
            consumer.close()
    deadline = time.monotonic() + WAIT_S
    while ends("read_committed") != ends("read_uncommitted"):
        if time.monotonic() > deadline:
            raise TargetError("a transaction stays open")
        time.sleep(0.1)


def check(path, copiers):
    seen, wrong = Counter(line.split()[4] for line in open(path)), []
    known = set()
    for copier in copiers:
        for number, (fate, names) in copier.fates.items():
            counts = [seen[name] for name in names]
            known.update(names)
            whole, none = all(count == 1 for count in counts), not any(counts)
            if not (whole if fate == "committed" else none if fate == "never" else whole or none):
                wrong.append(f"{copier.prefix}.{number} ({fate}): its records are there {counts} times")
    wrong += [f"{name} was never sent" for name in set(seen) - known]
    return wrong


def run(options, folder):
    with Target(options.target, folder, {"log.segment.bytes": "4194304"}) as target:
        create_topic(target.address, TOPIC, PARTITIONS)
        copiers = [Copier(n, target.address, options.seed) for n in range(PRODUCERS)]
        longest_s = kill_under_load(target, copiers, options.rounds, random.Random(options.seed))
        settled(target.address)
        dump = folder / "read.txt"
        count = read_back(target.address, TOPIC, PARTITIONS, dump, folder / "driver.log", **{"isolation.level": "read_committed"})
    fates = Counter(fate for copier in copiers for fate, _ in copier.fates.values())
    print(f"seed {options.seed}: transactions {dict(fates)}, {count} records read, {options.rounds} kills, "
          f"restart {longest_s:.2f} s at most")
    return [copier.problem for copier in copiers if copier.problem] + check(dump, copiers)


def main():
    options = program.parser(rounds=10).parse_args()
    return program.prove(f"transactions_are_all_or_nothing_over_{options.rounds}_kills", options, run)


if __name__ == "__main__":
    sys.exit(main())
