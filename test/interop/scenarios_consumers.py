"""Scenarios of groups of the consumer protocol (KIP-848), in which the broker assigns partitions."""
import contextlib

from clients.base import ClientError, Record
from context import Mismatch, eventually, expect, expect_error
from scenarios import scenario
from scenarios_groups import filled, owned, tool_describe, tool_reset, until, verify
from scenarios_rebalances import partitions

# Members act when they send a heartbeat: often, here.
SETTINGS = {"group.consumer.heartbeat.interval.ms": "400", "group.consumer.min.heartbeat.interval.ms": "400",
            "group.consumer.session.timeout.ms": "6000", "group.consumer.min.session.timeout.ms": "6000"}
# A session and a heartbeat interval that only a group's own settings make short enough for a test.
OWN = {"group.consumer.min.session.timeout.ms": "1000", "group.consumer.session.timeout.ms": "900000",
       "group.consumer.max.session.timeout.ms": "900000", "group.consumer.min.heartbeat.interval.ms": "100",
       "group.consumer.heartbeat.interval.ms": "600000", "group.consumer.max.heartbeat.interval.ms": "600000"}
NEW = {"protocol": "consumer"}
# What a client says of a partition whose topic it has not yet heard to be gone.
GONE = ("UNKNOWN_TOPIC_OR_PARTITION", "_UNKNOWN_PARTITION", "_UNKNOWN_TOPIC", "UnknownTopicOrPartitionException")
# What a second member of a static member's name is told while the first is there.
TAKEN = ("error 111", "UNRELEASED_INSTANCE_ID", "UnreleasedInstanceIdException", "_FATAL")


def consumer_scenario(name, what, *needs):
    return scenario(name, what, "member", "consumer-protocol", *needs, settings=SETTINGS)


@consumer_scenario("consumer-share", "the new protocol: members share the partitions, and keep those that they are not to give up")
def consumer_share(context, client):
    topic = filled(context, 6, 12)
    group = f"share-{topic}"
    with client.member([topic], group, **NEW) as one:
        until([one], lambda: len(one.owned()) == 6, "all of one")
        with client.member([topic], group, **NEW) as two:
            until([one, two], lambda: len(one.owned()) == 3 and len(two.owned()) == 3, "three each")
            expect(owned([one, two]), list(range(6)), "partitions of both")
            kept = one.owned(), two.owned()
            with client.member([topic], group, **NEW) as three:
                until([one, two, three], lambda: len(three.owned()) == 2, "two for the third")
                expect((one.owned() < kept[0], two.owned() < kept[1]), (True, True), "both keep what they do not give up")
        until([one], lambda: len(one.owned()) == 6, "all of one again")


@consumer_scenario("consumer-many", "the new protocol: many members come at once")
def consumer_many(context, client):
    topic = filled(context, 6, 6)
    with contextlib.ExitStack() as stack:
        members = [stack.enter_context(client.member([topic], f"many-{topic}", **NEW)) for _ in range(6)]
        until(members, lambda: [len(member.owned()) for member in members] == [1] * 6, "one each")
        expect(owned(members), list(range(6)), "partitions of all")


@consumer_scenario("consumer-resume", "the new protocol: a group goes on where it committed, over a crash of the broker")
def consumer_resume(context, client):
    topic = filled(context, 3, 60)
    seen = []
    with client.member([topic], f"resume-{topic}", **NEW) as one:
        def read(count):
            def enough():
                found = one.poll()
                seen.extend(found if isinstance(found, list) else [found] if found else [])
                return len(seen) >= count
            until([], enough, "records")
        read(60)
        one.commit()
        context.target.kill()
        context.target.start()
        context.helper.produce(topic, [Record(None, b"later", partition=2)])
        read(61)
        one.commit()
    expect(context.helper.group_offsets(f"resume-{topic}", topic), {0: 20, 1: 20, 2: 21}, "offsets committed")
    expect(len(seen), 61, "each record, once")


