"""The topics that the coordinators keep stay small for ever. Groups commit and producers run transactions
without a pause, until both topics have been written many times over; meanwhile and afterwards their folders
stay below a bound that does not depend on how much was written. What the coordinators know is the same after
a stop and after `kill -9`; groups that are deleted or expire leave nothing behind, not even tombstones; and
Kafka's DumpLogSegments reads every segment.

    test/storage/internal_topics.py [--target jackdaw|kafka] [--keep]
"""
import contextlib
import pathlib
import sys
import threading
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent)]

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition  # noqa: E402
from confluent_kafka.admin import AdminClient  # noqa: E402

from lib import paths, program  # noqa: E402
from lib.driver import Driver  # noqa: E402
from lib.load import create_topic  # noqa: E402
from lib.target import Target, TargetError  # noqa: E402

TOPIC = "orders-of-a-shop-" + 100 * "x"
PARTITIONS = 40
GROUPS, DOOMED = 4, 3  # committing all the time; deleted halfway
PRODUCERS = 3
SEGMENT_BYTES = 1048576  # the least that Kafka allows
WRITTEN_BYTES = {"__consumer_offsets": 64 << 20, "__transaction_state": 4 << 20}  # at least, in all
# A segment that is written to, those that wait for the cleaner or for being deleted, what it writes.
BOUND_BYTES = {"__consumer_offsets": 32 << 20, "__transaction_state": 3 << 20}
REST_BYTES = 2 * SEGMENT_BYTES  # when nothing is written: the segment that is written to, and the rest
WAIT_S, LOAD_S = 150 * paths.PATIENCE, 240 * paths.PATIENCE
# Commits go on when enough was committed, but leave the machine to the rest.
PACE_S = 0.02
SETTINGS = {
    "offsets.topic.num.partitions": "1", "offsets.topic.segment.bytes": str(SEGMENT_BYTES),
    "transaction.state.log.num.partitions": "1", "transaction.state.log.segment.bytes": str(SEGMENT_BYTES),
    "log.cleaner.backoff.ms": "200", "log.cleaner.delete.retention.ms": "1000", "log.segment.delete.delay.ms": "200",
    "log.retention.check.interval.ms": "1000", "log.initial.task.delay.ms": "500",
    "offsets.retention.minutes": "1", "offsets.retention.check.interval.ms": "1000", "group.initial.rebalance.delay.ms": "0",
}


def config(address, **more):
    return {"bootstrap.servers": address, "log_level": 0, **more}


class Worker(threading.Thread):
    def __init__(self, work):
        super().__init__(daemon=True)
        self.work, self.problem, self.stopping = work, None, threading.Event()

    def run(self):
        try:
            self.work(self.stopping)
        except Exception as thrown:
            self.problem = f"{type(thrown).__name__}: {thrown}"


def commit(address, group, enough=None):
    """A committer that is in no group: every offset of the topic, again and again."""
    def work(stopping):
        consumer, number = Consumer(config(address, **{"group.id": group, "enable.auto.commit": False})), 0
        while not stopping.is_set():
            number += 1
            consumer.commit(offsets=[TopicPartition(TOPIC, p, number + p, metadata=f"{group} {number}") for p in range(PARTITIONS)],
                            asynchronous=False)
            if enough and enough.is_set():
                stopping.wait(PACE_S)
        consumer.close()
    return work


def transact(address, name):
    """Transactions over some partitions, with offsets; every third is aborted."""
    def work(stopping):
        producer = Producer(config(address, **{"transactional.id": name, "linger.ms": 0}))
        producer.init_transactions(WAIT_S)
        consumer, number = Consumer(config(address, **{"group.id": f"of-{name}"})), 0
        metadata = consumer.consumer_group_metadata()
        while not stopping.is_set():
            number += 1
            producer.begin_transaction()
            for partition in range(PARTITIONS):
                producer.produce(TOPIC, b"value", b"key", (number + partition) % PARTITIONS)
            # An abort of librdkafka drops requests that have their sequence numbers and wait to be sent, without giving the
            # numbers back: the next transaction is refused as OUT_OF_ORDER_SEQUENCE_NUMBER, by Kafka as well.
            producer.flush(WAIT_S)
            producer.send_offsets_to_transaction([TopicPartition(TOPIC, 0, number)], metadata, WAIT_S)
            if number % 3:
                producer.commit_transaction(WAIT_S)
            else:
                producer.abort_transaction(WAIT_S)
        consumer.close()
    return work


def held(target, topic):
    """All that the log takes, what the cleaner makes and what waits to be removed included."""
    return target.log_bytes(topic, pattern="*.log*")


