"""Scenarios of groups of the consumer protocol (KIP-848), in which the broker assigns partitions."""
import contextlib

from clients.base import Record
from context import eventually, expect
from scenarios import scenario
from scenarios_groups import filled, owned, until

# Members act when they send a heartbeat: often, here.
SETTINGS = {"group.consumer.heartbeat.interval.ms": "400", "group.consumer.min.heartbeat.interval.ms": "400",
            "group.consumer.session.timeout.ms": "6000", "group.consumer.min.session.timeout.ms": "6000"}
NEW = {"protocol": "consumer"}


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
