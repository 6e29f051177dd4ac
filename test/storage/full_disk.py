"""A full disk: a 64 MiB ext4 image is filled by another process while a producer sends, then freed.
Produce is refused with an error that a client may retry, readers and metadata are served all the while,
and after the disk is freed produce goes on, without a restart. Needs root and loop devices.
"""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent)]

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition  # noqa: E402

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


def main():
    name = "a_full_disk_refuses_and_resumes"
    if os.geteuid() != 0:
        print(f"SKIP {name} (needs root to mount)")
        return 0
    folder = pathlib.Path(tempfile.mkdtemp(prefix="full-disk-"))
    disk, why = mount_image(folder)
    if why:
        shutil.rmtree(folder)
        print(f"SKIP {name} (no loop device: {why})")
        return 0
    problems = []
    target = Target("jackdaw", folder, {"log.dirs": str(disk / "data"), "log.segment.bytes": "4194304"})
    target.data = disk / "data"
    ledger, lock, load = Ledger(), threading.Lock(), None
    filler, filling = disk / "filler", None
    try:
        target.start()
        pid = target.process.pid
        create_topic(target.address, TOPIC, 1)
        create_topic(target.address, "other", 1)
        load = Load(0, target.address, TOPIC, 1, ledger, lock, 1)
        load.start()
        if not await_moved(load, 0, 20):
            raise TargetError("the load did not begin")
        # Another process takes what is left, and again what the broker gives back by cutting a write.
        filling = subprocess.Popen(["sh", "-c", f"while :; do cat /dev/zero; sleep 0.02; done >>{filler}"],
                                   stderr=subprocess.DEVNULL, start_new_session=True)
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
        os.killpg(filling.pid, signal.SIGKILL)
        filling.wait()
        filling = None
        filler.unlink()
        if not await_moved(load, was, STALL_S):
            problems.append(f"produce did not go on {STALL_S} s after the disk was freed")
        elif refusal(target.address) is not None:
            problems.append("a new producer is still refused")
        load.stopping.set()
        load.join(90)
        problems += [f"fatal error: {load.problem}"] if load.problem else []
        problems += load.failed[:3]
        if not target.alive() or target.process.pid != pid:
            problems.append("the broker ended")
        dump = folder / "read.txt"
        count = read_back(target.address, TOPIC, 1, dump, folder / "driver.log")
        problems += ledger.check(dump, load.sent)
        print(f"{len(ledger.promised)} acknowledged, {count} read, {was} before the disk was full")
        status = target.stop()
        if status != 0:
            problems.append(f"status {status} after SIGTERM")
    except (TargetError, KafkaException, OSError) as thrown:
        problems.append(f"{type(thrown).__name__}: {thrown}")
    finally:
        if filling:
            os.killpg(filling.pid, signal.SIGKILL)
        if load:
            load.stopping.set()
        if target.alive():
            target.kill()
        if problems:
            shutil.copy(target.log, "/tmp/full-disk.log") if target.log.exists() else None
        subprocess.run(["umount", "-l", disk], check=False)
        shutil.rmtree(folder, ignore_errors=True)
    if problems:
        print("\n".join(problems[:20]))
        print(f"FAIL {name} ({problems[0][:200]}; the broker's log is /tmp/full-disk.log)")
        return 1
    print(f"ok {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
