"""aiokafka: asyncio, with the older versions of many requests; its AlterConfigs replaces all settings."""
import asyncio
import contextlib
import logging
import threading
import time

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from clients.base import Client, ClientError, Record, by_code
from lib import paths

WAIT_S = int(20 * paths.PATIENCE)
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


class Aio(Client):
    name = "aiokafka"
    can = frozenset({"idempotence", "acks", "timestamps", "partitioning", "from-time", "binary", "null-headers"})
    kinds = {"topic": ConfigResourceType.TOPIC, "broker": ConfigResourceType.BROKER}

    def version(self):
        return aiokafka.__version__

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
            async with self._consumer(**(config or {})) as consumer:
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
