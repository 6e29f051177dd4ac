"""kafka-python: a client in plain Python, with a protocol layer of its own."""
import contextlib
import logging
import re
import threading
import time

import kafka
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.admin import AlterConfigOp, ConfigResource
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from kafka.errors import BrokerResponseError, KafkaError
from kafka.protocol.consumer import OffsetSpec

from clients.base import Client, ClientError, Record, by_code
from clients.process import ProcessMember
from lib import paths

WAIT_S = int(20 * paths.PATIENCE)
ASSIGNORS = {"range": RangePartitionAssignor, "roundrobin": RoundRobinPartitionAssignor, "sticky": StickyPartitionAssignor,
             "cooperative-sticky": CooperativeStickyAssignor}
logging.getLogger("kafka").setLevel(logging.CRITICAL)


@contextlib.contextmanager
def errors():
    try:
        yield
    except BrokerResponseError as thrown:
        raise by_code(thrown.errno, str(thrown)[:200]) from None
    except KafkaError as thrown:
        # A record refused by the client's own limit carries the broker's number too.
        if (getattr(thrown, "errno", None) or -1) > 0:
            raise by_code(thrown.errno, str(thrown)[:200]) from None
        raise ClientError(type(thrown).__name__, str(thrown)[:200]) from None


def plainly(config):
    """Settings as they are named in Python."""
    return {key.replace(".", "_"): value for key, value in (config or {}).items()}


class Transactional:
    def __init__(self, config):
        with errors():
            self._producer = KafkaProducer(**config)
            self._producer.init_transactions()

    def begin(self):
        with errors():
            self._producer.begin_transaction()

    def send(self, topic, value, partition=0):
        with errors():
            return self._producer.send(topic, value, partition=partition).get(WAIT_S).offset

    def offsets(self, group, topic, offset, partition=0):
        with errors():
            self._producer.send_offsets_to_transaction({TopicPartition(topic, partition): OffsetAndMetadata(offset, "", -1)}, group)

    def commit(self):
        with errors():
            self._producer.commit_transaction()

    def abort(self):
        with errors():
            self._producer.abort_transaction()

    def close(self):
        self._producer.close(WAIT_S)


class Member:
    def __init__(self, consumer, topics):
        self._consumer = consumer
        self._open = True
        self.subscribe(topics)

    def subscribe(self, topics):
        if topics[0].startswith("^"):
            self._consumer.subscribe(pattern=topics[0])
        else:
            self._consumer.subscribe(topics)

    def poll(self, timeout_s=0.1, most=None):
        with errors():
            return [one for batch in self._consumer.poll(timeout_ms=int(timeout_s * 1000), max_records=most).values()
                    for one in batch]

    def held(self):
        return {(one.topic, one.partition) for one in self._consumer.assignment()} if self._open else set()

    def owned(self):
        return {partition for _, partition in self.held()}

    def commit(self):
        with errors():
            self._consumer.commit()

    def close(self):
        if self._open:
            self._open = False
            self._consumer.close()


class PolledMember:
    """A member that a thread of its own polls, without an end. A poll whose time is over amid a rebalance may lose it (3.0.12):
    what was joined meanwhile is not looked at, JoinGroup is sent again, and when the member itself had a reason to rebalance
    (other topics or partitions) that is forgotten; it sends no heartbeats any more, and is thrown out."""

    POLL_S = 3600

    def __init__(self, member):
        self._member, self._open, self._problem = member, True, None
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while self._open:
            try:
                self._member.poll(self.POLL_S)
            except Exception as thrown:
                self._problem = thrown
                time.sleep(0.05)

    def poll(self, timeout_s=0.1):
        """It is polled all the time; this gives it time."""
        time.sleep(timeout_s)
        problem, self._problem = self._problem, None
        if problem:
            raise problem

    def held(self):
        return self._member.held()

    def owned(self):
        return self._member.owned()

    def subscribe(self, topics):
        self._member.subscribe(topics)

    def commit(self):
        self._member.commit()

    def close(self):
        self._open = False
        self._member.close()


