"""Members of groups beside a real broker write down what they do and hear, and the checker of the simulation judges it
(test/sim/group_history.h): Apache Kafka first, which shows that the rules are right, then Jackdaw.

Of both protocols there is a group with members of our own (test/sim/group_peer.c), which also do what they must not, and are killed,
stopped and started again; and a group with consumers of librdkafka. Meanwhile the broker is killed and started again.

    test/interop/group_histories.py [--target kafka|jackdaw] [--seed N] [--keep]
"""
import argparse
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent), str(pathlib.Path(__file__).resolve().parent.parent / "hostile")]

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition  # noqa: E402
from confluent_kafka.admin import AdminClient, NewTopic  # noqa: E402
import codec  # noqa: E402
from lib.paths import ROOT  # noqa: E402
from lib.target import Target  # noqa: E402
import wire  # noqa: E402

PEER = pathlib.Path(os.environ.get("GROUP_PEER") or ROOT / "build-asan/test/sim/group-peer")
TOPIC, PARTITIONS, RECORDS = "in", 6, 30000
SETTINGS = {"group.initial.rebalance.delay.ms": "200", "group.min.session.timeout.ms": "1000", "offsets.topic.num.partitions": "2",
            "num.network.threads": "2",
            "group.consumer.min.session.timeout.ms": "3000", "group.consumer.session.timeout.ms": "3000",
            "group.consumer.min.heartbeat.interval.ms": "300", "group.consumer.heartbeat.interval.ms": "300"}
SESSION_MS = 3000  # also of the consumer protocol, where the broker says it
# Consumers of librdkafka learn only after a while that their session has ended, and until then have what others were given
# meanwhile. Nobody stops them, so theirs outlasts the slowest restart of a broker.
READER_SESSION_MS = 45000
GROUP = 32  # a kind of resource that has settings
# In the consumer protocol so long that nobody is put out for giving up late.
REBALANCE_MS = {"peers": 4000, "newer": 20000}
READERS = 3  # in each of their groups
# Group, instance, and the version of JoinGroup or the assignor of the consumer protocol.
PEERS = (("peers", "-", "9"), ("peers", "-", "3"), ("peers", "i0", "9"), ("peers", "i0", "6"), ("peers", "-", "4"),
         ("newer", "-", "-"), ("newer", "-", "range"), ("newer", "i0", "uniform"), ("newer", "i0", "-"))
WAIT_S = 40


class Writer:
    """Events in the form of group_history.h. A line when the call begins, another when it ends."""

    def __init__(self, path, name):
        self._out, self._name, self._count, self._lock = open(path, "w", buffering=1), name, 0, threading.Lock()

    def begin(self, op, **fields):
        with self._lock:
            self._count += 1
            line = f"op={op} at={self._name}.{self._count} begin={time.monotonic_ns()}"
            line += "".join(f" {key}={value}" for key, value in fields.items())
            self._out.write(line + "\n")
            return line

    def end(self, line, error=0, **fields):
        with self._lock:
            more = "".join(f" {key}={value}" for key, value in fields.items())
            self._out.write(f"{line} end={time.monotonic_ns()} error={error}{more}\n")


class Peer:
    """A process that is a member, under a new name each time."""

    def __init__(self, run, index, group, instance, speaks):
        self.run, self.index, self.group, self.instance, self.speaks = run, index, group, instance, speaks
        self.lives, self.process, self.stopped = 0, None, False

    def start(self):
        self.lives += 1
        name = f"p{self.index}.{self.lives}"
        with open(self.run.folder / f"{name}.history", "w") as out:
            self.process = subprocess.Popen([PEER, "member", name, self.run.target.address, self.group, self.instance, str(SESSION_MS),
                                             str(REBALANCE_MS[self.group]), self.speaks], stdin=subprocess.PIPE, stdout=out,
                                            stderr=open(self.run.folder / f"{name}.err", "w"), text=True)

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def say(self, word):
        try:
            self.process.stdin.write(word + "\n")
            self.process.stdin.flush()
        except OSError:
            pass  # it has ended: another has its instance id

    def kill(self):
        self.process.kill()
        self.process.wait()

    def pause(self, stop):
        if self.alive():
            self.process.send_signal(signal.SIGSTOP if stop else signal.SIGCONT)


