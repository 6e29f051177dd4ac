"""The scenarios: what a client can be asked, and what must come of it. Each runs once for every client
that has what it needs; the same text holds for Apache Kafka and for Jackdaw."""
import random
import threading
import time

from clients.base import CODECS, ClientError, Record
from context import BEGAN_MS, Mismatch, eventually, expect, expect_error

LONG_POLL_MS = 30_000
PROMPT_S = 10  # a parked fetch that is woken answers far sooner than LONG_POLL_MS
SCENARIOS = []


def scenario(name, what, *needs, settings=None):
    def add(function):
        SCENARIOS.append((name, what, needs, settings or {}, function))
        return function
    return add


# --- the cluster ---

@scenario("metadata", "brokers, and a topic's partitions and leaders", "metadata")
def metadata(context, client):
    topic = context.topic(partitions=3)
    found = client.metadata(topic)
    host, _, port = context.target.address.rpartition(":")
    expect(found["brokers"], [(1, host, int(port))], "brokers")
    expect(found["leaders"], {0: 1, 1: 1, 2: 1}, "leaders")


@scenario("api-versions", "the list of APIs and versions", "api_versions")
def api_versions(context, client):
    found = client.api_versions()
    served = {0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 32, 33, 35, 37, 42, 44,
              46, 47, 48, 55, 57, 60, 61, 65, 66, 68, 69, 74, 75}
    expect(served - found, set(), "APIs that are missing")


@scenario("describe-cluster", "cluster id, controller, brokers", "describe_cluster")
def describe_cluster(context, client):
    found = client.describe_cluster()
    host, _, port = context.target.address.rpartition(":")
    expect(found["brokers"], [(1, host, int(port))], "brokers")
    expect(found["controller"], 1, "controller")
    wanted = context.helper.describe_cluster()["cluster_id"]
    if found["cluster_id"] is not None:  # aiokafka's version of Metadata may have none
        expect(found["cluster_id"], wanted, "cluster id")
    expect(len(wanted), 22, "length of the cluster id")


@scenario("cluster-id", "the cluster's id by the tool", "cluster_id")
def cluster_id(context, client):
    expect(client.cluster_id(), context.helper.describe_cluster()["cluster_id"], "cluster id")


@scenario("describe-quorum", "leader and voters of the metadata log", "describe_quorum")
def describe_quorum(context, client):
    expect(client.describe_quorum(), {"leader": 1, "voters": [1]}, "quorum")


@scenario("describe-features", "finalized features", "describe_features")
def describe_features(context, client):
    found = client.describe_features()["finalized"]
    expect("metadata.version" in found, True, "metadata.version is finalized")


@scenario("describe-log-dirs", "folders, partitions and sizes", "describe_log_dirs")
def describe_log_dirs(context, client):
    topic = context.topic()
    context.fill(topic, 100)
    found = client.describe_log_dirs()
    expect(list(found), [str(context.target.data)], "folders")
    size = sum(path.stat().st_size for path in context.target.segments(topic))
    expect(found[str(context.target.data)].get(f"{topic}-0"), size, "size of the partition")


@scenario("empty-answers", "reassignments and quotas, of which there are none", "no_reassignments", "no_quotas")
def empty_answers(context, client):
    expect(client.no_reassignments(), True, "no reassignment")
    expect(client.no_quotas(), True, "no quota")


# --- topics ---

@scenario("topics", "create, list, describe, delete", "create_topic", "list_topics", "describe_topic", "delete_topic")
def topics(context, client):
    topic = context.name()
    client.create_topic(topic, 3, {"retention.ms": "123456"})
    context.settle(topic, 3)
    expect(topic in client.list_topics(), True, "the topic is listed")
    expect(client.describe_topic(topic), {0: 1, 1: 1, 2: 1}, "partitions and leaders")
    expect(context.helper.describe_config("topic", topic)["retention.ms"], "123456", "retention.ms")
    client.delete_topic(topic)
    eventually(lambda: topic in client.list_topics(), False, "the deleted topic is listed")


@scenario("list-topics", "topics by name", "list_topics")
def list_topics(context, client):
    wanted = {context.topic(), context.topic()}
    expect(wanted - client.list_topics(), set(), "topics that are missing")


