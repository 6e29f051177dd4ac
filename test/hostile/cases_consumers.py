"""Requests of the consumer protocol (KIP-848) with one fault each: see cases.py."""
import codec
from cases import MAX32
from cases_groups import IDS, commit, part
from coordinated import ask, coordinated, new_id

LONG_EXPRESSION = "a" * 20_000
UNKNOWN = b"\x42" * 16


def beating(group, member="m", epoch=0, version=1, **changes):
    """A member that joins, unless it is said otherwise; `...` leaves a field out."""
    body = {"GroupId": group, "MemberId": member, "MemberEpoch": epoch, "RebalanceTimeoutMs": 60000, "SubscribedTopicNames": ["t"],
            "TopicPartitions": [], **changes}
    return {name: value for name, value in body.items() if value is not ...}


def beat(world, group, member="m", epoch=0, version=1, **changes):
    return ask(world, "ConsumerGroupHeartbeat", version, **beating(group, member, epoch, **changes))


def describe(world, *groups):
    return ask(world, "ConsumerGroupDescribe", 1, GroupIds=list(groups))


def topic_id(world, name):
    with world.connect() as connection:
        answer = connection.request(codec.KEYS["Metadata"], 12, {"Topics": [{"Name": name}]})
    return answer["Topics"][0]["TopicId"]


@coordinated
def consumer_ids(world):
    world.topic("t")
    for name, one in IDS.items():
        group = new_id(world, "cids")
        if one:  # without an id the broker makes one
            yield f"member, {name}", beat(world, group, one)
            yield f"member, {name}, leaves", beat(world, group, one, -1)
        yield f"group, {name}", beat(world, f"c{one}" if one else one)
        yield f"group, {name}, described", describe(world, f"c{one}" if one else one)
        yield f"instance, {name}", beat(world, group, InstanceId=one)
        yield f"instance, {name}, leaves", beat(world, group, epoch=-1, InstanceId=one)
        yield f"rack, {name}", beat(world, new_id(world, "cids"), RackId=one)
        yield f"assignor, {name}", beat(world, new_id(world, "cids"), ServerAssignor=one)
    yield "describe nothing", describe(world)
    yield "describe one twice", describe(world, "none", "none", "")


@coordinated
def consumer_numbers(world):
    world.topic("t")
    group = new_id(world, "cnumbers")
    yield "joins", beat(world, group)
    for epoch in (-1, -2, -3, -2**31, 1, 2, 7, MAX32):
        yield f"epoch {epoch} of a stranger", beat(world, group, "stranger", epoch)
        yield f"epoch {epoch} of nobody", beat(world, group, "", epoch) if epoch > 0 else "-"
        yield f"epoch {epoch}, no group", beat(world, new_id(world, "cnumbers"), epoch=epoch)
    for epoch in (2, 3, 7, MAX32):  # its own, and others
        yield f"epoch {epoch}", beat(world, group, epoch=epoch)
    for timeout in (-2, 0, 1, MAX32, -2**31):
        yield f"rebalance timeout {timeout}", beat(world, new_id(world, "cnumbers"), RebalanceTimeoutMs=timeout)
    for generation in (-2, -1, 0, 99, MAX32, -2**31):
        for member in ("m", "", "stranger"):
            yield f"commit of {generation} by {member!r}", commit(world, group, [part(0)], "t", generation=generation, member=member)
    yield "leaves", beat(world, group, epoch=-1)
    yield "leaves again", beat(world, group, epoch=-1)
    yield "the group", describe(world, group)


@coordinated
def consumer_subscriptions(world):
    world.topic("t")
    for name, topics in (("none", []), ("one twice", ["t", "t"]), ("a name that is none", ["a b", "", "..", "x" * 300, "x" * 32767]),
                         ("internal", ["__consumer_offsets"]), ("5000 that are not there", [f"nowhere-{n}" for n in range(5000)]),
                         ("not said", ...)):
        group = new_id(world, "csubscriptions")
        yield name, beat(world, group, SubscribedTopicNames=topics)
        answer = describe(world, group)
        yield f"{name}, described", answer if len(answer) < 5000 else f"{answer.count('nowhere')} names"
    for name, expression in (("half a group", "("), ("nothing", ""), ("long", LONG_EXPRESSION), ("repeated", "(((a{1,100}){1,100}){1,100})"),
                             ("a repetition of 1001", "a{1001}"), ("look ahead", "(?=a)"), ("back reference", "(a)\\1"), ("a zero", "a\0b"),
                             ("stars", "(a*)*b"), ("deep", "(" * 900 + ")" * 900), ("too deep", "(" * 1100 + ")" * 1100),
                             ("no character", "\\p{Nonsense}"), ("scripts", "\\p{Greek}+"), ("lazy", "a??"), ("possessive", "a++"),
                             ("a class of none", "[]"), ("flags", "(?i)T"), ("Perl's", "\\d\\w\\s\\b"), ("quoted", "\\Qt\\E")):
        group = new_id(world, "csubscriptions")
        yield f"expression: {name}", beat(world, group, SubscribedTopicNames=..., SubscribedTopicRegex=expression).split(" Assignment")[0]


@coordinated
def consumer_owned(world):
    """What members say that they own."""
    world.topic("t")
    here = topic_id(world, "t")
    group = new_id(world, "cowned")
    yield "joins", beat(world, group)
    for name, owned in (("what it was given", [{"TopicId": here, "Partitions": [0]}]), ("nothing", []),
                        ("a partition that is not there", [{"TopicId": here, "Partitions": [7, -1, MAX32]}]),
                        ("one twice", [{"TopicId": here, "Partitions": [0, 0]}, {"TopicId": here, "Partitions": [0]}]),
                        ("an unknown topic", [{"TopicId": UNKNOWN, "Partitions": [0]}]), ("no id", [{"TopicId": bytes(16), "Partitions": [0]}]),
                        ("no partitions", [{"TopicId": here, "Partitions": []}]),
                        ("5000 topics", [{"TopicId": bytes([n % 251, n // 251]) * 8, "Partitions": list(range(10))} for n in range(5000)]),
                        ("100000 partitions", [{"TopicId": here, "Partitions": list(range(100_000))}])):
        yield name, beat(world, group, epoch=2, TopicPartitions=owned)
        yield f"{name}, on joining", beat(world, new_id(world, "cowned"), TopicPartitions=owned)
