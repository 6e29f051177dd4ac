"""aiokafka: asyncio, with the older versions of many requests; its AlterConfigs replaces all settings."""
import asyncio
import concurrent.futures
import contextlib
import logging
import threading
import time

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import KafkaError

from clients.base import Client, ClientError, Record, by_code
from clients.process import ProcessMember
from lib import paths

WAIT_S = int(20 * paths.PATIENCE)
ASSIGNORS = {"range": RangePartitionAssignor, "roundrobin": RoundRobinPartitionAssignor, "sticky": StickyPartitionAssignor}
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


@contextlib.contextmanager
def errors():
    try:
        yield
    except KafkaError as thrown:
        if (getattr(thrown, "errno", None) or -1) > 0:
            raise by_code(thrown.errno, str(thrown)[:200]) from None
        raise ClientError(type(thrown).__name__, str(thrown)[:200]) from None
    except asyncio.TimeoutError:
        raise ClientError("TIMEOUT") from None


def check(code, message=""):
    if code:
        raise by_code(code, str(message))


def plainly(config):
    """Settings as they are named in Python."""
    return {key.replace(".", "_"): value for key, value in (config or {}).items()}


class Loop:
    """A loop in a thread of its own, for what lives longer than a call."""

    def __init__(self):
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def start(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def run(self, coroutine, wait_s=WAIT_S):
        with errors():
            return self.start(asyncio.wait_for(coroutine, wait_s)).result()


class AioMember:
    """It answers to its group in the background, whether it is polled or not."""

    def __init__(self, loop, topics, config):
        self._loop, self._consumer, self._open, self._polling = loop, None, True, None
        # A consumer that starts waits for its partitions, and so for the others, who must be polled for that.
        self._started = loop.start(self._start(topics, config))

    async def _start(self, topics, config):
        self._consumer = AIOKafkaConsumer(**config)
        self._subscribe(topics)
        await self._consumer.start()

    def _subscribe(self, topics):
        if topics[0].startswith("^"):
            self._consumer.subscribe(pattern=topics[0])
        else:
            self._consumer.subscribe(topics)

    def subscribe(self, topics):
        async def change():
            self._subscribe(topics)
        self._loop.run(change())

    def poll(self, timeout_s=0.1, most=None):
        if not self._started.done():
            time.sleep(min(timeout_s, 0.1))
            return []
        with errors():
            self._started.result()
            # It waits for the end of a rebalance, and so for the others.
            self._polling = self._polling or self._loop.start(self._consumer.getmany(timeout_ms=int(timeout_s * 1000), max_records=most))
            concurrent.futures.wait([self._polling], timeout_s + 0.05)
            if not self._polling.done():
                return []
            polling, self._polling = self._polling, None
            return [one for batch in polling.result().values() for one in batch]

    def held(self):
        return {(one.topic, one.partition) for one in self._consumer.assignment()} if self._open and self._consumer else set()

    def owned(self):
        return {partition for _, partition in self.held()}

    def commit(self):
        self._loop.run(self._consumer.commit())

    def close(self):
        if self._open:
            self._open = False
            self._started.cancel()
            self._loop.run(self._consumer.stop())


class AioTransactional:
    def __init__(self, loop, config):
        self._loop, self._config = loop, config
        self._producer = loop.run(self._start())

    async def _start(self):
        producer = AIOKafkaProducer(**self._config)
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        return producer

    def begin(self):
        self._loop.run(self._producer.begin_transaction())

    def send(self, topic, value, partition=0):
        return self._loop.run(self._producer.send_and_wait(topic, value, partition=partition)).offset

    def offsets(self, group, topic, offset, partition=0):
        self._loop.run(self._producer.send_offsets_to_transaction({TopicPartition(topic, partition): offset}, group))

    def commit(self):
        self._loop.run(self._producer.commit_transaction())

    def abort(self):
        self._loop.run(self._producer.abort_transaction())

    def close(self):
        with contextlib.suppress(ClientError):  # its transaction may be another's by now
            self._loop.run(self._producer.stop())


class Aio(Client):
    name = "aiokafka"
    can = frozenset({"idempotence", "acks", "timestamps", "partitioning", "from-time", "binary", "null-headers", "static", "shrinks",
                     "fenced-producer", "range", "roundrobin", "sticky", "patterns", "resubscribes", "commits"})
    kinds = {"topic": ConfigResourceType.TOPIC, "broker": ConfigResourceType.BROKER}

    def __init__(self, context):
        super().__init__(context)
        self._loop = None

    def version(self):
        return aiokafka.__version__

    @property
    def loop(self):
        if self._loop is None:
            self._loop = Loop()
        return self._loop

    @staticmethod
    def _run(coroutine):
        with errors():
            return asyncio.run(asyncio.wait_for(coroutine, WAIT_S + 10))

    def _admin(self, work):
        async def run():
            admin = AIOKafkaAdminClient(bootstrap_servers=self.address, request_timeout_ms=WAIT_S * 1000)
            await admin.start()
            try:
                return await work(admin)
            finally:
                await admin.close()
        return self._run(run())

    def produce(self, topic, records, acks="all", codec="none", idempotent=False, config=None):
        async def run():
            producer = AIOKafkaProducer(bootstrap_servers=self.address, acks={"0": 0, "1": 1, "all": "all"}[acks],
                                        linger_ms=20, compression_type=None if codec == "none" else codec,
                                        enable_idempotence=idempotent, request_timeout_ms=WAIT_S * 1000, **(config or {}))
            await producer.start()
            try:
                futures = [await producer.send(topic, record.value, record.key, record.partition, record.timestamp,
                                               list(record.headers)) for record in records]
                await producer.flush()
                results = [await future for future in futures]
            finally:
                await producer.stop()
            return [None if result is None else (result.partition, result.offset) for result in results]
        return self._run(run())

    @staticmethod
    def _record(message):
        return Record(message.key, message.value, tuple(message.headers), message.timestamp, message.partition,
                      message.offset, {0: "CreateTime", 1: "LogAppendTime"}.get(message.timestamp_type))

    @contextlib.asynccontextmanager
    async def _consumer(self, **config):
        consumer = AIOKafkaConsumer(bootstrap_servers=self.address, enable_auto_commit=False, auto_offset_reset="none",
                                    **config)
        await consumer.start()
        try:
            yield consumer
        finally:
            await consumer.stop()

    @staticmethod
    async def _seek(consumer, where, start):
        if start == "earliest":
            await consumer.seek_to_beginning(where)
        elif start == "latest":
            await consumer.seek_to_end(where)
        elif isinstance(start, tuple):
            found = (await consumer.offsets_for_times({where: start[1]}))[where]
            if found is None:
                await consumer.seek_to_end(where)
            else:
                consumer.seek(where, found.offset)
        else:
            consumer.seek(where, start)

    def consume(self, topic, start, count, config=None):
        async def run():
            async with self._consumer(**plainly(config)) as consumer:
                consumer.assign([TopicPartition(topic, partition) for partition in start])
                for partition, where in start.items():
                    await self._seek(consumer, TopicPartition(topic, partition), where)
                records, deadline = [], time.monotonic() + WAIT_S
                while len(records) < count:
                    for batch in (await consumer.getmany(timeout_ms=1000)).values():
                        records += map(self._record, batch)
                    if time.monotonic() > deadline:
                        raise ClientError("TIMEOUT", f"read {len(records)} of {count} records")
                return records[:count]
        return self._run(run())

    @contextlib.contextmanager
    def tail(self, topic, wait_ms):
        polling, box, problem = threading.Event(), [], []

        async def run():
            async with self._consumer(fetch_max_wait_ms=wait_ms, request_timeout_ms=wait_ms + 10000) as consumer:
                where = TopicPartition(topic, 0)
                consumer.assign([where])
                consumer.seek(where, 0)
                await consumer.getmany(timeout_ms=1000)
                polling.set()
                for batch in (await consumer.getmany(timeout_ms=WAIT_S * 1000)).values():
                    box.append(self._record(batch[0]))

        def thread():
            try:
                self._run(run())
            except ClientError as thrown:
                problem.append(thrown)
            polling.set()

        worker = threading.Thread(target=thread)
        worker.start()
        polling.wait(WAIT_S)

        def following(timeout_s):
            deadline = time.monotonic() + timeout_s
            while not box and worker.is_alive() and time.monotonic() < deadline:
                worker.join(0.01)
            if problem:
                raise problem[0]
            if not box:
                raise ClientError("TIMEOUT", "nothing came")
            return box[0]

        try:
            yield following
        finally:
            worker.join(WAIT_S + 10)

    def metadata(self, topic):
        found = self._admin(lambda admin: admin.describe_topics([topic]))[0]
        check(found["error_code"])
        return {**self.describe_cluster(), "leaders": {p["partition"]: p["leader"] for p in found["partitions"]}}

    def create_topic(self, topic, partitions=1, config=None, replication=-1):
        # Its NewTopic knows no default for the replication factor.
        new = NewTopic(topic, partitions, max(replication, 1), topic_configs=config or {})
        for _, code, *message in self._admin(lambda admin: admin.create_topics([new])).topic_errors:
            check(code, message)

    def delete_topic(self, topic):
        for _, code, *_ in self._admin(lambda admin: admin.delete_topics([topic])).topic_error_codes:
            check(code)

    def list_topics(self):
        return set(self._admin(lambda admin: admin.list_topics()))

    def describe_topic(self, topic):
        return self.metadata(topic)["leaders"]

    def create_partitions(self, topic, count):
        self._admin(lambda admin: admin.create_partitions({topic: NewPartitions(count)}))

    def list_offsets(self, topic, partition, spec):
        where = TopicPartition(topic, partition)

        async def run():
            async with self._consumer() as consumer:
                if spec == "earliest":
                    return (await consumer.beginning_offsets([where]))[where]
                if spec == "latest":
                    return (await consumer.end_offsets([where]))[where]
                found = (await consumer.offsets_for_times({where: spec}))[where]
                return -1 if found is None else found.offset
        return self._run(run())

    def delete_records(self, topic, partition, before):
        where = TopicPartition(topic, partition)
        return self._admin(lambda admin: admin.delete_records({where: RecordsToDelete(before)}))[where]

    def describe_config(self, kind, name):
        resource = ConfigResource(self.kinds[kind], name)
        values = {}
        for response in self._admin(lambda admin: admin.describe_configs([resource])):
            for code, message, _, _, entries in response.resources:
                check(code, message)
                values.update((entry[0], entry[1]) for entry in entries)
        return values

    def set_config(self, kind, name, values):
        """The old way: what is not named falls back to its default."""
        resource = ConfigResource(self.kinds[kind], name, {key: value for key, value in values.items() if value is not None})
        for response in self._admin(lambda admin: admin.alter_configs([resource])):
            for code, message, *_ in response.resources:
                check(code, message)

    def describe_cluster(self):
        found = self._admin(lambda admin: admin.describe_cluster())
        return {"cluster_id": found["cluster_id"], "controller": found["controller_id"],
                "brokers": [(one["node_id"], one["host"], one["port"]) for one in found["brokers"]]}

    def consume_group(self, topic, group, count):
        async def run():
            consumer = AIOKafkaConsumer(topic, bootstrap_servers=self.address, group_id=group, enable_auto_commit=False,
                                        auto_offset_reset="earliest", session_timeout_ms=6000, heartbeat_interval_ms=500)
            await consumer.start()
            try:
                records = [self._record(await consumer.getone()) for _ in range(count)]
                await consumer.commit()
            finally:
                await consumer.stop()
            return records
        return self._run(run())

    @contextlib.contextmanager
    def transactional(self, name, **config):
        """A producer in transactions: begin, send, offsets, commit, abort."""
        producer = AioTransactional(self.loop, {"bootstrap_servers": self.address, "transactional_id": name, "linger_ms": 0,
                                                "request_timeout_ms": WAIT_S * 1000, **plainly(config)})
        try:
            yield producer
        finally:
            producer.close()

    @contextlib.contextmanager
    def member(self, topics, group, instance=None, name=None, assignors=("range", "roundrobin"), session_ms=6000,
               max_poll_ms=300000, metadata_ms=300000):
        more = {"group_instance_id": instance} if instance else {}
        more |= {"client_id": name} if name else {}
        member = AioMember(self.loop, topics, {
            "bootstrap_servers": self.address, "group_id": group, "enable_auto_commit": False, "auto_offset_reset": "earliest",
            "session_timeout_ms": session_ms, "heartbeat_interval_ms": 300, "max_poll_interval_ms": max_poll_ms,
            "rebalance_timeout_ms": max(session_ms, WAIT_S * 1000), "metadata_max_age_ms": metadata_ms,
            "partition_assignment_strategy": [ASSIGNORS[one] for one in assignors], **more})
        try:
            yield member
        finally:
            member.close()

    def mortal(self, topics, group, **options):
        return ProcessMember.context(self, topics, group, options)

    def list_groups(self):
        return {group for group, *_ in self._admin(lambda admin: admin.list_consumer_groups())}

    def describe_group(self, group):
        response, = self._admin(lambda admin: admin.describe_consumer_groups([group]))
        code, _, state, _, _, members, *_ = response.groups[0]
        check(code)
        return {"state": state, "members": len(members)}
