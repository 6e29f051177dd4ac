"""Kafka's own command-line tools, run inside the driver's JVM."""
import json
import re
import tempfile

from clients.base import Client, ClientError, Record
from lib import paths
from lib.driver import DriverError

WAIT_S = int(30 * paths.PATIENCE)
END = b"<end of record>\n"
NEXT = "<|>"
NULL = "<null>"
# What Kafka's exceptions are called, and what the errors are.
EXCEPTIONS = {
    "TopicExistsException": "TOPIC_ALREADY_EXISTS", "InvalidTopicException": "INVALID_TOPIC_EXCEPTION",
    "UnknownTopicOrPartitionException": "UNKNOWN_TOPIC_OR_PARTITION", "InvalidPartitionsException": "INVALID_PARTITIONS",
    "InvalidConfigurationException": "INVALID_CONFIG", "ConfigException": "INVALID_CONFIG", "RecordTooLargeException": "MESSAGE_TOO_LARGE",
    "InvalidRecordException": "INVALID_RECORD", "InvalidReplicationFactorException": "INVALID_REPLICATION_FACTOR",
    "InvalidRequestException": "INVALID_REQUEST",
}


class Tools(Client):
    name = "Kafka's tools"
    can = frozenset({"idempotence", "acks", "max-timestamp"})

    def version(self):
        return "4.3.1"

    def run(self, tool, *words, stdin=None, complain=True):
        try:
            status, out, err = self.context.driver.tool(tool, "--bootstrap-server", self.address, *words, stdin=stdin,
                                                        timeout_s=WAIT_S)
        except DriverError as thrown:
            raise ClientError(thrown.name, thrown.message) from None
        said = out.decode(errors="replace") + err.decode(errors="replace")
        if complain:
            self._complain(tool, status, said)
        return out

    @staticmethod
    def _complain(tool, status, said):
        for exception, name in EXCEPTIONS.items():
            if f"{exception}:" in said:
                raise ClientError(name, said.strip().splitlines()[0][:200])
        # A warning may be of something that the client tried again: what was asked for is checked by the scenario.
        errors = [line for line in said.splitlines() if ("Exception" in line or "ERROR" in line) and "WARN " not in line]
        if status or "Error while executing" in said or any("Exception" in line for line in errors):
            words = errors[0] if errors else said.strip()[-300:]
            raise ClientError("FAILED", f"{tool} ended with {status}: {words[:300]}")

    def produce(self, topic, records, acks="all", codec="none", idempotent=False, config=None):
        """ConsoleProducer: headers, key and value as text, on a line. It does not choose partitions."""
        lines, with_headers = [], any(record.headers for record in records)
        for record in records:
            headers = [",".join(f"{name}:{value.decode()}" for name, value in record.headers)] if with_headers else []
            lines.append("\t".join((*headers, NULL if record.key is None else record.key.decode(),
                                    NULL if record.value is None else record.value.decode())))
        options = {"acks": acks, "enable.idempotence": str(idempotent).lower(), "linger.ms": 20,
                   "delivery.timeout.ms": 20000, "request.timeout.ms": 10000, "max.block.ms": 20000, **(config or {})}
        properties = {"parse.headers": str(with_headers).lower(), "parse.key": "true", "null.marker": NULL}
        self.run("ConsoleProducer", "--topic", topic, "--compression-codec", codec,
                 *[word for item in options.items() for word in ("--command-property", "=".join(map(str, item)))],
                 *[word for item in properties.items() for word in ("--reader-property", "=".join(item))],
                 stdin="".join(line + "\n" for line in lines).encode())
        return [None] * len(records)

    def view(self, record):
        # Headers come as one text with no lengths.
        text = b",".join(name.encode() + b":" + (NULL.encode() if value is None else value) for name, value in record.headers)
        return Record(record.key, record.value, text or b"NO_HEADERS", record.timestamp, record.partition, record.offset,
                      record.timestamp_type)

    @staticmethod
    def _record(chunk):
        time, partition, offset, headers, key, value = chunk.split(NEXT.encode(), 5)
        kind, _, time_ms = time.decode().partition(":")
        null = NULL.encode()
        return Record(None if key == null else key, None if value == null else value, headers, int(time_ms),
                      int(partition.split(b":")[1]), int(offset.split(b":")[1]), kind)

    def consume(self, topic, start, count, config=None):
        if len(start) != 1:
            raise ValueError("ConsoleConsumer reads one partition")
        (partition, where), = start.items()
        if isinstance(where, tuple):
            raise ValueError("ConsoleConsumer does not start at a time")
        shown = {"print.timestamp": "true", "print.partition": "true", "print.offset": "true", "print.headers": "true",
                 "print.key": "true", "key.separator": NEXT, "line.separator": END.decode(), "null.literal": NULL,
                 "headers.separator": ","}
        out = self.run("org.apache.kafka.tools.consumer.ConsoleConsumer", "--topic", topic, "--partition", partition, "--offset",
                       where, "--max-messages", count, "--timeout-ms", 20000,
                       *[word for item in shown.items() for word in ("--formatter-property", "=".join(item))],
                       *[word for item in (config or {}).items() for word in ("--command-property", "=".join(map(str, item)))])
        records = [self._record(chunk) for chunk in out.split(END)[:-1]]
        if len(records) != count:
            raise ClientError("TIMEOUT", f"read {len(records)} of {count} records")
        return records

    def create_topic(self, topic, partitions=1, config=None, replication=-1):
        configs = [word for item in (config or {}).items() for word in ("--config", "=".join(item))]
        factor = ["--replication-factor", replication] if replication > 0 else []
        self.run("TopicCommand", "--create", "--topic", topic, "--partitions", partitions, *factor, *configs)

    def delete_topic(self, topic):
        said = self.run("TopicCommand", "--delete", "--topic", topic, complain=False).decode()
        if "does not exist" in said:
            raise ClientError("UNKNOWN_TOPIC_OR_PARTITION", said)
        self._complain("TopicCommand", 0, said)

    def list_topics(self):
        return set(self.run("TopicCommand", "--list").decode().split())

    def describe_topic(self, topic):
        said = self.run("TopicCommand", "--describe", "--topic", topic, complain=False).decode()
        if "does not exist" in said:
            raise ClientError("UNKNOWN_TOPIC_OR_PARTITION", said)
        self._complain("TopicCommand", 0, said)
        return {int(p): int(leader) for p, leader in re.findall(r"Partition: (\d+)\s+Leader: (\d+)", said)}

    def create_partitions(self, topic, count):
        self.run("TopicCommand", "--alter", "--topic", topic, "--partitions", count)

    def list_offsets(self, topic, partition, spec):
        out = self.run("GetOffsetShell", "--topic-partitions", f"{re.escape(topic)}:{partition}", "--time", spec).decode()
        found = re.search(r":\d+:(-?\d*)$", out.strip())
        return int(found[1]) if found and found[1] else -1

    def delete_records(self, topic, partition, before):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({"partitions": [{"topic": topic, "partition": partition, "offset": before}], "version": 1}, file)
            file.flush()
            out = self.run("DeleteRecordsCommand", "--offset-json-file", file.name).decode()
        found = re.search(r"low_watermark: (\d+)", out)
        if not found:
            raise ClientError("FAILED", out)
        return int(found[1])

    def describe_config(self, kind, name):
        out = self.run("kafka.admin.ConfigCommand", "--describe", "--all", "--entity-type", f"{kind}s", "--entity-name",
                       name).decode()
        found = re.findall(r"^  (\S+?)=(.*?) sensitive=", out, re.M)
        return {key: None if value == "null" else value for key, value in found}

    def set_config(self, kind, name, values):
        for word, chosen in (("--add-config", {k: v for k, v in values.items() if v is not None}),
                             ("--delete-config", {k: v for k, v in values.items() if v is None})):
            if chosen:
                text = ",".join(chosen if word == "--delete-config" else map("=".join, chosen.items()))
                self.run("kafka.admin.ConfigCommand", "--alter", "--entity-type", f"{kind}s", "--entity-name", name, word, text)

    def cluster_id(self):
        try:
            _, out, err = self.context.driver.tool("ClusterTool", "cluster-id", "--bootstrap-server", self.address,
                                                   timeout_s=WAIT_S)
        except DriverError as thrown:
            raise ClientError(thrown.name, thrown.message) from None
        found = re.search(rb"Cluster ID: (\S+)", out)
        if not found:
            raise ClientError("FAILED", (out + err).decode(errors="replace")[-300:])
        return found[1].decode()

    def describe_log_dirs(self):
        out = self.run("LogDirsCommand", "--describe").decode()
        found = json.loads(out[out.index("{"):])["brokers"][0]["logDirs"]
        return {one["logDir"]: {p["partition"]: p["size"] for p in one["partitions"]} for one in found}

    def describe_quorum(self):
        out = self.run("MetadataQuorumCommand", "describe", "--status").decode()
        voters = re.search(r"CurrentVoters:\s+(\[.*\])", out)[1]
        ids = [voter if isinstance(voter, int) else voter["id"] for voter in json.loads(voters)]
        return {"leader": int(re.search(r"LeaderId:\s+(\d+)", out)[1]), "voters": ids}

    def describe_features(self):
        out = self.run("FeatureCommand", "describe").decode()
        finalized = re.findall(r"Feature: (\S+)\s+SupportedMinVersion: .*?SupportedMaxVersion: .*?"
                               r"FinalizedVersionLevel: (.*?)\s+Epoch", out)
        return {"finalized": dict(finalized)}

    def api_versions(self):
        out = self.run("BrokerApiVersionsCommand").decode()
        return {int(key) for key in re.findall(r"\((\d+)\): [\d]", out)}

    def _transactions(self, *words):
        """The table that TransactionsCommand prints, as a list of rows by column."""
        lines = self.run("TransactionsCommand", *words).decode().splitlines()
        rows = [line.split() for line in lines if line.strip()]
        return [dict(zip(rows[0], row)) for row in rows[1:]] if rows else []

    def list_transactions(self):
        return {row["TransactionalId"]: row["TransactionState"] for row in self._transactions("list")}

    def describe_transaction(self, name):
        row, = self._transactions("describe", "--transactional-id", name)
        return row

    def transactions_of(self, topic, partition):
        return self._transactions("describe-producers", "--topic", topic, "--partition", partition)

    def hanging_transactions(self):
        return self._transactions("find-hanging", "--broker-id", 1)

    def abort_transaction(self, topic, partition, start_offset):
        self.run("TransactionsCommand", "abort", "--topic", topic, "--partition", partition, "--start-offset", start_offset)

    def dump_log(self, *files, options=(), cleaned=False):
        """What DumpLogSegments prints, unless it complains."""
        try:
            return self.context.driver.dump_log(files, *options, cleaned=cleaned, timeout_s=WAIT_S)
        except DriverError as thrown:
            raise ClientError(thrown.name, thrown.message) from None

    def perf(self, topic, count, size):
        return self.run("ProducerPerformance", "--topic", topic, "--num-records", count, "--record-size", size, "--throughput",
                        "-1").decode()

    # --- groups ---

    def consume_group(self, topic, group, count):
        """Kafka's classic consumer; it commits what it has shown when it ends."""
        shown = {"print.partition": "true", "print.offset": "true", "print.timestamp": "true", "print.headers": "true",
                 "print.key": "true", "key.separator": NEXT, "line.separator": END.decode(), "null.literal": NULL,
                 "headers.separator": ","}
        out = self.run("org.apache.kafka.tools.consumer.ConsoleConsumer", "--topic", topic, "--group", group, "--from-beginning",
                       "--max-messages", count, "--timeout-ms", 20000, "--command-property", "max.poll.records=1",
                       *[word for item in shown.items() for word in ("--formatter-property", "=".join(item))])
        return [self._record(chunk) for chunk in out.split(END)[:-1]]

    def _group(self, *words):
        return self.run("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", *words, complain=False).decode()

    def list_groups(self):
        return set(self._group("--list").split())

    def describe_group(self, group):
        said = self._group("--describe", "--group", group, "--state")
        found = re.search(rf"^{re.escape(group)}\s+.*?(Stable|Empty|PreparingRebalance|CompletingRebalance|Assigning|Reconciling|Dead)\s+(\d+)",
                          said, re.M)
        if not found:
            raise ClientError("FAILED", said.strip()[-300:])
        return {"state": found[1], "members": int(found[2])}

    def describe_consumers(self, group, topic):
        """What the tool shows of a group whose partitions the broker assigns; the epochs are checked on the way."""
        kind = re.search(rf"^{re.escape(group)}\s+(\w+)", self._group("--list", "--type", "consumer"), re.M)
        state = self._group("--describe", "--group", group, "--state")
        assignor = re.search(rf"^{re.escape(group)}\s+\S+\s+\(\d+\)\s+(\S+)", state, re.M)
        said = self._group("--describe", "--group", group, "--members", "--verbose")
        assigned = re.findall(rf"{re.escape(topic)}[:(]([\d,]+)", said)
        if not kind or not assignor or len(assigned) != 2 or assigned[0] != assigned[1]:
            raise ClientError("FAILED", f"{state} {said}"[-400:])
        return {"type": kind[1], "assignor": assignor[1], "partitions": [int(one) for one in assigned[0].split(",")]}

    def group_offsets(self, group, topic):
        said = self._group("--describe", "--group", group, "--offsets")
        return {int(p): int(offset) for p, offset in re.findall(rf"^{re.escape(group)}\s+{re.escape(topic)}\s+(\d+)\s+(\d+)",
                                                                said, re.M)}

    def set_group_offsets(self, group, topic, offsets):
        for partition, offset in offsets.items():
            said = self._group("--reset-offsets", "--group", group, "--topic", f"{topic}:{partition}", "--to-offset", offset,
                               "--execute")
            if not re.search(rf"^{re.escape(group)}\s+{re.escape(topic)}\s+{partition}\s+{offset}", said, re.M):
                raise ClientError("FAILED", said.strip()[-300:])

    def delete_group(self, group):
        said = self._group("--delete", "--group", group)
        if "GroupNotEmptyException" in said:
            raise ClientError("NON_EMPTY_GROUP", said.strip()[:200])
        if "was successful" not in said:
            raise ClientError("FAILED", said.strip()[-300:])

    def group_rows(self, *words):
        """What ConsumerGroupCommand prints as tables, as rows by column; [] when it says something else."""
        rows, columns, said = [], None, self._group(*words)
        for line in said.splitlines():
            if line.startswith("GROUP "):
                columns = line.split()
                # Two words in one column's name.
                columns = " ".join(columns).replace("COORDINATOR (ID)", "COORDINATOR").split()
            elif columns and line.strip():
                rows.append(dict(zip(columns, re.sub(r" \(\d+\)", "", line).split())))
        return rows, said

    # --- load ---

    def _events(self, tool, *words):
        """What Kafka's verifiable clients say of each thing that they do."""
        return [json.loads(line) for line in self.run(tool, *words).decode().splitlines() if line.startswith("{")]

    def verifiable_produce(self, topic, count):
        return self._events("VerifiableProducer", "--topic", topic, "--max-messages", count, "--acks", -1, "--repeating-keys", 10)

    def verifiable_consume(self, topic, group, count, **options):
        return self._events("VerifiableConsumer", "--topic", topic, "--group-id", group, "--max-messages", count,
                            "--reset-policy", "earliest", *[word for name, value in options.items() for word in (f"--{name}", value)])
