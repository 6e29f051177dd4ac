"""Requests of groups with one fault each, and hostile ids: see cases.py."""
import re

import codec
from cases import MAX32, MAX64
from coordinated import LONG, MIB, RANDOM, ask, coordinated, new_id, text

IDS = {"empty": "", "a space": " ", "of 249": "a" * 249, "of 32767": "a" * (LONG - 1), "of 32768": "a" * LONG, "of 100000": "a" * 100_000,
       "zero": "a\0b", "a path": "../x", "an accent": "\u00e9", "an emoji": "\U0001f600", "a hash of INT_MIN": "polygenelubricants",
       "line ends": "a\r\nb"}
RANGE = [{"Name": "range", "Metadata": b"\0\0\0\0\0\1\0\1t\xff\xff\xff\xff"}]


def joining(group, member="", protocols=None, session=10000, rebalance=10000, kind="consumer", **more):
    return {"GroupId": group, "SessionTimeoutMs": session, "RebalanceTimeoutMs": rebalance, "MemberId": member,
            "ProtocolType": kind, "Protocols": RANGE if protocols is None else protocols, **more}


def join(world, group, version=9, connection=None, **fields):
    return ask(world, "JoinGroup", version, connection, **joining(group, **fields))


def only_member(world, connection, group, **fields):
    """Joins and syncs as the only member of a group; its id."""
    key = codec.KEYS["JoinGroup"]
    first = connection.request(key, 9, joining(group, **fields))
    answer = connection.request(key, 9, joining(group, first["MemberId"], **fields))
    member = answer["MemberId"]
    assert answer["ErrorCode"] == 0 and answer["Leader"] == member, answer
    return member


def sync(world, connection, group, member, generation=1, assignments=(), version=5, **more):
    return ask(world, "SyncGroup", version, connection, GroupId=group, GenerationId=generation, MemberId=member,
               ProtocolType="consumer", ProtocolName="range",
               Assignments=[{"MemberId": name, "Assignment": data} for name, data in assignments], **more)


def leave(world, group, *members):
    return ask(world, "LeaveGroup", 5, GroupId=group, Members=[{"MemberId": one} for one in members])


def part(index, offset=5, metadata="m", epoch=-1):
    return {"PartitionIndex": index, "CommittedOffset": offset, "CommittedLeaderEpoch": epoch, "CommittedMetadata": metadata}


def commit(world, group, parts, topic="filled", version=9, generation=-1, member="", **more):
    return ask(world, "OffsetCommit", version, GroupId=group, GenerationIdOrMemberEpoch=generation, MemberId=member,
               Topics=[{"Name": topic, "Partitions": parts}], **more)


@coordinated
def group_ids(world):
    world.topic("t")
    for name, one in IDS.items():
        versions = (9,) if len(one) >= LONG else (3, 9)
        for version in versions:
            yield f"join, {name}, version {version}", join(world, one, version if version > 3 else 4)
            yield f"commit, {name}, version {version}", commit(world, one, [part(0)], "t", version)
        topics = [{"Name": "t", "PartitionIndexes": [0]}]
        yield f"fetch, {name}", ask(world, "OffsetFetch", 9, Groups=[{"GroupId": one, "Topics": topics}])
        yield f"heartbeat, {name}", ask(world, "Heartbeat", 4, GroupId=one, GenerationId=1, MemberId="m")
        yield f"sync, {name}", sync(world, None, one, "m")
        yield f"leave, {name}", leave(world, one, "m")
        yield f"describe, {name}", ask(world, "DescribeGroups", 6, Groups=[one])
        yield f"find, {name}", ask(world, "FindCoordinator", 6, KeyType=0, CoordinatorKeys=[one])
        yield f"delete, {name}", ask(world, "DeleteGroups", 2, GroupsNames=[one])


@coordinated
def group_member_ids(world):
    group = new_id(world, "member-ids")
    with world.connect() as connection:
        member = only_member(world, connection, group)
        yield "syncs", sync(world, connection, group, member, 1, [(member, b"all")])
        for name, one in IDS.items():
            yield f"join, {name}", join(world, group, member=one)
            yield f"heartbeat, {name}", ask(world, "Heartbeat", 4, GroupId=group, GenerationId=1, MemberId=one)
            yield f"sync, {name}", sync(world, None, group, one)
            yield f"leave, {name}", leave(world, group, one)
            yield f"commit, {name}", commit(world, group, [part(0)], "t", generation=1, member=one)
        for name, one in IDS.items():
            yield f"instance, {name}", join(world, new_id(world, "instance"), GroupInstanceId=one)


