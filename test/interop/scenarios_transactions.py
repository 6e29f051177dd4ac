"""What clients do in transactions, and what administrators see of them."""
import pathlib
import sys
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "hostile"))

import batches  # noqa: E402
import wire  # noqa: E402
from clients.base import ClientError  # noqa: E402
from context import BEGAN_MS, Mismatch, eventually, expect  # noqa: E402
from scenarios import scenario  # noqa: E402

COMMITTED = {"isolation.level": "read_committed"}
# What a producer says whose place was taken; clients wrap it, or find themselves in a state of error.
FENCED = ("PRODUCER_FENCED", "INVALID_PRODUCER_EPOCH", "_FENCED", "KafkaException", "INVALID_TXN_STATE", "_STATE",
          "INVALID_PRODUCER_ID_MAPPING", "ProducerFencedException", "_INVALID_ARG", "TransactionAbortedException",
          "TransactionAbortableException", "TRANSACTION_ABORTABLE", "ProducerFenced")


def fails(call, *names):
    """Whether a call fails as one of these."""
    try:
        call()
    except ClientError as thrown:
        if thrown.name not in names:
            raise Mismatch(f"it failed with {thrown}, expected {' or '.join(names)}") from None
        return True
    return False


def end(context, topic):
    return context.helper.list_offsets(topic, 0, "latest")


def settled(context, topic):
    """Waits until nothing of a partition is open."""
    eventually(lambda: context.helper.committed_end(topic) == end(context, topic), True, "nothing is open")


@scenario("transactions", "what is committed is read, what is aborted is not", "transactional")
def transactions(context, client):
    topic, wanted = context.topic(), []
    with client.transactional(context.name("copier")) as producer:
        for n in range(10):
            producer.begin()
            values = [b"%d of %d" % (part, n) for part in range(3)]
            for value in values:
                producer.send(topic, value)
            if n % 3 == 1:
                producer.abort()
            else:
                producer.commit()
                wanted += values
    settled(context, topic)
    expect(end(context, topic), 40, "end of the log, with ten markers")
    for name in ("confluent-kafka", "Java"):
        got = context.by_name(name).consume(topic, {0: "earliest"}, len(wanted), COMMITTED)
        expect([one.value for one in got], wanted, f"what {name} reads")
        got = context.by_name(name).consume(topic, {0: "earliest"}, 30, {"isolation.level": "read_uncommitted"})
        expect(len(got), 30, f"what {name} reads of all")


@scenario("transaction-open", "readers of committed records stop where a transaction is open", "transactional")
def transaction_open(context, client):
    topic = context.topic()
    context.fill(topic, 5)
    with client.transactional(context.name("copier")) as producer:
        producer.begin()
        expect(producer.send(topic, b"later"), 5, "the offset")
        context.fill(topic, 3)
        expect((context.helper.committed_end(topic), end(context, topic)), (5, 9), "ends while it is open")
        producer.commit()
        eventually(lambda: context.helper.committed_end(topic), 10, "the end when it is committed")
        expect(client.list_offsets(topic, 0, BEGAN_MS + 4500), 5, "the first record after a time")


@scenario("transaction-fenced", "a second producer of the same id ends the first", "transactional", "fenced-producer")
def transaction_fenced(context, client):
    topic, name = context.topic(), context.name("copier")
    with client.transactional(name) as first:
        first.begin()
        first.send(topic, b"of the first")
        with client.transactional(name) as second:
            eventually(lambda: context.helper.committed_end(topic), 2, "the first's transaction is aborted")
            second.begin()
            second.send(topic, b"of the second")

            def go_on():
                first.send(topic, b"too late")
                first.commit()
            expect(fails(go_on, *FENCED), True, "the first is refused")
            second.commit()
    settled(context, topic)
    got, = client.consume(topic, {0: "earliest"}, 1, COMMITTED)
    expect(got.value, b"of the second", "what is committed")


@scenario("transaction-timeout", "a transaction that takes too long is aborted",
          "transactional", "fenced-producer", settings={"transaction.abort.timed.out.transaction.cleanup.interval.ms": "100"})
def transaction_timeout(context, client):
    topic = context.topic()
    with client.transactional(context.name("copier"), **{"transaction.timeout.ms": 1500}) as producer:
        producer.begin()
        producer.send(topic, b"too slow")
        eventually(lambda: context.helper.committed_end(topic), 2, "it is aborted")
        expect(fails(producer.commit, *FENCED), True, "the commit is refused")
    context.fill(topic, 1)
    got, = client.consume(topic, {0: "earliest"}, 1, COMMITTED)
    expect(got.value, b"v0", "what is committed")


