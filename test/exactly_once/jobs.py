"""What the jobs that are killed have in common: processes that say how they are, input that is fed while they live, a
reader of what is committed, and how all that is played."""
import contextlib
import pathlib
import queue
import random
import subprocess
import threading
import time
from collections import defaultdict

from confluent_kafka import Consumer, Producer, TopicPartition

from lib import paths
from lib.driver import compiled, jars, java
from lib.load import create_topic
from lib.target import Target

WAIT_S = 120 * paths.PATIENCE
STOP_S = int(60 * paths.PATIENCE)
FENCED = 3  # the status with which a job says that another has its place
SETTINGS = {"group.initial.rebalance.delay.ms": "300", "group.min.session.timeout.ms": "1000",
            "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
            "offsets.topic.num.partitions": "5", "transaction.state.log.num.partitions": "5"}
FOLDER = pathlib.Path(__file__).resolve().parent
PARTITIONS = 4
INSTANCES = 2


class Wrong(AssertionError):
    pass


def java_command(main, *words):
    kept = jars("streams")
    return [java(), "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-cp",
            f"{compiled(kept, FOLDER)}:{kept}/*", main, *map(str, words)]


class Job:
    """One instance, which is started again after it was killed."""

    def __init__(self, command, log):
        self.command, self.log, self.lives, self.lines = command, log, 0, queue.Queue()
        self.start()

    def start(self):
        self.lives += 1
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        self.lines = queue.Queue()
        threading.Thread(target=self._read, args=(self.process, self.lines), daemon=True).start()

    @staticmethod
    def _read(process, lines):
        for line in process.stdout:
            lines.put(line.strip())
        lines.put(None)

    def supervise(self):
        """One whose place was taken, or whose transaction took too long, is started again."""
        status = self.process.poll()
        if status == FENCED:
            self.start()
        elif status is not None:
            raise Wrong(f"ended with status {status}: {self.last_words()}")

    def last_words(self):
        return " | ".join(self.log.read_text(errors="replace").splitlines()[-5:])

    def until_running(self):
        """Waits until it has had work in this life."""
        deadline = time.monotonic() + WAIT_S
        while True:
            with contextlib.suppress(queue.Empty):
                if self.lines.get(timeout=0.5) == "running":
                    return
            self.supervise()
            if time.monotonic() > deadline:
                raise Wrong(f"no work after {WAIT_S} s: {self.last_words()}")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Its input ends, and so does it; returns the status."""
        try:
            self.process.communicate("end\n", timeout=STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
        return self.process.returncode


class Reader(threading.Thread):
    """Reads what is committed of a topic all the time; `got` has each partition's records in order."""

    def __init__(self, address, topic, partitions):
        super().__init__(daemon=True)
        self.topic, self.partitions, self.got, self.count = topic, partitions, defaultdict(list), 0
        self.stopping, self.problem = threading.Event(), None
        self.consumer = Consumer({"bootstrap.servers": address, "group.id": "reader", "enable.auto.commit": False, "log_level": 0,
                                  "isolation.level": "read_committed", "auto.offset.reset": "error",
                                  "fetch.wait.max.ms": 100})
        self.consumer.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])

    def take(self, timeout_s):
        messages = self.consumer.consume(5000, timeout_s)
        for message in messages:
            if message.error():
                raise Wrong(f"the reader: {message.error()}")
            self.got[message.partition()].append((message.key(), message.value()))
            self.count += 1

    def run(self):
        try:
            while not self.stopping.is_set():
                self.take(0.1)
        except Exception as thrown:
            self.problem = thrown

    def until(self, count, jobs):
        deadline = time.monotonic() + WAIT_S
        while self.count < count:
            if self.problem:
                raise self.problem
            for job in jobs:
                job.supervise()
            if time.monotonic() > deadline:
                raise Wrong(f"{self.count} records came, expected {count}")
            time.sleep(0.005)

    def finish(self):
        """Reads to the end, when nothing is written any more."""
        self.stopping.set()
        self.join()
        if self.problem:
            raise self.problem
        deadline = time.monotonic() + WAIT_S
        for partition in range(self.partitions):
            where = TopicPartition(self.topic, partition)
            end = self.consumer.get_watermark_offsets(where, timeout=30)[1]
            while self.consumer.position([where])[0].offset < end:
                self.take(0.1)
                if time.monotonic() > deadline:
                    raise Wrong(f"partition {partition}: a transaction stays open before {end}")
        self.consumer.close()
        return self.got


def feed(address, topic, records):
    """Writes (partition, key, value)s, and waits until all are acknowledged."""
    producer = Producer({"bootstrap.servers": address, "enable.idempotence": True, "linger.ms": 5, "log_level": 0,
                         "compression.type": "lz4"})
    for partition, key, value in records:
        while True:
            try:
                producer.produce(topic, value, key, partition)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    if producer.flush(60):
        raise Wrong("the input was not written")


def kill_and_feed(address, topic, records, jobs, reader, outputs, kills, seed):
    """Feeds the input in kills + 1 parts. In each part but the last, when all jobs have work, one is killed at a random
    moment and started again. `outputs` is how many records a part of the input makes. Returns the times from a kill
    to the next committed output of all that was fed, in seconds."""
    chance, stalls, wanted = random.Random(seed), [], 0
    size = -(-len(records) // (kills + 1))
    for job in jobs:
        job.until_running()
    for part in range(kills + 1):
        some = records[part * size:(part + 1) * size]
        more = outputs(some)
        feed(address, topic, some)
        if part < kills:
            reader.until(wanted + int(more * chance.uniform(0.1, 0.8)), jobs)
            victim = chance.choice(jobs)
            victim.kill()
            killed = time.monotonic()
            victim.start()
        wanted += more
        reader.until(wanted, jobs)
        if part < kills:
            stalls.append(time.monotonic() - killed)
            victim.until_running()
    return stalls


def play(options, folder, source, sink, command, records, outputs, await_rest=None):
    """Two instances of a job go from one topic to another on a broker of their own. `command(address, n)` starts
    instance n, `outputs` is as in kill_and_feed; `await_rest(reader, instances)` waits for what that does not count.
    Returns what is committed in the sink, each partition's (key, value)s, and how long it took, as text."""
    instances = []
    with Target(options.target, folder / "node", SETTINGS) as target:
        for topic in (source, sink):
            create_topic(target.address, topic, PARTITIONS)
        try:
            for n in range(INSTANCES):
                instances.append(Job(command(target.address, n), folder / f"instance-{n}.log"))
            reader = Reader(target.address, sink, PARTITIONS)
            reader.start()
            started = time.monotonic()
            stalls = kill_and_feed(target.address, source, records, instances, reader, outputs, options.kills, options.seed)
            took_s = time.monotonic() - started
            if await_rest:
                await_rest(reader, instances)
            ended = [job.stop() for job in instances]
            got = reader.finish()
        finally:
            for job in instances:
                job.kill()
    if any(ended):
        raise Wrong(f"the instances ended with {ended}")
    return got, f"in {took_s:.1f} s, {options.kills} kills, all there {max(stalls, default=0):.1f} s after a kill at most"