@coordinated
def group_client_ids(world):
    """The member id begins with the client's, and must be short enough to be sent."""
    key = codec.KEYS["JoinGroup"]
    for name, client in (("null", None), ("empty", ""), ("of 32730", "c" * 32730), ("of 32731", "c" * 32731), ("of 32767", "c" * 32767), ("a zero", "a\0b")):
        frame = codec.encode_header(key, 9, 1, client) + codec.encode_body(key, 9, joining(new_id(world, "client-ids")))
        yield f"client id {name}", world.ask_raw(frame, key, 9, text)


@coordinated
def join_group(world):
    for timeout in (0, -1, 5999, 6000, 1_800_000, 1_800_001, MAX32, -2**31):
        yield f"session {timeout}", join(world, new_id(world, "join"), session=timeout)
    for timeout in (0, -1, MAX32, -2**31):
        yield f"rebalance {timeout}", join(world, new_id(world, "join"), rebalance=timeout)
    for kind in ("", "connect", "x" * 1000, "x" * LONG):
        yield f"type {kind[:8]!r} of {len(kind)}", join(world, new_id(world, "join"), kind=kind)
    one = RANGE[0]
    for name, protocols in (("none", []), ("no name", [{"Name": "", "Metadata": b""}]), ("one twice", [one, one]),
                            ("of a long name", [{"Name": "r" * 32767, "Metadata": b""}]),
                            ("no metadata", [{"Name": "range", "Metadata": b""}]),
                            ("metadata that is none", [{"Name": "range", "Metadata": b"\xff" * 50}]),
                            ("1024", [{"Name": f"p{n}", "Metadata": b""} for n in range(1024)]),
                            ("1025", [{"Name": f"p{n}", "Metadata": b""} for n in range(1025)])):
        yield f"protocols: {name}", join(world, new_id(world, "join"), protocols=protocols)
        yield f"protocols: {name}, version 3", join(world, new_id(world, "join"), 3, protocols=protocols).split(" Generation")[0]
    for name, value in (("null", None), ("empty", ""), ("long", "x" * 5000)):
        yield f"reason {name}", join(world, new_id(world, "join"), Reason=value)
    group = new_id(world, "join")
    with world.connect() as connection:
        only_member(world, connection, group)
        yield "another type", join(world, group, kind="connect")
        yield "another protocol", join(world, group, protocols=[{"Name": "sticky", "Metadata": b""}])
        yield "another type, with an unknown id", join(world, group, kind="connect", member="x")
        yield "no protocols, with an unknown id", join(world, group, protocols=[], member="x")


@coordinated
def group_sizes(world):
    """Generations that do not fit into a record."""
    for name, size, protocols in (("an assignment of 2 MiB", 2 * MIB, None), ("a subscription of 2 MiB", 1, 2 * MIB), ("both small", 1, None)):
        group = new_id(world, "sizes")
        with world.connect() as connection:
            offers = None if protocols is None else [{"Name": "range", "Metadata": bytes(protocols)}]
            member = only_member(world, connection, group, protocols=offers)
            yield name, sync(world, connection, group, member, 1, [(member, bytes(size))])
            yield f"{name}, the group", RANDOM.sub("ID", ask(world, "DescribeGroups", 5, Groups=[group]))
            yield f"{name}, heartbeat", ask(world, "Heartbeat", 4, connection, GroupId=group, GenerationId=1, MemberId=member)


