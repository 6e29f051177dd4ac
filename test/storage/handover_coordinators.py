"""What groups and transactions leave behind when the directories change hands, and what has to be there afterwards:
members of both protocols whose generation or epoch goes on, committed offsets, transactions that are open meanwhile,
and the logs of all that when a cleaner has been over them."""
import contextlib
import pathlib
import queue
import sys
import threading
import time
import zlib
from types import SimpleNamespace

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "hostile"))

from confluent_kafka import Consumer, KafkaException, TopicPartition  # noqa: E402

import codec  # noqa: E402
import wire  # noqa: E402
from clients.base import ClientError  # noqa: E402
from clients.confluent import Confluent  # noqa: E402
from clients.java import Java  # noqa: E402
from clients.tools import Tools  # noqa: E402
from lib import paths  # noqa: E402

WAIT_S = 30 * paths.PATIENCE
MEMBERS_GROUP = "members"
# Of the consumer protocol: one that subscribes by name, one by an expression that the broker resolves.
CONSUMERS_GROUP, EXPRESSION_GROUP = "consumers", "by-expression"
BUSY_GROUP = "busy"
METADATA = "m" * 4000  # the broker takes 4096 bytes
LONG_ID = "busy-" + "i" * 10_000  # so that few transactions make a segment
OPEN_MS = 600_000
# What happens to a transaction that is open when the broker changes.
FATES = ("commit", "abort", "fence")


class Wrong(AssertionError):
    pass


def eventually(call, wanted, what):
    """A broker that has just started may know less than its clients, and say so."""
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            got = call()
        except (ClientError, KafkaException, wire.Closed, wire.Silent) as thrown:
            got = thrown
        if got == wanted:
            return
        if time.monotonic() > deadline:
            raise Wrong(f"{what}: {got!r:.300}, expected {wanted!r:.300}")
        time.sleep(0.05)


