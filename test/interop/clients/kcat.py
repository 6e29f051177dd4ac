"""kcat as Debian 12 has it, with that release's librdkafka; a process for each thing done."""
import contextlib
import json
import re
import subprocess
import threading

import confluent_kafka

from clients.base import Client, ClientError, Record, by_code
from clients.process import ChildMember
from lib import paths

WAIT_S = int(20 * paths.PATIENCE)
END = b"\n--end of record--\n"
FORMAT = r"%p %o %T %K %S %k%s%h" + END.decode().replace("\n", r"\n")
CODES = {confluent_kafka.KafkaError(code).str(): code for code in range(1, 120)}


def refused(complaint):
    """librdkafka says errors in words; the same words lead back to the number."""
    for words, code in CODES.items():
        if words in complaint:
            return by_code(code, words)
    return ClientError("FAILED", complaint.strip()[-300:])


class Member(ChildMember):
    """A balanced consumer (kcat -G): a process that says what it is assigned."""

    stop_s = WAIT_S

    def __init__(self, command):
        self.given_up, self.said = 0, []
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                   errors="replace")
        super().__init__(process, process.stderr)

    def heard(self, line):
        self.said.append(line)
        _, rebalanced, what = line.partition("rebalanced")
        named = {(topic, int(number)) for topic, number in re.findall(r"([^\s,]+) \[(\d+)\]", what)}
        if rebalanced and re.search(r"\): revoked: |incremental revoke", line):
            self.given_up += len(named)
            self.now = self.now - named
        elif rebalanced:
            self.now = self.now | named

    def poll(self, timeout_s=0.1):
        super().poll(timeout_s)
        if self.process.poll() is not None:
            raise refused("".join(self.said))

    def revoked(self):
        return self.given_up