@coordinated
def sync_group(world):
    world.topic("t")
    group = new_id(world, "sync")
    with world.connect() as connection:
        member = only_member(world, connection, group)
        for generation in (0, -1, 2, MAX32, -2**31):
            yield f"generation {generation}", sync(world, connection, group, member, generation)
        yield "unknown member", sync(world, connection, group, "nobody")
        yield "unknown instance", sync(world, connection, group, member, GroupInstanceId="i")
        yield "no protocol type", ask(world, "SyncGroup", 5, connection, GroupId=group, GenerationId=1, MemberId=member,
                                      ProtocolType=None, ProtocolName=None, Assignments=[])
        yield "another protocol type", ask(world, "SyncGroup", 5, connection, GroupId=group, GenerationId=1, MemberId=member,
                                           ProtocolType="connect", ProtocolName="range", Assignments=[])
        yield "assignments of strangers", sync(world, connection, group, member, 1, [("a", b"x"), ("b", b"y"), ("a", b"z")])
        yield "again, with another assignment", sync(world, connection, group, member, 1, [(member, b"later")])
        for generation in (0, -1, 2, MAX32):
            yield f"heartbeat of {generation}", ask(world, "Heartbeat", 4, connection, GroupId=group, GenerationId=generation, MemberId=member)
            yield f"commit of {generation}", commit(world, group, [part(0)], "t", generation=generation, member=member)
        yield "leave many", leave(world, group, *(f"stranger-{n}" for n in range(5)), member, member, "")
        yield "the group", ask(world, "DescribeGroups", 5, Groups=[group])
        yield "sync afterwards", sync(world, connection, group, member)


@coordinated
def offset_commit(world):
    world.topic("t")
    group = new_id(world, "commit")
    for index in (0, 1, -1, MAX32, -2**31):
        yield f"partition {index}", commit(world, group, [part(index)], "t")
    for offset in (0, -1, -2, MAX64, -2**63):
        yield f"offset {offset}", commit(world, group, [part(0, offset)], "t")
    for epoch in (-1, -2, 0, 5, MAX32):
        yield f"leader epoch {epoch}", commit(world, group, [part(0, 5, "m", epoch)], "t")
        yield f"leader epoch {epoch}, read", ask(world, "OffsetFetch", 9, Groups=[{"GroupId": group, "Topics": None}])
    for name, metadata in (("null", None), ("empty", ""), ("4096", "m" * 4096), ("4097", "m" * 4097), ("4096 of two bytes", "\u00e9" * 4096),
                           ("2048 emoji", "\U0001f600" * 2048), ("2049 emoji", "\U0001f600" * 2049), ("zero", "a\0b"), ("40000", "m" * 40_000)):
        yield f"metadata {name}", commit(world, group, [part(0, 5, metadata)], "t")
    yield "metadata of one too long", commit(world, group, [part(0, 6), part(0, 7, "m" * 5000)], "t")
    for generation in (-2, -2**31, 0, 1, MAX32):
        for member in ("", "m"):
            yield f"generation {generation} of {member!r}", commit(world, group, [part(0)], "t", generation=generation, member=member)
            yield f"generation {generation} of {member!r}, no group", commit(world, new_id(world, "commit"), [part(0)], "t",
                                                                             generation=generation, member=member)
    yield "an instance", commit(world, group, [part(0)], "t", GroupInstanceId="i")
    for retention in (-1, 0, -2, 1, MAX64, -2**63):
        yield f"retention {retention}", commit(world, new_id(world, "commit"), [part(0)], "t", 4, RetentionTimeMs=retention)
    yield "a partition twice", commit(world, group, [part(0, 8), part(0, 9)], "t")
    yield "a partition twice, read", ask(world, "OffsetFetch", 9, Groups=[{"GroupId": group, "Topics": None}])
    yield "no partitions", commit(world, group, [], "t")
    yield "no topics", ask(world, "OffsetCommit", 9, GroupId=group, GenerationIdOrMemberEpoch=-1, MemberId="", Topics=[])
    for topic in ("", "nowhere", "x" * 300, "__consumer_offsets", "a b"):
        yield f"topic {topic[:12]!r}", commit(world, group, [part(0)], topic)
    yield "an unknown id", ask(world, "OffsetCommit", 10, GroupId=group, GenerationIdOrMemberEpoch=-1, MemberId="", Topics=[
        {"TopicId": b"\x42" * 16, "Partitions": [part(0)]}])
    answer = commit(world, group, [part(n) for n in range(5000)], "t")
    yield "5000 partitions that are not there", f"{answer.count('NONE')} of {answer.count('ErrorCode')}"


