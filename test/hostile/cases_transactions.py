"""Requests of transactions with one fault each, and what is read while one is open: see cases.py."""
import batches
import codec
import wire
from cases import MAX32, MAX64, listed, show_fetched, show_produced
from cases_groups import IDS, part
from coordinated import ask, coordinated, new_id, wait_for

UNKNOWN = 1 << 40  # no producer of this broker
TIME = 1_600_000_000_000


class Producer:
    """A transactional producer of raw requests; `world.ids` knows its topic."""

    def __init__(self, world, name=None, timeout_ms=60000):
        self.world, self.name = world, name or new_id(world, "transaction")
        self.begin(timeout_ms)

    def begin(self, timeout_ms=60000):
        def done():
            with self.world.connect() as connection:
                answer = connection.request(codec.KEYS["InitProducerId"], 5, {"TransactionalId": self.name, "TransactionTimeoutMs": timeout_ms})
            assert codec.error_name(answer["ErrorCode"]) in ("NONE", "CONCURRENT_TRANSACTIONS", "COORDINATOR_LOAD_IN_PROGRESS"), answer
            self.id, self.epoch = answer["ProducerId"], answer["ProducerEpoch"]
            return answer["ErrorCode"] == 0
        wait_for(done, "no producer id")

    def who(self, **lies):
        return {"TransactionalId": self.name, "ProducerId": self.id, "ProducerEpoch": self.epoch, **lies}

    def add(self, topic, parts=(0,), version=3, **lies):
        who = {f"V3AndBelow{key}": value for key, value in self.who(**lies).items()}
        return ask(self.world, "AddPartitionsToTxn", version, V3AndBelowTopics=[{"Name": topic, "Partitions": list(parts)}], **who)

    def produce(self, topic, sequence=0, version=11, timestamp=TIME, **lies):
        data = batches.batch(producer_id=self.id, producer_epoch=self.epoch, base_sequence=sequence,
                             attributes=batches.TRANSACTIONAL, timestamp=timestamp, **lies)
        body = wire.produce_body(topic, data, topic_id=self.world.ids.get(topic), transactional_id=self.name)
        return self.world.ask(wire.PRODUCE, version, body, show_produced)

    def end(self, commit, version=4, **lies):
        return ask(self.world, "EndTxn", version, Committed=commit, **self.who(**lies))

    def settled(self):
        wait_for(lambda: "Complete" in ask(self.world, "DescribeTransactions", 0, TransactionalIds=[self.name]), "it is not complete")


def state(world, name):
    return ask(world, "DescribeTransactions", 0, TransactionalIds=[name])


@coordinated
def init_producer_id(world):
    for name, one in IDS.items():
        yield f"id {name}", ask(world, "InitProducerId", 5, TransactionalId=one, TransactionTimeoutMs=60000)
    for timeout in (1, 0, -1, 900_000, 900_001, MAX32, -2**31):
        yield f"timeout {timeout}", ask(world, "InitProducerId", 5, TransactionalId=new_id(world, "init"), TransactionTimeoutMs=timeout)
    for version in range(0, 6):
        yield f"version {version}", ask(world, "InitProducerId", version, TransactionalId=new_id(world, "init"), TransactionTimeoutMs=60000)
    one = Producer(world)

    def again(producer, epoch, version=5):
        return ask(world, "InitProducerId", version, TransactionalId=one.name, TransactionTimeoutMs=60000, ProducerId=producer, ProducerEpoch=epoch)

    for name, producer, epoch in (("unknown", UNKNOWN, 0), ("later epoch", one.id, 5), ("no epoch", one.id, -1), ("only an epoch", -1, 0),
                                  ("negative", -2, -2), ("its own", one.id, 0), ("its own, again", one.id, 0), ("the next", one.id, 1),
                                  ("the first, late", one.id, 0), ("the last epoch", one.id, 32767), ("none", -1, -1), ("the old, version 4", one.id, 1)):
        yield f"expects {name}", again(producer, epoch)
        yield f"expects {name}, version 3", again(producer, epoch, 3)