@consumer_scenario("consumer-topics", "the new protocol: partitions that are added and topics that come are assigned")
def consumer_topics(context, client):
    topic, later = filled(context, 1, 1), context.name("later")
    own = {"allow.auto.create.topics": "false"}
    with client.member([topic, later], f"grow-{topic}", metadata_ms=500, **NEW, **own) as one:
        until([one], lambda: one.owned() == {0}, "the one")
        context.helper.create_partitions(topic, 3)
        until([one], lambda: one.owned() == {0, 1, 2}, "the new ones too")
        context.helper.create_topic(later, 5)
        until([one], lambda: one.owned() == {0, 1, 2, 3, 4}, "and the new topic")


@consumer_scenario("consumer-static", "the new protocol: a static member that restarts gets its partitions back", "static")
def consumer_static(context, client):
    topic = filled(context, 4, 8)
    group = f"static-{topic}"
    with client.member([topic], group, instance="one", **NEW) as one, client.member([topic], group, instance="two", **NEW) as two:
        until([one, two], lambda: owned([one, two]) == [0, 1, 2, 3] and len(one.owned()) == 2, "two each")
        before = two.owned()
        two.close()
        with client.member([topic], group, instance="two", **NEW) as again:
            until([one, again], lambda: len(again.owned()) == 2, "its own")
            expect(again.owned(), before, "partitions after the restart")
            expect(len(one.owned()), 2, "partitions of the other")


@consumer_scenario("consumer-stalls", "the new protocol: who does not poll loses its partitions, and gets some when it comes back",
                   "stalls")
def consumer_stalls(context, client):
    topic = filled(context, 4, 4)
    group = f"stalls-{topic}"
    with client.member([topic], group, **NEW, **{"max.poll.interval.ms": 3000}) as one, client.member([topic], group, **NEW) as two:
        until([one, two], lambda: len(one.owned()) == 2 and len(two.owned()) == 2, "two each")
        until([two], lambda: len(two.owned()) == 4, "all of the other")

        def both():
            # A client may say once that it was late.
            with contextlib.suppress(Exception):
                one.poll()
            return len(one.owned()) == 2 and len(two.owned()) == 2
        until([two], both, "two each again")


@consumer_scenario("consumer-dies", "the new protocol: who dies without a word loses its partitions when its session is over", "mortal",
                   "silent")
def consumer_dies(context, client):
    topic = filled(context, 4, 4)
    group = f"dies-{topic}"
    with client.member([topic], group, **NEW) as one, client.mortal([topic], group, **NEW) as two:
        until([one, two], lambda: len(one.owned()) == 2 and len(two.owned()) == 2, "two each")
        two.die()
        one.poll()
        expect(len(one.owned()), 2, "partitions of the other before the session is over")
        until([one], lambda: len(one.owned()) == 4, "all of the other")


@consumer_scenario("consumer-subscription", "the new protocol: members change what they subscribe to")
def consumer_subscription(context, client):
    one, other, group = filled(context, 2, 2), filled(context, 2, 2), context.name("subscription")
    with client.member([one], group, **NEW) as a, client.member([one], group, **NEW) as b:
        until([a, b], lambda: len(a.held()) == 1 and len(b.held()) == 1, "both of one topic")
        b.subscribe([one, other])
        until([a, b], lambda: b.held() >= partitions(other, 0, 1) and a.held() | b.held() == partitions(one, 0, 1) | partitions(other, 0, 1)
              and not a.held() & b.held(), "one has the other topic, too")
        b.subscribe([other])
        until([a, b], lambda: (a.held(), b.held()) == (partitions(one, 0, 1), partitions(other, 0, 1)), "each has its own topic")


