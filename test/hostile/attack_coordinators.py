"""Clients that make groups, members and transactions by the thousands, and go; and requests of the coordinators that
are large."""
import time

from attack import MIB, Site, attack, expect, expect_descriptors, expect_health, expect_memory, expect_others_served
import batches
import codec
import wire
from site_under_attack import BASE, REQUEST_MEMORY

SETTINGS = {"offsets.topic.num.partitions": "5", "transaction.state.log.num.partitions": "5", "group.min.session.timeout.ms": "100",
            "offsets.retention.check.interval.ms": "200", "transactional.id.expiration.ms": "1000",
            "transaction.remove.expired.transaction.cleanup.interval.ms": "200", "group.initial.rebalance.delay.ms": "100",
            "group.consumer.min.session.timeout.ms": "500", "group.consumer.session.timeout.ms": "500",
            "group.consumer.min.heartbeat.interval.ms": "100", "group.consumer.heartbeat.interval.ms": "100",
            # A broker with its own groups would have them cleaned now and then; this is about what is in memory.
            "log.cleaner.enable": "false"}
STORM = 1500
PATIENCE_S = 60


def call(connection, name, version, **body):
    return connection.request(codec.KEYS[name], version, body)


def coordinators(site):
    with site.connect() as connection:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            answers = [call(connection, "FindCoordinator", 4, KeyType=kind, CoordinatorKeys=["any"]) for kind in (0, 1)]
            found = [answer["Coordinators"][0]["ErrorCode"] for answer in answers]
            if found == [0, 0] and left(site) == ([], []):
                return
            expect(time.monotonic() < deadline, f"no coordinators: {found}")
            time.sleep(0.05)


def left(site):
    """Groups and transactional ids that the broker knows, or what it said instead."""
    with site.connect() as connection:
        groups, transactions = call(connection, "ListGroups", 5), call(connection, "ListTransactions", 1)
    if groups["ErrorCode"] or transactions["ErrorCode"]:
        return groups["ErrorCode"], transactions["ErrorCode"]
    return [one["GroupId"] for one in groups["Groups"]], [one["TransactionalId"] for one in transactions["TransactionStates"]]


def expect_nothing_left(site):
    deadline = time.monotonic() + PATIENCE_S
    while (found := left(site)) != ([], []):
        expect(time.monotonic() < deadline, f"left over: {str(found)[:300]}")
        time.sleep(0.1)


def last_offset(connection, isolation):
    answer = call(connection, "ListOffsets", 7, ReplicaId=-1, IsolationLevel=isolation, Topics=[
        {"Name": "health", "Partitions": [{"PartitionIndex": 0, "Timestamp": -1}]}])
    return answer["Topics"][0]["Partitions"][0]["Offset"]


def send(connection, name, version, **body):
    connection.send_frame(codec.encode(codec.KEYS[name], version, 7, body))


def member(group, timeout_ms, metadata):
    """What a member says that joins a group without an id of its own."""
    return {"GroupId": group, "SessionTimeoutMs": timeout_ms, "RebalanceTimeoutMs": timeout_ms, "MemberId": "", "ProtocolType": "consumer",
            "Protocols": [{"Name": "range", "Metadata": metadata}]}