@coordinated
def add_partitions_to_txn(world):
    topic = world.topic("txn-add")
    one = Producer(world)
    for version in range(0, 4):
        for name, lies in (("unknown id", {"TransactionalId": "nobody"}), ("no id", {"TransactionalId": ""}), ("unknown producer", {"ProducerId": UNKNOWN}),
                           ("producer -1", {"ProducerId": -1}), ("later epoch", {"ProducerEpoch": 5}), ("epoch -1", {"ProducerEpoch": -1})):
            yield f"{name}, version {version}", one.add(topic, version=version, **lies)
    for name, where, parts in (("unknown topic", "nowhere", [0]), ("no topic", "", [0]), ("unknown partitions", topic, [0, 1, -1, MAX32]),
                               ("no partitions", topic, []), ("internal", "__transaction_state", [0]), ("a partition twice", topic, [0, 0])):
        yield name, one.add(where, parts)
    yield "nothing", ask(world, "AddPartitionsToTxn", 3, V3AndBelowTopics=[], V3AndBelowTransactionalId=one.name,
                         V3AndBelowProducerId=one.id, V3AndBelowProducerEpoch=one.epoch)
    yield "the state", state(world, one.name)
    yield "ends", one.end(False)
    one.settled()
    two = Producer(world)
    topics = [{"Name": topic, "Partitions": [0]}]
    for verify in (False, True):
        batch = [{**two.who(), "VerifyOnly": verify, "Topics": topics}, {**two.who(TransactionalId=""), "VerifyOnly": verify, "Topics": topics},
                 {**two.who(TransactionalId="nobody"), "VerifyOnly": verify, "Topics": topics},
                 {**two.who(), "VerifyOnly": verify, "Topics": [{"Name": "nowhere", "Partitions": [0]}]},
                 {**two.who(ProducerEpoch=7), "VerifyOnly": verify, "Topics": topics}]
        for version in (4, 5):
            for n, transaction in enumerate(batch):
                yield f"verify {verify} {n}, version {version}", ask(world, "AddPartitionsToTxn", version, Transactions=[transaction])
    yield "the second ends", two.end(False)


@coordinated
def add_offsets_to_txn(world):
    one = Producer(world)
    for version in range(0, 5):
        for name, lies in (("unknown id", {"TransactionalId": "nobody"}), ("no id", {"TransactionalId": ""}), ("unknown producer", {"ProducerId": UNKNOWN}),
                           ("later epoch", {"ProducerEpoch": 5}), ("epoch -1", {"ProducerEpoch": -1})):
            yield f"{name}, version {version}", ask(world, "AddOffsetsToTxn", version, GroupId="g", **one.who(**lies))
    for name, group in IDS.items():
        yield f"group {name}", ask(world, "AddOffsetsToTxn", 4, GroupId=group, **one.who())
    yield "ends", one.end(False)


@coordinated
def end_txn(world):
    topic = world.topic("txn-end")
    one = Producer(world)
    for version in range(0, 6):
        for name, lies in (("unknown id", {"TransactionalId": "nobody"}), ("no id", {"TransactionalId": ""}), ("unknown producer", {"ProducerId": UNKNOWN}),
                           ("later epoch", {"ProducerEpoch": 5}), ("epoch -1", {"ProducerEpoch": -1})):
            yield f"{name}, version {version}", one.end(True, version, **lies)
        yield f"nothing begun, commit, version {version}", one.end(True, version)
        if version < 5:
            yield f"nothing begun, abort, version {version}", one.end(False, version)
    for commits in (True, False):
        one = Producer(world)
        yield f"adds for {commits}", one.add(topic)
        yield f"produces for {commits}", one.produce(topic).split(" at ")[0]
        yield f"ends with {commits}", one.end(commits)
        one.settled()
        yield f"again {commits}", one.end(commits)
        yield f"again, but {not commits}", one.end(not commits)
        two = Producer(world)
        yield f"produces, version 2, for {commits}", two.produce(topic, version=13).split(" at ")[0]
        yield f"ends with {commits}, version 2", two.end(commits, 5)
        two.settled()
        yield f"again {commits}, version 2", two.end(commits, 5)
        yield f"again, but {not commits}, version 2", two.end(not commits, 5)
        two.epoch += 1
        yield f"the next, nothing begun, commit after {commits}", two.end(True, 5)
        yield f"the next begins after {commits}", two.produce(topic, version=13).split(" at ")[0]
        yield f"late {commits}, version 2", two.end(commits, 5, ProducerEpoch=two.epoch - 1)
        yield f"late, but {not commits}, version 2", two.end(not commits, 5, ProducerEpoch=two.epoch - 1)
        yield f"two epochs ahead after {commits}", two.end(commits, 5, ProducerEpoch=two.epoch + 1)
        yield f"the state after {commits}", state(world, two.name)
        yield f"the next ends after {commits}", two.end(True, 5)
        two.settled()


