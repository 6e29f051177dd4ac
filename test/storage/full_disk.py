"""A full disk: a 64 MiB ext4 image is filled by another process while a producer sends, then freed.
Produce is refused with an error that a client may retry, readers and metadata are served all the while,
and after the disk is freed produce goes on, without a restart. Needs root and loop devices.

    test/storage/full_disk.py [--target jackdaw|kafka] [--keep]
"""
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent)]

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition  # noqa: E402

from lib import program  # noqa: E402
from lib.ledger import Ledger  # noqa: E402
from lib.load import Load, create_topic, read_back  # noqa: E402
from lib.target import Target, TargetError  # noqa: E402

TOPIC = "ledger"
IMAGE_MIB = 64
STALL_S = 30
TRIES = 20
# Errors after which Kafka's producers try again.
RETRIABLE = {KafkaError.KAFKA_STORAGE_ERROR, KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.REQUEST_TIMED_OUT}


def mount_image(folder):
    image, disk = folder / "image", folder / "disk"
    disk.mkdir()
    subprocess.run(["truncate", "-s", f"{IMAGE_MIB}M", image], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True, capture_output=True)
    done = subprocess.run(["mount", "-o", "loop", image, disk], capture_output=True, text=True)
    return disk, done.stderr.strip() if done.returncode else None


def refusal(address):
    """What a single record, sent without retries, is answered; None when it was taken."""
    box = []
    producer = Producer({"bootstrap.servers": address, "retries": 0, "log_level": 0, "message.timeout.ms": 20_000})
    producer.produce("other", b"x" * 100_000, partition=0, on_delivery=lambda error, _: box.append(error))
    producer.flush(30)
    return box[0] if box else None


def await_moved(load, was, limit_s):
    deadline = time.monotonic() + limit_s
    while load.acknowledged <= was:
        if time.monotonic() > deadline or load.problem:
            return False
        time.sleep(0.05)
    return True


def await_still(load):
    """Until nothing has been acknowledged for a second."""
    deadline = time.monotonic() + STALL_S
    while time.monotonic() < deadline:
        was = load.acknowledged
        time.sleep(1)
        if load.acknowledged == was:
            return True
    return False


def read_some(address):
    consumer = Consumer({"bootstrap.servers": address, "group.id": "none", "enable.auto.commit": False, "log_level": 0})
    consumer.assign([TopicPartition(TOPIC, 0, 0)])
    try:
        message = consumer.poll(20)
        return message is not None and message.error() is None and message.offset() == 0
    finally:
        consumer.close()


class Filler:
    """Another process, which takes what is left of the disk, and again what the broker gives back by cutting a write."""

    def __init__(self, disk):
        self.path = disk / "filler"
        self.process = subprocess.Popen(["sh", "-c", f"while :; do cat /dev/zero; sleep 0.02; done >>{self.path}"],
                                        stderr=subprocess.DEVNULL, start_new_session=True)

    def stop(self):
        if self.process:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


def fill(target, load, filler):
    """What is wrong while the disk is full."""
    problems = []
    if not await_still(load):
        problems.append("records were acknowledged on a full disk")
    # A record may still find room that was given back; it does not find it for long.
    error = next(filter(None, (refusal(target.address) for _ in range(TRIES))), None)
    if error is None:
        problems.append(f"{TRIES} records were taken on a full disk")
    elif error.code() not in RETRIABLE:
        problems.append(f"refused for good: {error}")
    if not read_some(target.address):
        problems.append("readers were not served")
    if not target.alive():
        raise TargetError(f"the broker ended: {target.last_words()}")
    was = load.acknowledged
    filler.stop()
    filler.path.unlink()
    if not await_moved(load, was, STALL_S):
        problems.append(f"produce did not go on {STALL_S} s after the disk was freed")
    elif refusal(target.address) is not None:
        problems.append("a new producer is still refused")
    print(f"{was} acknowledged before the disk was freed")
    return problems


def under_load(target, disk):
    """The load, what it was promised, and what was wrong meanwhile."""
    pid, ledger = target.process.pid, Ledger()
    load, filler = Load(0, target.address, TOPIC, 1, ledger, threading.Lock(), 1), None
    load.start()
    try:
        if not await_moved(load, 0, 20):
            raise TargetError("the load did not begin")
        filler = Filler(disk)
        problems = fill(target, load, filler)
    finally:
        load.stopping.set()
        if filler:
            filler.stop()
    load.join(90)
    problems += [f"fatal error: {load.problem}"] if load.problem else []
    problems += load.failed[:3]
    if not target.alive() or target.process.pid != pid:
        problems.append("the broker ended")
    return load, ledger, problems


def run(options, folder, disk):
    data = disk / "data"
    target = Target(options.target, folder, {"log.dirs": str(data), "log.segment.bytes": "4194304"})
    target.data = data
    with target:
        for topic in (TOPIC, "other"):
            create_topic(target.address, topic, 1)
        load, ledger, problems = under_load(target, disk)
        dump = folder / "read.txt"
        count = read_back(target.address, TOPIC, 1, dump, folder / "driver.log")
        problems += ledger.check(dump, load.sent)
        print(f"{len(ledger.promised)} acknowledged, {count} read")
        status = target.stop()
    if status != 0:
        problems.append(f"status {status} after SIGTERM")
    return problems


def main():
    options, name = program.parser().parse_args(), "a_full_disk_refuses_and_resumes"
    if os.geteuid() != 0:
        print(f"SKIP {name} (needs root to mount)")
        return 0
    with tempfile.TemporaryDirectory(prefix="full-disk-") as mounted:
        disk, why = mount_image(pathlib.Path(mounted))
        if why:
            print(f"SKIP {name} (no loop device: {why})")
            return 0
        try:
            return program.prove(name, options, lambda options, folder: run(options, folder, disk))
        finally:
            subprocess.run(["umount", "-l", disk], check=False)


if __name__ == "__main__":
    sys.exit(main())