def storm(site, chance, round_number):
    connections = [site.connect() for _ in range(60)]
    parked = []
    for n in range(STORM):
        connection = connections[n % len(connections)]
        group = f"storm-{round_number}-{n}" + chance.choice(["", "\u00e9", "\U0001f600", "x" * chance.randint(1, 2000)])
        joining = member(group, 500, chance.randbytes(chance.choice([0, 100, 5000])))
        what = n % 10
        if what == 0:
            send(connection, "JoinGroup", 9, **joining)
            connection.receive_frame()
        elif what == 1 and len(parked) < 500:  # each parks its connection
            parked.append(site.connect())
            send(parked[-1], "JoinGroup", 3, **joining)
        elif what == 2:
            part = {"PartitionIndex": 0, "CommittedOffset": n, "CommittedMetadata": "m" * chance.choice([0, 4096])}
            call(connection, "OffsetCommit", 4, GroupId=group, GenerationIdOrMemberEpoch=-1, MemberId="", RetentionTimeMs=500,
                 Topics=[{"Name": "health", "Partitions": [part]}])
        elif what == 3:
            call(connection, "Heartbeat", 4, GroupId=group, GenerationId=n, MemberId="m")
            call(connection, "LeaveGroup", 5, GroupId=group, Members=[{"MemberId": str(one)} for one in range(20)])
        elif what == 4:
            call(connection, "InitProducerId", 5, TransactionalId=group, TransactionTimeoutMs=500)
        elif what == 5:
            answer = call(connection, "InitProducerId", 5, TransactionalId=group, TransactionTimeoutMs=500)
            data = batches.batch(producer_id=answer["ProducerId"], producer_epoch=answer["ProducerEpoch"], base_sequence=0,
                                 attributes=batches.TRANSACTIONAL)
            connection.request(wire.PRODUCE, 12, wire.produce_body("health", data, transactional_id=group))
        elif what == 6:  # a member of the consumer protocol that is never heard again, with thousands of topics
            names = {"SubscribedTopicNames": ["health", *(f"topic-{one}" for one in range(chance.choice([0, 10, 3000])))]}
            expression = {"SubscribedTopicRegex": chance.choice(["(a*)*b", "health|x.*", "(?i)HEALTH"])}
            call(connection, "ConsumerGroupHeartbeat", 1, GroupId=group, MemberId="m", MemberEpoch=0, RebalanceTimeoutMs=500,
                 TopicPartitions=[], **chance.choice([names, expression]))
        elif what == 7:  # static ones that go for a while, and do not come back
            static = {"GroupId": group, "MemberId": "m", "InstanceId": "i" * chance.randint(1, 2000)}
            call(connection, "ConsumerGroupHeartbeat", 1, MemberEpoch=0, RebalanceTimeoutMs=500, SubscribedTopicNames=["health"],
                 TopicPartitions=[], **static)
            call(connection, "ConsumerGroupHeartbeat", 1, MemberEpoch=-2, **static)
        elif what == 8:  # unknown members and epochs
            for epoch in (1, n, -1):
                call(connection, "ConsumerGroupHeartbeat", 1, GroupId=group, MemberId="m", MemberEpoch=epoch,
                     TopicPartitions=[{"TopicId": chance.randbytes(16), "Partitions": list(range(100))}])
        else:
            answer = call(connection, "InitProducerId", 5, TransactionalId=group, TransactionTimeoutMs=500)
            part = {"PartitionIndex": 0, "CommittedOffset": n, "CommittedMetadata": "m"}
            call(connection, "TxnOffsetCommit", 5, TransactionalId=group, GroupId=group, ProducerId=answer["ProducerId"],
                 ProducerEpoch=answer["ProducerEpoch"], GenerationIdOrMemberEpoch=-1, MemberId="",
                 Topics=[{"Name": "health", "Partitions": [part]}])
    for n, connection in enumerate(connections + parked):
        connection.reset() if n % 2 else connection.close()


@attack
def storms_of_groups_and_transactions_leave_nothing(chance):
    """Thousands of groups, members and transactional ids; when their clients are gone and what they made has expired,
    the broker knows of none, and storm after storm takes no more memory."""
    with Site(SETTINGS) as site:
        expect_health(site, "before")
        coordinators(site)
        descriptors = site.descriptors()
        sizes = []
        for number in range(10):
            site.reset_peak()
            storm(site, chance, number)
            expect_nothing_left(site)
            sizes.append(site.status("VmRSS"))
            expect_memory(site, BASE + REQUEST_MEMORY)
        expect_descriptors(site, descriptors + 40)  # segments of the internal topics among them
        print(f"{STORM} each time; VmRSS afterwards {[size // MIB for size in sizes]} MiB")
        # The allocator needs some storms until it has pieces of all sizes.
        expect(site.sanitized or sizes[-1] - sizes[5] < 8 * MIB, f"memory grows: {sizes}")
        with site.connect() as connection:
            stable, end = last_offset(connection, 1), last_offset(connection, 0)
            expect(stable == end, f"the last stable offset is {stable} where the log ends at {end}")
        expect_health(site)