@scenario("topic-errors", "what is refused, and with which error", "create_topic", "delete_topic")
def topic_errors(context, client):
    topic = context.topic()
    expect_error(lambda: client.create_topic(topic), "TOPIC_ALREADY_EXISTS")
    # Clients with checks of their own refuse these under their own names.
    expect_error(lambda: client.create_topic("no/slash"), "INVALID_TOPIC_EXCEPTION")
    expect_error(lambda: client.create_topic(context.name(), 1, {"no.such.key": "1"}), "INVALID_CONFIG")
    expect_error(lambda: client.create_topic(context.name(), 1, {"retention.ms": "soon"}), "INVALID_CONFIG")
    expect_error(lambda: client.create_topic(context.name(), 1, None, 2), "INVALID_REPLICATION_FACTOR")
    expect_error(lambda: client.delete_topic(context.name("nowhere")), "UNKNOWN_TOPIC_OR_PARTITION")


@scenario("recreate-topic", "a topic deleted and made again is a new one", "create_topic", "delete_topic", "consume")
def recreate_topic(context, client):
    topic = context.name()
    client.create_topic(topic)
    context.settle(topic)
    context.fill(topic, 5)
    client.delete_topic(topic)
    eventually(lambda: topic in context.helper.list_topics(), False, "the deleted topic is listed")
    client.create_topic(topic)
    context.settle(topic)
    context.helper.produce(topic, [Record(b"new", b"life")])
    got = client.consume(topic, {0: "earliest"}, 1)
    expect((got[0].offset, got[0].key), (0, b"new"), "the first record")


@scenario("create-partitions", "more partitions, never fewer", "create_partitions")
def create_partitions(context, client):
    topic = context.topic(partitions=2)
    client.create_partitions(topic, 4)
    context.settle(topic, 4)
    context.fill(topic, 3, partition=3)
    expect_error(lambda: client.create_partitions(topic, 3), "INVALID_PARTITIONS")


@scenario("topic-configs", "describe and alter a topic's settings", "describe_config", "set_config")
def topic_configs(context, client):
    topic = context.topic()

    def now(*keys):
        found = client.describe_config("topic", topic)
        return [found[key] for key in keys]

    expect(now("cleanup.policy", "max.message.bytes"), ["delete", "1048588"], "defaults")
    client.set_config("topic", topic, {"retention.ms": "98765", "cleanup.policy": "compact"})
    eventually(lambda: now("retention.ms", "cleanup.policy"), ["98765", "compact"], "settings after a change")
    client.set_config("topic", topic, {"retention.ms": None, "cleanup.policy": "compact"})
    eventually(lambda: now("retention.ms", "cleanup.policy"), ["604800000", "compact"], "settings after taking one back")
    expect_error(lambda: client.set_config("topic", topic, {"cleanup.policy": "burn"}), "INVALID_CONFIG")
    expect_error(lambda: client.set_config("topic", context.name("nowhere"), {"retention.ms": "1"}),
                 "UNKNOWN_TOPIC_OR_PARTITION")


@scenario("broker-configs", "describe a broker's settings, change one while it runs", "describe_config", "set_config")
def broker_configs(context, client):
    found = client.describe_config("broker", "1")
    expect((found["node.id"], found["log.dirs"]), ("1", str(context.target.data)), "settings from the file")
    topic = context.topic()

    def inherited():
        return context.helper.describe_config("topic", topic)["retention.ms"]

    client.set_config("broker", "1", {"log.retention.ms": "7200000"})
    eventually(lambda: client.describe_config("broker", "1")["log.retention.ms"], "7200000", "log.retention.ms")
    eventually(inherited, "7200000", "a topic's inherited retention.ms")
    client.set_config("broker", "1", {"log.retention.ms": None})
    eventually(inherited, "604800000", "retention.ms taken back")


@scenario("config-resources", "which topics and brokers have settings", "list_config_resources")
def config_resources(context, client):
    topic = context.topic(retention_ms=1000000)
    expect({f"TOPIC:{topic}", "BROKER:1"} - client.list_config_resources(), set(), "resources that are missing")


# --- produce ---

def produce_and_check(context, client, acks, idempotent=False, count=200):
    topic = context.topic()
    records = [Record(b"k%d" % n, b"value %d" % n) for n in range(count)]
    placed = client.produce(topic, records, acks=acks, idempotent=idempotent)
    # kcat and ConsoleProducer do not say where; with acks=0 nobody knows.
    if acks != "0" and placed[0] is not None:
        expect(placed, [(0, n) for n in range(count)], "where the records went")
    got = context.other(client).consume(topic, {0: "earliest"}, count)
    expect([(one.offset, one.key, one.value) for one in got],
           [(n, one.key, one.value) for n, one in enumerate(records)], "the records")
    return topic