@consumer_scenario("consumer-deleted-topic", "the new protocol: a topic that is deleted goes from the assignment, and its committed offsets go")
def consumer_deleted_topic(context, client):
    kept, gone, group = filled(context, 2, 2), filled(context, 2, 2), context.name("deleted")
    with client.member([kept, gone], group, metadata_ms=500, **NEW) as member:
        until([member], lambda: member.held() == partitions(kept, 0, 1) | partitions(gone, 0, 1), "both topics")

        def committed():
            member.commit()
            return len(context.helper.group_offsets(group, gone)) == 2
        until([member], committed, "offsets of the topic")
        context.helper.delete_topic(gone)

        def given_up():
            try:
                member.poll()
            except ClientError as thrown:
                if thrown.name not in GONE:
                    raise
            return member.held() == partitions(kept, 0, 1)
        until([], given_up, "one topic")
    eventually(lambda: context.helper.group_offsets(group, gone), {}, "offsets of the deleted topic")


@consumer_scenario("consumer-static-taken", "the new protocol: a second member of the same name is refused while the first is there", "static")
def consumer_static_taken(context, client):
    topic, group = filled(context, 2, 2), context.name("taken")
    with client.member([topic], group, instance="one", **NEW) as first:
        until([first], lambda: len(first.owned()) == 2, "the first has all")
        with client.member([topic], group, instance="one", **NEW) as second:
            def refused():
                first.poll()
                try:
                    second.poll()
                except ClientError as thrown:
                    if thrown.name not in TAKEN:
                        raise Mismatch(f"the second is told {thrown}") from None
                    return True
                return False
            until([], refused, "the second is told")
            expect(second.owned(), set(), "partitions of the second")
        first.poll()
        expect(len(first.owned()), 2, "partitions of the first")


@consumer_scenario("consumer-range", "the new protocol: members choose range, the same partitions of all topics, or uniform")
def consumer_range(context, client):
    topics, group = [filled(context, 3, 3), filled(context, 3, 3)], context.name("range")

    def numbers(member):
        return {frozenset(partition for one, partition in member.held() if one == topic) for topic in topics}

    def settled(members, sizes, alike):
        every = sorted(one for member in members for one in member.held())
        return every == sorted(partitions(topics[0], 0, 1, 2) | partitions(topics[1], 0, 1, 2)) and \
            sorted(len(member.held()) for member in members) == sizes and (not alike or all(len(numbers(one)) == 1 for one in members))

    with contextlib.ExitStack() as stack:
        def join(assignor):
            members.append(stack.enter_context(client.member(topics, group, **NEW, **{"group.remote.assignor": assignor})))

        members = []
        join("range")
        join("range")
        until(members, lambda: settled(members, [2, 4], True), "two members by range")
        for _ in range(3):  # now most want the other
            join("uniform")
        until(members, lambda: settled(members, [1, 1, 1, 1, 2], False), "five members by uniform")


@scenario("consumer-configs", "settings of one group, made by kafka-configs, hold for its members", "group_rows", settings=OWN)
def consumer_configs(context, client):
    topic, group = filled(context, 2, 2), context.name("own")
    client.set_config("group", group, {"consumer.session.timeout.ms": "2000", "consumer.heartbeat.interval.ms": "300"})
    described = client.describe_config("group", group)
    expect((described["consumer.session.timeout.ms"], described["consumer.heartbeat.interval.ms"]), ("2000", "300"), "what is described")
    expect_error(lambda: client.set_config("group", group, {"consumer.session.timeout.ms": "1"}), "INVALID_CONFIG")
    with context.helper.member([topic], group, **NEW) as one, context.helper.mortal([topic], group, **NEW) as two:
        # The broker's own interval is far longer than the test's patience.
        until([one, two], lambda: len(one.owned()) == 1 and len(two.owned()) == 1, "one each")
        two.die()
        until([one], lambda: len(one.owned()) == 2, "all when the group's session timeout is over")
    client.set_config("group", group, {"consumer.session.timeout.ms": None, "consumer.heartbeat.interval.ms": None})
    expect(client.describe_config("group", group)["consumer.session.timeout.ms"], OWN["group.consumer.session.timeout.ms"], "the broker's again")