class Kcat(Client):
    name = "kcat"
    can = frozenset({"idempotence", "acks", "from-time", "static", "fenced-member", "shrinks", "range", "roundrobin",
                     "cooperative-sticky", "patterns", "prompt"})

    def version(self):
        said = subprocess.run(["kcat", "-V"], capture_output=True, text=True).stdout
        found = re.search(r"Version (\S+) .*librdkafka (\S+)", said)
        return f"{found[1]} (librdkafka {found[2]})"

    def _run(self, *words, data=None):
        try:
            done = subprocess.run(["kcat", "-b", self.address, "-m", str(WAIT_S), *words], input=data, timeout=WAIT_S + 5,
                                  capture_output=True)
        except subprocess.TimeoutExpired:
            raise ClientError("TIMEOUT", " ".join(words)) from None
        complaint = done.stderr.decode(errors="replace")
        if done.returncode or "ERROR:" in complaint or "Delivery failed" in complaint:
            raise refused(complaint)
        return done.stdout

    def view(self, record):
        # Headers come as one text with no lengths, each value as far as its first NUL.
        text = b",".join(name.encode() + b"=" + (b"NULL" if value is None else value.split(b"\0")[0])
                         for name, value in record.headers)
        return Record(record.key, record.value, text, record.timestamp, record.partition, record.offset)

    def produce(self, topic, records, acks="all", codec="none", idempotent=False, config=None):
        """Text only: the key up to a tab, the value up to a newline, the same headers for all."""
        words = []
        for name, value in records[0].headers:
            words += ["-H", f"{name}={value.decode()}"]
        for key, value in {"acks": acks, "enable.idempotence": str(idempotent).lower(), "linger.ms": 20,
                           "message.timeout.ms": WAIT_S * 1000, **(config or {})}.items():
            words += ["-X", f"{key}={value}"]
        keyed = any(record.key is not None for record in records)
        data = b"".join((record.key + b"\t" if keyed else b"") + record.value + b"\n" for record in records)
        self._run("-P", "-t", topic, "-p", str(records[0].partition), "-X", f"compression.codec={codec}", *words,
                  *(["-K", r"\t"] if keyed else []), data=data)
        return [None] * len(records)

    @staticmethod
    def _record(chunk):
        partition, offset, time_ms, key_size, value_size, rest = chunk.split(b" ", 5)
        key_size, value_size = int(key_size), int(value_size)
        keys, values = max(key_size, 0), max(value_size, 0)
        return Record(None if key_size < 0 else rest[:keys], None if value_size < 0 else rest[keys:keys + values],
                      rest[keys + values:], int(time_ms), int(partition), int(offset))

    @staticmethod
    def _start(start):
        if isinstance(start, tuple):
            return f"s@{start[1]}"
        return {"earliest": "beginning", "latest": "end"}.get(start, str(start))

    def consume(self, topic, start, count, config=None):
        records = []
        options = [word for key, value in (config or {}).items() for word in ("-X", f"{key}={value}")]
        if len(start) != 1:
            raise ValueError("kcat reads one partition")
        (partition, where), = start.items()
        out = self._run("-C", "-t", topic, "-p", str(partition), "-o", self._start(where), "-c", str(count), "-f", FORMAT,
                        "-X", "topic.auto.offset.reset=error", *options)
        for chunk in out.split(END)[:-1]:
            records.append(self._record(chunk))
        return records

    @contextlib.contextmanager
    def tail(self, topic, wait_ms):
        process = subprocess.Popen(["kcat", "-b", self.address, "-C", "-t", topic, "-p", "0", "-o", "0", "-c", "1", "-u", "-f",
                                    FORMAT, "-X", f"fetch.wait.max.ms={wait_ms}", "-d", "fetch"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        asked = threading.Event()

        def listen():
            for line in process.stderr:
                if b"Fetch topic" in line:
                    asked.set()
            asked.set()

        threading.Thread(target=listen, daemon=True).start()

        def following(timeout_s):
            try:
                out = process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                raise ClientError("TIMEOUT", "nothing came") from None
            if out:
                raise ClientError("FAILED", f"status {out}")
            return self._record(process.stdout.read().split(END)[0])

        try:
            if not asked.wait(WAIT_S):
                raise ClientError("TIMEOUT", "it sent no fetch")
            yield following
        finally:
            process.kill()
            process.wait()

    def metadata(self, topic):
        found = json.loads(self._run("-L", "-J", "-t", topic))
        one = found["topics"][0]
        if "error" in one:
            raise refused(one["error"])
        brokers = [(broker["id"], *broker["name"].rsplit(":", 1)) for broker in found["brokers"]]
        return {"brokers": [(number, host, int(port)) for number, host, port in brokers],
                "leaders": {p["partition"]: p["leader"] for p in one["partitions"]}}

    def list_topics(self):
        return {topic["topic"] for topic in json.loads(self._run("-L", "-J"))["topics"]}

    def list_offsets(self, topic, partition, spec):
        spec = {"earliest": -2, "latest": -1}.get(spec, spec)
        out = self._run("-Q", "-t", f"{topic}:{partition}:{spec}").decode()
        return int(re.search(r"offset (-?\d+)", out)[1])

    def consume_group(self, topic, group, count):
        out = self._run("-G", group, "-c", str(count), "-f", FORMAT, "-X", "auto.offset.reset=earliest", "-X",
                        "session.timeout.ms=6000", topic)
        return [self._record(chunk) for chunk in out.split(END)[:-1]]

    @contextlib.contextmanager
    def member(self, topics, group, instance=None, name=None, assignors=("range", "roundrobin"), session_ms=6000,
               max_poll_ms=300000, metadata_ms=300000):
        config = {"auto.offset.reset": "earliest", "session.timeout.ms": session_ms, "heartbeat.interval.ms": 300,
                  "max.poll.interval.ms": max_poll_ms, "topic.metadata.refresh.interval.ms": metadata_ms,
                  "partition.assignment.strategy": ",".join(assignors)}
        config |= {"group.instance.id": instance} if instance else {}
        config |= {"client.id": name} if name else {}
        member = Member(["kcat", "-b", self.address, "-G", group, *(f"-X{key}={value}" for key, value in config.items()), *topics])
        try:
            yield member
        finally:
            member.close()

    mortal = member