class Written:
    """How much was appended so far: the growth of the newest segment, and what was there when it began anew."""

    def __init__(self, target, topic):
        self.folder, self.bytes, self.names = target.data / f"{topic}-0", 0, {}

    def look(self):
        newest = max(self.folder.glob("*.log"), default=None, key=lambda path: int(path.stem))
        if newest is None:
            return
        length = newest.stat().st_size
        self.bytes += max(0, length - self.names.get(newest.name, 0))
        self.names[newest.name] = max(length, self.names.get(newest.name, 0))


# What a coordinator says that is not there yet.
LATER = (KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.COORDINATOR_NOT_AVAILABLE)


class Onlookers:
    """Consumers that are in no group and see what each has committed.

    Not the AdminClient: librdkafka (2.16.0, its issue 5040) tells the group handle to look for the coordinator when OffsetFetch
    is answered with NOT_COORDINATOR. That is what Kafka answers for a moment after a start; an AdminClient has no such handle,
    and the process ends with a segmentation fault."""

    def __init__(self, address, groups):
        self.consumers = {group: Consumer(config(address, **{"group.id": group, "enable.auto.commit": False,
                                                             "isolation.level": "read_uncommitted"})) for group in groups}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for consumer in self.consumers.values():
            consumer.close()

    @staticmethod
    def committed(consumer):
        deadline = time.monotonic() + WAIT_S
        while True:
            try:
                return consumer.committed([TopicPartition(TOPIC, p) for p in range(PARTITIONS)], WAIT_S)
            except KafkaException as thrown:
                if thrown.args[0].code() not in LATER or time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    def offsets(self):
        """{group: [(partition, offset, metadata)]}, of partitions that have an offset."""
        return {group: sorted((at.partition, at.offset, at.metadata) for at in self.committed(consumer) if at.offset >= 0)
                for group, consumer in self.consumers.items()}


def offsets(address, groups):
    with Onlookers(address, groups) as onlookers:
        return onlookers.offsets()


def transactions(address):
    """Every transactional id's epoch is taken over: {id: whether it can begin and end one}."""
    known = {}
    for n in range(PRODUCERS):
        producer = Producer(config(address, **{"transactional.id": f"copier-{n}"}))
        producer.init_transactions(WAIT_S)
        producer.begin_transaction()
        producer.produce(TOPIC, b"again", b"key", 0)
        producer.commit_transaction(WAIT_S)
        known[f"copier-{n}"] = True
    return known


def until(what, done):
    deadline = time.monotonic() + WAIT_S
    while not done():
        if time.monotonic() > deadline:
            raise TargetError(f"{what}: not in {WAIT_S} s")
        time.sleep(0.1)


def dump(driver, target, topic, decoder):
    """How many segments there are, and what is in them."""
    found = {kind: sorted((target.data / f"{topic}-0").glob(f"*.{kind}")) for kind in ("log", "index", "timeindex")}
    for kind in ("index", "timeindex"):
        driver.dump_log(found[kind], "--verify-index-only", cleaned=True, timeout_s=WAIT_S)
    said = driver.dump_log(found["log"], "--print-data-log", decoder, cleaned=True, timeout_s=WAIT_S)
    return len(found["log"]), said


class Growth:
    """How much was written of each topic, and the most that its folder held."""

    def __init__(self, target):
        self.target, self.topics = target, {topic: Written(target, topic) for topic in WRITTEN_BYTES}
        self.most = dict.fromkeys(WRITTEN_BYTES, 0)

    def look(self):
        for topic, written in self.topics.items():
            written.look()
            self.most[topic] = max(self.most[topic], held(self.target, topic))

    def enough(self):
        return all(self.topics[topic].bytes >= least for topic, least in WRITTEN_BYTES.items())

    def written(self):
        return {topic: written.bytes for topic, written in self.topics.items()}

    def problems(self):
        return [f"{topic} grew to {self.most[topic]} bytes while {written} were written"
                for topic, written in self.written().items() if self.most[topic] > BOUND_BYTES[topic]]


def delete(admin, groups):
    """Where halfway takes longer than offsets are kept, they have expired."""
    for future in admin.delete_consumer_groups(groups).values():
        try:
            future.result(WAIT_S)
        except KafkaException as thrown:
            if thrown.args[0].code() != KafkaError.GROUP_ID_NOT_FOUND:
                raise


