"""What a broker answers to requests with one fault each, as text to be compared: the same code runs
against Jackdaw and against Apache Kafka. A case is a function that yields (name, answer)."""
import codec
import wire
from batches import batch
from wire import FETCH, LIST_OFFSETS, PRODUCE

CASES = []
MAX32, MAX64 = 2**31 - 1, 2**63 - 1
API_VERSIONS = 18


def case(function):
    CASES.append(function)
    return function


class World:
    """A broker and the topics that the cases share."""

    def __init__(self, address):
        self.address, self.ids, self.serial = address, {}, 0

    def connect(self, timeout_s=wire.ANSWER_S):
        return wire.Connection(self.address, timeout_s)

    def topic(self, name, **configs):
        """The topic of that name, made when it is first asked for."""
        if name not in self.ids:
            with self.connect() as connection:
                configs = {key.replace("_", "."): str(value) for key, value in configs.items()}
                self.ids[name] = wire.create_topic(connection, name, configs=configs)
        return name

    def fresh(self, **configs):
        self.serial += 1
        return self.topic(f"fresh-{self.serial}", **configs)

    def ask(self, key, version, body, show):
        """The answer to one request on a connection of its own, as `show` tells it."""
        try:
            with self.connect() as connection:
                return show(connection.request(key, version, body))
        except wire.Closed:
            return "closed"
        except wire.Silent:
            return "silent"

    def ask_raw(self, frame, key, version, show, size=None, whole=None):
        try:
            with self.connect(5) as connection:
                connection.send(whole) if whole is not None else connection.send_frame(frame, size)
                return show(connection.answer(key, version))
        except wire.Closed:
            return "closed"
        except wire.Silent:
            return "silent"

    def produce(self, topic, records, version=11, **fields):
        body = wire.produce_body(topic, records, **fields)
        return self.ask(PRODUCE, version, body, show_produced)

    def offered(self, topic, **lies):
        return self.produce(topic, batch(**lies))


def name_of(part, field="ErrorCode"):
    return codec.error_name(part[field])


def show_produced(answer):
    shown = []
    for topic in answer["Responses"]:
        for part in topic["PartitionResponses"]:
            text = f"{part['Index']} {name_of(part)}"
            if part["ErrorCode"] == 0:
                text += f" at {part['BaseOffset']}" + (" stamped" if part["LogAppendTimeMs"] != -1 else "")
            elif part["BaseOffset"] != -1 or part["LogAppendTimeMs"] != -1:
                text += f" base {part['BaseOffset']} time {part['LogAppendTimeMs']}"
            if part.get("LogStartOffset", -1) != -1:
                text += f" start {part['LogStartOffset']}"
            if part.get("RecordErrors"):
                text += f" records {[one['BatchIndex'] for one in part['RecordErrors']][:5]}"
            shown.append(text)
    return "; ".join(shown) or "nothing"


def show_fetched(answer):
    shown = [] if answer.get("ErrorCode", 0) == 0 else [name_of(answer)]
    if answer.get("SessionId"):
        shown.append("session")
    for topic in answer["Responses"]:
        for part in topic["Partitions"]:
            records = part["Records"]
            text = f"{part['PartitionIndex']} {name_of(part)} hw {part['HighWatermark']} lso {part['LastStableOffset']}"
            text += f" start {part.get('LogStartOffset')} records {None if records is None else len(records)}"
            if part["AbortedTransactions"] is not None:
                text += f" aborted {part['AbortedTransactions']}"
            for tag in ("DivergingEpoch", "CurrentLeader"):
                if tag in part:
                    text += f" {tag} {part[tag]}"
            shown.append(text)
    return "; ".join(shown) or "nothing"


# ---- produce ----


def fetched(world, topic, offset, version=11, **fields):
    body = wire.fetch_body(topic, offset, topic_id=world.ids.get(topic), **fields)
    if version < 7:
        body.pop("SessionId", None)
    return world.ask(FETCH, version, body, show_fetched)


def filled(world):
    name = "filled"
    if name not in world.ids:
        world.topic(name)
        for _ in range(3):
            world.offered(name, count=2)
    return name


def show_offsets(answer):
    return "; ".join(
        f"{part['PartitionIndex']} {name_of(part)} offset {part['Offset']} time {part['Timestamp']} epoch {part.get('LeaderEpoch')}"
        for topic in answer["Topics"] for part in topic["Partitions"]) or "nothing"


def listed(world, topic, stamp, version=11, partition=0, epoch=-1, **fields):
    body = {"ReplicaId": -1, "TimeoutMs": 1000, "Topics": [{"Name": topic, "Partitions": [
        {"PartitionIndex": partition, "Timestamp": stamp, "CurrentLeaderEpoch": epoch}]}], **fields}
    return world.ask(LIST_OFFSETS, version, body, show_offsets)
