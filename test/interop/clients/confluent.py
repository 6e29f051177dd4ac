"""confluent-kafka: librdkafka, newest."""
import contextlib
import logging
import time

import confluent_kafka
from confluent_kafka import (Consumer, ConsumerGroupTopicPartitions, IsolationLevel, KafkaError, KafkaException, Producer,
                             TopicPartition)
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic,
                                   OffsetSpec, ResourceType)

from clients.base import Client, ClientError, Record, by_code
from clients.process import ProcessMember
from lib import paths

WAIT_S = int(20 * paths.PATIENCE)
QUIET = logging.getLogger("librdkafka")
QUIET.setLevel(logging.CRITICAL + 1)


def refused(error):
    """A KafkaError as the tests name errors; librdkafka's own errors are negative."""
    if error.code() > 0:
        return by_code(error.code(), error.str())
    return ClientError(error.name(), error.str())


def unwrap(future):
    try:
        return future.result(WAIT_S)
    except KafkaException as thrown:
        raise refused(thrown.args[0]) from None


class Member:
    def __init__(self, consumer, topics):
        self._consumer = consumer
        self._open, self._revoked = True, 0
        self.subscribe(topics)

    def subscribe(self, topics):
        self._consumer.subscribe(topics, on_revoke=self._taken, on_lost=self._taken)

    def _taken(self, _, partitions):
        self._revoked += len(partitions)

    def poll(self, timeout_s=0.1):
        message = self._consumer.poll(timeout_s)
        if message is not None and message.error():
            if message.error().code() == KafkaError._MAX_POLL_EXCEEDED:
                return None  # it says so once, and joins again
            raise refused(message.error())
        return message

    def held(self):
        return {(one.topic, one.partition) for one in self._consumer.assignment()} if self._open else set()

    def owned(self):
        return {partition for _, partition in self.held()}

    def revoked(self):
        return self._revoked

    def commit(self):
        where = [one for one in self._consumer.position(self._consumer.assignment()) if one.offset >= 0]
        if where:
            self._consumer.commit(offsets=where, asynchronous=False)

    def commit_at(self, where):
        self._consumer.commit(offsets=where, asynchronous=False)

    def close(self):
        if self._open:
            self._open = False
            self._consumer.close()


class ConfluentTransactional:
    def __init__(self, client, name, config):
        self.client, self.sent = client, None
        self.producer = Producer({"bootstrap.servers": client.address, "transactional.id": name, "log_level": 0,
                                  "linger.ms": 0, **config})
        self._call(self.producer.init_transactions, WAIT_S)

    @staticmethod
    def _call(call, *arguments):
        try:
            return call(*arguments)
        except KafkaException as thrown:
            raise refused(thrown.args[0]) from None

    def begin(self):
        self._call(self.producer.begin_transaction)

    def send(self, topic, value, partition=0):
        def done(error, message):
            self.sent = error or message.offset()
        self.sent = None
        self._call(lambda: self.producer.produce(topic, value, partition=partition, on_delivery=done))
        self._call(self.producer.flush, WAIT_S)
        if self.sent is None:
            raise ClientError("NOT_DELIVERED")
        if not isinstance(self.sent, int):
            raise refused(self.sent)
        return self.sent

    def offsets(self, group, topic, offset, partition=0):
        consumer = self.client.consumer(**{"group.id": group})
        try:
            self._call(self.producer.send_offsets_to_transaction, [TopicPartition(topic, partition, offset)],
                       consumer.consumer_group_metadata(), WAIT_S)
        finally:
            consumer.close()

    def commit(self):
        self._call(self.producer.commit_transaction, WAIT_S)

    def abort(self):
        self._call(self.producer.abort_transaction, WAIT_S)