def load(target, admin):
    """Writes until it is enough; halfway the doomed groups are deleted. Returns what is wrong."""
    committed = threading.Event()
    workers = [Worker(commit(target.address, f"group-{n}", committed)) for n in range(GROUPS)]
    workers += [Worker(transact(target.address, f"copier-{n}")) for n in range(PRODUCERS)]
    growth, doomed_left = Growth(target), True
    for worker in workers:
        worker.start()
    deadline = time.monotonic() + LOAD_S
    try:
        while not growth.enough():
            if any(worker.problem for worker in workers) or time.monotonic() > deadline:
                raise TargetError(f"the load did not go on: {[worker.problem for worker in workers]}, {growth.written()}")
            growth.look()
            if growth.topics["__consumer_offsets"].bytes >= WRITTEN_BYTES["__consumer_offsets"]:
                committed.set()
            if doomed_left and growth.topics["__consumer_offsets"].bytes > WRITTEN_BYTES["__consumer_offsets"] // 2:
                delete(admin, [f"doomed-{n}" for n in range(DOOMED)])
                doomed_left = False
            time.sleep(0.02)
    finally:
        for worker in workers:
            worker.stopping.set()
        for worker in workers:
            worker.join(WAIT_S)
    print(f"written { {topic: done >> 20 for topic, done in growth.written().items()} } MiB, at most "
          f"{ {topic: most >> 10 for topic, most in growth.most.items()} } KiB at a time")
    return growth.problems()


def commit_once(address, group):
    consumer = Consumer(config(address, **{"group.id": group}))
    consumer.commit(offsets=[TopicPartition(TOPIC, p, 7) for p in range(PARTITIONS)], asynchronous=False)
    consumer.close()


def restarts(target, groups, doomed):
    """What is known before a stop and a kill is known afterwards."""
    problems, before = [], offsets(target.address, groups + doomed)
    if not all(before[group] for group in groups) or any(before[group] for group in doomed):
        problems.append(f"before the restart: { {group: len(at) for group, at in before.items()} }")
    for end in (target.stop, target.kill):
        end()
        target.start()
        after = offsets(target.address, groups + doomed)
        if after != before:
            problems.append(f"after a {end.__name__} other offsets are known: {[g for g in before if after[g] != before[g]]}")
        transactions(target.address)
    return problems


def expiry(target, groups):
    """What expires after a minute goes as well; commits of one group make segments close meanwhile."""
    worker = Worker(commit(target.address, "survivor"))
    worker.start()
    with Onlookers(target.address, groups) as onlookers:
        until("the groups expire", lambda: worker.problem or not any(onlookers.offsets().values()))
    until("expired groups go from the log", lambda: worker.problem or not any(
        name in path.read_bytes() for path in target.segments("__consumer_offsets")
        for name in (b"group-0", b"of-copier-0", b"doomed-0") if path.exists()))
    worker.stopping.set()
    worker.join(WAIT_S)
    return [worker.problem] if worker.problem else []


def files(target, driver):
    problems = []
    for topic, decoder, wanted in (("__consumer_offsets", "--offsets-decoder", "survivor"),
                                   ("__transaction_state", "--transaction-log-decoder", "copier-0")):
        count, said = dump(driver, target, topic, decoder)
        if count > 4 or wanted not in said or "doomed" in said:
            problems.append(f"{topic}: {count} segments, {len(said)} characters")
    return problems


def run(options, folder):
    """One broker and four tests, each of which goes on with what the one before left. Whether any failed."""
    groups = [f"group-{n}" for n in range(GROUPS)] + [f"of-copier-{n}" for n in range(PRODUCERS)]
    doomed = [f"doomed-{n}" for n in range(DOOMED)]
    failed = False

    def tell(name, problems):
        nonlocal failed
        failed |= program.tell(name, problems, options, folder)

    try:
        with Target(options.target, folder, SETTINGS) as target, contextlib.closing(Driver(folder / "driver.log")) as driver:
            create_topic(target.address, TOPIC, PARTITIONS)
            for group in doomed:
                commit_once(target.address, group)
            tell("they_stay_small_under_constant_load", load(target, AdminClient(config(target.address))))
            tell("a_restart_knows_the_same_offsets_and_transactions", restarts(target, groups, doomed))
            tell("expired_and_deleted_groups_leave_nothing_behind", expiry(target, groups))
            until("the folder comes to rest", lambda: held(target, "__consumer_offsets") <= REST_BYTES)
            target.stop()
            tell("kafkas_own_tool_reads_what_the_cleaner_wrote", files(target, driver))
    except Exception as thrown:
        tell("internal_topics_stay_small", [program.wrong(thrown)])
    return failed


def main():
    options = program.parser().parse_args()
    return program.in_folder(options, lambda folder: run(options, folder))


if __name__ == "__main__":
    sys.exit(main())
