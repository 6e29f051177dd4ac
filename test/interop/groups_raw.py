"""The same raw requests of the group APIs to Apache Kafka and to Jackdaw, in their old and new versions, right and
wrong: the answers must be the same, but for generated ids, times and the order of what has none.

    test/interop/groups_raw.py
"""
import os
import pathlib
import re
import socket
import struct
import sys
import tempfile
import time
import uuid

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(pathlib.Path(__file__).resolve().parent.parent)]

from confluent_kafka.admin import AdminClient, NewTopic  # noqa: E402
from kafka.protocol.admin import groups as admin  # noqa: E402
from kafka.protocol.consumer import group as member  # noqa: E402
from kafka.protocol.metadata import find_coordinator  # noqa: E402
from kafka.protocol.metadata import metadata as topics  # noqa: E402
import consumers_odd  # noqa: E402
import consumers_raw  # noqa: E402
import groups_odd  # noqa: E402
from lib.target import Target  # noqa: E402

SETTINGS = {"group.initial.rebalance.delay.ms": "2000", "group.min.session.timeout.ms": "1000", "group.max.size": "3",
            "offset.metadata.max.bytes": "16", **consumers_raw.SETTINGS}
WAIT_S = 60
RANGE = [{"name": "range", "metadata": struct.pack(">hih1si", 0, 1, 1, b"t", -1)}]
GROUPS = ["g", "s", "ids", "none", "none0", "", "offsets2", "offsets7", "offsets8", "offsets9"]
ORDERLESS = {"topics", "partitions", "groups", "results", "members", "group_members"}
RANDOM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Fields:
    """A nested structure of a request; what is not given has its default."""
    defaults = {"committed_leader_epoch": -1, "member_epoch": -1, "topic_id": uuid.UUID(int=0)}

    def __init__(self, values):
        self.__dict__.update(values)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self.defaults.get(name)


def fields(value):
    if isinstance(value, list):
        return [fields(one) for one in value]
    return Fields({key: fields(one) for key, one in value.items()}) if isinstance(value, dict) else value


class Connection:
    def __init__(self, address, client_id):
        host, port = address.split(":")
        self.socket = socket.create_connection((host, int(port)), WAIT_S)
        self.client_id, self.sent, self.waiting = client_id, 0, []

    def send(self, module, name, version, **values):
        request = getattr(module, f"{name}Request")[version](**{key: fields(one) for key, one in values.items()})
        self.sent += 1
        request.with_header(self.sent, self.client_id)
        self.socket.sendall(request.encode(header=True, framed=True))
        self.waiting.append((getattr(module, f"{name}Response"), version))

    def _read(self, size):
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                raise EOFError("the connection was closed")
            data += more
        return data

    def answer(self):
        response, version = self.waiting.pop(0)
        return response.decode(self._read(struct.unpack(">i", self._read(4))[0]), version=version, header=True)

    def call(self, module, name, version, **values):
        self.send(module, name, version, **values)
        return self.answer()


class Run:
    """One broker's answers, by the name of the case."""

    def __init__(self, kind, folder):
        self.target = Target(kind, folder, SETTINGS)
        self.target.start()
        self.answers, self._names = {}, {}
        self.any = Connection(self.target.address, "any")

    def connect(self, client_id):
        return Connection(self.target.address, client_id)

    def plain(self, value, key=None):
        if isinstance(value, dict):
            return {name: self.plain(one, name) for name, one in value.items() if name != "throttle_time_ms"}
        if isinstance(value, (list, tuple, set)):
            return sorted((self.plain(one) for one in value), key=repr) if key in ORDERLESS else [self.plain(one) for one in value]
        if isinstance(value, (bytes, memoryview)):
            return bytes(value)
        return RANDOM.sub(lambda found: self._names.get(found[0], "ID"), str(value))

    def name(self, value, name):
        """From now on this random id is shown under a name."""
        for found in RANDOM.findall(str(value)):
            self._names[found] = name

    def note(self, case, response):
        self.answers[case] = self.plain(response.to_dict())
        return response

    def ask(self, case, module, name, version, connection=None, **values):
        return self.note(f"{case} (v{version})", (connection or self.any).call(module, name, version, **values))