class Member(threading.Thread):
    """A member that is there all the time. Its consumer is its thread's alone."""

    def __init__(self, address, topic, group, instance=None):
        super().__init__(daemon=True)
        self.topic, self.group, self.assignments, self.problem = topic, group, 0, None
        self.owned, self.id = [], None
        self.commits, self.committed = queue.Queue(), queue.Queue()
        self.stopping = threading.Event()
        named = {"group.instance.id": instance} if instance else {}
        kind = {"group.protocol": "consumer"}
        if group == MEMBERS_GROUP:
            kind = {"session.timeout.ms": 180_000, "heartbeat.interval.ms": 500, "partition.assignment.strategy": "range"}
        self.config = {
            "bootstrap.servers": address, "group.id": group, "enable.auto.commit": False, "log_level": 0,
            "auto.offset.reset": "earliest", "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 200, **kind, **named}

    def assigned(self, *_):
        self.assignments += 1

    def run(self):
        try:
            consumer = Consumer(self.config)
            consumer.subscribe(["^led.*" if self.group == EXPRESSION_GROUP else self.topic], on_assign=self.assigned)
            while not self.stopping.is_set():
                consumer.poll(0.1)
                self.owned, self.id = sorted(one.partition for one in consumer.assignment()), consumer.memberid()
                with contextlib.suppress(queue.Empty):
                    consumer.commit(offsets=[self.commits.get_nowait()], asynchronous=False)
                    self.committed.put(None)
            consumer.close()
        except Exception as thrown:
            self.problem = thrown
            self.committed.put(thrown)

    def commit(self, offset, metadata):
        """Of its first partition, in its own generation, which the broker before this one may have begun."""
        partition = self.owned[0]
        self.commits.put(TopicPartition(self.topic, partition, offset, metadata))
        problem = self.committed.get(timeout=WAIT_S)
        if problem:
            raise Wrong(f"a member's commit: {problem}")
        return partition


class Coordinators:
    def __init__(self, world):
        self.world = world
        target = SimpleNamespace(address=world.address)
        context = SimpleNamespace(target=target, driver=world.driver)
        self.confluent, self.java, self.tools = Confluent(context), Java(context), Tools(context)
        self.members, self.joined = [], None
        self.offsets = {}  # (group, topic, partition) → (offset, metadata)
        self.gone = []  # groups that were deleted
        self.open = []  # (client, transactional id, producer, partition, first offset)
        self.latest = {}  # key → checksum of its last value, 0 for a tombstone
        self.stack = contextlib.ExitStack()

    def close(self):
        with contextlib.suppress(Exception):  # of a round that failed
            self.stack.close()
        for member in self.members:
            member.stopping.set()
        for member in self.members:
            member.join(5)

    # --- what is left behind ---

    def leave_more(self, turn):
        if turn == 0:
            self.world.create("open", 2)
            self.world.create("busy", 1)
            self.world.create("latest", 1, cleanup_policy="compact", segment_bytes=1048576, min_cleanable_dirty_ratio="0.01")
            self.members = [Member(self.world.address, "ledger", group, instance) for group, instance in (
                (MEMBERS_GROUP, None), (MEMBERS_GROUP, "static"), (CONSUMERS_GROUP, None), (CONSUMERS_GROUP, "static"),
                (EXPRESSION_GROUP, None))]
            for member in self.members:
                member.start()
            eventually(lambda: sorted((member.group, len(member.owned)) for member in self.members), [
                (EXPRESSION_GROUP, 3), (CONSUMERS_GROUP, 1), (CONSUMERS_GROUP, 2), (MEMBERS_GROUP, 1), (MEMBERS_GROUP, 2)],
                "what the members own")
            self.settle()
            self.joined = self.generation()
        self.commit("handover", "ledger", 1, max(self.world.records["ledger", 1]), f"of turn {turn}")
        self.commit(f"group-{turn}", "grows", 0, turn, "")
        self.commit(f"gone-{turn}", "grows", 0, turn, "")
        self.confluent.delete_group(f"gone-{turn}")
        self.gone.append(f"gone-{turn}")
        del self.offsets[f"gone-{turn}", "grows", 0]
        for number, member in enumerate(self.members):
            offset = turn * 10 + number
            partition = member.commit(offset, f"member {number}")
            self.offsets[member.group, "ledger", partition] = (offset, f"member {number}")
        if turn < 2:
            self.crowd(turn)

    def consumer(self, group):
        return Consumer({"bootstrap.servers": self.world.address, "group.id": group, "enable.auto.commit": False, "log_level": 0})

    def commit(self, group, topic, partition, offset, metadata):
        consumer = self.consumer(group)
        consumer.commit(offsets=[TopicPartition(topic, partition, offset, metadata)], asynchronous=False)
        consumer.close()
        self.offsets[group, topic, partition] = (offset, metadata)

    def crowd(self, turn):
        """More than the cleaner lets be: commits, transactions and records of the same keys over more than a segment each."""
        before = {topic: self.cleaned(topic) for topic in ("__consumer_offsets", "__transaction_state", "latest")}
        consumer = self.consumer(BUSY_GROUP)
        for n in range(300):
            consumer.commit(offsets=[TopicPartition("ledger", partition, n + turn, METADATA) for partition in range(3)],
                            asynchronous=False)
        consumer.close()
        for partition in range(3):
            self.offsets[BUSY_GROUP, "ledger", partition] = (299 + turn, METADATA)
        with self.confluent.transactional(LONG_ID) as producer:
            for n in range(70):
                producer.begin()
                value = b"busy %d %d" % (turn, n)
                self.world.records["busy", 0][producer.send("busy", value)] = (zlib.crc32(value), "-")
                producer.commit()
        chance, producer = self.world.chance, self.world.producer("lz4")
        for n in range(2500):
            key, value = f"key {chance.randrange(200)}", None if chance.random() < 0.1 else chance.randbytes(1000)
            producer.produce("latest", value, key)
            producer.poll(0)
            self.latest[key] = zlib.crc32(value or b"")
            if value is None:
                self.latest[key] = 0
        if producer.flush(WAIT_S):
            raise Wrong("records of the topic latest are left")
        for topic, was in before.items():
            eventually(lambda: self.cleaned(topic) > was, True, f"{topic} was cleaned")

    def cleaned(self, topic):
        """How far the cleaner is that has come farthest in a topic's partitions."""
        try:
            lines = (self.world.data / "cleaner-offset-checkpoint").read_text().splitlines()[2:]
        except FileNotFoundError:
            return 0
        return max([int(line.split()[2]) for line in lines if line.split()[0] == topic], default=0)

    def leave_open(self, turn):
        """Transactions of both generations of clients that nobody ends before the broker does."""
        for partition, client in enumerate((self.confluent, self.java)):
            name = f"open-{partition}-{turn}"
            producer = self.stack.enter_context(client.transactional(name, **{"transaction.timeout.ms": OPEN_MS}))
            producer.begin()
            first = producer.send("open", b"open %d" % turn, partition)
            producer.offsets(f"open-{partition}", "ledger", turn + 1, 2)
            self.open.append((client, name, producer, partition, first))

    # --- what has to be there ---

    def described(self, group):
        """What the broker says of a group of the consumer protocol: its epochs, and each member's, with both assignments."""
        with wire.Connection(self.world.address, WAIT_S) as connection:
            found, = connection.request(codec.KEYS["ConsumerGroupDescribe"], 1, {"GroupIds": [group]})["Groups"]
        told = {key: value for key, value in found.items() if key not in ("Members", "ErrorMessage")}
        return told, sorted(found["Members"], key=lambda one: one["MemberId"])

    def settle(self):
        """Waits until the members' epochs are their groups'."""
        def settled():
            found = [self.described(group) for group in (CONSUMERS_GROUP, EXPRESSION_GROUP)]
            return all(told["GroupState"] == "Stable" and {one["MemberEpoch"] for one in members} == {told["GroupEpoch"]}
                       for told, members in found) or found
        eventually(settled, True, "members of the consumer protocol have the epoch of their group")

    def generation(self):
        """That of the members' groups, as far as they can tell, and their epochs."""
        found = self.confluent.admin().describe_consumer_groups([MEMBERS_GROUP])[MEMBERS_GROUP].result(WAIT_S)
        return {"state": found.state.name, "assignor": found.partition_assignor,
                "members": sorted((one.member_id, one.group_instance_id, one.client_id) for one in found.members),
                "consumers": [self.described(group) for group in (CONSUMERS_GROUP, EXPRESSION_GROUP)],
                "ids": sorted(member.id for member in self.members),
                "owned": [member.owned for member in self.members],
                "assignments": [member.assignments for member in self.members]}

    def end_open(self, turn):
        # librdkafka's administrator waits for ever for a coordinator that it asked before the broker changed.
        self.confluent._admins.clear()
        for client, name, producer, partition, first in self.open:
            self.end_one(turn, client, name, producer, partition, first)
        self.open = []
        self.stack.close()

    def end_one(self, turn, client, name, producer, partition, first):
        where, fate = f"the open transaction {name}", FATES[(turn + partition) % len(FATES)]
        group, value = f"open-{partition}", b"open %d" % (turn - 1)
        eventually(lambda: self.confluent.committed_end("open", partition), first, f"where {where} begins")
        eventually(lambda: self.state(name), ("Ongoing", str(OPEN_MS)), f"state and timeout of {where}")
        if fate == "commit":
            more = b"more of %d" % turn
            at = producer.send("open", more, partition)
            producer.commit()
            self.world.records["open", partition].update({first: (zlib.crc32(value), "-"), at: (zlib.crc32(more), "-")})
            self.offsets[group, "ledger", 2] = (turn, "")
        elif fate == "abort":
            producer.abort()
        else:
            with client.transactional(name, **{"transaction.timeout.ms": OPEN_MS}) as second:
                try:
                    producer.commit()
                except ClientError:
                    pass
                else:
                    raise Wrong(f"{where}: committed by a producer whose place was taken")
                second.begin()
                at = second.send("open", b"second of %d" % turn, partition)
                second.commit()
                self.world.records["open", partition][at] = (zlib.crc32(b"second of %d" % turn), "-")
        state = {"commit": "CompleteCommit", "abort": "CompleteAbort", "fence": "CompleteCommit"}[fate]
        eventually(lambda: self.state(name)[0], state, f"state of {where}")
        eventually(lambda: self.confluent.committed_end("open", partition) == self.world.end("open", partition), True,
                   f"nothing is open after {name}")

    def state(self, name):
        row = self.tools.describe_transaction(name)
        return row["TransactionState"], row["TransactionTimeoutMs"]

    def committed(self, group, wanted):
        consumer = self.consumer(group)
        found = consumer.committed([TopicPartition(*where) for where in wanted], WAIT_S / 3)
        consumer.close()
        return {(one.topic, one.partition): (one.offset, one.metadata or "") for one in found}

    def check(self):
        eventually(self.generation, self.joined, "the members' group")
        for member in self.members:
            if member.problem:
                raise Wrong(f"a member ended: {member.problem}")
        groups = {group for group, _, _ in self.offsets}
        listed = self.confluent.list_groups()
        if groups - listed or set(self.gone) & listed:
            raise Wrong(f"groups {listed}, expected {groups} and none of {self.gone}")
        for group in groups:
            wanted = {(topic, partition): found for (one, topic, partition), found in self.offsets.items() if one == group}
            eventually(lambda: self.committed(group, wanted), wanted, f"offsets of {group}")

    def check_latest(self, got):
        """`got` is offset → (checksum, key), of a topic that may have been cleaned: what counts is each key's last."""
        last = {got[offset][1]: got[offset][0] for offset in sorted(got)}
        wanted = {key: sum for key, sum in self.latest.items() if sum}
        if {key: sum for key, sum in last.items() if sum} != wanted:
            odd = [key for key in set(last) | set(wanted) if last.get(key, 0) != wanted.get(key, 0)]
            raise Wrong(f"latest: {len(odd)} keys differ, {odd[0]}: {last.get(odd[0])}, expected {wanted.get(odd[0])}")

    def check_files(self, data):
        """Kafka reads every record of the coordinators' logs."""
        for topic, decoder, word in (("__consumer_offsets", "--offsets-decoder", '"group":"members"'),
                                     ("__consumer_offsets", "--offsets-decoder", '"groupId":"consumers"'),
                                     ("__transaction_state", "--transaction-log-decoder", '"open-0-0"')):
            said = self.tools.dump_log(*sorted(data.glob(f"{topic}-*/*.log")), options=(decoder,), cleaned=True)
            if word not in said:
                raise Wrong(f"{topic}: nothing of {word}")