@coordinated
def txn_offset_commit(world):
    world.topic("t")
    group = new_id(world, "txn-commit")

    def commit(producer, version=3, parts=None, topic="t", generation=-1, member="", to=group, **lies):
        return ask(world, "TxnOffsetCommit", version, GroupId=to, GenerationIdOrMemberEpoch=generation, MemberId=member,
                   Topics=[{"Name": topic, "TopicId": world.ids.get(topic), "Partitions": parts or [part(0)]}], **producer.who(**lies))

    one = Producer(world)
    for version in range(0, 7):
        yield f"nothing begun, version {version}", commit(one, version)
        if version >= 5:
            yield f"ends, version {version}", one.end(False, 5)
            one.settled()
            one.begin()
        for name, lies in (("unknown id", {"TransactionalId": "nobody"}), ("no id", {"TransactionalId": ""}), ("unknown producer", {"ProducerId": UNKNOWN}),
                           ("producer -1", {"ProducerId": -1}), ("later epoch", {"ProducerEpoch": 5}), ("epoch -1", {"ProducerEpoch": -1})):
            yield f"{name}, version {version}", commit(one, version, **lies)
    yield "adds the group", ask(world, "AddOffsetsToTxn", 4, GroupId=group, **one.who())
    for generation, member in ((0, ""), (1, "m"), (-1, "m"), (-2, ""), (MAX32, "m")):
        yield f"generation {generation} of {member!r}", commit(one, generation=generation, member=member)
        yield f"generation {generation} of {member!r}, version 5", commit(one, 5, generation=generation, member=member)
    for name, parts in (("unknown partition", [part(9)]), ("partition -1", [part(-1)]), ("long metadata", [part(0, 5, "m" * 5000)]),
                        ("offset -1", [part(0, -1)]), ("a partition twice", [part(0, 1), part(0, 2)])):
        yield name, commit(one, parts=parts)
    yield "unknown topic", commit(one, topic="nowhere")
    yield "no group", commit(one, to="")
    yield "while it is open", ask(world, "OffsetFetch", 9, RequireStable=True, Groups=[{"GroupId": group, "Topics": [{"Name": "t", "PartitionIndexes": [0]}]}])
    yield "ends", one.end(True)
    one.settled()
    fetched = [{"GroupId": group, "Topics": [{"Name": "t", "PartitionIndexes": [0]}]}]
    stable = lambda: "UNSTABLE" not in ask(world, "OffsetFetch", 9, RequireStable=True, Groups=fetched)  # noqa: E731
    wait_for(stable, "it is not stable")
    yield "afterwards", ask(world, "OffsetFetch", 9, RequireStable=True, Groups=fetched)
    yield "too late", commit(one)


@coordinated
def write_txn_markers(world):
    topic = world.fresh()
    one = Producer(world)

    def marker(commit=False, version=1, where=topic, parts=(0,), coordinator=0, transaction_version=0, **lies):
        who = {**one.who(**lies)}
        who.pop("TransactionalId")
        body = {**who, "TransactionResult": commit, "CoordinatorEpoch": coordinator, "Topics": [{"Name": where, "PartitionIndexes": list(parts)}]}
        if version >= 2:
            body["TransactionVersion"] = transaction_version
        return ask(world, "WriteTxnMarkers", version, Markers=[body])

    yield "adds", one.add(topic)
    yield "produces", one.produce(topic)
    for name, how in (("unknown topic", {"where": "nowhere"}), ("no topic", {"where": ""}), ("unknown partitions", {"parts": (1, -1, MAX32)}),
                      ("no partitions", {"parts": ()}), ("epoch -1", {"ProducerEpoch": -1}), ("an unknown producer", {"ProducerId": UNKNOWN}),
                      ("producer -1", {"ProducerId": -1}), ("coordinator epoch -1", {"coordinator": -1}), ("a later coordinator", {"coordinator": 100}),
                      ("an earlier coordinator", {"coordinator": 5})):
        for version in (1, 2):
            yield f"{name}, version {version}", marker(version=version, **how)
    yield "the producers", ask(world, "DescribeProducers", 0, Topics=[{"Name": topic, "PartitionIndexes": [0]}])
    yield "nothing", ask(world, "WriteTxnMarkers", 1, Markers=[])
    yield "where it ends", listed(world, topic, -1, IsolationLevel=1)