class Reader(threading.Thread):
    """A consumer of librdkafka that commits what it reads, and says what it owns, from when to when."""

    def __init__(self, run, index, group, strategy):
        super().__init__(daemon=True)
        self.run_, self.index, self.group, self.ending = run, index, group, threading.Event()
        self.writer = Writer(run.folder / f"r{index}.history", f"r{index}")
        self.owned, self.tags, self.commits, self.next = {}, 0, 0, {}
        speaks = {"group.protocol": "consumer"} if strategy is None else {
            "session.timeout.ms": READER_SESSION_MS, "heartbeat.interval.ms": 500, "partition.assignment.strategy": strategy}
        self.consumer = Consumer({"bootstrap.servers": run.target.address, "group.id": group, "enable.auto.commit": False,
                                  "auto.offset.reset": "earliest", "log_level": 0, "fetch.wait.max.ms": 100,
                                  "max.poll.interval.ms": 60000, **speaks})

    def own(self, consumer, partitions):
        for one in partitions:
            line = self.writer.begin("own", group=self.group, member=f"r{self.index}", owned=f"{1 << one.partition:x}")
            self.owned[one.partition] = line

    def disown(self, consumer, partitions):
        for one in partitions:
            line = self.owned.pop(one.partition, None)
            self.next.pop(one.partition, None)
            if line:
                self.writer.end(line)

    def commit(self, partition, offset):
        self.tags += 1
        tag = f"r{self.index}-{self.tags}"
        line = self.writer.begin("commit", group=self.group, member=f"r{self.index}", partition=partition, offset=offset, tag=tag)
        try:
            answers = self.consumer.commit(offsets=[TopicPartition(TOPIC, partition, offset, metadata=tag)], asynchronous=False)
            error = answers[0].error.code() if answers[0].error else 0
        except KafkaException as reason:
            error = reason.args[0].code()
        if error >= 0:  # the broker said it
            self.writer.end(line, error)
            self.commits += error == 0

    def look(self, partition):
        line = self.writer.begin("fetch", group=self.group, partition=partition)
        try:
            found = self.consumer.committed([TopicPartition(TOPIC, partition)], timeout=5)[0]
        except KafkaException:
            return
        if found.error is None:
            tag = {"tag": found.metadata} if found.offset >= 0 and found.metadata else {}
            self.writer.end(line, 0, offset=max(found.offset, -1), **tag)

    def run(self):
        dice = random.Random(self.index)
        self.consumer.subscribe([TOPIC], on_assign=self.own, on_revoke=self.disown, on_lost=self.disown)
        while not self.ending.is_set():
            for message in self.consumer.consume(5, 0.1):
                if message.error() is None:
                    self.next[message.partition()] = message.offset() + 1
            if self.next and dice.random() < 0.5:
                partition = dice.choice(list(self.next))
                self.commit(partition, self.next[partition])
            if dice.random() < 0.1:
                self.look(dice.randrange(PARTITIONS))
        self.consumer.close()


