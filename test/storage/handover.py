"""One set of directories served by Jackdaw and by Apache Kafka in turn. Each starts where the other ended, after
a stop in order and after `kill -9`; reads everything back by the Java consumer; and leaves more: records of every
codec over several segments, an idempotent producer that lives through it all, transactions and committed
offsets (more of that in handover_coordinators.py), topics made, grown, altered, trimmed, compacted and deleted. At the
end DumpLogSegments accepts every file.

    test/storage/handover.py [--round NAME]… [--all] [--keep]
"""
import argparse
import itertools
import pathlib
import random
import re
import shutil
import socket
import sys
import tempfile
import time
import traceback
import zlib
from collections import defaultdict
from types import SimpleNamespace

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent / "interop"), str(pathlib.Path(__file__).resolve().parent.parent)]

from confluent_kafka import Producer  # noqa: E402

from clients.base import CODECS  # noqa: E402
from clients.tools import Tools  # noqa: E402
from handover_coordinators import Coordinators, Wrong  # noqa: E402
from lib import paths  # noqa: E402
from lib.driver import Driver  # noqa: E402
from lib.target import Target, TargetError  # noqa: E402

WAIT_S = 30 * paths.PATIENCE
READ_S = 60
COMPACTED = ("__consumer_offsets", "__transaction_state", "compacted", "latest")
SEGMENT_BYTES = 1048576  # the least that Kafka allows
# Who serves, one after the other, and how each ends. The first formats.
ROUNDS = {
    "jackdaw_formats_a_dynamic_quorum":
        ("dynamic", [("jackdaw", "stop"), ("kafka", "stop"), ("jackdaw", "kill"), ("kafka", "kill"), ("jackdaw", "stop"),
                     ("kafka", "stop")]),
    "kafka_formats_a_static_quorum":
        ("static", [("kafka", "kill"), ("jackdaw", "kill"), ("kafka", "stop"), ("jackdaw", "stop")]),
    "jackdaw_formats_a_static_quorum": ("static", [("jackdaw", "kill"), ("kafka", "stop"), ("jackdaw", "stop")]),
    "kafka_formats_a_dynamic_quorum":
        ("dynamic", [("kafka", "stop"), ("jackdaw", "stop"), ("kafka", "kill"), ("jackdaw", "stop")]),
}
USUAL = list(ROUNDS)[:2]
# What a log may not say after the other side has stopped in order: a broker that still counts as alive, files that
# have to be made anew. Three errors Kafka logs when nothing is wrong: its controller is asked before it leads, a
# partition is new, and the machine is busy.
COMPLAINTS = {
    "kafka": re.compile(r"DUPLICATE_BROKER|DuplicateBroker| FATAL |WARN.*(ndex|napshot|orrupt|heckpoint|stray)|"
                        r" ERROR (?!.*(apiKey=CONTROLLER_REGISTRATION|but it was missing. Creating|"
                        r"processExpiredBrokerHeartbeat|Exceptionally slow))|"
                        r"Recovering unflushed|Attempting recovery"),
    "jackdaw": re.compile(r" ERROR | WARN |recovered log"),
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Node(Target):
    """Both kinds have these settings, as an administrator would leave server.properties alone."""

    def __init__(self, kind, folder, quorum, ports):
        broker, controller = ports
        voters = {"dynamic": ("controller.quorum.bootstrap.servers", f"127.0.0.1:{controller}"),
                  "static": ("controller.quorum.voters", f"1@127.0.0.1:{controller}")}
        super().__init__(kind, folder, dict([
            voters[quorum], ("controller.listener.names", "CONTROLLER"), ("auto.create.topics.enable", "false"),
            ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"),
            ("share.coordinator.state.topic.replication.factor", "1"), ("share.coordinator.state.topic.min.isr", "1"),
            ("broker.session.timeout.ms", str(int(3000 * paths.PATIENCE))), ("broker.heartbeat.interval.ms", "500"),
            ("offsets.topic.num.partitions", "3"), ("transaction.state.log.num.partitions", "3"),
            ("offsets.topic.segment.bytes", str(SEGMENT_BYTES)), ("transaction.state.log.segment.bytes", str(SEGMENT_BYTES)),
            ("log.cleaner.backoff.ms", "200"), ("group.initial.rebalance.delay.ms", "200"),
            ("group.consumer.max.session.timeout.ms", "180000"), ("group.consumer.session.timeout.ms", "180000"),
            ("group.consumer.min.heartbeat.interval.ms", "500"), ("group.consumer.heartbeat.interval.ms", "500")]))
        self.listeners = f"PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}"

    def write(self, path):
        self.settings["listeners"] = self.listeners
        super().write(path)


class World:
    """What has been promised so far."""

    def __init__(self, driver, address, data, seed):
        self.driver, self.address, self.data = driver, address, data
        self.config = {"bootstrap.servers": address}
        self.chance = random.Random(seed)
        self.numbers = itertools.count()
        self.records = defaultdict(dict)  # (topic, partition) → offset → (checksum, key)
        self.starts = {}  # (topic, partition) → first offset, where records were deleted
        self.stamps = {}  # (topic, partition, timestamp) → offset
        self.ends = {}  # (topic, partition) → end where it is not the last record's
        self.topics = {}  # name → [partitions, configs, id]
        self.cluster_id = None
        self.live = self.producer("zstd", **{"enable.idempotence": True})
        self.coordinators = Coordinators(self)

    def admin(self, call, **fields):
        return self.driver.call("admin", timeout_s=WAIT_S, call=call, config=self.config, **fields)

    def producer(self, codec="none", **more):
        return Producer({"bootstrap.servers": self.address, "acks": "all", "compression.type": codec, "linger.ms": 5,
                         "message.timeout.ms": 60_000, "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 200,
                         "log_level": 0, **more})

    # --- what is left behind ---

    def create(self, topic, partitions=1, **configs):
        configs = {key.replace("_", "."): str(value) for key, value in configs.items()}
        made = self.admin("create_topic", topic=topic, partitions=partitions, configs=configs)
        self.topics[topic] = [partitions, configs, made["id"]]

    def send(self, producer, topic, count, size=100, keep=True):
        """Sends records over all partitions of a topic and notes where each went."""
        failed, partitions = [], self.topics[topic][0]

        def delivered(partition, key, value, stamp):
            def done(error, message):
                if error:
                    failed.append(str(error))
                elif keep:
                    self.records[topic, partition][message.offset()] = (zlib.crc32(value), key)
                    if topic != "transactions":  # whose markers are of now
                        self.stamps[topic, partition, stamp] = message.offset()
            return done

        for _ in range(count):
            number = next(self.numbers)
            partition, key = number % partitions, f"k{number}"
            # A third repeats itself, so that codecs have something to do.
            value = self.chance.randbytes(size) + b"much the same" * (size // 26)
            stamp = int(time.time() * 1000) - 3_600_000 + number * 10
            producer.produce(topic, value, key.encode(), partition, timestamp=stamp,
                             on_delivery=delivered(partition, key, value, stamp))
            producer.poll(0)
        producer.flush(WAIT_S)
        if failed:
            raise Wrong(f"produce to {topic}: {failed[0]}")

    def leave_more(self, turn, ends):
        if turn == 0:
            for codec in CODECS:
                self.create(f"codec-{codec}", 2)
            self.create("segments", 1, segment_bytes=SEGMENT_BYTES, retention_ms=-1)
            self.create("ledger", 3)
            self.create("grows", 1)
            self.create("trimmed", 1, segment_bytes=SEGMENT_BYTES)
            self.create("compacted", 1, cleanup_policy="compact", min_cleanable_dirty_ratio="0.9")
            self.create("altered", 2, retention_ms=12345678, max_message_bytes=500000)
        for codec in CODECS:
            self.send(self.producer(codec), f"codec-{codec}", 150)
        self.send(self.producer(), "segments", 60, 40_000)
        self.send(self.live, "ledger", 200)
        self.send(self.live, "grows", 50)
        self.send(self.producer("lz4"), "compacted", 20)
        # Kafka notes where a log starts within a minute and when it stops.
        if ends == "stop":
            self.trim()
        self.create(f"gone-{turn}", 2)
        self.send(self.producer(), f"gone-{turn}", 20, keep=False)
        self.admin("delete_topic", topic=f"gone-{turn}")
        del self.topics[f"gone-{turn}"]
        self.create(f"made-{turn}", 2, segment_ms=86400000 + turn)
        self.send(self.producer(), f"made-{turn}", 20)
        self.alter("altered", {"retention.ms": str(20_000_000 + turn),
                               "max.message.bytes": None if turn % 2 else "600000"})
        self.topics["grows"][0] = turn + 2
        self.admin("create_partitions", topic="grows", count=turn + 2)
        self.transact()
        self.coordinators.leave_more(turn)

    def trim(self):
        self.send(self.producer("gzip"), "trimmed", 60, 40_000)
        before = max(self.records["trimmed", 0]) - 5
        self.admin("delete_records", topic="trimmed", partition=0, before=before)
        self.starts["trimmed", 0] = before
        for offset in [one for one in self.records["trimmed", 0] if one < before]:
            del self.records["trimmed", 0][offset]

    def alter(self, topic, changes):
        self.admin("alter_configs", kind="topic", name=topic,
                   changes=[[key, value, "SET" if value is not None else "DELETE"] for key, value in changes.items()])
        configs = self.topics[topic][1]
        for key, value in changes.items():
            configs.pop(key, None)
            if value is not None:
                configs[key] = value

    def transact(self):
        """Records of a transaction that is kept and of one that is not."""
        if "transactions" not in self.topics:
            self.create("transactions", 1)
        producer = self.producer(**{"transactional.id": "handover"})
        producer.init_transactions(WAIT_S)
        for keep in (True, False, True):
            producer.begin_transaction()
            self.send(producer, "transactions", 10, keep=keep)
            (producer.commit_transaction if keep else producer.abort_transaction)(WAIT_S)
        # Each ends with a marker, which the last may still be waiting for.
        self.ends["transactions", 0] = self.ends.get(("transactions", 0), 0) + 33
        deadline = time.monotonic() + WAIT_S
        while self.end("transactions", 0) < self.ends["transactions", 0] and time.monotonic() < deadline:
            time.sleep(0.02)

    # --- what has to be there ---

    def end(self, topic, partition, spec="latest"):
        return self.admin("list_offsets", topic=topic, partition=partition, spec=spec)["offset"]

    def check(self, dump):
        cluster_id = self.admin("describe_cluster")["cluster_id"]
        self.cluster_id = self.cluster_id or cluster_id
        if cluster_id != self.cluster_id:
            raise Wrong(f"cluster id {cluster_id}, before {self.cluster_id}")
        self.check_topics()
        self.check_records(dump)
        for (topic, partition), offset in self.starts.items():
            if self.end(topic, partition, "earliest") != offset:
                raise Wrong(f"{topic}-{partition} starts at {self.end(topic, partition, 'earliest')}, not at {offset}")
        for (topic, partition), offset in self.ends.items():
            if self.end(topic, partition) != offset:
                raise Wrong(f"{topic}-{partition} ends at {self.end(topic, partition)}, not at {offset}")
        known = [where for where, offset in self.stamps.items() if self.records[where[:2]].get(offset)]
        for topic, partition, stamp in self.chance.sample(known, min(40, len(known))):
            found = self.end(topic, partition, stamp)
            if found != self.stamps[topic, partition, stamp]:
                raise Wrong(f"{topic}-{partition} has {stamp} at {found}, not at {self.stamps[topic, partition, stamp]}")
        self.coordinators.check()

    def check_topics(self):
        listed = {name for name in self.admin("list_topics") if not name.startswith("__")}
        if listed != set(self.topics):
            raise Wrong(f"topics: {sorted(listed ^ set(self.topics))} differ")
        for topic, (partitions, configs, topic_id) in self.topics.items():
            found = self.admin("describe_topic", topic=topic)
            if (found["id"], len(found["partitions"])) != (topic_id, partitions):
                raise Wrong(f"{topic}: {found}, expected id {topic_id}, {partitions} partitions")
            if any(one["leader"] != 1 or one["isr"] != [1] for one in found["partitions"]):
                raise Wrong(f"{topic}: {found['partitions']}")
            described = self.admin("describe_configs", kind="topic", name=topic)
            set_here = {key: one["value"] for key, one in described.items() if one["source"] == "DYNAMIC_TOPIC_CONFIG"}
            if set_here != configs:
                raise Wrong(f"configs of {topic}: {set_here}, expected {configs}")

    def check_records(self, dump):
        where = [[topic, partition, "earliest"] for topic, (partitions, *_) in self.topics.items() for partition in range(partitions)]
        self.driver.call("consume", timeout_s=READ_S + 10, timeout_ms=READ_S * 1000, to_file=str(dump), **{"from": where},
                         config={**self.config, "auto.offset.reset": "none", "enable.auto.commit": "false",
                                 "isolation.level": "read_committed"})
        got = defaultdict(dict)
        for line in open(dump):
            topic, partition, offset, checksum, key = line.rstrip("\n").split(" ", 4)
            got[topic, int(partition)][int(offset)] = (int(checksum), key)
        self.coordinators.check_latest(got.pop(("latest", 0), {}))
        for one in set(got) | {one for one in self.records if self.records[one]}:
            if got[one] != self.records[one]:
                odd = sorted(offset for offset in set(got[one]) | set(self.records[one])
                             if got[one].get(offset) != self.records[one].get(offset))
                raise Wrong(f"{one[0]}-{one[1]}: {len(got[one])} records, expected {len(self.records[one])}; they differ "
                            f"from offset {odd[0]}: {got[one].get(odd[0])}, expected {self.records[one].get(odd[0])}")

    def check_files(self):
        """Every file of every partition is what Kafka's own tool takes for sound."""
        tools = Tools(SimpleNamespace(driver=self.driver))
        for kind in ("log", "index", "timeindex", "txnindex", "snapshot"):
            files = sorted(path for path in self.data.glob(f"*/*.{kind}")
                           if path.parent.name != "__cluster_metadata-0" and not path.parent.name.endswith("-delete"))
            if not files and kind != "txnindex":
                raise Wrong(f"there is no .{kind}")
            cleaned = [path for path in files if path.parent.name.rpartition("-")[0] in COMPACTED]
            if cleaned and kind != "timeindex":  # the tool finds no time in batches that a cleaner has emptied
                tools.dump_log(*cleaned, cleaned=True)
            if len(files) > len(cleaned):
                tools.dump_log(*[path for path in files if path not in cleaned])
        tools.dump_log(*sorted(self.data.glob("__cluster_metadata-0/*.log")), options=("--cluster-metadata-decoder",))
        self.coordinators.check_files(self.data)


def refuse_another(nodes, kind):
    """Nobody else starts on directories that are in use."""
    other = nodes["jackdaw" if kind == "kafka" else "kafka"]
    try:
        other.start()
    except TargetError as thrown:
        if "another process" not in str(thrown) and "Failed to acquire lock" not in other.log.read_text():
            raise Wrong(f"the other ended for another reason: {thrown}") from None
        return
    other.kill()
    raise Wrong(f"{other.kind} started beside {kind}")


def play(name, folder, driver, seed):
    quorum, turns = ROUNDS[name]
    ports = free_port(), free_port()
    nodes = {kind: Node(kind, folder, quorum, ports) for kind in ("jackdaw", "kafka")}
    world = World(driver, f"127.0.0.1:{ports[0]}", nodes["kafka"].data, seed)
    try:
        take_turns(turns, nodes, world, folder)
    finally:
        world.coordinators.close()
    world.check_files()


def take_turns(turns, nodes, world, folder):
    before = "stop"
    for turn, (kind, ends) in enumerate(turns):
        node = nodes[kind]
        said = node.log.stat().st_size if node.log.exists() else 0
        where = f"turn {turn}, {kind} after {'kill -9' if before == 'kill' else 'a stop'}"
        node.start()
        print(f"   {where}: serves after {node.ready_s:.1f} s", flush=True)
        try:
            if turn:
                world.coordinators.end_open(turn)
                world.check(folder / "read.txt")
            world.leave_more(turn, ends)
            world.check(folder / "read.txt")
            if turn < 2:
                refuse_another(nodes, kind)
            world.coordinators.leave_open(turn)
            if ends == "stop":
                if node.stop() != 0:
                    raise Wrong("it did not end well")
            else:
                node.kill()
        except Exception as thrown:
            raise Wrong(f"{where}: {type(thrown).__name__}: {thrown}") from thrown
        finally:
            if node.alive():
                node.kill()
        lines = node.log.read_bytes()[said:].decode(errors="replace").splitlines()
        # Kafka itself reads its metadata log through at every start.
        bad = [line for line in lines if COMPLAINTS[kind].search(line) and "partition=__cluster_metadata-0" not in line]
        bad = bad if before == "stop" else []
        if bad:
            raise Wrong(f"{where}: it said {bad[0][:300]}")
        before = ends


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--round", action="append", default=[], choices=ROUNDS)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    seed, status = int(time.time()), 0
    folder = pathlib.Path(tempfile.mkdtemp(prefix="handover-"))
    driver = Driver(folder / "driver.log")
    try:
        for name in options.round or (ROUNDS if options.all else USUAL):
            try:
                play(name, folder / name, driver, seed)
                print(f"ok {name}", flush=True)
            except Exception as thrown:
                if options.keep:
                    traceback.print_exc()
                print(f"FAIL {name} ({type(thrown).__name__}: {' '.join(str(thrown).split())[:600]})", flush=True)
                status = 1
    finally:
        driver.close()
        if options.keep:
            print(f"kept {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