@coordinated
def describe_transactions(world):
    one = Producer(world, "described1x")
    for name, ids in (("none", []), ("no name", [""]), ("unknown", ["nobody"]), ("twice", [one.name, one.name])):
        yield f"describe {name}", ask(world, "DescribeTransactions", 0, TransactionalIds=ids)

    def shown(answer):
        return f"{answer.split(' TransactionStates')[0]} {repr(one.name) in answer}"

    for version in range(0, 3):
        for states in ([], ["Empty"], ["empty"], ["Nonsense", "Empty"], [""], ["Nonsense"]):
            yield f"list {states}, version {version}", shown(ask(world, "ListTransactions", version, StateFilters=states))
        for ids in ([one.id], [-1], [UNKNOWN, UNKNOWN], [one.id, -5]):
            what = ["own" if value == one.id else value for value in ids]
            yield f"list {what}, version {version}", shown(ask(world, "ListTransactions", version, ProducerIdFilters=ids))
    for duration in (-1, -5, 0, 100_000, MAX64, -2**63):
        yield f"longer than {duration}", shown(ask(world, "ListTransactions", 1, DurationFilter=duration))
    for pattern in (None, "", ".*", one.name, one.name[:-1], "nobody", "descr.*", "(", "[", "(a*)*b", "\\", "^described\\d+x$", "(?i)DESCRI.*", "a{1001}", "\u00e9"):
        yield f"pattern {pattern!r}".replace(one.name, "NAME").replace(one.name[:-1], "NAM"), shown(ask(world, "ListTransactions", 2, TransactionalIdPattern=pattern))
    for name, parts in (("unknown partitions", [5, -1]), ("none", []), ("twice", [0, 0])):
        yield f"producers of {name}", ask(world, "DescribeProducers", 0, Topics=[{"Name": world.topic("t"), "PartitionIndexes": parts}])
    yield "producers of no topic", ask(world, "DescribeProducers", 0, Topics=[{"Name": "nowhere", "PartitionIndexes": [0]}, {"Name": "", "PartitionIndexes": [0]}, {"Name": "a b", "PartitionIndexes": [0]}])
    yield "producers of nothing", ask(world, "DescribeProducers", 0, Topics=[])


@coordinated
def read_in_transactions(world):
    """ListOffsets by time and Fetch while transactions are open, and after they were aborted or committed."""
    topic = world.fresh()
    one, two = Producer(world), Producer(world)

    def looks(when):
        for level in (0, 1):
            for stamp in (-1, -2, -3, -4, 0, TIME - 1, TIME, TIME + 1000, TIME + 2000, TIME + 3000, TIME + 5000, MAX64):
                answer = listed(world, topic, stamp, 8, IsolationLevel=level)
                yield f"{when}, level {level}, at {stamp}", answer if " time 1600" in answer or " time -1 " in answer else answer.split(" time ")[0]
            body = wire.fetch_body(topic, 0, IsolationLevel=level)
            yield f"{when}, level {level}, fetched", world.ask(wire.FETCH, 11, body, show_fetched).split(" aborted")[0]

    yield "a record", world.offered(topic, timestamp=TIME)
    yield "the first adds", one.add(topic)
    yield "the first's record", one.produce(topic, timestamp=TIME + 1000)
    yield "a record of no transaction", world.offered(topic, timestamp=TIME + 3000)
    yield "the second's record", two.produce(topic, version=13, timestamp=TIME + 2000)
    yield from looks("two open")
    yield "the first aborts", one.end(False)
    one.settled()
    yield from looks("one open")
    yield "the second commits", two.end(True, 5)
    two.settled()
    yield from looks("none open")
