"""Cases of the APIs about topics, settings and producer ids."""
import time

import wire
from cases import MAX64, case, fetched, filled, listed, name_of
from wire import METADATA

DELETE_TOPICS, DELETE_RECORDS, INIT_PRODUCER_ID = 20, 21, 22
DESCRIBE_CONFIGS, CREATE_PARTITIONS, INCREMENTAL = 32, 37, 44


@case
def metadata(world):
    topic = filled(world)

    def show(answer):
        return "; ".join(f"{one['Name']} {name_of(one)} {len(one['Partitions'])}"
                         for one in answer["Topics"] if one["Name"] != "__consumer_offsets") or "nothing"

    def asked(names, version=12, **fields):
        topics = None if names is None else [{"Name": name} for name in names]
        return world.ask(METADATA, version, {"Topics": topics, "AllowAutoTopicCreation": False, **fields}, show)

    for version in range(0, 14):
        yield f"version {version}", asked([topic], version)
    yield "none", asked([])
    for name in ("nowhere", "", ".", "..", "a b", "x" * 249, "x" * 250, "a/b", "é"):
        yield f"topic {name[:8]!r} of {len(name)}", asked([name])
    yield "a topic twice", asked([topic, topic])
    yield "no name, version 12", asked([None])
    yield "no name, version 10", asked([None], 10)
    for version in (10, 12, 13):
        for name, identity in (("known", world.ids[topic].bytes), ("unknown", b"\x42" * 16)):
            body = {"Topics": [{"TopicId": identity, "Name": None}], "AllowAutoTopicCreation": False}
            yield f"{name} id, version {version}", world.ask(METADATA, version, body, show)
    yield "both name and id", world.ask(METADATA, 12, {"Topics": [{"TopicId": b"\x42" * 16, "Name": topic}]}, show)


def show_topics(answer):
    return "; ".join(f"{one['Name']} {name_of(one)}" for one in answer.get("Topics", answer.get("Responses", answer.get("Results")))) or "nothing"


@case
def create_topics(world):
    topic = filled(world)

    def asked(*topics, version=7, **fields):
        full = [{"NumPartitions": 1, "ReplicationFactor": 1, **one} for one in topics]
        return world.ask(wire.CREATE_TOPICS, version, {"TimeoutMs": 5000, "Topics": full, **fields}, show_topics)

    for name in ("", ".", "..", "a b", "x" * 249, "x" * 250, "a/b", "é", "a:b", "a\n"):
        yield f"name {name[:8]!r} of {len(name)}", asked({"Name": name}, ValidateOnly=True)
    for partitions in (0, -1, -2, -2**31):
        yield f"partitions {partitions}", asked({"Name": "new", "NumPartitions": partitions}, ValidateOnly=True)
    for factor in (0, -1, -2, 2, 32767):
        yield f"replication factor {factor}", asked({"Name": "new", "ReplicationFactor": factor}, ValidateOnly=True)
    yield "exists", asked({"Name": topic})
    yield "exists, only to validate", asked({"Name": topic}, ValidateOnly=True)
    yield "a name twice", asked({"Name": "new"}, {"Name": "new"}, ValidateOnly=True)
    yield "nothing", asked()
    yield "a collision", asked({"Name": "col.li_sion"}, ValidateOnly=True) + " " + asked({"Name": "col.li_sion"}) + \
        " " + asked({"Name": "col_li.sion"}, ValidateOnly=True)
    for name, assignments in (
            ("of one", [(0, [1])]), ("to an unknown broker", [(0, [7])]), ("to one twice", [(0, [1, 1])]), ("to none", [(0, [])]),
            ("without 0", [(1, [1])]), ("0 twice", [(0, [1]), (0, [1])]), ("with a gap", [(0, [1]), (2, [1])]), ("of -1", [(-1, [1])])):
        one = {"Name": "new", "NumPartitions": -1, "ReplicationFactor": -1,
               "Assignments": [{"PartitionIndex": index, "BrokerIds": brokers} for index, brokers in assignments]}
        yield f"assignment {name}", asked(one, ValidateOnly=True)
    both = {"Name": "new", "NumPartitions": 3, "Assignments": [{"PartitionIndex": 0, "BrokerIds": [1]}]}
    yield "assignment and a count", asked(both, ValidateOnly=True)
    for key, value in (("retention.ms", "5"), ("retention.ms", "x"), ("retention.ms", ""), ("retention.ms", None), ("retention.ms", "-2"),
                       ("no.such.key", "1"), ("", "1"), ("cleanup.policy", "burn"), ("compression.type", "rar"), ("segment.bytes", "1"),
                       ("max.message.bytes", "-1"), ("min.insync.replicas", "0"), ("unclean.leader.election.enable", "maybe")):
        one = {"Name": "new", "Configs": [{"Name": key, "Value": value}]}
        yield f"config {key}={value}", asked(one, ValidateOnly=True)
    twice = {"Name": "new", "Configs": [{"Name": "retention.ms", "Value": "5"}, {"Name": "retention.ms", "Value": "6"}]}
    yield "a config twice", asked(twice, ValidateOnly=True)
    for version in range(2, 8):
        yield f"version {version}", asked({"Name": "new"}, ValidateOnly=True, version=version)


