"""Kafka's own Java clients, through the driver."""
import contextlib

from clients.base import Client, ClientError, Record
from lib import paths
from lib.driver import DriverError, b64, unb64

WAIT_S = int(20 * paths.PATIENCE)


class JavaTransactional:
    def __init__(self, client, config):
        self.client, self.handle = client, None
        self.handle = self.call("open", config=config)

    def call(self, call, **fields):
        return self.client._call("transaction", call=call, handle=self.handle, **fields)

    def begin(self):
        self.call("begin")

    def send(self, topic, value, partition=0):
        return self.call("send", topic=topic, partition=partition, value=b64(value))

    def offsets(self, group, topic, offset, partition=0):
        self.call("offsets", group=group, topic=topic, partition=partition, offset=offset)

    def commit(self):
        self.call("commit")

    def abort(self):
        self.call("abort")


class JavaMember:
    """A member of a group. Partitions are numbers as long as the group has one topic."""

    def __init__(self, client, config, **subscription):
        self.client, self._owned, self._revoked, self._open, self.handle = client, [], 0, True, None
        self.handle = self._call("open", config=config, **subscription)

    def _call(self, call, **fields):
        return self.client._call("member", call=call, handle=self.handle, **fields)

    def poll(self, timeout_s=0.1):
        found = self._call("poll", timeout_ms=int(timeout_s * 1000))
        self._owned, self._revoked = found["owned"], found["revoked"]
        return [Record(None, unb64(one["value"]), partition=one["partition"], offset=one["offset"]) for one in found["records"]]

    def held(self):
        return {(topic, partition) for topic, partition in self._owned} if self._open else set()

    def owned(self):
        return {partition for _, partition in self.held()}

    def revoked(self):
        return self._revoked

    def epoch(self):
        return self._call("epoch")

    def subscribe(self, topics):
        self._call("subscribe", **subscription(topics))

    def commit(self):
        self._call("commit")

    def close(self, operation="DEFAULT"):
        if self._open:
            self._open = False
            self._call("close", timeout_ms=5000, operation=operation)

    def die(self):
        """Its connections end, and the group is not told."""
        self.close("REMAIN_IN_GROUP")


def subscription(topics):
    """Topics by name, by a pattern ^…, or as a table of what the driver takes."""
    if isinstance(topics, dict):
        return topics
    return {"client_pattern": topics[0]} if topics[0].startswith("^") else {"topics": topics}