@scenario("produce-acks-0", "no answers asked", "produce", "acks")
def produce_acks_0(context, client):
    produce_and_check(context, client, "0")


@scenario("produce-acks-1", "the leader's answer", "produce", "acks")
def produce_acks_1(context, client):
    produce_and_check(context, client, "1")


@scenario("produce-acks-all", "the in-sync replicas' answer", "produce", "acks")
def produce_acks_all(context, client):
    produce_and_check(context, client, "all")


@scenario("produce-idempotent", "numbered batches, in order, once", "produce", "idempotence")
def produce_idempotent(context, client):
    topic = produce_and_check(context, client, "all", idempotent=True, count=2000)
    found = context.batches(topic)
    expect({(one.producer_id >= 0, one.producer_epoch) for one in found}, {(True, 0)}, "producer id and epoch on disk")
    sequence = 0
    for one in found:
        expect(one.base_sequence, sequence, "base sequence on disk")
        sequence += one.count


for codec_name in CODECS:
    @scenario(f"produce-{codec_name}", f"batches compressed with {codec_name}, checked on disk and by another client",
              "produce")
    def produce_codec(context, client, codec=codec_name):
        topic, records, placed, since_ms = context.corpus(client, codec)
        if placed[0] is not None:
            expect(placed, [(0, n) for n in range(len(records))], "where the records went")
        context.batch_count_of_codec(topic, codec)
        other = context.other(client)
        context.compare(other, other.consume(topic, {0: "earliest"}, len(records)), records, since_ms)


for codec_name in CODECS:
    @scenario(f"consume-{codec_name}", f"what every other client compressed with {codec_name}, byte for byte", "consume")
    def consume_codec(context, client, codec=codec_name):
        read = 0
        for producer in context.clients:
            if producer is client or not producer.has(("produce",)):
                continue
            try:
                topic, records, _, since_ms = context.corpus(producer, codec)
            except Exception:
                continue  # that producer's own cell says so
            got = client.consume(topic, {0: "earliest"}, len(records))
            try:
                context.compare(client, got, records, since_ms)
            except Mismatch as thrown:
                raise Mismatch(f"from {producer.name}: {thrown}") from None
            read += 1
        expect(read > 0, True, "there was something to read")


@scenario("large-records", "records just under the limit of a megabyte", "produce", "consume")
def large_records(context, client):
    topic = context.topic()
    limits = {"kcat": "message.max.bytes", "confluent-kafka": "message.max.bytes", "kafka-python": "max_request_size",
              "aiokafka": "max_request_size", "Java": "max.request.size", "Kafka's tools": "max.request.size"}
    records = [Record(b"large", b"%d" % n * 1_000_000) for n in range(5)]
    client.produce(topic, records, config={limits[client.name]: 1_048_588})
    got = client.consume(topic, {0: "earliest"}, 5)
    expect([one.value for one in got], [one.value for one in records], "the records")


@scenario("many-records", "20,000 records read back in order", "produce", "consume")
def many_records(context, client):
    topic = context.topic()
    records = [Record(b"%d" % n, b"%d" % n * 20) for n in range(20_000)]
    client.produce(topic, records, codec="lz4")
    got = client.consume(topic, {0: "earliest"}, len(records))
    expect([one.offset for one in got], list(range(len(records))), "offsets")
    expect([one.value for one in got], [one.value for one in records], "values")


@scenario("message-too-large", "a record over the topic's limit is refused", "produce")
def message_too_large(context, client):
    topic = context.topic(max_message_bytes=1000)
    expect_error(lambda: client.produce(topic, [Record(b"key", b"x" * 5000)]), "MESSAGE_TOO_LARGE")
    client.produce(topic, [Record(b"key", b"x" * 500)])
    expect(context.helper.list_offsets(topic, 0, "latest"), 1, "end of the log")