@case
def delete_topics(world):
    def asked(version, **fields):
        return world.ask(DELETE_TOPICS, version, {"TimeoutMs": 5000, **fields}, show_topics)

    for version in (1, 4, 5):
        yield f"unknown, version {version}", asked(version, TopicNames=["nowhere"])
        yield f"no name, version {version}", asked(version, TopicNames=[""])
    yield "unknown, version 6", asked(6, Topics=[{"Name": "nowhere"}])
    yield "an unknown id", asked(6, Topics=[{"Name": None, "TopicId": b"\x42" * 16}])
    yield "neither name nor id", asked(6, Topics=[{"Name": None}])
    topic = world.fresh()
    yield "both name and id", asked(6, Topics=[{"Name": topic, "TopicId": world.ids[topic]}])
    yield "a name twice", asked(6, Topics=[{"Name": topic}, {"Name": topic}])
    yield "known", asked(6, Topics=[{"Name": topic}])
    yield "known no more", asked(6, Topics=[{"Name": topic}])


@case
def create_partitions(world):
    topic = world.topic("grows")

    def asked(name, count, assignments=None, **fields):
        one = {"Name": name, "Count": count, "Assignments": assignments}
        body = {"TimeoutMs": 5000, "ValidateOnly": True, "Topics": [one], **fields}
        return world.ask(CREATE_PARTITIONS, 3, body, show_topics)

    for count in (2, 1, 0, -1, 10):
        yield f"to {count}", asked(topic, count)
    yield "unknown", asked("nowhere", 2)
    yield "no name", asked("", 2)
    for brokers in ([[1]], [[1], [1]], [[7]], [[1, 1]], [[]], []):
        yield f"assigned {brokers}", asked(topic, 2, [{"BrokerIds": one} for one in brokers])
    one = {"Name": topic, "Count": 2, "Assignments": None}
    yield "a topic twice", world.ask(CREATE_PARTITIONS, 3, {"TimeoutMs": 1000, "Topics": [one, one]}, show_topics)


@case
def delete_records(world):
    def show(answer):
        return "; ".join(f"{part['PartitionIndex']} {name_of(part)} low {part['LowWatermark']}"
                         for one in answer["Topics"] for part in one["Partitions"]) or "nothing"

    topic = world.fresh()
    for _ in range(3):
        world.offered(topic, count=2)

    def asked(name, offset, partition=0):
        part = {"PartitionIndex": partition, "Offset": offset}
        return world.ask(DELETE_RECORDS, 2, {"TimeoutMs": 5000, "Topics": [{"Name": name, "Partitions": [part]}]}, show)

    for offset in (-2, 7, MAX64, 0, 2, 1, 3, -1, 5):
        yield f"below {offset}", asked(topic, offset)
    yield "partition 4", asked(topic, 0, 4)
    yield "unknown", asked("nowhere", 0)
    yield "the start afterwards", listed(world, topic, -2)
    yield "read below the start", fetched(world, topic, 0)