@attack
def members_that_offer_megabytes(chance):
    """Members are let in as long as jackdaw.group.memory.bytes allows; those before them are served, and there is room
    again when they have gone."""
    limit = 16 * MIB
    with Site({**SETTINGS, "jackdaw.group.memory.bytes": str(limit), "group.max.session.timeout.ms": "60000"}) as site:
        expect_health(site, "before")
        coordinators(site)
        site.reset_peak()
        connections, errors = [], []
        for n in range(40):
            connection = site.connect()
            connections.append(connection)
            send(connection, "JoinGroup", 3, **member(f"fat-{n}", 12000, bytes(MIB)))
        for connection in connections:
            errors.append(codec.error_name(connection.answer(codec.KEYS["JoinGroup"], 3)["ErrorCode"]))
        let_in = errors.count("NONE")
        print(f"{let_in} of {len(errors)} members of 1 MiB were let in with {limit // MIB} MiB")
        expect(set(errors) <= {"NONE", "COORDINATOR_NOT_AVAILABLE"}, f"answered {set(errors)}")
        expect(limit // MIB - 2 <= let_in <= limit // MIB, f"{let_in} were let in")
        expect_memory(site, BASE + REQUEST_MEMORY + limit)
        for connection in connections:
            connection.close()
        expect_nothing_left(site)
        with site.connect() as connection:
            send(connection, "JoinGroup", 3, **member("later", 3000, bytes(MIB)))
            error = codec.error_name(connection.answer(codec.KEYS["JoinGroup"], 3)["ErrorCode"])
            expect(error == "NONE", f"afterwards a member is answered {error}")
        expect_health(site)


def requests_of_many(who):
    """Name to API, version and body: as many elements as fit, for the transaction of `who`."""
    part = {"PartitionIndex": 0, "CommittedOffset": 1, "CommittedMetadata": ""}
    commit = {"GroupId": "g", "GenerationIdOrMemberEpoch": -1, "MemberId": ""}
    wide, nowhere = {"Name": "wide", "Partitions": [part] * 300_000}, {"Name": "x", "Partitions": [part]}
    joining = {"GroupId": "g", "SessionTimeoutMs": 1000, "RebalanceTimeoutMs": 1000, "ProtocolType": "consumer"}
    syncing = {"GroupId": "g", "GenerationId": 1, "MemberId": "m", "ProtocolType": "consumer", "ProtocolName": "range"}
    beating = {"GroupId": "c", "MemberId": "m", "MemberEpoch": 0, "RebalanceTimeoutMs": 1000, "TopicPartitions": []}
    marker = {"ProducerId": 5, "ProducerEpoch": 0, "TransactionResult": True, "CoordinatorEpoch": 0}
    return {
        "commit, one partition": ("OffsetCommit", 9, {**commit, "Topics": [wide]}),
        "commit, unknown topics": ("OffsetCommit", 9, {**commit, "Topics": [nowhere] * 300_000}),
        "fetch offsets": ("OffsetFetch", 9, {"Groups": [
            {"GroupId": "g", "Topics": [{"Name": "wide", "PartitionIndexes": [0]}] * 300_000}]}),
        "fetch offsets of groups": ("OffsetFetch", 9, {"Groups": [{"GroupId": "g", "Topics": None}] * 300_000}),
        "delete offsets": ("OffsetDelete", 0, {"GroupId": "g", "Topics": [
            {"Name": "wide", "Partitions": [{"PartitionIndex": 0}] * 500_000}]}),
        "describe groups": ("DescribeGroups", 5, {"Groups": ["g"] * 500_000}),
        "delete groups": ("DeleteGroups", 2, {"GroupsNames": ["g"] * 500_000}),
        "list groups, states": ("ListGroups", 5, {"StatesFilter": ["x"] * 500_000}),
        "leave": ("LeaveGroup", 5, {"GroupId": "g", "Members": [{"MemberId": "m"}] * 500_000}),
        "protocols": ("JoinGroup", 9, {**joining, "Protocols": [{"Name": "range", "Metadata": b""}] * 500_000}),
        "assignments": ("SyncGroup", 5, {**syncing, "Assignments": [{"MemberId": "m", "Assignment": b""}] * 500_000}),
        "heartbeat, topics": ("ConsumerGroupHeartbeat", 1, {**beating, "SubscribedTopicNames": [f"topic-{n}" for n in range(300_000)]}),
        "heartbeat, one topic": ("ConsumerGroupHeartbeat", 1, {**beating, "SubscribedTopicNames": ["wide"] * 1_000_000}),
        "heartbeat, what it owns": ("ConsumerGroupHeartbeat", 1, {
            **beating, "MemberEpoch": 1, "TopicPartitions": [{"TopicId": bytes(16), "Partitions": list(range(1_000_000))}]}),
        "heartbeat, an expression": ("ConsumerGroupHeartbeat", 1, {
            **beating, "SubscribedTopicNames": None, "SubscribedTopicRegex": "(a*)*b" * 5_000}),
        "describe consumers": ("ConsumerGroupDescribe", 1, {"GroupIds": ["g"] * 500_000}),
        "coordinators": ("FindCoordinator", 4, {"KeyType": 0, "CoordinatorKeys": ["g"] * 500_000}),
        "add partitions": ("AddPartitionsToTxn", 3, {**{f"V3AndBelow{key}": value for key, value in who.items()},
                                                     "V3AndBelowTopics": [{"Name": "wide", "Partitions": [0] * 1_000_000}]}),
        "add partitions of many": ("AddPartitionsToTxn", 4, {"Transactions": [
            {**who, "VerifyOnly": True, "Topics": [{"Name": "wide", "Partitions": [0]}]}] * 100_000}),
        "commit in a transaction": ("TxnOffsetCommit", 5, {**who, **commit, "Topics": [wide]}),
        "markers": ("WriteTxnMarkers", 1, {"Markers": [
            {**marker, "Topics": [{"Name": "wide", "PartitionIndexes": [0] * 100_000}]}]}),
        "describe transactions": ("DescribeTransactions", 0, {"TransactionalIds": ["one"] * 200_000}),
        "list transactions": ("ListTransactions", 1, {"StateFilters": ["x"] * 500_000, "ProducerIdFilters": [1] * 500_000}),
        "describe producers": ("DescribeProducers", 0, {"Topics": [{"Name": "wide", "PartitionIndexes": [0] * 500_000}]}),
    }


@attack
def hostile_expressions(chance):
    """Members subscribe by expressions that are hard to compile or to match, with 10,000 topics to match them against: each is
    refused or taken, what is taken is resolved or given up in bounded time, and others are served meanwhile."""
    longest = 32767  # of a string in a request
    expressions = ["(a*)*b", "(a|aa)+$b", "(.*a){20}b", "(a?){1000}", "(.{1,30}x?){30}", "(a|b)*a(a|b|0|1|2){200}x",
                   "a?" * (longest // 2), "[a-z]{0,9}" * (longest // 10), "(a|bc)?" * (longest // 7), "(a.*b)|" * (longest // 7 - 1) + "a"]
    refused = ["(a{1000}){1000}", "(\\pL|\\pN){1000}", "(" * longest, "(?:(a|bc)?){1000}" * 1900, "\\xZZ", "a**"]
    with Site({**SETTINGS, "group.consumer.session.timeout.ms": "60000", "group.consumer.max.session.timeout.ms": "60000"}) as site:
        expect_health(site, "before")
        coordinators(site)
        with site.connect(120) as connection:
            for first in range(0, 10_000, 1000):
                answer = call(connection, "CreateTopics", 7, TimeoutMs=60000, Topics=[
                    {"Name": f"{'a' * 200}{first + n}", "NumPartitions": 1, "ReplicationFactor": 1} for n in range(1000)])
                expect({one["ErrorCode"] for one in answer["Topics"]} == {0}, "topics were not made")
        site.reset_peak()
        key, connections = codec.KEYS["ConsumerGroupHeartbeat"], []
        for n, text in enumerate(expressions + refused):
            connection = site.connect(120)
            connections.append(connection)
            connection.send_frame(codec.encode(key, 1, 1, {
                "GroupId": f"hostile-{n}", "MemberId": f"m{n}", "MemberEpoch": 0, "RebalanceTimeoutMs": 60000,
                "SubscribedTopicRegex": text, "TopicPartitions": []}))
        expect_health(site, "while they are compiled")
        errors = [codec.error_name(connection.answer(key, 1)["ErrorCode"]) for connection in connections]
        expect(errors == ["NONE"] * len(expressions) + ["INVALID_REGULAR_EXPRESSION"] * len(refused), f"answered {errors}")
        expect_health(site, "while they are matched")
        # One that is easy finds its turn behind them.
        with site.connect(120) as connection:
            epoch, owned, deadline = 0, [], time.monotonic() + PATIENCE_S
            while not owned:
                expect(time.monotonic() < deadline, "an expression is not resolved behind hostile ones")
                answer = call(connection, "ConsumerGroupHeartbeat", 1, GroupId="easy", MemberId="easy", MemberEpoch=epoch, **(
                    {"RebalanceTimeoutMs": 60000, "SubscribedTopicRegex": "a+77[0-9]", "TopicPartitions": []} if epoch == 0 else {}))
                expect(answer["ErrorCode"] == 0, f"the easy one is answered {codec.error_name(answer['ErrorCode'])}")
                epoch = answer["MemberEpoch"]
                owned = answer["Assignment"]["TopicPartitions"] if answer["Assignment"] else []
                time.sleep(0.05)
            expect(len(owned) == 10, f"{len(owned)} topics were found")
        expect_health(site)


@attack
def large_requests_of_the_coordinators(chance):
    """As many elements as a frame holds, of each API of groups and transactions: others wait for no more than the
    work takes, memory stays within the limits."""
    with Site({**SETTINGS, "offsets.commit.timeout.ms": "60000"}) as site:
        expect_health(site, "before")
        coordinators(site)
        with site.connect() as connection:
            wire.create_topic(connection, "wide", partitions=100)
            ids = call(connection, "InitProducerId", 5, TransactionalId="one", TransactionTimeoutMs=60000)
        who = {"TransactionalId": "one", "ProducerId": ids["ProducerId"], "ProducerEpoch": ids["ProducerEpoch"]}
        for name, (api, version, body) in requests_of_many(who).items():
            expect_others_served(site, name, codec.KEYS[api], version, body, 2)
        expect_health(site)
