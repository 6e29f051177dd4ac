"""Offsets that are committed in transactions: of members of both protocols and of nobody, pending while groups and
offsets are deleted; and what is left of a transaction that took too long or whose topic went. See cases.py."""
import codec
import wire
from cases_groups import commit, only_member, part, sync
from cases_transactions import Producer, state
from coordinated import ask, coordinated, new_id, wait_for

PRODUCES = {1: 11, 2: 12}  # by the generation of the client
ENDS = {1: 4, 2: 5}


def fetched(world, group, stable=True, topics=({"Name": "t", "PartitionIndexes": [0]},)):
    return ask(world, "OffsetFetch", 9, RequireStable=stable, Groups=[{"GroupId": group, "Topics": list(topics) or None}])


def pending(world, producer, group, version=5, offset=5, generation=-1, member="", **more):
    return ask(world, "TxnOffsetCommit", version, GroupId=group, GenerationIdOrMemberEpoch=generation, MemberId=member,
               Topics=[{"Name": "t", "TopicId": world.ids["t"], "Partitions": [part(0, offset)]}], **producer.who(), **more)


def delete_group(world, group):
    return ask(world, "DeleteGroups", 2, GroupsNames=[group])


def delete_offsets(world, group):
    return ask(world, "OffsetDelete", 0, GroupId=group, Topics=[{"Name": "t", "Partitions": [{"PartitionIndex": 0}]}])


@coordinated
def pending_offsets(world):
    world.topic("t")
    meanwhile = {
        "nothing": (), "the group is deleted": (delete_group,), "the offset is deleted": (delete_offsets,),
        "a plain commit": (lambda *of: commit(*of, [part(0, 9)], "t"),),
        "deleted, then a plain commit": (delete_group, lambda *of: commit(*of, [part(0, 9)], "t")),
    }
    for commits in (True, False):
        for what, does in meanwhile.items():
            group, one, two, when = new_id(world, "pending"), Producer(world), Producer(world), f"{what}, {commits}"
            yield f"commits: {when}", pending(world, one, group)
            yield f"commits another: {when}", pending(world, two, group, offset=12)
            yield f"described: {when}", ask(world, "DescribeGroups", 5, Groups=[group])
            for n, do in enumerate(does):
                yield f"does {n}: {when}", do(world, group)
            for stable in (True, False):
                yield f"stable {stable}: {when}", fetched(world, group, stable)
                yield f"all, stable {stable}: {when}", fetched(world, group, stable, ())
            for producer in (one, two):
                yield f"{'one' if producer is one else 'two'} ends: {when}", producer.end(commits, 5)
                producer.settled()
                yield f"then {'one' if producer is one else 'two'}: {when}", fetched(world, group, producer is two)
            yield f"described at last: {when}", ask(world, "DescribeGroups", 5, Groups=[group])
            yield f"deleted at last: {when}", delete_group(world, group)


@coordinated
def offsets_of_members(world):
    """Members of the classic protocol."""
    world.topic("t")
    group = new_id(world, "members")
    with world.connect() as connection:
        member = only_member(world, connection, group, GroupInstanceId="instance")
        for when, version in (("before it synced", 3), ("before it synced", 5), ("stable", 4), ("stable", 5)):
            if when == "stable":
                yield f"syncs, version {version}", sync(world, connection, group, member, 1, [(member, b"all")])
            one = Producer(world)
            if version < 5:
                yield f"adds, {when}, version {version}", ask(world, "AddOffsetsToTxn", 3, GroupId=group, **one.who())
            for generation in (-2, -1, 0, 1, 2):
                for name, who in (("nobody", ""), ("the member", member), ("another", "other")):
                    for instance in (None, "instance", "elsewhere"):
                        yield f"{when}, version {version}: generation {generation} of {name}, {instance}", pending(
                            world, one, group, version, generation=generation, member=who, GroupInstanceId=instance)
            yield f"ends, {when}, version {version}", one.end(False, ENDS[1 if version < 5 else 2])
            one.settled()
        one = Producer(world)
        yield "commits", pending(world, one, group, generation=1, member=member)
        yield "delete the group", delete_group(world, group)
        yield "delete the offset", delete_offsets(world, group)
        yield "ends", one.end(True, 5)
        one.settled()
        yield "at last", fetched(world, group)