@case
def configs(world):
    topic = filled(world)

    def show_results(answer):
        results = answer.get("Results", answer.get("Responses"))
        return "; ".join(f"{one['ResourceType']} {one['ResourceName']} {name_of(one)}" +
                         (f" {len(one['Configs']) > 0}" if "Configs" in one else "") for one in results) or "nothing"

    for kind, name in ((2, topic), (2, "nowhere"), (2, ""), (2, "a b"), (4, "1"), (4, ""), (4, "7"), (4, "x"), (8, "1"), (8, "x"), (0, "x"),
                       (99, "x"), (-1, "x")):
        one = {"ResourceType": kind, "ResourceName": name, "ConfigurationKeys": None}
        yield f"describe {kind} {name!r}", world.ask(DESCRIBE_CONFIGS, 4, {"Resources": [one]}, show_results)
        for key, operation, value in (("retention.ms", 0, "100000"),):
            one = {"ResourceType": kind, "ResourceName": name, "Configs": [{"Name": key, "ConfigOperation": operation, "Value": value}]}
            body = {"ValidateOnly": True, "Resources": [one]}
            yield f"alter {kind} {name!r}", world.ask(INCREMENTAL, 1, body, show_results)
    for key, operation, value in (("retention.ms", 9, "1"), ("retention.ms", 0, "x"), ("retention.ms", 0, None), ("no.such", 0, "1"),
                                  ("no.such", 1, None), ("retention.ms", 2, "1"), ("cleanup.policy", 2, "compact"),
                                  ("cleanup.policy", 3, "compact"), ("cleanup.policy", 2, "burn"), ("", 0, "x")):
        one = {"ResourceType": 2, "ResourceName": topic, "Configs": [{"Name": key, "ConfigOperation": operation, "Value": value}]}
        body = {"ValidateOnly": True, "Resources": [one]}
        yield f"operation {operation} on {key}={value}", world.ask(INCREMENTAL, 1, body, show_results)
    one = {"ResourceType": 2, "ResourceName": topic, "Configs": []}
    yield "a resource twice", world.ask(INCREMENTAL, 1, {"ValidateOnly": True, "Resources": [one, one]}, show_results)
    pair = {"Name": "retention.ms", "ConfigOperation": 0, "Value": "5"}
    body = {"ValidateOnly": True, "Resources": [{"ResourceType": 2, "ResourceName": topic, "Configs": [pair, pair]}]}
    yield "a key twice", world.ask(INCREMENTAL, 1, body, show_results)


@case
def producer_ids(world):
    def asked(version=5, **fields):
        body = {"TransactionalId": None, "TransactionTimeoutMs": 60000, **fields}
        show = lambda one: f"{name_of(one)} id {one['ProducerId'] >= 0} epoch {one['ProducerEpoch']}"  # noqa: E731
        return world.ask(INIT_PRODUCER_ID, version, body, show)

    while asked().startswith("COORDINATOR_LOAD_IN_PROGRESS"):  # just started
        time.sleep(0.05)
    for version in range(0, 6):
        yield f"version {version}", asked(version)
    for producer, epoch in ((5, 0), (5, -1), (-1, 5), (-2, -2)):
        yield f"producer {producer} epoch {epoch}", asked(ProducerId=producer, ProducerEpoch=epoch)
    for timeout in (0, -1):
        yield f"timeout {timeout}", asked(TransactionTimeoutMs=timeout)
