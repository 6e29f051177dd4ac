"""Groups under members of both protocols that do all they can at once, and over a log that a stranger has written to."""
import struct
import threading
import time
import uuid

from attack import Site, attack, expect, expect_health
from attack_coordinators import SETTINGS, call, coordinators
import batches
import codec
import wire

MIGRATING = {**SETTINGS, "group.consumer.migration.policy": "bidirectional", "group.max.size": "6", "offsets.topic.num.partitions": "1"}
GROUPS, MEMBERS, INSTANCES = ["g0", "g1", "g2"], ["a", "b", "c", "d"], [None, None, None, "i", "j"]
SUBSCRIPTION = struct.pack(">hih1sii", 1, 1, 1, b"t", -1, 0)
ASSIGNMENT = struct.pack(">hih1siiii", 1, 1, 1, b"t", 2, 0, 1, -1)
ROUNDS, STORM_S, PATIENCE_S = 12, 12, 60


def number(chance):
    return chance.choice([0, 0, 1, 1, 2, 3, 4, 5, -1, -2, chance.randrange(100), 2**31 - 1, -2**31])


def some_request(chance, ids, topics):
    """(API, version, body) of a member, or of somebody who would like to be one."""
    group, instance, owned = chance.choice(GROUPS), chance.choice(INSTANCES), [{"TopicId": topics[0], "Partitions": [0, 1]}]
    member = chance.choice([*ids[-40:], "", *MEMBERS])
    what = chance.randrange(12)
    if what < 2:
        return "JoinGroup", 5, {
            "GroupId": group, "SessionTimeoutMs": 1000, "RebalanceTimeoutMs": chance.choice([-1, 0, 100, 1000]), "MemberId": member,
            "GroupInstanceId": instance, "ProtocolType": "consumer",
            "Protocols": [{"Name": "range", "Metadata": chance.choice([SUBSCRIPTION, SUBSCRIPTION, b"", b"\xff"])}]}
    if what == 2:
        return "SyncGroup", 3, {"GroupId": group, "GenerationId": number(chance), "MemberId": member, "GroupInstanceId": instance,
                                "Assignments": [{"MemberId": one, "Assignment": ASSIGNMENT} for one in ids[-10:]]}
    if what == 3:
        return "Heartbeat", 4, {"GroupId": group, "GenerationId": number(chance), "MemberId": member, "GroupInstanceId": instance}
    if what == 4:
        return "LeaveGroup", 5, {"GroupId": group, "Members": [{"MemberId": member, "GroupInstanceId": instance}]}
    if what == 5:
        return "ConsumerGroupDescribe", 1, {"GroupIds": GROUPS}
    if what == 6:
        part = {"PartitionIndex": 0, "CommittedOffset": 5, "CommittedMetadata": ""}
        return "OffsetCommit", 9, {"GroupId": group, "GenerationIdOrMemberEpoch": number(chance), "MemberId": member,
                                   "Topics": [{"Name": "t", "Partitions": [part]}]}
    body = {"GroupId": group, "MemberId": chance.choice([member or "e", *MEMBERS]), "InstanceId": instance}
    if what < 10:
        epoch = number(chance)
        return "ConsumerGroupHeartbeat", 1, {**body, "MemberEpoch": epoch, "TopicPartitions": None if epoch == 0 else chance.choice([None, [], owned])}
    return "ConsumerGroupHeartbeat", 1, {
        **body, "MemberEpoch": 0, "RebalanceTimeoutMs": chance.choice([0, 100, 1000]), "TopicPartitions": [],
        "SubscribedTopicNames": chance.choice([["t"], ["t", "u"], ["w"], []]), "SubscribedTopicRegex": chance.choice([None, None, "t|w", ""])}


def live(site, chance, until, ids, topics):
    """Sends such requests, goes away in the middle of some, and comes again."""
    connection = None
    while time.monotonic() < until:
        connection = connection or site.connect(0.3)
        api, version, body = some_request(chance, ids, topics)
        try:
            answer = connection.request(codec.KEYS[api], version, body)
        except wire.Silent:  # it is parked
            connection.reset() if chance.random() < 0.5 else connection.close()
            connection = None
            continue
        if answer.get("MemberId"):
            ids.append(answer["MemberId"])
    if connection:
        connection.close()


@attack
def members_of_both_protocols_at_once(chance):
    """Under ids and instance ids that are others', with topics that come and go: when all are gone no group has a member."""
    with Site(MIGRATING) as site:
        expect_health(site, "before")
        coordinators(site)
        with site.connect() as connection:
            topics, ids = [wire.create_topic(connection, name, 3) for name in "tu"], []
            until = time.monotonic() + STORM_S
            seeds = [type(chance)(chance.random()) for _ in range(6)]
            threads = [threading.Thread(target=live, args=(site, one, until, ids, topics)) for one in seeds]
            for one in threads:
                one.start()
            while time.monotonic() < until:
                call(connection, "CreateTopics", 7, TimeoutMs=1000, Topics=[{"Name": "w", "NumPartitions": 2, "ReplicationFactor": 1}])
                time.sleep(chance.random() / 5)
                call(connection, "DeleteTopics", 6, TimeoutMs=1000, Topics=[{"Name": "w"}])
            for one in threads:
                one.join()
            expect(site.target.alive(), "the broker is gone")
            deadline = time.monotonic() + PATIENCE_S
            while any(one["GroupState"] != "Empty" for one in call(connection, "ListGroups", 5)["Groups"]):
                expect(time.monotonic() < deadline, f"still there: {call(connection, 'ListGroups', 5)['Groups']}")
                time.sleep(0.1)
        expect_health(site)