@coordinated
def offsets_of_consumers(world):
    """Members of the consumer protocol (KIP-848)."""
    world.topic("t")
    group, member = new_id(world, "consumers"), "m"
    with world.connect() as connection:
        def beat(epoch):
            answer = connection.request(codec.KEYS["ConsumerGroupHeartbeat"], 1, {
                "GroupId": group, "MemberId": member, "MemberEpoch": epoch, "RebalanceTimeoutMs": 60000,
                "SubscribedTopicNames": ["t"], "TopicPartitions": []})
            return answer["ErrorCode"], answer["MemberEpoch"]
        _, epoch = beat(0)
        for version in range(3, 7):
            one = Producer(world)
            if version < 5:
                yield f"adds, version {version}", ask(world, "AddOffsetsToTxn", 3, GroupId=group, **one.who())
            for name, number in (("before", epoch - 1), ("its own", epoch), ("next", epoch + 1), ("none", -1), ("late", epoch + 99)):
                for who in ("", member, "other"):
                    yield f"version {version}: {name} epoch of {who!r}", pending(world, one, group, version, generation=number, member=who)
            yield f"ends, version {version}", one.end(False, ENDS[1 if version < 5 else 2])
            one.settled()
        one = Producer(world)
        yield "commits", pending(world, one, group, generation=epoch, member=member)
        yield "delete the group", delete_group(world, group)
        yield "leaves", str(beat(-1))
        yield "too late", pending(world, one, group, generation=epoch, member=member)
        yield "delete the empty group", delete_group(world, group)
        yield "after it was deleted", pending(world, one, group, generation=epoch, member=member)
        yield "of nobody, after it was deleted", pending(world, one, group)
        yield "ends", one.end(True, 5)
        one.settled()
        yield "at last", fetched(world, group)


def producers(world, topic):
    return ask(world, "DescribeProducers", 0, Topics=[{"Name": topic, "PartitionIndexes": [0]}])


def begin(producer, generation, *topics):
    for number, topic in enumerate(topics):
        if generation == 1:
            producer.add(topic)
        yield f"produces {number}, generation {generation}", producer.produce(topic, version=PRODUCES[generation])


@coordinated
def transactions_that_took_too_long(world):
    for generation in (1, 2):
        topic, one = world.fresh(), Producer(world, timeout_ms=300)
        yield from begin(one, generation, topic)
        wait_for(lambda: "CompleteAbort" in state(world, one.name), "it is not aborted")
        yield f"the state, {generation}", state(world, one.name)
        yield f"the producers, {generation}", producers(world, topic)
        for version in (4, 5):
            for commits in (True, False):
                yield f"ends, {generation}, version {version}, {commits}", one.end(commits, version)
        yield f"adds, {generation}", one.add(topic)
        for version in (11, 12):
            yield f"produces late, {generation}, version {version}", one.produce(topic, sequence=1, version=version)
        for name, expected in (("its own", (one.id, one.epoch)), ("again", (one.id, one.epoch)), ("the next", (one.id, one.epoch + 1)), ("none", (-1, -1))):
            yield f"begins anew, {generation}, with {name}", ask(world, "InitProducerId", 5, TransactionalId=one.name, TransactionTimeoutMs=60000,
                                                                  ProducerId=expected[0], ProducerEpoch=expected[1])


@coordinated
def topics_that_come_and_go(world):
    """A topic of an open transaction is deleted, and made again."""
    for generation in (1, 2):
        for commits in (True, False):
            for again in (False, True):
                topic, other, one, when = world.fresh(), world.fresh(), Producer(world), f"{generation}, {commits}, {again}"
                for name, answer in begin(one, generation, topic, other):
                    yield f"{name}: {when}", answer
                yield f"deletes: {when}", ask(world, "DeleteTopics", 5, TopicNames=[topic], TimeoutMs=10000)
                if again:
                    with world.connect() as connection:
                        wait_for(lambda: topic_is_made(connection, topic), "the topic cannot be made again")
                    yield f"produces again: {when}", one.produce(topic, sequence=1, version=PRODUCES[generation])
                yield f"ends: {when}", one.end(commits, ENDS[generation])
                one.settled()
                yield f"the state: {when}", state(world, one.name)
                for name in (topic, other):
                    yield f"the producers of the {'topic' if name == topic else 'other'}: {when}", producers(world, name)


def topic_is_made(connection, topic):
    try:
        wire.create_topic(connection, topic)
    except AssertionError:
        return False
    return True
