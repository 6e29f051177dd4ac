"""The topics that the coordinators keep stay small for ever. Groups commit and producers run transactions
without a pause, until both topics have been written many times over; meanwhile and afterwards their folders
stay below a bound that does not depend on how much was written. What the coordinators know is the same after
a stop and after `kill -9`; groups that are deleted or expire leave nothing behind, not even tombstones; and
Kafka's DumpLogSegments reads every segment.

    test/storage/internal_topics.py [--target jackdaw|kafka] [--keep]
"""
import argparse
import pathlib
import re
import shutil
import sys
import tempfile
import threading
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent)]

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, Producer, TopicPartition  # noqa: E402
from confluent_kafka.admin import AdminClient  # noqa: E402

from lib.driver import Driver  # noqa: E402
from lib.load import create_topic  # noqa: E402
from lib.target import Target, TargetError  # noqa: E402

TOPIC = "orders-of-a-shop-" + 100 * "x"
PARTITIONS = 40
GROUPS, DOOMED = 4, 3  # committing all the time; deleted halfway
PRODUCERS = 3
SEGMENT_BYTES = 1048576  # the least that Kafka allows
WRITTEN_BYTES = {"__consumer_offsets": 64 << 20, "__transaction_state": 4 << 20}  # at least, in all
# A segment that is written to, one or two that wait for the cleaner, what it writes, and what it replaced.
BOUND_BYTES = {"__consumer_offsets": 16 << 20, "__transaction_state": 3 << 20}
REST_BYTES = 2 * SEGMENT_BYTES  # when nothing is written: the segment that is written to, and the rest
WAIT_S = 150
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


def commit(address, group):
    """A committer that is in no group: every offset of the topic, again and again."""
    def work(stopping):
        consumer, number = Consumer(config(address, **{"group.id": group, "enable.auto.commit": False})), 0
        while not stopping.is_set():
            number += 1
            consumer.commit(offsets=[TopicPartition(TOPIC, p, number + p, metadata=f"{group} {number}") for p in range(PARTITIONS)],
                            asynchronous=False)
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
            producer.flush(WAIT_S)  # an abort would drop what is under way, and leave a gap in the sequence
            producer.send_offsets_to_transaction([TopicPartition(TOPIC, 0, number)], metadata, WAIT_S)
            if number % 3:
                producer.commit_transaction(WAIT_S)
            else:
                producer.abort_transaction(WAIT_S)
        consumer.close()
    return work


