"""Scenarios of rebalances: who gets what by each assignor, and every cause for which a group divides its partitions anew."""
import contextlib
import time

from clients.base import ClientError
from context import Mismatch, eventually, expect
from scenarios import scenario
from scenarios_groups import PATIENCE_S, QUICK, filled, until

ASSIGNORS = {
    "range": "consecutive partitions of each topic, the same ones of all topics",
    "roundrobin": "all topics' partitions in turn",
    "sticky": "evenly, and nothing moves that need not",
    "cooperative-sticky": "evenly, and what does not move is read on meanwhile",
}
# What a static member says whose name another has taken.
FENCED = ("FENCED_INSTANCE_ID", "FencedInstanceIdError", "_FENCED", "_FATAL", "FencedInstanceIdException")


def partitions(topic, *numbers):
    return {(topic, number) for number in numbers}


def settled(context, group, members, done, what, forgive=()):
    """Polls the members (by client id) until the broker says that the group is stable, every partition has one owner and
    `done` holds of who has what; returns that."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        for member in members.values():
            try:
                member.poll(0.02)
            except ClientError as thrown:
                if thrown.name not in forgive:
                    raise
        try:
            state, assignor, found = context.helper.assignments(group)
        except ClientError as thrown:
            state, assignor, found = str(thrown), None, {}  # a coordinator that is being loaded
        owners = [one for had in found.values() for one in had]
        if state == "STABLE" and set(found) == set(members) and len(owners) == len(set(owners)) and done(found):
            return assignor, found
        if time.monotonic() > deadline:
            raise Mismatch(f"{what}: {state}, {found}")


def agree(client, members, found):
    """Each member has what the broker says that it has."""
    if "shrinks" in client.can:
        until(members.values(), lambda: {name: member.held() for name, member in members.items()} == found, "as the broker says")


def sizes(found):
    return sorted(map(len, found.values()))


def moves(before, after):
    """The partitions that somebody lost who is still there."""
    return sum(len(before[name] - after[name]) for name in before if name in after)


def by_assignor(context, client, assignor):
    one_topic, other_topic = filled(context, 3, 3), filled(context, 3, 3)
    topics, group, members = [one_topic, other_topic], context.name("assignor"), {}
    every = {(topic, partition) for topic in topics for partition in range(3)}

    def look(wanted, what):
        used, found = settled(context, group, members, lambda found: sizes(found) == wanted, what)
        expect(set().union(*found.values()), every, f"partitions of {what}")
        expect(used, assignor, "the assignor")
        if assignor == "range":
            for had in found.values():
                expect(len({frozenset(p for t, p in had if t == topic) for topic in topics}), 1, f"the same of both ({found})")
        agree(client, members, found)
        return found

    with contextlib.ExitStack() as stack:
        def join(name):
            members[name] = stack.enter_context(client.member(topics, group, name=name, assignors=(assignor,)))

        join("a")
        alone = look([6], "one member")
        join("b")
        two = look([2, 4] if assignor == "range" else [3, 3], "two members")
        join("c")
        three = look([2, 2, 2], "three members")
        members.pop("b").close()
        again = look([2, 4] if assignor == "range" else [3, 3], "two members again")
        # Python's clients' own arithmetic moves more than it need.
        if "sticky" in assignor and client.name not in ("kafka-python", "aiokafka"):
            expect((moves(alone, two), moves(two, three), moves(three, again)), (3, 2, 0), "partitions that moved")
        if assignor == "cooperative-sticky" and hasattr(members["a"], "revoked"):
            expect((members["a"].revoked(), members["c"].revoked()), (moves(alone, two) + len(two["a"] - three["a"]), 0),
                   "partitions that members were told to give up")


for assignor_name, how in ASSIGNORS.items():
    @scenario(f"group-{assignor_name}", f"members share two topics by {assignor_name}: {how}", "member", assignor_name, settings=QUICK)
    def group_assignor(context, client, assignor=assignor_name):
        by_assignor(context, client, assignor)


@scenario("group-mixed", "members of several clients in one group", "member", "prompt", settings=QUICK)
def group_mixed(context, client):
    topic, group = filled(context, 12, 12), context.name("mixed")
    with contextlib.ExitStack() as stack:
        members = {}
        for one in context.clients:
            if one.has(("member", "prompt")):
                members[one.name] = stack.enter_context(one.member([topic], group, name=one.name, assignors=("range",)))
        settled(context, group, members, lambda found: sizes(found) == [3] * 4, "all of them")
        members.pop(client.name).close()
        settled(context, group, members, lambda found: sizes(found) == [4] * 3, "those that are left")


@scenario("group-vote", "the members' votes decide on the assignor, and who knows none of the group's is refused", "member",
          settings=QUICK)
def group_vote(context, client):
    topic, group, members = filled(context, 2, 2), context.name("vote"), {}
    with client.member([topic], group, name="a", assignors=("range", "roundrobin")) as members["a"]:
        assignor, _ = settled(context, group, members, lambda found: sizes(found) == [2], "one member")
        expect(assignor, "range", "its first choice")
        with client.member([topic], group, name="b", assignors=("roundrobin",)) as members["b"]:
            assignor, _ = settled(context, group, members, lambda found: sizes(found) == [1, 1], "two members")
            expect(assignor, "roundrobin", "what both know")


@scenario("group-stalls", "a member that no longer polls loses its partitions, and gets some when it polls again", "member", "stalls",
          settings=QUICK)
def group_stalls(context, client):
    topic, group, members = filled(context, 4, 8), context.name("stalls"), {}
    with client.member([topic], group, name="a", session_ms=2000, max_poll_ms=3000) as members["a"], \
            client.member([topic], group, name="b", session_ms=2000, max_poll_ms=3000) as members["b"]:
        _, found = settled(context, group, members, lambda found: sizes(found) == [2, 2], "two members")
        agree(client, members, found)
        stalled = members.pop("b")
        settled(context, group, members, lambda found: sizes(found) == [4], "the one that polls")
        members["b"] = stalled
        settled(context, group, members, lambda found: sizes(found) == [2, 2], "two members again")


@scenario("group-dies", "a member that dies without a word loses its partitions when its session is over", "mortal", settings=QUICK)
def group_dies(context, client):
    topic, group, members = filled(context, 4, 8), context.name("dies"), {}
    with client.member([topic], group, name="a", session_ms=2000) as members["a"], \
            client.mortal([topic], group, name="b", session_ms=2000) as members["b"]:
        settled(context, group, members, lambda found: sizes(found) == [2, 2], "two members")
        members.pop("b").die()
        expect(len(context.helper.assignments(group)[2]), 2, "members before the session is over")
        settled(context, group, members, lambda found: sizes(found) == [4], "the one that is left")


@scenario("group-subscription", "members change what they subscribe to", "member", "shrinks", "resubscribes", settings=QUICK)
def group_subscription(context, client):
    one, other, group, members = filled(context, 2, 2), filled(context, 2, 2), context.name("subscription"), {}
    with client.member([one], group, name="a") as members["a"], client.member([one], group, name="b") as members["b"]:
        settled(context, group, members, lambda found: sizes(found) == [1, 1], "both of one topic")
        members["b"].subscribe([one, other])
        _, found = settled(context, group, members, lambda found: sizes(found) == [1, 3], "one has the other topic, too")
        expect(found["b"] >= partitions(other, 0, 1), True, "the topic that one alone wants")
        members["b"].subscribe([other])
        wanted = {"a": partitions(one, 0, 1), "b": partitions(other, 0, 1)}
        settled(context, group, members, lambda found: found == wanted, "each has its own topic")


@scenario("group-pattern", "a topic that is made later comes to a group that subscribes by pattern", "member", "patterns",
          settings=QUICK)
def group_pattern(context, client):
    hint, group = context.name("pattern"), context.name("group")
    first = context.topic(f"{hint}-of", partitions=2)
    with client.member([f"^{hint}-of.*"], group, name="a", metadata_ms=500) as member:
        settled(context, group, {"a": member}, lambda found: found == {"a": partitions(first, 0, 1)}, "the first topic")
        second = context.topic(f"{hint}-of", partitions=2)
        wanted = {"a": partitions(first, 0, 1) | partitions(second, 0, 1)}
        settled(context, group, {"a": member}, lambda found: found == wanted, "both topics")


@scenario("group-deleted-topic", "a topic that is deleted goes from the assignment, and its committed offsets go", "member", "shrinks",
          "commits", settings={**QUICK, "auto.create.topics.enable": "false"})  # kafka-python would make it anew
def group_deleted_topic(context, client):
    kept, gone, group, members = filled(context, 2, 2), filled(context, 2, 2), context.name("deleted"), {}
    with client.member([kept, gone], group, name="a", metadata_ms=500) as members["a"]:
        every = partitions(kept, 0, 1) | partitions(gone, 0, 1)
        settled(context, group, members, lambda found: found == {"a": every}, "both topics")
        until(members.values(), lambda: members["a"].held() == every, "both topics")

        def committed():
            members["a"].commit()
            return len(context.helper.group_offsets(group, gone)) == 2
        until(members.values(), committed, "offsets of the topic")
        context.helper.delete_topic(gone)
        # Some clients are told that a partition is gone before they know that its topic is.
        settled(context, group, members, lambda found: found == {"a": partitions(kept, 0, 1)}, "one topic",
                forgive=("UNKNOWN_TOPIC_OR_PARTITION", "_UNKNOWN_PARTITION", "_UNKNOWN_TOPIC"))
    eventually(lambda: context.helper.group_offsets(group, gone), {}, "offsets of the deleted topic")


@scenario("group-static-fenced", "a second member of the same name takes the place of the first", "member", "static", "fenced-member",
          settings=QUICK)
def group_static_fenced(context, client):
    topic, group = filled(context, 2, 2), context.name("fenced")
    with client.member([topic], group, instance="one") as first:
        until([first], lambda: len(first.owned()) == 2, "the first has all")
        with client.member([topic], group, instance="one") as second:
            until([second], lambda: len(second.owned()) == 2, "the second has all")

            def fenced():
                try:
                    first.poll(0.02)
                except ClientError as thrown:
                    return thrown.name in FENCED or thrown.name
                return False
            eventually(fenced, True, "the first is told")


@scenario("group-static-dies", "a static member's place is kept until its session is over", "mortal", "static", settings=QUICK)
def group_static_dies(context, client):
    topic, group, members = filled(context, 4, 8), context.name("static"), {}
    with client.member([topic], group, name="a", instance="one", session_ms=3000) as members["a"]:
        with client.mortal([topic], group, name="b", instance="two", session_ms=3000) as members["b"]:
            _, before = settled(context, group, members, lambda found: sizes(found) == [2, 2], "two members")
            members["b"].die()
            with client.mortal([topic], group, name="b", instance="two", session_ms=3000) as members["b"]:
                until(members.values(), lambda: members["b"].held() == before["b"], "its own when it is back")
                expect(context.helper.assignments(group)[2], before, "what the group has")
                members.pop("b").die()
                settled(context, group, members, lambda found: sizes(found) == [4], "the other has all")