def joining(version, group, member_id="", instance=None, protocols=None, kind="consumer", session=10000):
    values = {"group_id": group, "session_timeout_ms": session, "rebalance_timeout_ms": 5000, "member_id": member_id,
              "protocol_type": kind, "protocols": RANGE if protocols is None else protocols}
    return values | ({"group_instance_id": instance} if version >= 5 else {})


def committing(group, generation=-1, member_id="", partitions=(0,), metadata="m", topic="t"):
    where = [{"partition_index": index, "committed_offset": 5, "committed_leader_epoch": -1, "committed_metadata": metadata}
             for index in partitions]
    return {"group_id": group, "generation_id_or_member_epoch": generation, "member_id": member_id,
            "topics": [{"name": topic, "partitions": where}]}


def prepare(run):
    client = AdminClient({"bootstrap.servers": run.target.address, "log_level": 0})
    for future in client.create_topics([NewTopic("t", 2, 1), NewTopic("u", 1, 1)]).values():
        future.result(WAIT_S)
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        found = run.any.call(find_coordinator, "FindCoordinator", 3, key="g", key_type=0)
        known = run.any.call(admin, "DescribeGroups", 5, groups=GROUPS).groups
        if found.error_code == 0 and not any(one.error_code for one in known) and \
                "t" in client.list_topics(timeout=WAIT_S).topics:
            return
        time.sleep(0.1)
    raise TimeoutError("no coordinator")


def refusals(run):
    for version in (0, 3, 5, 9):
        run.ask("join without a group", member, "JoinGroup", version, **joining(version, ""))
        run.ask("join with a short session", member, "JoinGroup", version, **joining(version, "g", session=10))
        run.ask("join of an unknown member", member, "JoinGroup", version, **joining(version, "none", "nobody"))
        run.ask("join without protocols", member, "JoinGroup", version, **joining(version, "none0", protocols=[]))
        run.ask("join without a type", member, "JoinGroup", version, **joining(version, "none0", kind=""))
    for version in (0, 4):
        for group in ("none", ""):
            run.ask(f"heartbeat to {group!r}", member, "Heartbeat", version, group_id=group, generation_id=1, member_id="m")
    for version in (0, 2, 3, 5):
        who = {"member_id": "m"} if version < 3 else {"members": [{"member_id": "m"}, {"member_id": "", "group_instance_id": "i"}]}
        for group in ("none", ""):
            run.ask(f"leave {group!r}", member, "LeaveGroup", version, group_id=group, **who)
    for version in (0, 3, 5):
        run.ask("sync unnamed", member, "SyncGroup", version, group_id="none", generation_id=1, member_id="m", assignments=[])
    for group in ("none", ""):
        run.ask(f"sync {group!r}", member, "SyncGroup", 5, group_id=group, generation_id=1, member_id="m", assignments=[],
                protocol_type="consumer", protocol_name="range")


def offsets(run):
    for version in (2, 7, 8, 9):
        group = f"offsets{version}"
        run.ask("commit without a group", member, "OffsetCommit", version, **committing("none", 3, "m"))
        run.ask("commit to no partition", member, "OffsetCommit", version, **committing("none", partitions=(7,)))
        run.ask("commit to no topic", member, "OffsetCommit", version, **committing("none", topic="nope"))
        run.ask("commit", member, "OffsetCommit", version, **committing(group, partitions=(0, 7)))
        run.ask("commit with a member id", member, "OffsetCommit", version, **committing(group, member_id="m"))
        run.ask("commit of a generation", member, "OffsetCommit", version, **committing(group, 1, "m"))
        run.ask("commit without metadata", member, "OffsetCommit", version, **committing("", metadata=None))
        run.ask("commit with long metadata", member, "OffsetCommit", version, **committing(group, metadata="x" * 17))
    asked = [{"name": "t", "partition_indexes": [0, 1, 9]}, {"name": "nope", "partition_indexes": [0]}]
    for group in ("offsets9", "none", ""):
        for version in (1, 2, 5, 7):
            run.ask(f"fetch {group!r}", member, "OffsetFetch", version, group_id=group, topics=asked)
            if version >= 2:
                run.ask(f"fetch all of {group!r}", member, "OffsetFetch", version, group_id=group, topics=None)
        for version in (8, 9):
            run.ask(f"fetch groups {group!r}", member, "OffsetFetch", version, groups=[
                {"group_id": group, "topics": asked}, {"group_id": group, "topics": None}])
    for version in (0, 3, 5, 6):
        more = {"include_authorized_operations": True} if version >= 3 else {}
        run.ask("describe", admin, "DescribeGroups", version, groups=["none", "offsets9", ""], **more)
    for version, group in ((0, "offsets2"), (2, "offsets7")):
        run.ask("delete", admin, "DeleteGroups", version, groups_names=["none", group, "none", ""])
    for group in ("offsets9", "none", ""):
        run.ask(f"delete offsets of {group!r}", member, "OffsetDelete", 0, group_id=group, topics=[
            {"name": "t", "partitions": [{"partition_index": 0}, {"partition_index": 8}]},
            {"name": "nope", "partitions": [{"partition_index": 0}]}])