def size(target, topic):
    total = 0
    for path in (target.data / f"{topic}-0").glob("*.log*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            pass
    return total


def log_end(address, topic):
    consumer = Consumer(config(address, **{"group.id": "ends"}))
    try:
        return consumer.get_watermark_offsets(TopicPartition(topic, 0), WAIT_S)[1]
    finally:
        consumer.close()


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


def offsets(address, groups):
    """What each group has committed: {group: [(partition, offset, metadata)]}."""
    admin, known = AdminClient(config(address)), {}
    for group in groups:
        answer = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(WAIT_S)
        known[group] = sorted((at.partition, at.offset, at.metadata) for at in answer.topic_partitions)
    return known


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
    files = sorted((target.data / f"{topic}-0").glob("*.log"))
    said = ""
    for kind in ("log", "index", "timeindex"):
        paths = sorted((target.data / f"{topic}-0").glob(f"*.{kind}"))
        options = ("--print-data-log", decoder) if kind == "log" else ("--verify-index-only",)
        status, out, err = driver.tool("DumpLogSegments", "--files", ",".join(map(str, paths)), *options, timeout_s=WAIT_S)
        text = out.decode(errors="replace") + err.decode(errors="replace")
        # Compaction leaves gaps, which the tool shows.
        without = re.sub(r"Non-consecutive offsets in .*\n(  -?\d+ is followed by \d+\n)*", "", text)
        bad = re.search(r"isvalid: false|Mismatches in|timestamp mismatch|corrupt|Exception.*", without)
        if status or bad:
            raise TargetError(f"DumpLogSegments says of {kind}: {without[bad.start():][:300] if bad else text[-300:]}")
        said += text if kind == "log" else ""
    return len(files), said


def load(target, problems, admin):
    committers = [Worker(commit(target.address, f"group-{n}")) for n in range(GROUPS)]
    workers = committers + [Worker(transact(target.address, f"copier-{n}")) for n in range(PRODUCERS)]
    written = {topic: Written(target, topic) for topic in WRITTEN_BYTES}
    most = dict.fromkeys(WRITTEN_BYTES, 0)
    for worker in workers:
        worker.start()
    deadline, doomed_left = time.monotonic() + 240, True
    try:
        while any(written[topic].bytes < least for topic, least in WRITTEN_BYTES.items()):
            if any(worker.problem for worker in workers) or time.monotonic() > deadline:
                raise TargetError(f"the load did not go on: {[worker.problem for worker in workers]}, "
                                  f"{ {topic: w.bytes for topic, w in written.items()} }")
            for topic in written:
                written[topic].look()
                most[topic] = max(most[topic], size(target, topic))
            if doomed_left and written["__consumer_offsets"].bytes > WRITTEN_BYTES["__consumer_offsets"] // 2:
                for future in admin.delete_consumer_groups([f"doomed-{n}" for n in range(DOOMED)]).values():
                    future.result(WAIT_S)
                doomed_left = False
            time.sleep(0.02)
    finally:
        for worker in workers:
            worker.stopping.set()
        for worker in workers:
            worker.join(WAIT_S)
    for topic in written:
        if most[topic] > BOUND_BYTES[topic]:
            problems.append(f"{topic} grew to {most[topic]} bytes while {written[topic].bytes} were written")
    print(f"written { {topic: w.bytes >> 20 for topic, w in written.items()} } MiB, at most "
          f"{ {topic: m >> 10 for topic, m in most.items()} } KiB at a time")


def run(options, folder, problems):
    target = Target(options.target, folder, SETTINGS).start()
    driver = Driver(folder / "driver.log")
    try:
        create_topic(target.address, TOPIC, PARTITIONS)
        admin = AdminClient(config(target.address))
        for n in range(DOOMED):
            consumer = Consumer(config(target.address, **{"group.id": f"doomed-{n}"}))
            consumer.commit(offsets=[TopicPartition(TOPIC, p, 7) for p in range(PARTITIONS)], asynchronous=False)
            consumer.close()
        load(target, problems, admin)
        print("ok they_stay_small_under_constant_load" if not problems else "FAIL they_stay_small_under_constant_load")

        groups = [f"group-{n}" for n in range(GROUPS)] + [f"of-copier-{n}" for n in range(PRODUCERS)] + \
                 [f"doomed-{n}" for n in range(DOOMED)]
        before = offsets(target.address, groups)
        if not all(before[group] for group in groups if not group.startswith("doomed")) or any(
                at[1] >= 0 for n in range(DOOMED) for at in before[f"doomed-{n}"]):
            problems.append(f"before the restart: { {group: len(at) for group, at in before.items()} }")
        for how in ("stop", "kill"):
            target.stop() if how == "stop" else target.kill()
            target.start()
            after = offsets(target.address, groups)
            if after != before:
                problems.append(f"after a {how} other offsets are known: {[g for g in groups if after[g] != before[g]]}")
            transactions(target.address)
        print(f"{'FAIL' if problems else 'ok'} a_restart_knows_the_same_offsets_and_transactions")

        # What expires after a minute goes as well; commits of one group make segments close meanwhile.
        worker = Worker(commit(target.address, "survivor"))
        worker.start()
        gone = [group for group in groups if not group.startswith("doomed")]
        until("the groups expire", lambda: not any(at[1] >= 0 for of in offsets(target.address, gone).values() for at in of)
              or worker.problem)
        until("expired groups go from the log", lambda: worker.problem or not any(
            name in path.read_bytes() for path in target.segments("__consumer_offsets")
            for name in (b"group-0", b"of-copier-0", b"doomed-0") if path.exists()))
        worker.stopping.set()
        worker.join(WAIT_S)
        if worker.problem:
            problems.append(worker.problem)
        print(f"{'FAIL' if problems else 'ok'} expired_and_deleted_groups_leave_nothing_behind")
        until("the folder comes to rest", lambda: size(target, "__consumer_offsets") <= REST_BYTES)
        target.stop()
        for topic, decoder in (("__consumer_offsets", "--offsets-decoder"), ("__transaction_state", "--transaction-log-decoder")):
            count, said = dump(driver, target, topic, decoder)
            wanted = "survivor" if topic == "__consumer_offsets" else "copier-0"
            if count > 4 or wanted not in said or "doomed" in said:
                problems.append(f"{topic}: {count} segments, {len(said)} characters")
        print(f"{'FAIL' if problems else 'ok'} kafkas_own_tool_reads_what_the_cleaner_wrote")
    finally:
        driver.close()
        if target.alive():
            target.kill()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", choices=("jackdaw", "kafka"), default="jackdaw")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="internal-topics-"))
    problems = []
    try:
        run(options, folder, problems)
    except Exception as thrown:
        problems.append(f"{type(thrown).__name__}: {thrown}")
        print(f"FAIL internal_topics_stay_small ({problems[-1][:300]})")
    if problems:
        print("\n".join(problems), f"(kept {folder})")
        return 1
    if not options.keep:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