class Confluent(Client):
    name = "confluent-kafka"
    can = frozenset({"idempotence", "acks", "timestamps", "partitioning", "from-time", "binary", "null-headers", "nothing",
                     "max-timestamp", "static", "fenced-member", "fenced-producer", "shrinks", "stalls", "consumer-protocol", "silent",
                     "server-regex", "range", "roundrobin", "cooperative-sticky", "patterns", "prompt", "resubscribes", "commits"})
    kinds = {"topic": ResourceType.TOPIC, "broker": ResourceType.BROKER}

    def __init__(self, context):
        super().__init__(context)
        self._admins = {}

    def version(self):
        return f"{confluent_kafka.version()} (librdkafka {confluent_kafka.libversion()[0]})"

    def admin(self):
        """One for each broker: a client that goes away takes its answers with it."""
        if self.address not in self._admins:
            self._admins[self.address] = AdminClient({"bootstrap.servers": self.address, "log_level": 0})
        return self._admins[self.address]

    def produce(self, topic, records, acks="all", codec="none", idempotent=False, config=None):
        results = [None] * len(records)
        producer = Producer({"bootstrap.servers": self.address, "acks": acks, "compression.type": codec,
                             "enable.idempotence": idempotent, "linger.ms": 20, "message.timeout.ms": WAIT_S * 1000,
                             "log_level": 0, **(config or {})})

        def deliver(index):
            def done(error, message):
                results[index] = refused(error) if error else (message.partition(), message.offset())
            return done

        for index, record in enumerate(records):
            while True:
                try:
                    producer.produce(topic, record.value, record.key, record.partition, headers=list(record.headers) or None,
                                     timestamp=record.timestamp or 0, on_delivery=deliver(index))
                    break
                except BufferError:
                    producer.poll(1)
                except KafkaException as thrown:
                    raise refused(thrown.args[0]) from None
            producer.poll(0)
        left = producer.flush(WAIT_S)
        if left:
            raise ClientError("NOT_DELIVERED", f"{left} records")
        for result in results:
            if isinstance(result, Exception):
                raise result
        return results

    def consumer(self, **config):
        return Consumer({"bootstrap.servers": self.address, "group.id": "interop", "enable.auto.commit": False,
                         "auto.offset.reset": "error", "log_level": 0, **config}, logger=QUIET)

    def _start(self, consumer, topic, partition, start):
        if start == "earliest":
            return TopicPartition(topic, partition, confluent_kafka.OFFSET_BEGINNING)
        if start == "latest":
            return TopicPartition(topic, partition, confluent_kafka.OFFSET_END)
        if isinstance(start, tuple):
            try:
                return consumer.offsets_for_times([TopicPartition(topic, partition, start[1])], WAIT_S)[0]
            except KafkaException as thrown:
                raise refused(thrown.args[0]) from None
        return TopicPartition(topic, partition, start)

    @staticmethod
    def _record(message):
        kind, time_ms = message.timestamp()
        return Record(message.key(), message.value(), tuple(message.headers() or ()), time_ms, message.partition(),
                      message.offset(), {1: "CreateTime", 2: "LogAppendTime"}.get(kind))

    def consume(self, topic, start, count, config=None):
        """`start` maps partitions to where to begin: earliest, latest, an offset or ("time", ms)."""
        consumer = self.consumer(**(config or {}))
        try:
            consumer.assign([self._start(consumer, topic, partition, where) for partition, where in start.items()])
            records, deadline = [], time.monotonic() + WAIT_S
            while len(records) < count:
                message = consumer.poll(max(0.0, deadline - time.monotonic()))
                if message is None:
                    raise ClientError("TIMEOUT", f"read {len(records)} of {count} records")
                if message.error():
                    raise refused(message.error())
                records.append(self._record(message))
            return records
        finally:
            consumer.close()

    @contextlib.contextmanager
    def tail(self, topic, wait_ms):
        consumer = self.consumer(**{"fetch.wait.max.ms": wait_ms})
        try:
            consumer.assign([TopicPartition(topic, 0, 0)])
            consumer.poll(1)

            def following(timeout_s):
                message = consumer.poll(timeout_s)
                if message is None:
                    raise ClientError("TIMEOUT", "nothing came")
                if message.error():
                    raise refused(message.error())
                return self._record(message)

            yield following
        finally:
            consumer.close()

    def metadata(self, topic):
        try:
            found = self.admin().list_topics(topic, timeout=WAIT_S)
        except KafkaException as thrown:
            raise refused(thrown.args[0]) from None
        one = found.topics[topic]
        if one.error:
            raise refused(one.error)
        return {"cluster_id": found.cluster_id, "brokers": [(b.id, b.host, b.port) for b in found.brokers.values()],
                "leaders": {p.id: p.leader for p in one.partitions.values()}}

    def create_topic(self, topic, partitions=1, config=None, replication=-1):
        unwrap(self.admin().create_topics([NewTopic(topic, partitions, replication, config=config or {})],
                                          operation_timeout=WAIT_S)[topic])

    def delete_topic(self, topic):
        unwrap(self.admin().delete_topics([topic], operation_timeout=WAIT_S)[topic])

    def list_topics(self):
        return set(self.admin().list_topics(timeout=WAIT_S).topics)

    def describe_topic(self, topic):
        found = unwrap(self.admin().describe_topics(confluent_kafka.TopicCollection([topic]))[topic])
        return {p.id: p.leader.id for p in found.partitions}

    def create_partitions(self, topic, count):
        unwrap(self.admin().create_partitions([NewPartitions(topic, count)])[topic])

    def list_offsets(self, topic, partition, spec):
        asked = {"earliest": OffsetSpec.earliest, "latest": OffsetSpec.latest, "max-timestamp": OffsetSpec.max_timestamp}
        spec = asked[spec]() if spec in asked else OffsetSpec.for_timestamp(spec)
        where = TopicPartition(topic, partition)
        found = unwrap(self.admin().list_offsets({where: spec})[where])
        return found.offset

    def delete_records(self, topic, partition, before):
        where = TopicPartition(topic, partition, before)
        return unwrap(self.admin().delete_records([where])[where]).low_watermark

    def describe_config(self, kind, name):
        resource = ConfigResource(self.kinds[kind], name)
        found = unwrap(self.admin().describe_configs([resource])[resource])
        return {entry.name: entry.value for entry in found.values()}

    def set_config(self, kind, name, values):
        entries = [ConfigEntry(key, value, incremental_operation=AlterConfigOpType.DELETE if value is None else
                               AlterConfigOpType.SET) for key, value in values.items()]
        resource = ConfigResource(self.kinds[kind], name, incremental_configs=entries)
        unwrap(self.admin().incremental_alter_configs([resource])[resource])

    def describe_cluster(self):
        found = unwrap(self.admin().describe_cluster())
        return {"cluster_id": found.cluster_id, "controller": found.controller.id if found.controller else None,
                "brokers": [(node.id, node.host, node.port) for node in found.nodes]}

    # --- transactions ---

    @contextlib.contextmanager
    def transactional(self, name, **config):
        """A producer in transactions: begin, send, offsets, commit, abort."""
        yield ConfluentTransactional(self, name, config)

    def committed_end(self, topic, partition=0):
        """Where readers of committed records stop."""
        where = TopicPartition(topic, partition)
        return unwrap(self.admin().list_offsets({where: OffsetSpec.latest()},
                                                isolation_level=IsolationLevel.READ_COMMITTED)[where]).offset

    # --- groups ---

    @staticmethod
    def pattern(expression):
        """For member: topics that the broker finds by an expression; librdkafka sends those that begin so."""
        return ["^" + expression]

    @contextlib.contextmanager
    def member(self, topics, group, instance=None, name=None, assignors=("range", "roundrobin"), session_ms=6000,
               max_poll_ms=300000, metadata_ms=300000, protocol="classic", **config):
        chosen = {"group.instance.id": instance} if instance else {}
        chosen |= {"client.id": name} if name else {}
        if protocol == "classic":
            chosen |= {"session.timeout.ms": session_ms, "heartbeat.interval.ms": 300,
                       "partition.assignment.strategy": ",".join(assignors)}
        member = Member(self.consumer(**{
            "group.id": group, "group.protocol": protocol, "auto.offset.reset": "earliest", "max.poll.interval.ms": max_poll_ms,
            "topic.metadata.refresh.interval.ms": metadata_ms, **chosen, **config}), topics)
        try:
            yield member
        finally:
            member.close()

    def mortal(self, topics, group, **options):
        return ProcessMember.context(self, topics, group, options)

    @staticmethod
    def commit(member, topic, offsets):
        """Chosen positions, as this member of the group."""
        member.commit_at([TopicPartition(topic, partition, offset) for partition, offset in offsets.items()])

    def consume_group(self, topic, group, count):
        records, deadline = [], time.monotonic() + WAIT_S
        with self.member([topic], group) as member:
            while len(records) < count:
                message = member.poll()
                if message is not None:
                    records.append(Record(message.key(), message.value(), partition=message.partition(),
                                          offset=message.offset()))
                if time.monotonic() > deadline:
                    raise ClientError("TIMEOUT", f"read {len(records)} of {count} records")
            member.commit()
        return records

    def list_groups(self):
        return {one.group_id for one in unwrap(self.admin().list_consumer_groups()).valid}

    def describe_group(self, group):
        found = unwrap(self.admin().describe_consumer_groups([group])[group])
        return {"state": found.state.name.title().replace("_", ""), "members": len(found.members)}

    def assignments(self, group):
        """What the broker says of a group: (state, assignor, what each client id has)."""
        found = unwrap(self.admin().describe_consumer_groups([group])[group])
        return (found.state.name, found.partition_assignor,
                {one.client_id: {(p.topic, p.partition) for p in one.assignment.topic_partitions} for one in found.members})

    def group_offsets(self, group, topic):
        found = unwrap(self.admin().list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group])
        return {one.partition: one.offset for one in found.topic_partitions if one.topic == topic}

    def set_group_offsets(self, group, topic, offsets):
        where = [TopicPartition(topic, partition, offset) for partition, offset in offsets.items()]
        found = unwrap(self.admin().alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, where)])[group])
        for one in found.topic_partitions:
            if one.error:
                raise refused(one.error)

    def delete_group(self, group):
        unwrap(self.admin().delete_consumer_groups([group])[group])