def by_id(run):
    zero = uuid.UUID(int=0)
    found = run.any.call(topics, "Metadata", 12, topics=[{"topic_id": zero, "name": name} for name in ("t", "u")],
                         allow_auto_topic_creation=False, include_topic_authorized_operations=False)
    ids = {one.name: one.topic_id for one in found.topics}
    for name, one in ids.items():
        run.name(one, f"the id of {name}")
    where = [{"partition_index": index, "committed_offset": 5, "committed_leader_epoch": 2, "committed_metadata": "m"}
             for index in (0, 3)]
    run.ask("commit by id", member, "OffsetCommit", 10, group_id="ids", generation_id_or_member_epoch=-1, member_id="", topics=[
        {"name": "", "topic_id": one, "partitions": where} for one in (ids["t"], uuid.UUID(int=77), ids["u"], zero)])
    run.ask("fetch by id", member, "OffsetFetch", 10, require_stable=True, groups=[
        {"group_id": "ids", "topics": [{"name": "", "topic_id": one, "partition_indexes": [0, 1]}
                                       for one in (uuid.UUID(int=77), ids["t"], zero)]},
        {"group_id": "ids", "topics": None}, {"group_id": "ids", "member_id": "m", "member_epoch": 4, "topics": []}])


def until_state(run, group, state):
    deadline = time.monotonic() + WAIT_S
    while run.any.call(admin, "DescribeGroups", 5, groups=[group]).groups[0].group_state != state:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{group} is not {state}")
        time.sleep(0.02)