@scenario("log-append-time", "the broker's clock stands in the records", "produce", "consume")
def log_append_time(context, client):
    topic = context.topic(message_timestamp_type="LogAppendTime")
    before_ms = int(time.time() * 1000) - 1000
    client.produce(topic, [Record(b"key", b"value", (), BEGAN_MS if "timestamps" in client.can else None)])
    got, = client.consume(topic, {0: "earliest"}, 1)
    if got.timestamp_type is not None:
        expect(got.timestamp_type, "LogAppendTime", "timestamp type")
    expect(before_ms <= got.timestamp <= time.time() * 1000 + 1000, True, "the timestamp is now")
    expect(context.batches(topic)[0].log_append_time, True, "the batch's attribute on disk")


@scenario("compacted-needs-keys", "a record without a key is refused on a compacted topic", "produce", "binary")
def compacted_needs_keys(context, client):
    topic = context.topic(cleanup_policy="compact")
    # aiokafka does not know this error.
    expect_error(lambda: client.produce(topic, [Record(None, b"value")]), "INVALID_RECORD", "UnknownError")
    client.produce(topic, [Record(b"key", b"value")])
    expect(context.helper.list_offsets(topic, 0, "latest"), 1, "end of the log")


@scenario("topic-compression", "the broker recompresses as the topic says", "produce")
def topic_compression(context, client):
    topic = context.topic(compression_type="zstd")
    records = [Record(b"%d" % n, b"much the same " * 20) for n in range(50)]
    client.produce(topic, records, codec="gzip")
    expect({one.codec for one in context.batches(topic)}, {"zstd"}, "codecs on disk")
    got = context.other(client).consume(topic, {0: "earliest"}, 50)
    expect([one.value for one in got], [one.value for one in records], "the records")


# --- consume ---

@scenario("consume-earliest", "from the beginning", "consume")
def consume_earliest(context, client):
    topic = context.topic()
    records = context.fill(topic, 20)
    got = client.consume(topic, {0: "earliest"}, 20)
    expect([one.value for one in got], [one.value for one in records], "values")


@scenario("consume-offset", "from an offset", "consume")
def consume_offset(context, client):
    topic = context.topic()
    context.fill(topic, 20)
    got = client.consume(topic, {0: 13}, 7)
    expect([one.offset for one in got], list(range(13, 20)), "offsets")


@scenario("consume-latest", "only what comes after", "consume")
def consume_latest(context, client):
    topic = context.topic()
    context.fill(topic, 20)
    # When the consumer has asked for the end is not visible to all, so records keep coming until it has one.
    stop, sent = threading.Event(), []

    def send():
        while not stop.wait(0.2):
            sent.extend(context.helper.produce(topic, [Record(b"later", b"later")]))

    sender = threading.Thread(target=send)
    sender.start()
    try:
        got, = client.consume(topic, {0: "latest"}, 1)
    finally:
        stop.set()
        sender.join()
    expect((got.value, got.offset >= 20), (b"later", True), "the record and whether it is later")


@scenario("consume-timestamp", "from the first record at or after a time", "consume", "from-time")
def consume_timestamp(context, client):
    topic = context.topic()
    context.fill(topic, 20)
    got = client.consume(topic, {0: ("time", BEGAN_MS + 6500)}, 3)
    expect([one.offset for one in got], [7, 8, 9], "offsets")


@scenario("out-of-range", "an offset that is not there is an error", "consume")
def out_of_range(context, client):
    topic = context.topic()
    context.fill(topic, 5)
    context.helper.delete_records(topic, 0, 3)
    if client.name == "Kafka's tools":
        # ConsoleConsumer starts over at the earliest.
        config = {"auto.offset.reset": "earliest"}
        expect(client.consume(topic, {0: 1}, 2, config)[0].offset, 3, "the first offset")
        return
    names = ("OFFSET_OUT_OF_RANGE", "_AUTO_OFFSET_RESET", "OffsetOutOfRangeException", "FAILED")
    expect_error(lambda: client.consume(topic, {0: 1}, 1), *names)


@scenario("long-poll", "a waiting fetch is answered when a record comes", "tail")
def long_poll(context, client):
    topic = context.topic()
    with client.tail(topic, LONG_POLL_MS) as following:
        context.other(client).produce(topic, [Record(b"awaited", b"here")])
        started = time.monotonic()
        got = following(LONG_POLL_MS / 1000)
        took_s = time.monotonic() - started
    expect((got.offset, got.value), (0, b"here"), "the record")
    expect(took_s < PROMPT_S, True, f"woken within {PROMPT_S} s (took {took_s:.1f} s)")