@scenario("transaction-timeout-limit", "a transaction timeout above the maximum is refused", "transactional",
          settings={"transaction.max.timeout.ms": "10000"})
def transaction_timeout_limit(context, client):
    def begin():
        with client.transactional(context.name("copier"), **{"transaction.timeout.ms": 15000}):
            pass
    expect(fails(begin, "INVALID_TRANSACTION_TIMEOUT", "_INVALID_ARG", "KafkaException", "KafkaError"), True, "it is refused")


@scenario("transaction-copy", "a copy job: records and the position of its group in the same transaction", "transactional")
def transaction_copy(context, client):
    source, copy, group, name = context.topic(), context.topic(), context.name("group"), context.name("copier")
    context.fill(source, 40)
    position = 0
    while position < 40:
        # Each life copies a few inputs, aborts once, and leaves a transaction open for the next to fence.
        with client.transactional(name) as producer:
            for ends in ("commit", "abort", "commit", None):
                found = context.helper.group_offsets(group, source).get(0, -1001)
                at = max(found, 0)
                expect(at, position, "the position of the group")
                if at == 40:
                    break
                records = client.consume(source, {0: at}, 5)
                producer.begin()
                for record in records:
                    producer.send(copy, record.value)
                producer.offsets(group, source, at + 5)
                if ends == "commit":
                    producer.commit()
                    position = at + 5
                    eventually(lambda: context.helper.group_offsets(group, source).get(0), position, "the position")
                elif ends == "abort":
                    producer.abort()
    with client.transactional(name):
        settled(context, copy)
    got = client.consume(copy, {0: "earliest"}, 40, COMMITTED)
    expect([one.value for one in got], [b"v%d" % n for n in range(40)], "the copy")


@scenario("transactions-tool", "transactions are listed and described", "list_transactions", "transactions_of")
def transactions_tool(context, client):
    topic, name = context.topic(), context.name("copier")
    with context.helper.transactional(name) as producer:
        expect(client.list_transactions().get(name), "Empty", "before the first transaction")
        producer.begin()
        producer.send(topic, b"value")
        expect(client.list_transactions().get(name), "Ongoing", "the state while it is open")
        row = client.describe_transaction(name)
        expect((row["TransactionState"], row["TopicPartitions"], row["TransactionTimeoutMs"]), ("Ongoing", f"{topic}-0", "60000"),
               "state, partitions and timeout")
        open_one, = client.transactions_of(topic, 0)
        expect((open_one["ProducerId"], open_one["CurrentTransactionStartOffset"]), (row["ProducerId"], "0"),
               "the producer and where its transaction begins")
        producer.commit()
        eventually(lambda: client.list_transactions().get(name), "CompleteCommit", "the state after its commit")


@scenario("transaction-hangs", "a transaction that its coordinator does not know is found and ended", "hanging_transactions",
          settings={"transaction.partition.verification.enable": "false"})
def transaction_hangs(context, client):
    topic, name = context.topic(), context.name("copier")
    with context.helper.transactional(name) as producer:
        producer.begin()
        producer.send(topic, b"committed")
        producer.commit()
    settled(context, topic)
    producer_id = int(client.describe_transaction(name)["ProducerId"])
    # As an older client's batch that was delayed for an hour: nobody will ever end what it begins.
    late = batches.batch(producer_id=producer_id + 1, producer_epoch=0, base_sequence=0, attributes=batches.TRANSACTIONAL,
                         timestamp=int(time.time() * 1000) - 3_600_000)
    with wire.Connection(context.target.address) as connection:
        answer = connection.request(wire.PRODUCE, 9, wire.produce_body(topic, late, transactional_id=name))
    expect(wire.produced(answer), ("NONE", 2), "the late batch")
    expect((context.helper.committed_end(topic), end(context, topic)), (2, 3), "ends")
    found = [(row["Topic"], row["Partition"], row["StartOffset"]) for row in client.hanging_transactions()]
    expect((topic, "0", "2") in found, True, f"it is found (of {found})")
    client.abort_transaction(topic, 0, 2)
    eventually(lambda: context.helper.committed_end(topic), 4, "the end when it was aborted")
    found = [row["Topic"] for row in client.hanging_transactions()]
    expect(topic in found, False, "it is found again")