def life(run):
    """Two members of one group, from the first join to the last leave."""
    a, b = run.connect("a"), run.connect("b")
    ids = {}
    for name, connection in (("a", a), ("b", b)):
        ids[name] = run.ask(f"{name} joins as new", member, "JoinGroup", 9, connection, **joining(9, "g")).member_id
        run.name(ids[name], f"ID of {name}")
    a.send(member, "JoinGroup", 9, **joining(9, "g", ids["a"]))
    until_state(run, "g", "PreparingRebalance")
    b.send(member, "JoinGroup", 9, **joining(9, "g", ids["b"]))
    run.note("a has joined", a.answer())
    run.note("b has joined", b.answer())

    def sync(name, generation=1, protocol="range", assignments=()):
        return {"group_id": "g", "generation_id": generation, "member_id": ids[name], "assignments": list(assignments),
                "protocol_type": "consumer", "protocol_name": protocol}

    def beat(generation=1, name="a", **more):
        return {"group_id": "g", "generation_id": generation, "member_id": ids[name], **more}

    run.ask("commit before the sync", member, "OffsetCommit", 9, **committing("g", 1, ids["a"]))
    run.ask("heartbeat before the sync", member, "Heartbeat", 4, **beat())
    run.ask("describe before the sync", admin, "DescribeGroups", 6, groups=["g"])
    run.ask("sync with another protocol", member, "SyncGroup", 5, b, **sync("b", protocol="sticky"))
    run.ask("sync of another generation", member, "SyncGroup", 5, b, **sync("b", 5))
    b.send(member, "SyncGroup", 5, **sync("b"))
    run.ask("the leader syncs", member, "SyncGroup", 5, a,
            **sync("a", assignments=[{"member_id": ids["a"], "assignment": b"of a"}]))
    run.note("the follower has synced", b.answer())
    run.ask("describe the stable group", admin, "DescribeGroups", 6, groups=["g"])
    for what, values in (("", {}), (" of another generation", {"generation": 2}), (" of an instance", {"group_instance_id": "i"})):
        run.ask(f"heartbeat{what}", member, "Heartbeat", 4, **beat(**values))
    for what, generation, who in (("", 1, "a"), (" of an old generation", 0, "a"), (" without a generation", -1, "a")):
        run.ask(f"commit of a member{what}", member, "OffsetCommit", 9, **committing("g", generation, ids[who]))
    run.ask("commit of nobody to a live group", member, "OffsetCommit", 9, **committing("g"))
    run.ask("delete offsets of a live group", member, "OffsetDelete", 0, group_id="g", topics=[
        {"name": name, "partitions": [{"partition_index": 0}]} for name in ("t", "u")])
    run.ask("delete a live group", admin, "DeleteGroups", 2, groups_names=["g"])
    for states, types in ((["stable"], ["classic"]), (["no such"], []), ([], ["no such", "consumer"])):
        run.ask(f"list {states} {types}", admin, "ListGroups", 5, states_filter=states, types_filter=types)
    run.ask("a follower joins again", member, "JoinGroup", 9, b, **joining(9, "g", ids["b"]))
    run.ask("join with another protocol", member, "JoinGroup", 9, **joining(9, "g", protocols=[{"name": "x", "metadata": b""}]))
    a.send(member, "JoinGroup", 9, **joining(9, "g", ids["a"]))
    until_state(run, "g", "PreparingRebalance")
    run.ask("heartbeat in the rebalance", member, "Heartbeat", 4, **beat(name="b"))
    run.ask("sync in the rebalance", member, "SyncGroup", 5, b, **sync("b"))
    run.ask("commit in the rebalance", member, "OffsetCommit", 9, **committing("g", 1, ids["b"]))
    run.ask("leave in the rebalance", member, "LeaveGroup", 5, group_id="g", members=[{"member_id": ids["b"]}])
    run.note("a has joined alone", a.answer())
    run.ask("several leave", member, "LeaveGroup", 5, group_id="g",
            members=[{"member_id": ids["a"]}, {"member_id": ids["a"]}, {"member_id": "nobody"}])
    run.ask("describe the empty group", admin, "DescribeGroups", 6, groups=["g"])


def static(run):
    connection = run.connect("static")

    def join(case, version=9, member_id="", protocols=None):
        return run.ask(case, member, "JoinGroup", version, connection,
                       **joining(version, "s", member_id, "one", protocols=protocols))

    first = join("a static member joins")
    run.ask("a static member syncs", member, "SyncGroup", 5, connection, group_id="s", generation_id=first.generation_id,
            member_id=first.member_id, group_instance_id="one", protocol_type="consumer", protocol_name="range",
            assignments=[{"member_id": first.member_id, "assignment": b"its own"}])
    join("a static member comes back")
    join("a static member comes back", version=8)
    run.ask("heartbeat of who was there before", member, "Heartbeat", 4, group_id="s", generation_id=1,
            member_id=first.member_id, group_instance_id="one")
    join("join of who was there before", member_id=first.member_id)
    join("a static member comes back changed", protocols=[{"name": "other", "metadata": b""}])
    run.ask("an administrator removes it", member, "LeaveGroup", 5, group_id="s",
            members=[{"member_id": "", "group_instance_id": "one"}, {"member_id": ""}])
    run.ask("describe what is left", admin, "DescribeGroups", 6, groups=["s"])


def answers_of(kind, folder):
    run = Run(kind, pathlib.Path(folder) / kind)
    try:
        prepare(run)
        for part in (refusals, offsets, by_id, life, static, consumers_raw.parts, groups_odd.parts, consumers_odd.parts):
            part(run)
        return run.answers
    finally:
        run.target.stop()


def main():
    os.environ.setdefault("KAFKA_HEAP_OPTS", "-Xmx512M -Xms256M")
    with tempfile.TemporaryDirectory(prefix="groups-raw-") as folder:
        wanted, got = answers_of("kafka", folder), answers_of("jackdaw", folder)
    failed = 0
    for case in wanted:
        if wanted[case] == got.get(case):
            print(f"ok {case}")
        else:
            failed += 1
            print(f"FAIL {case} (Kafka {str(wanted[case])[:400]} but Jackdaw {str(got.get(case))[:400]})")
    return 1 if failed or not wanted else 0


if __name__ == "__main__":
    sys.exit(main())