class Java(Client):
    name = "Java"
    can = frozenset({"idempotence", "acks", "timestamps", "partitioning", "from-time", "binary", "null-headers", "nothing",
                     "max-timestamp", "static", "fenced-member", "fenced-producer", "shrinks", "stalls", "consumer-protocol",
                     "server-regex", "range", "roundrobin", "sticky", "cooperative-sticky", "patterns", "prompt", "resubscribes", "commits"})
    assignors = {"range": "RangeAssignor", "roundrobin": "RoundRobinAssignor", "sticky": "StickyAssignor",
                 "cooperative-sticky": "CooperativeStickyAssignor"}

    def version(self):
        return "4.4.0"

    def _call(self, op, **fields):
        try:
            return self.context.driver.call(op, timeout_s=WAIT_S + 10, **fields)
        except DriverError as thrown:
            raise ClientError(thrown.name, thrown.message) from None

    def _admin(self, call, **fields):
        return self._call("admin", call=call, **fields, config={
            "bootstrap.servers": self.address, "default.api.timeout.ms": WAIT_S * 1000, "request.timeout.ms": 10000})

    def produce(self, topic, records, acks="all", codec="none", idempotent=False, config=None):
        results = self._call("produce", records=[
            {"topic": topic, "partition": record.partition, "timestamp": record.timestamp, "key": b64(record.key),
             "value": b64(record.value), "headers": [[name, b64(value)] for name, value in record.headers]}
            for record in records], config={
                "bootstrap.servers": self.address, "acks": acks, "compression.type": codec, "linger.ms": 20,
                "enable.idempotence": str(idempotent).lower(), "max.block.ms": WAIT_S * 1000,
                "delivery.timeout.ms": WAIT_S * 1000, "request.timeout.ms": 10000, **(config or {})})
        for result in results:
            if "error" in result:
                raise ClientError(result["error"], result["message"])
        return [(result["partition"], result["offset"]) for result in results]

    def _consume(self, topic, start, count, config):
        fields = {"from": [[topic, partition, {"time": where[1]} if isinstance(where, tuple) else where]
                           for partition, where in start.items()]}
        return self.context.driver.start("consume", **fields, count=count, timeout_ms=WAIT_S * 1000, config={
            "bootstrap.servers": self.address, "enable.auto.commit": "false", "auto.offset.reset": "none",
            "default.api.timeout.ms": WAIT_S * 1000, **(config or {})})

    @staticmethod
    def _records(call, timeout_s):
        try:
            return [Record(unb64(one["key"]), unb64(one["value"]),
                           tuple((name, unb64(value)) for name, value in one["headers"]), one["timestamp"],
                           one["partition"], one["offset"], one["timestamp_type"]) for one in call.result(timeout_s)]
        except DriverError as thrown:
            raise ClientError(thrown.name, thrown.message) from None

    def consume(self, topic, start, count, config=None):
        return self._records(self._consume(topic, start, count, config), WAIT_S + 10)[:count]

    @contextlib.contextmanager
    def tail(self, topic, wait_ms):
        call = self._consume(topic, {0: 0}, 1, {"fetch.max.wait.ms": wait_ms, "request.timeout.ms": wait_ms + 10000})
        call.wait_event("polling", WAIT_S)
        yield lambda timeout_s: self._records(call, timeout_s)[0]

    @contextlib.contextmanager
    def transactional(self, name, **config):
        """A producer in transactions: begin, send, offsets, commit, abort."""
        producer = JavaTransactional(self, {
            "bootstrap.servers": self.address, "transactional.id": name, "max.block.ms": WAIT_S * 1000,
            "delivery.timeout.ms": WAIT_S * 1000, "request.timeout.ms": 10000, **config})
        try:
            yield producer
        finally:
            producer.call("close")

    @staticmethod
    def pattern(expression):
        """For member: topics that the broker finds by an expression."""
        return {"server_pattern": expression}

    def metadata(self, topic):
        cluster = self.describe_cluster()
        return {**cluster, "leaders": self.describe_topic(topic)}

    def create_topic(self, topic, partitions=1, config=None, replication=-1):
        self._admin("create_topic", topic=topic, partitions=partitions, replication=replication, configs=config or {})

    def delete_topic(self, topic):
        self._admin("delete_topic", topic=topic)

    def list_topics(self):
        return set(self._admin("list_topics"))

    def describe_topic(self, topic):
        return {one["partition"]: one["leader"] for one in self._admin("describe_topic", topic=topic)["partitions"]}

    def create_partitions(self, topic, count):
        self._admin("create_partitions", topic=topic, count=count)

    def list_offsets(self, topic, partition, spec):
        return self._admin("list_offsets", topic=topic, partition=partition, spec=spec)["offset"]

    def delete_records(self, topic, partition, before):
        return self._admin("delete_records", topic=topic, partition=partition, before=before)["low_watermark"]

    def describe_config(self, kind, name):
        return {key: one["value"] for key, one in self._admin("describe_configs", kind=kind, name=name).items()}

    def set_config(self, kind, name, values):
        self._admin("alter_configs", kind=kind, name=name, changes=[
            [key, value, "DELETE" if value is None else "SET"] for key, value in values.items()])

    def list_config_resources(self):
        return set(self._admin("list_config_resources")["resources"])

    def describe_cluster(self):
        found = self._admin("describe_cluster")
        return {"cluster_id": found["cluster_id"], "controller": found["controller"]["id"],
                "brokers": [(node["id"], node["host"], node["port"]) for node in found["nodes"]]}

    def describe_log_dirs(self):
        found = self._admin("describe_log_dirs", broker=1)
        return {path: one.get("replicas", {}) for path, one in found.items()}

    def describe_quorum(self):
        found = self._admin("describe_quorum")
        return {"leader": found["leader"], "voters": found["voters"]}

    def describe_producers(self, topic, partition):
        return [(one["epoch"], one["sequence"]) for one in self._admin("describe_producers", topic=topic, partition=partition)]

    def describe_features(self):
        return self._admin("describe_features")

    def no_reassignments(self):
        return self._admin("list_reassignments")["count"] == 0

    def no_quotas(self):
        return self._admin("describe_client_quotas")["count"] == 0

    # --- groups ---

    @contextlib.contextmanager
    def member(self, topics, group, instance=None, name=None, assignors=("range", "cooperative-sticky"), session_ms=6000,
               max_poll_ms=300000, metadata_ms=300000, protocol="classic", **config):
        chosen = {"group.instance.id": instance} if instance else {}
        chosen |= {"client.id": name} if name else {}
        if protocol == "classic":
            chosen |= {"session.timeout.ms": session_ms, "heartbeat.interval.ms": 300, "partition.assignment.strategy": ",".join(
                f"org.apache.kafka.clients.consumer.{self.assignors[one]}" for one in assignors)}
        member = JavaMember(self, {
            "bootstrap.servers": self.address, "group.id": group, "group.protocol": protocol, "enable.auto.commit": "false",
            "allow.auto.create.topics": "false", "auto.offset.reset": "earliest", "metadata.max.age.ms": metadata_ms,
            "max.poll.interval.ms": max_poll_ms,
            "default.api.timeout.ms": WAIT_S * 1000, **chosen, **config}, **subscription(topics))
        try:
            yield member
        finally:
            member.close()

    mortal = member

    def consume_group(self, topic, group, count):
        found = self._call("consume_group", topic=topic, count=count, timeout_ms=WAIT_S * 1000, config={
            "bootstrap.servers": self.address, "group.id": group, "enable.auto.commit": "false", "auto.offset.reset": "earliest",
            "max.poll.records": 1, "group.protocol": "classic", "default.api.timeout.ms": WAIT_S * 1000})
        return [Record(unb64(one["key"]), unb64(one["value"]), partition=one["partition"], offset=one["offset"])
                for one in found]