@scenario("consumer-tool-describe", "the new protocol: ConsumerGroupCommand tells members, offsets, lag and state", "group_rows", settings=SETTINGS)
def consumer_tool_describe(context, client):
    tool_describe(context, client, "uniform", **NEW)


@scenario("consumer-tool-reset", "the new protocol: ConsumerGroupCommand sets offsets by time, by steps and to the ends, and deletes them",
          "group_rows", settings=SETTINGS)
def consumer_tool_reset(context, client):
    tool_reset(context, client, **NEW)


@scenario("consumer-verifiable", "the new protocol: VerifiableConsumer reads and commits every record once", "verifiable_produce",
          settings=SETTINGS)
def consumer_verifiable(context, client):
    verify(context, client, *((count, {"group-protocol": "consumer", "group-remote-assignor": assignor}) for count, assignor in (
        (900, "range"), (1100, "uniform"))))


@scenario("consumer-describe", "the new protocol: a group is listed and described, alive and empty, and its offsets reset",
          "describe_consumers", settings=SETTINGS)
def consumer_describe(context, client):
    topic = filled(context, 2, 4)
    group = f"describe-{topic}"
    with context.helper.member([topic], group, **NEW) as one:
        until([one], lambda: len(one.owned()) == 2, "all")
        one.commit()
        eventually(lambda: client.describe_group(group), {"state": "Stable", "members": 1}, "the group alive")
        expect(client.describe_consumers(group, topic), {"type": "Consumer", "assignor": "uniform", "partitions": [0, 1]},
               "what Kafka's tool shows of a group of this protocol")
    eventually(lambda: client.describe_group(group), {"state": "Empty", "members": 0}, "the group empty")
    client.set_group_offsets(group, topic, {0: 1})
    expect(client.group_offsets(group, topic)[0], 1, "the offset that was set")
    client.delete_group(group)
    expect(group in client.list_groups(), False, "it is listed after it was deleted")


@consumer_scenario("consumer-regex", "the new protocol: topics by a regular expression that the broker resolves; those that come, too",
                   "server-regex")
def consumer_regex(context, client):
    prefix = context.name("matched")
    for number in (1, 2):
        context.helper.create_topic(f"{prefix}-{number}", 2)
    context.helper.create_topic(f"{prefix}-other", 1)
    with client.member(client.pattern(rf"{prefix}-\d+"), f"regex-{prefix}", **NEW) as one:
        mine = {(f"{prefix}-{number}", partition) for number in (1, 2) for partition in (0, 1)}
        until([one], lambda: one.held() == mine, "the topics that match")
        context.helper.create_topic(f"{prefix}-3", 1)
        until([one], lambda: one.held() == mine | {(f"{prefix}-3", 0)}, "the one that came later, too")


@consumer_scenario("consumer-migration", "a group goes from the classic protocol to the new one and back, one member after the other")
def consumer_migration(context, client):
    topic = filled(context, 4, 8)
    group = f"migrates-{topic}"
    everything = [0, 1, 2, 3]
    with client.member([topic], group) as one, client.member([topic], group) as two:
        until([one, two], lambda: len(one.owned()) == 2 and len(two.owned()) == 2, "two each")
        with client.member([topic], group, **NEW) as three:
            mixed = [one, two, three]
            until(mixed, lambda: three.owned() and owned(mixed) == everything, "some for the first of the new protocol")
            one.close()
            two.close()
            until([three], lambda: len(three.owned()) == 4, "all of it")
            with client.member([topic], group) as four:
                until([three, four], lambda: len(three.owned()) == 2 and len(four.owned()) == 2, "two for a classic member")
                three.close()
                until([four], lambda: len(four.owned()) == 4, "all of the classic one")
                four.commit()