@coordinated
def offset_fetch(world):
    world.topic("t")
    group = new_id(world, "fetch")
    yield "commit", commit(world, group, [part(0)], "t")
    topics = [{"Name": "t", "PartitionIndexes": [0, 0, 1, -1, MAX32]}, {"Name": "t", "PartitionIndexes": [0]},
              {"Name": "", "PartitionIndexes": [0]}, {"Name": "nowhere", "PartitionIndexes": []}]
    for version in (1, 2, 5, 7):
        yield f"version {version}", ask(world, "OffsetFetch", version, GroupId=group, Topics=topics)
    for version in (8, 9):
        one = {"GroupId": group, "Topics": topics}
        yield f"version {version}", ask(world, "OffsetFetch", version, Groups=[one])
        yield f"a group twice, version {version}", ask(world, "OffsetFetch", version, Groups=[one, {**one, "Topics": None}])
        yield f"no groups, version {version}", ask(world, "OffsetFetch", version, Groups=[])
        yield f"no topics, version {version}", ask(world, "OffsetFetch", version, Groups=[{**one, "Topics": []}])
    for member, epoch in (("m", 0), ("m", -1), ("", 5), (None, 5), ("m", MAX32), ("m", -2)):
        one = {"GroupId": group, "MemberId": member, "MemberEpoch": epoch, "Topics": [{"Name": "t", "PartitionIndexes": [0]}]}
        yield f"member {member!r} of {epoch}", ask(world, "OffsetFetch", 9, Groups=[one])
        yield f"member {member!r} of {epoch}, no group", ask(world, "OffsetFetch", 9, Groups=[{**one, "GroupId": new_id(world, "fetch")}])


@coordinated
def group_admin(world):
    world.topic("t")
    group = new_id(world, "admin")
    yield "commit", commit(world, group, [part(0)], "t")
    for version in range(0, 7):
        yield f"describe, version {version}", ask(world, "DescribeGroups", version, Groups=[group, group, "", "none"])
    yield "describe nothing", ask(world, "DescribeGroups", 6, Groups=[])
    for states, types in ((["Nonsense"], []), ([], ["Nonsense"]), ([""], []), ([], [""]), (["EMPTY"], ["CLASSIC"]), (["empty", "empty"], []),
                          (["Dead"], []), (["Stable"], ["share", "streams"])):
        answer = ask(world, "ListGroups", 5, StatesFilter=states, TypesFilter=types)
        yield f"list {states} {types}", f"{answer.split(' Groups')[0]} {'admin-N' in answer}"
    for version in range(0, 6):
        answer = ask(world, "ListGroups", version)
        yield f"list, version {version}", str(re.findall(r"\{GroupId 'admin-N'[^}]*\}", answer))
    for parts in ([], [0], [0, 0], [-1], [MAX32]):
        topics = [{"Name": "t", "Partitions": [{"PartitionIndex": one} for one in parts]}]
        yield f"delete offsets of {parts}", ask(world, "OffsetDelete", 0, GroupId=group, Topics=topics)
        yield f"delete offsets of {parts} of none", ask(world, "OffsetDelete", 0, GroupId="none", Topics=topics)
    yield "delete no offsets", ask(world, "OffsetDelete", 0, GroupId=group, Topics=[])
    yield "delete offsets of no topic", ask(world, "OffsetDelete", 0, GroupId=group, Topics=[{"Name": "", "Partitions": [{"PartitionIndex": 0}]}])
    for version in range(0, 4):
        yield f"delete, version {version}", ask(world, "DeleteGroups", version, GroupsNames=["none", "none", ""])
    yield "delete nothing", ask(world, "DeleteGroups", 2, GroupsNames=[])


@coordinated
def find_coordinator(world):
    def shown(answer):
        return answer.replace(world.address.split(":")[0], "HOST")

    for kind in (-1, 0, 1, 2, 3, 127, -128):
        for version in (1, 3):
            for key in ("", "g"):
                yield f"type {kind} of {key!r}, version {version}", shown(ask(world, "FindCoordinator", version, Key=key, KeyType=kind))
        for version in (4, 6):
            for keys in ([], [""], ["g", "g"], ["g:AAAAAAAAAAAAAAAAAAAAAA:0"]):
                answer = ask(world, "FindCoordinator", version, KeyType=kind, CoordinatorKeys=keys)
                yield f"type {kind} of {keys}, version {version}", shown(answer)