@scenario("many-partitions", "one consumer over 20 partitions", "produce", "consume", "partitioning")
def many_partitions(context, client):
    topic = context.topic(partitions=20)
    for turn in range(3):
        client.produce(topic, [Record(b"%d" % turn, b"%d" % p, (), None, p) for p in range(20)])
    got = client.consume(topic, {p: "earliest" for p in range(20)}, 60)
    for p in range(20):
        mine = [(one.offset, one.key, one.value) for one in got if one.partition == p]
        expect(mine, [(turn, b"%d" % turn, b"%d" % p) for turn in range(3)], f"partition {p}")


@scenario("several-consumers", "four consumers at once, each with its partition", "consume", "binary")
def several_consumers(context, client):
    topic = context.topic(partitions=4)
    for partition in range(4):
        context.fill(topic, 500, partition)
    results = [None] * 4

    def read(partition):
        try:
            got = client.consume(topic, {partition: "earliest"}, 500)
            results[partition] = [one.offset for one in got]
        except Exception as thrown:
            results[partition] = str(thrown)

    threads = [threading.Thread(target=read, args=(partition,)) for partition in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expect(results, [list(range(500))] * 4, "what each consumer read")


@scenario("unknown-topic", "reading a topic that is not there, with auto-creation off", "metadata",
          settings={"auto.create.topics.enable": "false"})
def unknown_topic(context, client):
    topic = context.name("nowhere")
    expect_error(lambda: client.metadata(topic), "UNKNOWN_TOPIC_OR_PARTITION")
    expect(topic in context.helper.list_topics(), False, "the topic came into being")


@scenario("no-auto-create", "producing to an unknown topic fails with auto-creation off", "produce",
          settings={"auto.create.topics.enable": "false"})
def no_auto_create(context, client):
    topic = context.name("nowhere")
    # A client gives up after a time of its own, with a name of its own.
    limits = {"kcat": {"message.timeout.ms": 3000}, "confluent-kafka": {"message.timeout.ms": 3000},
              "kafka-python": {"max_block_ms": 3000}, "aiokafka": {"request_timeout_ms": 3000},
              "Java": {"max.block.ms": 3000}, "Kafka's tools": {"max.block.ms": 3000}}
    try:
        client.produce(topic, [Record(b"key", b"value")], config=limits[client.name])
    except (ClientError, TypeError):
        pass
    else:
        raise Mismatch("it was produced")
    expect(topic in context.helper.list_topics(), False, "the topic came into being")


@scenario("auto-create", "producing to an unknown topic makes it", "produce")
def auto_create(context, client):
    topic = context.name("auto")
    client.produce(topic, [Record(b"key", b"value")])
    got, = context.other(client).consume(topic, {0: "earliest"}, 1)
    expect(got.value, b"value", "the record")


@scenario("restart", "records, offsets and settings are there after a stop and a start", "consume",
          settings={"num.partitions": "2"})
def restart(context, client):
    topic, records = context.restarted()
    got = client.consume(topic, {1: "earliest"}, len(records))
    expect([(one.offset, one.value) for one in got], [(n, one.value) for n, one in enumerate(records)], "the records")


# --- offsets and deletion ---

@scenario("list-offsets", "earliest, latest, and by time", "list_offsets")
def list_offsets(context, client):
    topic = context.topic()
    expect((client.list_offsets(topic, 0, "earliest"), client.list_offsets(topic, 0, "latest")), (0, 0), "of an empty log")
    context.fill(topic, 20)
    context.helper.delete_records(topic, 0, 4)
    expect(client.list_offsets(topic, 0, "earliest"), 4, "earliest")
    expect(client.list_offsets(topic, 0, "latest"), 20, "latest")
    expect(client.list_offsets(topic, 0, BEGAN_MS + 10_000), 10, "at a record's time")
    expect(client.list_offsets(topic, 0, BEGAN_MS + 10_001), 11, "just after a record's time")
    # What is said of a time after all records differs: none, or the end of the log.
    expect(client.list_offsets(topic, 0, BEGAN_MS + 99_000) in (-1, 20), True, "after all records")


@scenario("max-timestamp", "the offset of the greatest timestamp", "list_offsets", "max-timestamp")
def max_timestamp(context, client):
    topic = context.topic()
    times = [5, 9, 7, 9, 1]
    context.helper.produce(topic, [Record(None, b"%d" % t, (), BEGAN_MS + t) for t in times])
    expect(client.list_offsets(topic, 0, "max-timestamp"), 1, "offset")


@scenario("delete-records", "the beginning of a log is dropped", "delete_records")
def delete_records(context, client):
    topic = context.topic()
    context.fill(topic, 20)
    expect(client.delete_records(topic, 0, 12), 12, "low watermark")
    expect(context.helper.list_offsets(topic, 0, "earliest"), 12, "earliest")
    expect(context.helper.consume(topic, {0: "earliest"}, 1)[0].offset, 12, "the first record")
    expect_error(lambda: client.delete_records(topic, 0, 99), "OFFSET_OUT_OF_RANGE", "FAILED")


@scenario("describe-producers", "who writes to a partition", "describe_producers")
def describe_producers(context, client):
    topic = context.topic()
    context.fill(topic, 20, idempotent=True)
    expect(client.describe_producers(topic, 0), [(0, 19)], "epoch and last sequence")


# --- files and load ---

@scenario("dump-log", "DumpLogSegments accepts every file of a topic", "dump_log")
def dump_log(context, client):
    topic = context.topic(segment_bytes=1048576)
    context.fill(topic, 20, idempotent=True)
    for codec in CODECS:
        context.helper.produce(topic, [Record(b"%d" % n, random.Random(n).randbytes(30_000)) for n in range(30)],
                               codec=codec, config={"batch.size": 100_000})
    segments = context.target.segments(topic)
    expect(len(segments) > 1, True, "several segments")
    said = client.dump_log(*segments, options=("--deep-iteration", "--print-data-log"))
    expect(said.count("isvalid: true"), len(context.batches(topic)), "valid batches")
    expect(said.count("| offset: "), 20 + 30 * len(CODECS), "records")
    closed = segments[:-1]
    client.dump_log(*[path.with_suffix(".index") for path in closed])
    client.dump_log(*[path.with_suffix(".index") for path in closed], options=("--index-sanity-check",))
    client.dump_log(*[path.with_suffix(".timeindex") for path in closed])
    snapshots = sorted((context.target.data / f"{topic}-0").glob("*.snapshot"))
    expect(len(snapshots) > 0, True, "producer snapshots")
    said = client.dump_log(*snapshots)
    expect("lastSequence: 19" in said, True, "the producer's state in a snapshot")


@scenario("dump-metadata", "DumpLogSegments reads the metadata log", "dump_log")
def dump_metadata(context, client):
    topic = context.topic(partitions=2)
    segments = context.target.segments("__cluster_metadata")
    said = client.dump_log(*segments, options=("--cluster-metadata-decoder",))
    expect(f'"name":"{topic}"' in said, True, "the topic's record")
    expect(said.count('"type":"PARTITION_RECORD"') >= 2, True, "its partitions' records")


# --- segments and retention, on a live topic, by Kafka's tools ---

# So that nobody waits for the janitor.
EAGER = {"log.retention.check.interval.ms": "100", "log.initial.task.delay.ms": "100", "log.segment.delete.delay.ms": "100"}
SEGMENT_BYTES = 1048576  # the least that Kafka allows


def bulk(context, topic, count=60, since_ms=BEGAN_MS):
    """Records that do not shrink, several batches to a segment, a second apart."""
    chance = random.Random(count)
    context.helper.produce(topic, [Record(b"%d" % n, chance.randbytes(50_000), (), since_ms + n * 1000) for n in range(count)],
                           config={"batch.size": 120_000})


def set_live(client, topic, key, value):
    client.set_config("topic", topic, {key: value})
    eventually(lambda: client.describe_config("topic", topic)[key], value, key)


def bases(context, topic):
    return [int(path.stem) for path in context.target.segments(topic)]


def check_files(context, client, topic):
    """The tools accept every file, and LogDirsCommand says how large they are."""
    segments = context.target.segments(topic)
    client.dump_log(*segments, options=("--deep-iteration",))
    for kind in (".index", ".timeindex"):
        closed = [path.with_suffix(kind) for path in segments[:-1]]
        if closed:
            client.dump_log(*closed)
    snapshots = sorted((context.target.data / f"{topic}-0").glob("*.snapshot"))
    if snapshots:
        client.dump_log(*snapshots)
    found = client.describe_log_dirs()[str(context.target.data)]
    expect(found[f"{topic}-0"], sum(path.stat().st_size for path in segments), "size of the partition")


@scenario("segment-bytes", "segment.bytes set on a live topic rolls smaller segments", "dump_log", "set_config",
          "describe_log_dirs")
def segment_bytes(context, client):
    topic = context.topic()
    bulk(context, topic)
    expect(bases(context, topic), [0], "segments before")
    set_live(client, topic, "segment.bytes", str(SEGMENT_BYTES))
    bulk(context, topic)
    sizes = [path.stat().st_size for path in context.target.segments(topic)]
    expect(len(sizes) >= 4, True, "several segments")
    expect([size for size in sizes[1:] if size > SEGMENT_BYTES], [], "new segments that are too large")
    expect(bases(context, topic)[1], 60, "where the second segment begins")
    check_files(context, client, topic)


@scenario("segment-ms", "segment.ms set on a live topic rolls by the records' time", "dump_log", "set_config")
def segment_ms(context, client):
    topic = context.topic()
    set_live(client, topic, "segment.ms", "60000")
    for n in range(4):
        for more_ms in (0, 30_000):
            context.helper.produce(topic, [Record(b"key", b"value", (), BEGAN_MS + n * 61_000 + more_ms)])
    expect(bases(context, topic), [0, 2, 4, 6], "where segments begin")
    check_files(context, client, topic)


@scenario("retention-bytes", "retention.bytes set on a live topic takes the oldest segments, and the log start moves",
          "dump_log", "set_config", "list_offsets", settings=EAGER)
def retention_bytes(context, client):
    topic = context.topic(segment_bytes=SEGMENT_BYTES)
    bulk(context, topic, 120)
    expect(client.list_offsets(topic, 0, "-2"), 0, "start of the log before")
    before = context.target.segments(topic)
    left = sum(path.stat().st_size for path in before) - 2_500_000
    kept = bases(context, topic)
    for path in before:
        left -= path.stat().st_size
        if left < 0:
            break
        kept.pop(0)
    expect(len(before) > len(kept) > 1, True, "something to take and something to keep")
    set_live(client, topic, "retention.bytes", "2500000")
    eventually(lambda: client.list_offsets(topic, 0, "-2"), kept[0], "start of the log")
    eventually(lambda: bases(context, topic), kept, "where segments begin")
    expect(client.list_offsets(topic, 0, "-1"), 120, "end of the log")
    check_files(context, client, topic)


@scenario("retention-ms", "retention.ms set on a live topic takes what is older, the active segment too", "dump_log",
          "set_config", "list_offsets", settings=EAGER)
def retention_ms(context, client):
    topic = context.topic(segment_bytes=SEGMENT_BYTES)
    bulk(context, topic, 60)
    expect(client.list_offsets(topic, 0, "-2"), 0, "start of the log before")
    set_live(client, topic, "retention.ms", "1800000")
    eventually(lambda: client.list_offsets(topic, 0, "-2"), 60, "start of the log")
    eventually(lambda: bases(context, topic), [60], "where segments begin")
    bulk(context, topic, 30, int(time.time() * 1000) - 60_000)
    expect(client.list_offsets(topic, 0, "-2"), 60, "start of the log when there is something new")
    expect(client.list_offsets(topic, 0, "-1"), 90, "end of the log")
    check_files(context, client, topic)


@scenario("delete-frees-disk", "a deleted topic's folders and bytes go", "dump_log", "delete_topic", "describe_log_dirs",
          settings=EAGER)
def delete_frees_disk(context, client):
    topic = context.topic(partitions=2, segment_bytes=SEGMENT_BYTES)
    bulk(context, topic)
    expect(sum(size for name, size in client.describe_log_dirs()[str(context.target.data)].items()
               if name.startswith(f"{topic}-")) > 2_900_000, True, "it takes its room")
    client.delete_topic(topic)
    eventually(lambda: [path.name for path in context.target.data.glob(f"{topic}-*")], [], "folders of the topic")
    eventually(lambda: [name for name in client.describe_log_dirs()[str(context.target.data)] if name.startswith(f"{topic}-")], [],
               "partitions of the topic")


@scenario("producer-performance", "ProducerPerformance runs to its end", "perf")
def producer_performance(context, client):
    topic = context.topic(partitions=3)
    said = client.perf(topic, 5_000, 1000)
    expect("5000 records sent" in said, True, "what it says of itself")
    expect(sum(context.helper.list_offsets(topic, p, "latest") for p in range(3)), 5_000, "records in the topic")
