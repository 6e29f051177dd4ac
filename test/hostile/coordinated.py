"""What the cases of groups and transactions share: answers as text, and coordinators that are there."""
import re
import time
import uuid

import cases
import codec
import wire

RANDOM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
NUMBERED = re.compile(r"(?<=[a-z])-\d+$")  # names of new_id and World.fresh
HIDDEN = {"ThrottleTimeMs", "ErrorMessage"}
ANY = {"ProducerId", "TransactionStartTimeMs", "LastTimestamp", "Port"}  # what differs from run to run, unless it is negative
LONG = 32768  # one more than a string of the old formats may have
MIB = 1 << 20
WAIT_S = 120


def text(value, key=None):
    """An answer in one line: names of errors, no generated ids, long strings by their length."""
    if isinstance(value, dict):
        return "{" + " ".join(f"{name} {text(one, name)}" for name, one in value.items() if name not in HIDDEN) + "}"
    if isinstance(value, list):
        shown = [text(one, key) for one in value]
        return "[" + ", ".join(sorted(shown)) + "]"  # no order is promised
    if isinstance(value, bytes):
        return f"{len(value)} bytes" if len(value) > 20 else repr(value)
    if isinstance(value, uuid.UUID):
        return "id" if value.int else "no id"
    if isinstance(value, str):
        value = NUMBERED.sub("-N", RANDOM.sub("ID", value))
        return f"{value[:5]!r} of {len(value)}" if len(value) > 200 else repr(value)
    if key and key.endswith("ErrorCode"):
        return codec.error_name(value)
    return "some" if key in ANY and value is not None and value >= 0 else str(value)


def ask(world, name, version, connection=None, **body):
    """The answer to a request by its name in the schema."""
    key = codec.KEYS[name]
    if connection is None:
        return world.ask(key, version, body, text)
    try:
        return text(connection.request(key, version, body))
    except wire.Closed:
        return "closed"
    except wire.Silent:
        return "silent"


def new_id(world, prefix):
    world.serial += 1
    return f"{prefix}-{world.serial}"


def wait_for(done, what):
    deadline = time.monotonic() + WAIT_S
    while not done():
        assert time.monotonic() < deadline, f"{what} in {WAIT_S} s"
        time.sleep(0.02)


def coordinators(world):
    """Every partition of both internal topics has its coordinator."""
    if getattr(world, "coordinated", False):
        return
    ids = [f"any-{n}" for n in range(1000)]  # on every partition some
    with world.connect() as connection:
        def here():
            for kind in (0, 1):
                found = connection.request(codec.KEYS["FindCoordinator"], 4, {"KeyType": kind, "CoordinatorKeys": ["any"]})
                if found["Coordinators"][0]["ErrorCode"] != 0:
                    return False
            groups = connection.request(codec.KEYS["DescribeGroups"], 5, {"Groups": ids})["Groups"]
            ids_left = connection.request(codec.KEYS["InitProducerId"], 5, {"TransactionalId": None, "TransactionTimeoutMs": 60000})
            transactions = connection.request(codec.KEYS["DescribeTransactions"], 0, {"TransactionalIds": ids})
            return {one["ErrorCode"] for one in groups} == {0} and ids_left["ErrorCode"] == 0 and \
                {codec.error_name(one["ErrorCode"]) for one in transactions["TransactionStates"]} == {"TRANSACTIONAL_ID_NOT_FOUND"}
        wait_for(here, "there are no coordinators")
    world.coordinated = True


def coordinated(function):
    """A case that needs coordinators."""
    def with_them(world):
        coordinators(world)
        yield from function(world)
    with_them.__name__ = function.__name__
    return cases.case(with_them)
