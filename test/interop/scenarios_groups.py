"""Scenarios of consumer groups: the classic protocol, committed offsets, what administrators do with them."""
import contextlib
import datetime
import tempfile
import time

from clients.base import Record
from context import BEGAN_MS, eventually, expect, expect_error
from lib import paths
from scenarios import scenario

QUICK = {"group.initial.rebalance.delay.ms": "100", "group.min.session.timeout.ms": "1000"}
PATIENCE_S = 40 * paths.PATIENCE


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


@scenario("group-offsets", "offsets are read, set and deleted by administrators", "group_offsets", "set_group_offsets", settings=QUICK)
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


def position(context, group, topic):
    found = context.helper.group_offsets(group, topic)
    return found.get(0), found.get(1)


def beside(rows, *columns):
    return sorted(tuple(row[column] for column in columns) for row in rows)


def tool_describe(context, client, assignor, **protocol):
    topic, group = context.topic(partitions=2), context.name("group")
    for partition in range(2):
        context.fill(topic, 20, partition)
    member = context.helper.member
    with member([topic], group, name="a", **protocol) as one, member([topic], group, name="b", **protocol) as two:
        until([one, two], lambda: len(one.owned()) == 1 and len(two.owned()) == 1, "one each")
        context.helper.commit(one, topic, {number: 5 for number in one.owned()})
        context.helper.commit(two, topic, {number: 7 for number in two.owned()})
        rows, _ = client.group_rows("--describe", "--group", group, "--offsets")
        expect(beside(rows, "CLIENT-ID", "TOPIC", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG"),
               [("a", topic, "5", "20", "15"), ("b", topic, "7", "20", "13")], "the offsets")
        rows, _ = client.group_rows("--describe", "--group", group, "--members")
        expect(beside(rows, "CLIENT-ID", "#PARTITIONS"), [("a", "1"), ("b", "1")], "the members")
        rows, _ = client.group_rows("--describe", "--group", group, "--state")
        host, _, port = context.target.address.rpartition(":")
        expect(beside(rows, "COORDINATOR", "ASSIGNMENT-STRATEGY", "STATE", "#MEMBERS"), [(f"{host}:{port}", assignor, "Stable", "2")],
               "the state")
        rows, _ = client.group_rows("--list", "--state", "stable")
        expect(group in [row["GROUP"] for row in rows], True, f"it is listed (of {rows})")
        _, said = client.group_rows("--reset-offsets", "--group", group, "--topic", topic, "--to-earliest", "--execute")
        expect("inactive" in said and position(context, group, topic) != (0, 0), True, f"a live group is let be ({said.strip()})")
    eventually(lambda: client.group_rows("--describe", "--group", group, "--state")[0][0]["STATE"], "Empty", "the state")
    rows, _ = client.group_rows("--list", "--state", "stable")
    expect(group in [row["GROUP"] for row in rows], False, "it is listed as stable")


@scenario("group-tool-describe", "ConsumerGroupCommand tells members, offsets, lag and state", "group_rows", settings=QUICK)
def group_tool_describe(context, client):
    tool_describe(context, client, "range")


def tool_reset(context, client, **protocol):
    topic, group = context.topic(partitions=2), context.name("group")
    for partition in range(2):
        context.fill(topic, 20, partition)
    context.helper.delete_records(topic, 1, 2)
    with context.helper.member([topic], group, **protocol) as one:
        until([one], lambda: len(one.owned()) == 2, "all")
        _, said = client.group_rows("--delete", "--group", group)
        expect("GroupNotEmptyException" in said, True, f"a live group is not deleted ({said.strip()[:200]})")
    eventually(lambda: client.describe_group(group), {"state": "Empty", "members": 0}, "the group empty")
    context.helper.set_group_offsets(group, topic, {0: 8, 1: 9})

    def reset(*words):
        rows, said = client.group_rows("--reset-offsets", "--group", group, *words)
        expect(len(rows) > 0, True, f"it says what it does ({said.strip()[-200:]})")
        return {int(row["PARTITION"]): int(row["NEW-OFFSET"]) for row in rows}

    def to(wanted, *words, scope=topic):
        reset("--topic", scope, *words, "--execute")
        expect(position(context, group, topic), wanted, f"offsets after {words}")

    time_text = datetime.datetime.fromtimestamp((BEGAN_MS + 12_500) / 1000, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    expect(reset("--topic", topic, "--to-earliest", "--dry-run"), {0: 0, 1: 2}, "what it would do")
    expect(position(context, group, topic), (8, 9), "offsets after a dry run")
    to((0, 2), "--to-earliest")
    to((5, 7), "--shift-by", 5)
    to((2, 4), "--shift-by", -3)
    to((2, 20), "--shift-by", 1000, scope=f"{topic}:1")
    to((13, 13), "--to-datetime", f"{time_text}Z")
    to((20, 20), "--by-duration", "PT0S")
    to((0, 2), "--by-duration", "P1D")
    to((4, 4), "--to-offset", 4)
    to((4, 4), "--to-current")
    to((20, 20), "--to-latest")
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        file.write(f"{topic},0,3\n{topic},1,6\n")
        file.flush()
        reset("--from-file", file.name, "--execute")
    expect(position(context, group, topic), (3, 6), "offsets from a file")
    _, said = client.group_rows("--delete-offsets", "--group", group, "--topic", f"{topic}:0")
    expect(position(context, group, topic), (None, 6), f"offsets after one was deleted ({said.strip()[-200:]})")
    rows, _ = client.group_rows("--list", "--type", protocol.get("protocol", "classic"))
    expect(group in [row["GROUP"] for row in rows], True, f"it is listed by its type (of {rows})")
    client.delete_group(group)
    expect(position(context, group, topic), (None, None), "offsets of the deleted group")
    expect(group in client.list_groups(), False, "it is listed after it was deleted")


@scenario("group-tool-reset", "ConsumerGroupCommand sets offsets by time, by steps and to the ends, and deletes them", "group_rows",
          settings=QUICK)
def group_tool_reset(context, client):
    tool_reset(context, client)


def verify(context, client, *ways):
    """`ways`: (records, what the consumer is told), one after the other in one group."""
    topic, group = context.topic(partitions=3), context.name("verifiable")
    events = client.verifiable_produce(topic, 2000)
    sent = sorted((one["partition"], one["offset"]) for one in events if one["name"] == "producer_send_success")
    acknowledged = [one["acked"] for one in events if one["name"] == "tool_data"]
    expect((len(sent), len(set(sent)), acknowledged), (2000, 2000, [2000]), "records acknowledged")
    positions = dict.fromkeys(range(3), 0)
    for count, options in ways:
        events = client.verifiable_consume(topic, group, count, **options)
        assigned = [one["partition"] for event in events if event["name"] == "partitions_assigned" for one in event["partitions"]]
        expect(sorted(assigned), [0, 1, 2], "partitions assigned")
        for event in events:
            if event["name"] == "records_consumed":
                for one in event["partitions"]:
                    expect((one["minOffset"], one["maxOffset"] - one["minOffset"] + 1), (positions[one["partition"]], one["count"]),
                           "records in order, each once")
                    positions[one["partition"]] = one["maxOffset"] + 1
        expect(all(event["success"] for event in events if event["name"] == "offsets_committed"), True, "commits")
        committed = context.helper.group_offsets(group, topic)
        expect({p: committed.get(p, 0) for p in range(3)}, positions, "offsets committed")
    expect(sum(positions.values()), 2000, "records read")


@scenario("verifiable", "VerifiableProducer and VerifiableConsumer: every record that was acknowledged is read, and committed, once",
          "verifiable_produce", settings=QUICK)
def verifiable(context, client):
    verify(context, client, *((count, {"assignment-strategy": f"org.apache.kafka.clients.consumer.{assignor}"}) for count, assignor in (
        (700, "RangeAssignor"), (600, "RoundRobinAssignor"), (700, "CooperativeStickyAssignor"))))
