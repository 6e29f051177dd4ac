"""What a client is to the scenarios: a name, what it can do, and plain data in and out.

A client has a method for each thing that it can do and lacks those it cannot; scenarios name what they
need. `can` holds finer abilities that a method does not show:

    idempotence, acks            its producer can be told so
    timestamps, partitioning     its producer can choose them
    binary                       its producer takes any bytes, null keys, null values and headers
    null-headers                 and headers whose value is null
    nothing                      and a record with neither key nor value
    from-time                    its consumer can start at a time
    max-timestamp                list_offsets knows this one
    static                       a member of a group can have a name of its own
    fenced-member                a member says that another has its name
    fenced-producer              a producer says that another has its transactional id, and disturbs that one no more
    prompt                       a member starts and polls without waiting for the other members
    stalls                       a member that is not polled leaves, when its time is over (librdkafka: once it has taken what it was
                                 assigned; as long as that callback waits it only sends heartbeats)
    consumer-protocol            a member can speak the protocol of KIP-848
    silent                       and dies without a word there (Java 4.4.0 sends the epoch -1, even when told REMAIN_IN_GROUP)
    server-regex                 and have the broker find topics by a regular expression: member(pattern(…), …)
    range, roundrobin, sticky, cooperative-sticky   its members know this assignor
    patterns                     a member can subscribe to a pattern, ^…
    resubscribes, commits        a member can be told so while it is one
    shrinks                      a member tells soon that partitions were taken from it

`consume_group` reads that many records as a group, commits and leaves. `member` is a member of a group for as
long as its context lasts: poll() a little, owned() partitions, held() with their topics, how many were
revoked(), subscribe() to others, commit() what was read, close() early. `mortal` is one that can die().
"""
from dataclasses import dataclass, replace

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")

# Kafka's numbers of errors, as far as scenarios expect them.
ERRORS = {
    1: "OFFSET_OUT_OF_RANGE", 2: "CORRUPT_MESSAGE", 3: "UNKNOWN_TOPIC_OR_PARTITION", 7: "REQUEST_TIMED_OUT",
    10: "MESSAGE_TOO_LARGE", 17: "INVALID_TOPIC_EXCEPTION", 35: "UNSUPPORTED_VERSION", 36: "TOPIC_ALREADY_EXISTS",
    37: "INVALID_PARTITIONS", 38: "INVALID_REPLICATION_FACTOR", 40: "INVALID_CONFIG", 41: "NOT_CONTROLLER",
    42: "INVALID_REQUEST", 68: "NON_EMPTY_GROUP", 69: "GROUP_ID_NOT_FOUND", 44: "POLICY_VIOLATION", 47: "INVALID_PRODUCER_EPOCH",
    48: "INVALID_TXN_STATE", 50: "INVALID_TRANSACTION_TIMEOUT", 51: "CONCURRENT_TRANSACTIONS", 82: "FENCED_INSTANCE_ID",
    87: "INVALID_RECORD", 90: "PRODUCER_FENCED", 120: "TRANSACTION_ABORTABLE",
}


class ClientError(Exception):
    """What a client said of a refusal; `name` as in Kafka's table of errors."""

    def __init__(self, name, message=""):
        super().__init__(f"{name}: {message}" if message else name)
        self.name = name


def by_code(code, message=""):
    return ClientError(ERRORS.get(code, f"error {code}"), message)


@dataclass(frozen=True)
class Record:
    key: bytes | None
    value: bytes | None
    headers: tuple = ()  # of (name, bytes or None)
    timestamp: int | None = None
    partition: int = 0
    offset: int | None = None
    timestamp_type: str | None = None  # CreateTime, LogAppendTime

    def __repr__(self):
        def short(data):
            return repr(data) if data is None or len(data) <= 24 else f"{data[:24]!r}… ({len(data)} bytes)"
        return (f"Record(key={short(self.key)}, value={short(self.value)}, headers={str(self.headers)[:80]}, "
                f"timestamp={self.timestamp}, offset={self.offset})")


class Client:
    name = ""
    can = frozenset()

    def __init__(self, context):
        self.context = context

    @property
    def address(self):
        return self.context.target.address

    def version(self):
        raise NotImplementedError

    def view(self, record):
        """A record as this client can show it to the test; most show all of it."""
        return record

    def has(self, needs):
        return all(hasattr(self, need) or need in self.can for need in needs)


def at(record, **changes):
    return replace(record, **changes)