class KafkaPython(Client):
    name = "kafka-python"
    can = frozenset({"idempotence", "acks", "timestamps", "partitioning", "from-time", "binary", "max-timestamp", "static", "range",
                     "roundrobin", "sticky", "cooperative-sticky", "patterns", "prompt", "shrinks", "resubscribes", "commits"})

    def version(self):
        return kafka.__version__

    @contextlib.contextmanager
    def admin(self):
        with errors():
            admin = KafkaAdminClient(bootstrap_servers=self.address, request_timeout_ms=WAIT_S * 1000)
            try:
                yield admin
            finally:
                admin.close()

    @contextlib.contextmanager
    def consumer(self, **config):
        with errors():
            consumer = KafkaConsumer(bootstrap_servers=self.address, enable_auto_commit=False, auto_offset_reset="none",
                                     **config)
            try:
                yield consumer
            finally:
                consumer.close()

    def produce(self, topic, records, acks="all", codec="none", idempotent=False, config=None):
        with errors():
            producer = KafkaProducer(bootstrap_servers=self.address, acks={"0": 0, "1": 1, "all": "all"}[acks], linger_ms=20,
                                     compression_type=None if codec == "none" else codec, enable_idempotence=idempotent,
                                     max_block_ms=WAIT_S * 1000, request_timeout_ms=10000,
                                     delivery_timeout_ms=WAIT_S * 1000, **(config or {}))
            try:
                futures = [producer.send(topic, record.value, record.key, list(record.headers), record.partition,
                                         record.timestamp) for record in records]
                producer.flush(WAIT_S)
                results = [future.get(WAIT_S) for future in futures]
            finally:
                producer.close(WAIT_S)
            return [(result.partition, result.offset) for result in results]

    @staticmethod
    def _record(message):
        return Record(message.key, message.value, tuple(message.headers), message.timestamp, message.partition,
                      message.offset, {0: "CreateTime", 1: "LogAppendTime"}.get(message.timestamp_type))

    @staticmethod
    def _seek(consumer, where, start):
        if start == "earliest":
            consumer.seek_to_beginning(where)
        elif start == "latest":
            consumer.seek_to_end(where)
        elif isinstance(start, tuple):
            found = consumer.offsets_for_times({where: start[1]})[where]
            if found is None:
                consumer.seek_to_end(where)
            else:
                consumer.seek(where, found.offset)
        else:
            consumer.seek(where, start)

    def consume(self, topic, start, count, config=None):
        with self.consumer(**plainly(config)) as consumer:
            consumer.assign([TopicPartition(topic, partition) for partition in start])
            for partition, where in start.items():
                self._seek(consumer, TopicPartition(topic, partition), where)
            records, deadline = [], time.monotonic() + WAIT_S
            while len(records) < count:
                for batch in consumer.poll(timeout_ms=1000).values():
                    records += map(self._record, batch)
                if time.monotonic() > deadline:
                    raise ClientError("TIMEOUT", f"read {len(records)} of {count} records")
            return records[:count]

    @contextlib.contextmanager
    def tail(self, topic, wait_ms):
        with self.consumer(fetch_max_wait_ms=wait_ms, request_timeout_ms=wait_ms + 10000) as consumer:
            consumer.assign([TopicPartition(topic, 0)])
            consumer.seek(TopicPartition(topic, 0), 0)
            consumer.poll(timeout_ms=1000)

            def following(timeout_s):
                for batch in consumer.poll(timeout_ms=int(timeout_s * 1000)).values():
                    return self._record(batch[0])
                raise ClientError("TIMEOUT", "nothing came")

            yield following

    def metadata(self, topic):
        with self.admin() as admin:
            found = admin.describe_topics([topic])[0]
            if found["error_code"]:
                raise by_code(found["error_code"])
            leaders = {one["partition_index"]: one["leader_id"] for one in found["partitions"]}
        return {**self.describe_cluster(), "leaders": leaders}

    def create_topic(self, topic, partitions=1, config=None, replication=-1):
        with self.admin() as admin:
            admin.create_topics({topic: {"num_partitions": partitions, "replication_factor": replication,
                                         "configs": config or {}}})

    def delete_topic(self, topic):
        with self.admin() as admin:
            admin.delete_topics([topic])

    def list_topics(self):
        with self.admin() as admin:
            return set(admin.list_topics())

    def describe_topic(self, topic):
        with self.admin() as admin:
            found = admin.describe_topic_partitions([topic])
            one = found["topics"][0]
            if one["error_code"]:
                raise by_code(one["error_code"])
            return {p["partition_index"]: p["leader_id"] for p in one["partitions"]}

    def create_partitions(self, topic, count):
        with self.admin() as admin:
            admin.create_partitions({topic: count})

    def list_offsets(self, topic, partition, spec):
        where = TopicPartition(topic, partition)
        if spec == "max-timestamp":
            with self.admin() as admin:
                return admin.list_partition_offsets({where: OffsetSpec.MAX_TIMESTAMP})[where].offset
        with self.consumer() as consumer:
            if spec == "earliest":
                return consumer.beginning_offsets([where])[where]
            if spec == "latest":
                return consumer.end_offsets([where])[where]
            found = consumer.offsets_for_times({where: spec})[where]
            return -1 if found is None else found.offset

    def delete_records(self, topic, partition, before):
        where = TopicPartition(topic, partition)
        with self.admin() as admin:
            return admin.delete_records({where: before})[where]["low_watermark"]

    def describe_config(self, kind, name):
        with self.admin() as admin:
            found = admin.describe_configs([ConfigResource(kind, name)], config_filter="all")[kind][name]
            return {key: one["value"] for key, one in found.items()}

    def set_config(self, kind, name, values):
        changes = {key: (AlterConfigOp.DELETE, None) if value is None else (AlterConfigOp.SET, value)
                   for key, value in values.items()}
        with self.admin() as admin:
            said = admin.alter_configs([ConfigResource(kind, name, changes)], raise_on_unknown=False)[kind][name]
        # It answers with words; the number is among them.
        found = re.match(r"\[Error (\d+)\]", str(said))
        if found:
            raise by_code(int(found[1]), said)

    def list_config_resources(self):
        with self.admin() as admin:
            found = admin.list_config_resources()
            return {f"{kind.upper()}:{name}" for kind, names in found.items() for name in names}

    def describe_cluster(self):
        with self.admin() as admin:
            found = admin.describe_cluster()
            return {"cluster_id": found["cluster_id"], "controller": found["controller_id"],
                    "brokers": [(one["broker_id"], one["host"], one["port"]) for one in found["brokers"]]}

    def describe_log_dirs(self):
        with self.admin() as admin:
            return {one["log_dir"]: {f"{topic['name']}-{p['partition_index']}": p["partition_size"]
                                     for topic in one["topics"] for p in topic["partitions"]}
                    for one in admin.describe_log_dirs()[0]["log_dirs"]}

    def describe_quorum(self):
        with self.admin() as admin:
            found = admin.describe_metadata_quorum()
            one = found["topics"][0]["partitions"][0] if "topics" in found else found
            return {"leader": one["leader_id"], "voters": [voter["replica_id"] for voter in one["current_voters"]]}

    def describe_producers(self, topic, partition):
        where = TopicPartition(topic, partition)
        with self.admin() as admin:
            return [(one.producer_epoch, one.last_sequence)
                    for one in admin.describe_producers([where])[where].active_producers]

    def describe_features(self):
        with self.admin() as admin:
            found = admin.describe_features()
            return {"finalized": {name: one["finalized"][1] for name, one in found.items() if "finalized" in one}}

    # --- groups ---

    def _join(self, topics, group, instance=None, name=None, assignors=("range", "roundrobin"), session_ms=6000,
              max_poll_ms=300000, metadata_ms=300000):
        more = {"group_instance_id": instance} if instance else {}
        more |= {"client_id": name} if name else {}
        with errors():
            return Member(KafkaConsumer(bootstrap_servers=self.address, group_id=group, enable_auto_commit=False,
                                        auto_offset_reset="earliest", session_timeout_ms=session_ms, heartbeat_interval_ms=300,
                                        max_poll_interval_ms=max_poll_ms, metadata_max_age_ms=metadata_ms,
                                        partition_assignment_strategy=[ASSIGNORS[one] for one in assignors], **more), topics)

    @contextlib.contextmanager
    def member(self, topics, group, **options):
        member = PolledMember(self._join(topics, group, **options))
        try:
            yield member
        finally:
            member.close()

    def mortal(self, topics, group, **options):
        return ProcessMember.context(self, topics, group, options)

    def consume_group(self, topic, group, count):
        records, deadline = [], time.monotonic() + WAIT_S
        with contextlib.closing(self._join([topic], group)) as member:
            while len(records) < count:
                records += map(self._record, member.poll(0.5, count - len(records)))
                if time.monotonic() > deadline:
                    raise ClientError("TIMEOUT", f"read {len(records)} of {count} records")
            member.commit()
        return records

    def list_groups(self):
        with self.admin() as admin:
            return {one["group_id"] for one in admin.list_groups()}

    def describe_group(self, group):
        with self.admin() as admin:
            found = admin.describe_groups([group])[group]
        if found["error"]:
            raise ClientError("FAILED", found["error"])
        return {"state": found["group_state"], "members": len(found["members"])}

    def group_offsets(self, group, topic):
        with self.admin() as admin:
            found = admin.list_group_offsets([group])[group]
        return {where.partition: one.offset for where, one in found.items() if where.topic == topic}

    def set_group_offsets(self, group, topic, offsets):
        where = {TopicPartition(topic, partition): OffsetAndMetadata(offset, "", -1) for partition, offset in offsets.items()}
        with self.admin() as admin:
            for error in admin.alter_group_offsets(group, where).values():
                if error.errno:
                    raise by_code(error.errno)

    def delete_group(self, group):
        with self.admin() as admin:
            said = admin.delete_groups([group])[group]
        if said != "OK":
            raise by_code(getattr(kafka.errors, said).errno, said)

    # --- transactions ---

    @contextlib.contextmanager
    def transactional(self, name, **config):
        """A producer in transactions: begin, send, offsets, commit, abort."""
        producer = Transactional({"bootstrap_servers": self.address, "transactional_id": name, "linger_ms": 0,
                                  "max_block_ms": WAIT_S * 1000, "request_timeout_ms": 10000, "delivery_timeout_ms": WAIT_S * 1000,
                                  **plainly(config)})
        try:
            yield producer
        finally:
            producer.close()

    def list_transactions(self):
        with self.admin() as admin:
            return {one.transactional_id: one.state.value for found in admin.list_transactions().values() for one in found}

    def describe_transaction(self, name):
        with self.admin() as admin:
            found = admin.describe_transactions([name])[name]
        return {"TransactionState": found.state.value, "ProducerId": str(found.producer_id),
                "TopicPartitions": ",".join(f"{one.topic}-{one.partition}" for one in found.topic_partitions),
                "TransactionTimeoutMs": str(found.transaction_timeout_ms)}

    def transactions_of(self, topic, partition):
        where = TopicPartition(topic, partition)
        with self.admin() as admin:
            return [{"ProducerId": str(one.producer_id), "CurrentTransactionStartOffset": str(one.current_transaction_start_offset)}
                    for one in admin.describe_producers([where])[where].active_producers]
