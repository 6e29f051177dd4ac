"""Transactions by chance: producers of both generations, rightly and wrongly numbered batches, ends that are repeated
or late, deleted records, markers of administrators; and after each step what readers and administrators are told.
See cases.py."""
import random
import struct

import batches
import codec
import wire
from cases import show_produced
from cases_transactions import TIME, Producer
from coordinated import ask, coordinated

STEPS = 150
PARTITIONS = 2


def parsed(data):
    """Batches as (base offset, last offset, attributes, producer id, epoch, sequence, marker)."""
    at = 0
    while at + 61 <= len(data):
        base, size = struct.unpack_from(">qi", data, at)
        attributes, delta, _, _, producer, epoch, sequence, _ = struct.unpack_from(">hiqqqhii", data, at + 21)
        marker = ""
        if attributes & batches.CONTROL:  # length, attributes, two deltas, the key's size: a byte each
            marker = ("abort", "commit")[struct.unpack_from(">h", data, at + 61 + 5 + 2)[0]]
        yield base, base + delta, attributes, producer, epoch, sequence, marker
        at += 12 + size


class History:
    def __init__(self, world, seed):
        self.world, self.chance, self.steps = world, random.Random(seed), 0
        world.serial += 1
        self.topic = f"history-{world.serial}"
        with world.connect() as connection:
            world.ids[self.topic] = wire.create_topic(connection, self.topic, PARTITIONS)
        self.names = {}
        self.producers = [self.new(Producer(world), number % 2 + 1) for number in range(3)]

    def new(self, producer, version):
        producer.version, producer.open, producer.next = version, set(), [0] * PARTITIONS
        self.name(producer)
        return producer

    def name(self, producer):
        self.names.setdefault(producer.id, f"producer {len(self.names)}")

    # ---- what is done ----

    def batch(self, producer, partition, count, sequence, epoch, transactional=True):
        self.steps += 1
        return batches.batch(count=count, producer_id=producer.id, producer_epoch=epoch, base_sequence=sequence,
                             attributes=batches.TRANSACTIONAL if transactional else 0, timestamp=TIME + self.steps * 1000)

    def send(self, producer, partition, data, version, transactional=True):
        body = wire.produce_body(self.topic, data, partition=partition, transactional_id=producer.name if transactional else None)
        return self.world.ask(wire.PRODUCE, version, body, show_produced)

    def produce(self, producer):
        partition, count = self.chance.randrange(PARTITIONS), self.chance.randint(1, 3)
        said = ""
        if producer.version == 1 and partition not in producer.open and self.chance.random() < 0.9:
            said = producer.add(self.topic, [partition]) + ", "
            producer.open.add(partition)
        sequence = max(0, producer.next[partition] + self.chance.choice([0] * 12 + [-1, 2, -count]))
        if self.chance.random() < 0.05:
            sequence = 0
        epoch = producer.epoch + self.chance.choice([0] * 15 + [-1, 1])
        data = self.batch(producer, partition, count, sequence, epoch)
        answer = self.send(producer, partition, data, 11 if producer.version == 1 else 12)
        if " NONE " in answer and sequence + count > producer.next[partition]:
            producer.next[partition] = sequence + count
        return f"{said}{count} from {sequence} at epoch {epoch} to {partition}: {answer}"

    def idempotent(self, producer):
        """Records of no transaction, from a producer that has them."""
        partition = self.chance.randrange(PARTITIONS)
        data = self.batch(producer, partition, 1, producer.next[partition], producer.epoch, transactional=False)
        answer = self.send(producer, partition, data, 11, transactional=False)
        if " NONE " in answer:
            producer.next[partition] += 1
        return answer

    def plain(self, _):
        partition = self.chance.randrange(PARTITIONS)
        self.steps += 1
        data = batches.batch(timestamp=TIME + self.steps * 1000)
        return self.world.ask(wire.PRODUCE, 11, wire.produce_body(self.topic, data, partition=partition), show_produced)

    def end(self, producer, commit=None):
        commit = self.chance.random() < 0.5 if commit is None else commit
        version = 4 if producer.version == 1 else 5
        epoch = producer.epoch + self.chance.choice([0] * 9 + [-1, 1])
        with self.world.connect() as connection:
            answer = connection.request(codec.KEYS["EndTxn"], version, {**producer.who(ProducerEpoch=epoch), "Committed": commit})
        error = codec.error_name(answer["ErrorCode"])
        if error == "NONE":
            producer.open = set()
            producer.settled()
            if version == 5:
                if (answer["ProducerId"], answer["ProducerEpoch"]) != (producer.id, producer.epoch):
                    producer.next = [0] * PARTITIONS
                producer.id, producer.epoch = answer["ProducerId"], answer["ProducerEpoch"]
                self.name(producer)
        return f"{commit} at epoch {epoch}: {error}, then {self.names[producer.id]} epoch {producer.epoch}"

    def begin_anew(self, producer):
        producer.begin()
        self.new(producer, producer.version)
        return f"{self.names[producer.id]} epoch {producer.epoch}"

    def delete(self, _):
        partition = self.chance.randrange(PARTITIONS)
        end = self.offset(partition, -1, 0)
        offset = self.chance.choice([-1, self.chance.randint(0, max(0, end)), self.chance.randint(0, max(0, end // 2))])
        return ask(self.world, "DeleteRecords", 2, TimeoutMs=1000, Topics=[
            {"Name": self.topic, "Partitions": [{"PartitionIndex": partition, "Offset": offset}]}])

    def mark(self, producer):
        partition, lies = self.chance.randrange(PARTITIONS), self.chance.choice([0, 0, 1, -1])
        marker = {"ProducerId": producer.id, "ProducerEpoch": producer.epoch + lies, "TransactionResult": self.chance.random() < 0.5,
                  "CoordinatorEpoch": 0, "Topics": [{"Name": self.topic, "PartitionIndexes": [partition]}]}
        if producer.epoch + lies < 0:
            return "none"
        return ask(self.world, "WriteTxnMarkers", 1, Markers=[marker])

    # ---- what is seen ----

    def offset(self, partition, stamp, level):
        with self.world.connect() as connection:
            answer = connection.request(wire.LIST_OFFSETS, 8, {"ReplicaId": -1, "IsolationLevel": level, "Topics": [
                {"Name": self.topic, "Partitions": [{"PartitionIndex": partition, "Timestamp": stamp}]}]})
        return answer["Topics"][0]["Partitions"][0]["Offset"]

    def fetched(self, partition, offset, level):
        body = wire.fetch_body(self.topic, offset, partition, IsolationLevel=level)

        def show(answer):
            (part,) = answer["Responses"][0]["Partitions"]
            seen = list(parsed(part["Records"] or b""))
            # Which of the later ones are told of depends on where the index has entries.
            stop = seen[-1][1] + 1 if seen else 0
            aborted = sorted((one["FirstOffset"], self.names.get(one["ProducerId"], "another"))
                             for one in part["AbortedTransactions"] or [] if one["FirstOffset"] < stop)
            shown = [f"{base}-{last} {self.names.get(producer, '')} {epoch} {sequence} {attributes:x} {marker}".strip()
                     for base, last, attributes, producer, epoch, sequence, marker in seen]
            return f"{codec.error_name(part['ErrorCode'])} hw {part['HighWatermark']} lso {part['LastStableOffset']} " \
                   f"start {part['LogStartOffset']} {shown} aborted {aborted}"
        return self.world.ask(wire.FETCH, 11, body, show)

    def looks(self):
        partition = self.chance.randrange(PARTITIONS)
        end = self.offset(partition, -1, 0)
        offset, level = self.chance.randint(0, max(0, end)), self.chance.randrange(2)
        stamp = self.chance.choice([-1, -2, -3, TIME + 1000 * self.chance.randint(0, self.steps + 1)])
        yield f"from {offset} of {partition}, level {level}", self.fetched(partition, offset, level)
        if stamp in (-1, -2):  # by time Kafka also tells of records below the log start
            yield f"at {stamp} of {partition}, level {level}", str(self.offset(partition, stamp, level))
        with self.world.connect() as connection:
            answer = connection.request(codec.KEYS["DescribeProducers"], 0, {"Topics": [{"Name": self.topic, "PartitionIndexes": [partition]}]})
        active = answer["Topics"][0]["Partitions"][0]["ActiveProducers"]
        yield f"producers of {partition}", str(sorted(
            (self.names.get(one["ProducerId"], "another"), one["ProducerEpoch"], one["LastSequence"], one["CoordinatorEpoch"],
             one["CurrentTxnStartOffset"]) for one in active))

    def run(self, steps):
        does = [self.produce] * 10 + [self.end] * 5 + [self.plain, self.idempotent, self.begin_anew, self.delete, self.mark]
        for step in range(steps):
            does_what, producer = self.chance.choice(does), self.chance.choice(self.producers)
            yield f"{step} {does_what.__name__} of {self.names[producer.id]}, version {producer.version}", does_what(producer)
            for what, seen in self.looks():
                yield f"{step} {what}", seen


def by_chance(world, seed, steps=STEPS):
    yield from History(world, seed).run(steps)


@coordinated
def transactions_by_chance_1(world):
    yield from by_chance(world, 1)


@coordinated
def transactions_by_chance_2(world):
    yield from by_chance(world, 2)