# ---- records as a coordinator writes them, but for what they say ----

def compact(data):
    data = data.encode() if isinstance(data, str) else data
    return b"\0" if data is None else codec.uvarint(len(data) + 1) + data


def array(items):
    return codec.uvarint(len(items) + 1) + b"".join(items)


def tagged(fields):
    return codec.uvarint(len(fields)) + b"".join(
        codec.uvarint(tag) + codec.uvarint(len(data)) + data for tag, data in sorted(fields.items()))


def text(value):
    return b"\xff\xff" if value is None else struct.pack(">h", len(value)) + value.encode()


def ints(*values):
    return struct.pack(f">{len(values)}i", *values)


def partitions(chance, topics):
    count = chance.randrange(4)
    epochs = {0: array([ints(number(chance)) for _ in range(count)])} if chance.random() < 0.4 else {}
    return chance.choice(topics).bytes + array([ints(chance.choice([0, 1, 2, -1, 99])) for _ in range(count)]) + tagged(epochs)


def classic_group(chance):
    members = [text(chance.choice(MEMBERS)) + text(chance.choice(INSTANCES)) + text("client") + text("host") +
               ints(number(chance), number(chance)) + ints(len(SUBSCRIPTION)) + SUBSCRIPTION + ints(0) for _ in range(chance.randrange(4))]
    return struct.pack(">h", 3) + text(chance.choice(["consumer", "", "connect"])) + ints(number(chance)) + \
        text(chance.choice([None, "range"])) + text(chance.choice([None, *MEMBERS])) + bytes(8) + ints(len(members)) + b"".join(members)


def consumer_member(chance):
    protocols = [compact("range") + compact(chance.choice([SUBSCRIPTION, b"", b"\xff"])) + b"\0" for _ in range(chance.randrange(3))]
    classic = {0: b"\1" + ints(number(chance)) + array(protocols) + b"\0"} if chance.random() < 0.5 else {}
    topics = [compact(chance.choice(["t", "u", "none"])) for _ in range(chance.randrange(3))]
    return b"\0\0" + compact(chance.choice(INSTANCES)) + compact(None) + compact("client") + compact("host") + array(topics) + \
        compact(chance.choice([None, "", "t|u", "("])) + ints(number(chance)) + compact(chance.choice([None, "range", "none"])) + tagged(classic)


def some_record(chance, topics):
    kind = chance.choice([2, 3, 3, 5, 5, 5, 5, 6, 6, 7, 7, 8, 8, 8, 16])
    key = struct.pack(">h", kind) + text(chance.choice(GROUPS))
    if kind in (5, 7, 8):
        key += text(chance.choice(MEMBERS))
    if kind == 16:
        key += text(chance.choice(["t|u", "(", ""]))
    if chance.random() < 0.15:
        return key, None
    owned = array([partitions(chance, topics) for _ in range(chance.randrange(3))])
    target = array([chance.choice(topics).bytes + array([ints(number(chance))]) + b"\0" for _ in range(chance.randrange(3))])
    return key, {2: lambda: classic_group(chance), 5: lambda: consumer_member(chance),
                 3: lambda: b"\0\0" + ints(number(chance)) + tagged({0: bytes(8)}),
                 6: lambda: b"\0\0" + ints(number(chance)) + tagged({0: bytes(8)}),
                 7: lambda: b"\0\0" + target + b"\0",
                 8: lambda: b"\0\0" + ints(number(chance), number(chance)) + bytes([chance.choice([0, 1, 2, 127])]) + owned + owned + b"\0",
                 16: lambda: b"\0\0" + array([compact(chance.choice(["t", "none"]))]) + bytes(16) + b"\0"}[kind]()


@attack
def a_log_of_groups_that_a_stranger_has_written_to(chance):
    """Whoever calls itself Kafka's administration client may write to __consumer_offsets: the broker starts all the same, and
    serves the groups that it makes of that."""
    with Site(MIGRATING) as site:
        expect_health(site, "before")
        coordinators(site)
        with site.connect() as connection:
            topics = [*(wire.create_topic(connection, name, 3) for name in "tu"), uuid.UUID(int=5)]
        for _ in range(ROUNDS):
            written = [some_record(chance, topics) for _ in range(chance.choice([5, 20, 60]))]
            data = batches.batch(records=[batches.record(key=key, value=value, offset_delta=n) for n, (key, value) in enumerate(written)])
            with site.connect() as connection:
                connection.send_frame(codec.encode_header(wire.PRODUCE, 9, 1, "__admin_client") +
                                      codec.encode_body(wire.PRODUCE, 9, wire.produce_body("__consumer_offsets", data)))
                expect(wire.produced(connection.answer(wire.PRODUCE, 9))[0] == "NONE", "it is not written")
            site.target.kill()
            site.target.start()
            deadline = time.monotonic() + PATIENCE_S
            with site.connect() as connection:
                while any(one["ErrorCode"] for one in call(connection, "DescribeGroups", 5, Groups=GROUPS)["Groups"]):
                    expect(time.monotonic() < deadline, "the groups are not loaded")
                    time.sleep(0.02)
            live(site, chance, time.monotonic() + 0.5, [], topics)
            expect(site.target.alive(), f"the broker is gone: {site.target.last_words()}")
        expect_health(site)
