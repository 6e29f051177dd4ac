"""Scenarios of consumer groups: the classic protocol, committed offsets, what administrators do with them."""
import contextlib
import time

from clients.base import Record
from context import eventually, expect, expect_error
from scenarios import scenario

QUICK = {"group.initial.rebalance.delay.ms": "100"}
PATIENCE_S = 40


def filled(context, partitions, count):
    """A topic with `count` records spread evenly."""
    topic = context.topic(partitions=partitions)
    context.helper.produce(topic, [Record(b"%d" % n, b"value %d" % n, partition=n % partitions) for n in range(count)])
    return topic


def until(members, done, what):
    """Members poll in turn, as one process would, until it is so."""
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        for member in members:
            member.poll()
        if time.monotonic() > deadline:
            expect([sorted(member.owned()) for member in members], what, "partitions owned after a long wait")


def owned(members):
    return sorted(partition for member in members for partition in member.owned())


@scenario("group-resume", "a group goes on where it committed, over a restart of the broker", "consume_group", settings=QUICK)
def group_resume(context, client):
    topic = filled(context, 3, 60)
    group = f"resume-{topic}"
    first = client.consume_group(topic, group, 25)
    context.target.kill()
    context.target.start()
    second = client.consume_group(topic, group, 35)
    expect(sorted(record.value for record in first + second), sorted(b"value %d" % n for n in range(60)),
           "each record, once")


@scenario("group-share", "members share the partitions; one leaves, and the others have its own", "member", "shrinks",
          settings=QUICK)
def group_share(context, client):
    topic = filled(context, 4, 8)
    with client.member([topic], f"share-{topic}") as one:
        until([one], lambda: len(one.owned()) == 4, "all of one")
        with client.member([topic], f"share-{topic}") as two:
            until([one, two], lambda: len(one.owned()) == 2 and len(two.owned()) == 2, "two each")
            expect(owned([one, two]), [0, 1, 2, 3], "partitions of both")
        until([one], lambda: len(one.owned()) == 4, "all of one again")


@scenario("group-many", "many members come at once, and none is unknown", "member", settings=QUICK)
def group_many(context, client):
    topic = filled(context, 6, 6)
    with contextlib.ExitStack() as stack:
        members = [stack.enter_context(client.member([topic], f"many-{topic}")) for _ in range(6)]
        until(members, lambda: [len(member.owned()) for member in members] == [1] * 6, "one each")
        expect(owned(members), list(range(6)), "partitions of all")


@scenario("group-new-partitions", "partitions that are added are assigned", "member", settings=QUICK)
def group_new_partitions(context, client):
    topic = filled(context, 1, 1)
    with client.member([topic], f"grow-{topic}", metadata_ms=500) as one:
        until([one], lambda: one.owned() == {0}, "the one")
        context.helper.create_partitions(topic, 3)
        until([one], lambda: one.owned() == {0, 1, 2}, "the new ones too")


@scenario("group-static", "a static member that restarts gets its partitions back without a rebalance", "member",
          "static", settings=QUICK)
def group_static(context, client):
    topic = filled(context, 4, 8)
    group = f"static-{topic}"
    with client.member([topic], group, instance="one") as one, client.member([topic], group, instance="two") as two:
        until([one, two], lambda: owned([one, two]) == [0, 1, 2, 3] and len(one.owned()) == 2, "two each")
        before = two.owned()
        two.close()
        with client.member([topic], group, instance="two") as again:
            until([one, again], lambda: len(again.owned()) == 2, "its own")
            expect(again.owned(), before, "partitions after the restart")
            expect(len(one.owned()), 2, "partitions of the other")


@scenario("group-describe", "a group is listed and described, alive and empty", "describe_group", settings=QUICK)
def group_describe(context, client):
    topic = filled(context, 2, 2)
    group = f"describe-{topic}"
    with context.helper.member([topic], group) as one:
        until([one], lambda: len(one.owned()) == 2, "all")
        one.commit()
        expect(group in client.list_groups(), True, "it is listed")
        found = client.describe_group(group)
        expect(found, {"state": "Stable", "members": 1}, "the group alive")
    eventually(lambda: client.describe_group(group), {"state": "Empty", "members": 0}, "the group empty")


@scenario("group-offsets", "offsets are read, set and deleted by administrators", "group_offsets", settings=QUICK)
def group_offsets(context, client):
    topic = filled(context, 2, 20)
    group = f"offsets-{topic}"
    expect(len(context.helper.consume_group(topic, group, 20)), 20, "records read")
    expect(client.group_offsets(group, topic), {0: 10, 1: 10}, "offsets committed")
    client.set_group_offsets(group, topic, {0: 3})
    expect(client.group_offsets(group, topic), {0: 3, 1: 10}, "offsets set")
    expect(len(context.helper.consume_group(topic, group, 7)), 7, "records read again")
    with context.helper.member([topic], group) as one:
        until([one], lambda: len(one.owned()) == 2, "all")
        expect_error(lambda: client.delete_group(group), "NON_EMPTY_GROUP")
    client.delete_group(group)
    expect(group in client.list_groups(), False, "it is listed after it was deleted")
    expect(context.helper.group_offsets(group, topic), {}, "offsets after it was deleted")