class Run:
    def __init__(self, kind, folder, seed):
        self.kind, self.folder, self.dice = kind, pathlib.Path(folder) / kind, random.Random(seed)
        self.target = Target(kind, self.folder, SETTINGS)
        self.target.start()
        self.world = Writer(self.folder / "world.history", "w")
        self.peers = [Peer(self, index, *what) for index, what in enumerate(PEERS)]
        self.readers = [Reader(self, index, "readers", "cooperative-sticky" if seed % 2 else "range") for index in range(READERS)]
        self.readers += [Reader(self, READERS + index, "newer-readers", None) for index in range(READERS)]

    def prepare(self):
        client = AdminClient({"bootstrap.servers": self.target.address, "log_level": 0})
        client.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])[TOPIC].result(WAIT_S)
        with wire.Connection(self.target.address, 10) as connection:
            answer = connection.request(codec.KEYS["IncrementalAlterConfigs"], 1, {"ValidateOnly": False, "Resources": [
                {"ResourceType": GROUP, "ResourceName": "newer-readers", "Configs": [
                    {"Name": "consumer.session.timeout.ms", "ConfigOperation": 0, "Value": str(READER_SESSION_MS)}]}]})
        assert answer["Responses"][0]["ErrorCode"] == 0, answer
        self.write(RECORDS)

    def write(self, count):
        producer = Producer({"bootstrap.servers": self.target.address, "log_level": 0, "queue.buffering.max.messages": 1000000})
        for number in range(count):
            producer.produce(TOPIC, b"%d" % number, partition=number % PARTITIONS)
        if producer.flush(WAIT_S):
            raise TimeoutError("the input is not written")

    def until(self, what, seconds, condition):
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(what)
            time.sleep(0.05)

    def member_counts(self):
        """What the coordinator says: the members of each stable group."""
        counts = {}
        with wire.Connection(self.target.address, 10) as connection:
            classic = connection.request(codec.KEYS["DescribeGroups"], 5, {"Groups": ["peers", "readers"]})
            newer = connection.request(codec.KEYS["ConsumerGroupDescribe"], 0, {"GroupIds": ["newer", "newer-readers"]})
        for one in classic["Groups"] + newer["Groups"]:
            if one["GroupState"] == "Stable":
                counts[one["GroupId"]] = len(one["Members"])
        return counts

    def trouble(self):
        stopped = []
        for group in ("peers", "newer"):
            victims = self.dice.sample([peer for peer in self.peers if peer.group == group], 2)
            if victims[0].alive():
                victims[0].kill()
            stopped.append(victims[1])
        for one in stopped:
            one.pause(True)
        time.sleep(self.dice.uniform(0.2, SESSION_MS / 1000 * 1.5))
        for one in stopped:
            one.pause(False)

    def restart(self):
        reload = self.world.begin("reload")
        self.target.kill()
        time.sleep(self.dice.uniform(0, 1))
        self.target.start()
        self.world.end(reload)

    def revive(self):
        """One of those with the same instance id is enough, or they throw each other out for ever."""
        for peer in self.peers:
            rival = any(other is not peer and (other.group, other.instance) == (peer.group, peer.instance) and peer.instance != "-" and
                        other.alive() for other in self.peers)
            if not peer.alive() and not rival:
                peer.start()

    def live(self):
        for one in self.peers + self.readers:
            one.start()
        time.sleep(2)
        for number in range(3 if self.kind == "jackdaw" else 2):
            self.trouble()
            if number == 1 or self.kind == "jackdaw":
                self.restart()
            self.revive()
            time.sleep(self.dice.uniform(1, 3))

    def settle(self):
        """All is well: both groups become stable, with those who are alive and nobody else."""
        for peer in self.peers:
            if peer.alive():
                peer.say("calm")

        def settled():
            living = {group: sum(peer.alive() for peer in self.peers if peer.group == group) for group in ("peers", "newer")}
            return self.member_counts() == {**living, "readers": READERS, "newer-readers": READERS}

        self.until("the groups are not stable", 2 * WAIT_S, settled)
        self.write(RECORDS // 10)  # they may have read all of it
        before = [reader.commits for reader in self.readers]
        self.until("nobody commits", WAIT_S, lambda: sum(reader.commits for reader in self.readers) > sum(before) + 5)

    def end(self):
        for reader in self.readers:
            reader.ending.set()
        for reader in self.readers:
            reader.join(WAIT_S)
        for peer in self.peers:
            if peer.alive():
                peer.say("stop")
                peer.process.wait(WAIT_S)

    def close(self):
        for peer in self.peers:
            if peer.alive():
                peer.kill()
        if self.target.alive():
            self.target.stop()

    def judge(self):
        files = sorted(self.folder.glob("*.history"))
        lines = [line for path in files for line in path.read_text().splitlines() if " end=" in line]
        done = sum(" error=0" in line and line.startswith("op=commit") for line in lines)
        refused = sum(bool(re.search(r"error=(22|25|27|82)\b", line)) and line.startswith("op=commit") for line in lines)
        generations = len(set(re.findall(r"op=sync .* generation=(\d+)", "\n".join(lines))))
        epochs = len(set(re.findall(r"op=heart .* epoch=(\d+)", "\n".join(lines))))
        said = subprocess.run([PEER, "check", *files], capture_output=True, text=True)
        what = f"{len(lines)} calls, {done} commits, {refused} refused, {generations} generations, {epochs} epochs"
        if said.returncode:
            return f"{said.stdout.strip() or said.stderr[-500:]}; {what}"
        print(f"{self.kind}: {what}")
        return "" if done > 100 and refused > 0 and generations > 1 and epochs > 2 else f"too little happened: {what}"


def judged(kind, folder, seed):
    run = Run(kind, folder, seed)
    try:
        run.prepare()
        run.live()
        run.settle()
        run.end()
    except TimeoutError as reason:
        return str(reason)
    finally:
        run.close()
    return run.judge()


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--target", choices=["kafka", "jackdaw"])
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    os.environ.setdefault("KAFKA_HEAP_OPTS", "-Xmx512M -Xms256M")
    folder, failed = tempfile.mkdtemp(prefix="group-histories-"), 0
    kinds = ["kafka", "jackdaw"] if os.environ.get("TEST_LONG") else ["jackdaw"]
    for kind in [options.target] if options.target else kinds:
        why = judged(kind, folder, options.seed)
        name = f"groups_of_{kind}_keep_the_rules"
        print(f"FAIL {name} ({why}; seed {options.seed})" if why else f"ok {name}", flush=True)
        failed += bool(why)
    if options.keep or failed:
        print(f"kept: {folder}")
    else:
        subprocess.run(["rm", "-rf", folder], check=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
