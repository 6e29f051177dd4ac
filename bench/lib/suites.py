"""What is measured, with which load, and the goals; groups and transactions are in suites_groups.py."""
import json
import os
import pathlib
import subprocess
import time

import machine
import suites_groups
from suite import Figure, Goal, Suite
from targets import Failed

GB = 1e9


class Produce(Suite):
    name = "produce"
    title = "produce 1 KiB, batched (librdkafka, idempotent, acks=all, one partition)"
    figures = (Figure("cpu_s_per_GB", "broker CPU-s/GB"), Figure("MB_s", "MB/s"))
    goals = (Goal("cpu_s_per_GB", 1.3, "floor"), Goal("cpu_s_per_GB", 0.5, "kafka"))
    record_bytes, partitions = 1024, 1
    settings = ("acks=all", "enable.idempotence=true")

    def records(self):
        return self.size(1_000_000, 2000)

    def prepare(self, target):
        self.warm_batches(target)

    def measure(self, target):
        topic = self.next_topic()
        self.clients.create(target, topic, self.partitions)
        words = [word for setting in self.settings for word in ("-X", setting)]
        with machine.Window(target.pid) as window:
            said = self.clients.rdk(target, "produce", "-t", topic, "-n", self.records(), "-s", self.record_bytes, *words,
                                    what=self.name)
        self.clients.delete(target, topic)
        return self.produced(window, said), window.other_share

    def produced(self, window, said):
        return {"cpu_s_per_GB": window.broker_s / (said["bytes"] / GB), "MB_s": said["MB_s"],
                "cpu_us_per_record": window.broker_s / said["records"] * 1e6, "per_s": said["per_s"],
                "client_cpu_s_per_GB": said["client_cpu_s"] / (said["bytes"] / GB)}


class Small(Produce):
    name = "small"
    title = "produce 100 B in batches of at most 20 over 12 partitions (librdkafka, acks=all)"
    figures = (Figure("cpu_us_per_record", "broker CPU, µs per record"), Figure("per_s", "records/s"))
    goals = ()
    record_bytes, partitions = 100, 12
    settings = ("acks=all", "batch.num.messages=20", "partitioner=random", "sticky.partitioning.linger.ms=0")

    def records(self):
        return self.size(1_000_000, 2000)


class Consume(Suite):
    name = "consume"
    title = "consume 1 KiB from the page cache (librdkafka, one partition)"
    figures = (Figure("cpu_s_per_GB", "broker CPU-s/GB"), Figure("MB_s", "MB/s after the first record"))
    goals = (Goal("cpu_s_per_GB", 1.3, "floor"), Goal("cpu_s_per_GB", 0.5, "kafka"))
    consumers = 1

    def records(self):
        return self.size(1_000_000, 2000)

    def prepare(self, target):
        self.warm_batches(target)
        self.clients.create(target, self.name)
        self.clients.rdk(target, "produce", "-t", self.name, "-n", self.records(), "-s", 1024, "-X", "acks=all",
                         what="fill")

    def measure(self, target):
        with machine.Window(target.pid) as window:
            said = self.clients.rdk(target, "consume", "-t", self.name, "-n", self.records(), "-c", self.consumers,
                                    what=self.name)
        return {"cpu_s_per_GB": window.broker_s / (said["bytes"] / GB), "MB_s": said["MB_s_after_first"],
                "client_cpu_s_per_GB": said["client_cpu_s"] / (said["bytes"] / GB)}, window.other_share


class Fanout(Consume):
    name = "fanout"
    title = "the same to 5 consumers at once"
    goals = ()
    consumers = 5

    def records(self):
        return self.size(400_000, 1000)


class Single(Suite):
    """One record per request on one connection: paced, where every request finds the broker asleep, and
    one after the other as fast as they are answered."""
    name = "single"
    title = "one 100-byte record per request, acks=all, one connection"
    targets = ("echo", "floor", "jackdaw", "kafka")
    figures = (Figure("paced_us", "broker CPU each at 2,000/s, µs"),
               Figure("busy_us", "broker CPU each, one in flight, µs"), Figure("busy_per_s", "one in flight, per s"))
    goals = (Goal("busy_us", 1.6, "floor"), Goal("busy_us", 0.12, "kafka"),
             Goal("paced_us", 1.6, "floor"), Goal("paced_us", 0.12, "kafka"))

    def prepare(self, target):
        self.warm_requests(target)

    def measure(self, target):
        topic = self.next_topic()
        self.clients.create(target, topic)
        paced, busy = self.size(16_000, 200), self.size(30_000, 200)
        with machine.Window(target.pid) as first:
            self.clients.load(target, "produce", "-t", topic, "-r", 2000, "-n", paced, what="single, paced")
        with machine.Window(target.pid) as second:
            said = self.clients.load(target, "produce", "-t", topic, "-k", 1, "-n", busy, what="single, busy")
        self.clients.delete(target, topic)
        return {"paced_us": first.broker_s / paced * 1e6, "busy_us": second.broker_s / busy * 1e6,
                "busy_per_s": said["per_s"]}, max(first.other_share, second.other_share)


class Wide(Suite):
    """What the partitions of a fetch session cost that nothing happens to."""
    name = "wide"
    title = "1,000/s to one partition, followed in a fetch session of 1,000 partitions and in one of 1"
    targets = ("jackdaw", "kafka")
    figures = (Figure("wide_us", "broker CPU per record, 1,000 partitions, µs"),
               Figure("narrow_us", "1 partition, µs"), Figure("times", "the former over the latter"))
    goals = (Goal("wide_us", 0.12, "kafka"), Goal("times", 1.2))

    def prepare(self, target):
        self.warm_requests(target)
        for partitions in (1, self.size(1000, 20)):
            self.clients.create(target, f"{self.name}-warm-{partitions}", partitions)
            self.follow(target, f"{self.name}-warm-{partitions}", partitions, self.size(20_000, 100))

    def follow(self, target, topic, partitions, records):
        words = [self.clients.load_path, "tail", "-b", target.address, "-t", topic, "-P", str(partitions), "-n", str(records)]
        self.clients.note(f"{self.name}, the reader", words)
        reader = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        try:
            if not reader.stdout.readline():
                raise Failed("the reader has no session")
            with machine.Window(target.pid) as window:
                self.clients.load(target, "produce", "-t", topic, "-r", 1000, "-k", 1000, "-n", records, what=self.name)
                reader.communicate(timeout=60)
        finally:
            reader.kill()
        if reader.returncode:
            raise Failed("the reader did not get all records")
        return window.broker_s / records * 1e6, window.other_share

    def measure(self, target):
        figures, shares, records = [], [], self.size(8000, 200)
        for partitions in (self.size(1000, 20), 1):
            topic = self.next_topic()
            self.clients.create(target, topic, partitions)
            figure, share = self.follow(target, topic, partitions, records)
            figures.append(figure)
            shares.append(share)
            self.clients.delete(target, topic)
        return {"wide_us": figures[0], "narrow_us": figures[1], "times": figures[0] / figures[1]}, max(shares)


class Ack(Suite):
    name = "ack"
    title = "ack latency at 1,000/s, one 100-byte record per request, acks=all, from the time it was due"
    figures = (Figure("p50_us", "p50, µs"), Figure("p99_us", "p99, µs"), Figure("p999_us", "p99.9, µs"),
               Figure("max_us", "worst, µs"))
    goals = (Goal("p999_us", 0.25, "kafka", either="ack"), Goal("p999_us", 1.5, "floor", either="ack"))

    def prepare(self, target):
        self.warm_requests(target)

    def measure(self, target):
        topic = self.next_topic()
        self.clients.create(target, topic)
        requests = self.size(16_000, 300)
        with machine.Window(target.pid) as window:
            said = self.clients.load(target, "produce", "-t", topic, "-r", 1000, "-k", 1000, "-n", requests, "-w",
                                     requests // 16, what=self.name)
        self.clients.delete(target, topic)
        return {figure.name: said[figure.name] for figure in self.figures}, window.other_share


class Hold(Suite):
    """Held: everything acknowledged, and at the end no more than 100 ms behind."""
    name = "hold"
    title = "20,000/s on one connection, one 100-byte record per request, acks=all, at most 5 in flight"
    figures = (Figure("held_per_s", "held, per s (0: not held)"), Figure("per_s", "answered per s"),
               Figure("p99_us", "p99, µs"), Figure("cpu_us", "broker CPU each, µs"))
    goals = (Goal("held_per_s", 20_000, least=True),)
    rate, behind_ms = 20_000, 100

    def prepare(self, target):
        self.warm_requests(target)

    def measure(self, target):
        topic = self.next_topic()
        self.clients.create(target, topic)
        requests = self.rate * self.size(10, 1)
        with machine.Window(target.pid) as window:
            said = self.clients.load(target, "produce", "-t", topic, "-r", self.rate, "-k", 5, "-n", requests,
                                     what=self.name, allowed=(0, 1))
        self.clients.delete(target, topic)
        held = said["answered"] == requests and not said["refused"] and said["behind_ms"] < self.behind_ms
        return {"held_per_s": self.rate if held else 0, "per_s": said["per_s"], "p99_us": said.get("p99_us", 0),
                "cpu_us": window.broker_s / said["answered"] * 1e6}, window.other_share


class Start(Suite):
    name = "start"
    title = "exec to the first ApiVersions answer: on an empty folder, and again after a clean stop"
    running = False
    figures = (Figure("again_ms", "again, ms"), Figure("fresh_ms", "empty folder, ms"))
    goals = (Goal("again_ms", 50), Goal("fresh_ms", 50))

    def measure(self, target):
        target.create_folder()
        with machine.Window() as window:
            fresh = target.start_timed(self.clients.load_path)
            target.stop()
            again = target.start_timed(self.clients.load_path)
            target.stop()
        target.close()
        # The broker is nobody's child any more: what it used is in the window's busy time as the
        # clients' is, through the starter that waited for it.
        return {"fresh_ms": fresh["api_versions_ms"], "again_ms": again["api_versions_ms"]}, window.other_share


class Idle(Suite):
    name = "idle"
    title = "idle, nothing in it and nobody connected"
    targets = ("jackdaw", "kafka")
    running = False
    rounds = 3
    figures = (Figure("VmRSS_MB", "VmRSS, MB"), Figure("RssAnon_MB", "RssAnon, MB"), Figure("cpu_percent", "CPU, % of a core"),
               Figure("wakeups_per_s", "wake-ups/s"), Figure("descriptors", "descriptors"))
    goals = (Goal("VmRSS_MB", 12), Goal("RssAnon_MB", 4), Goal("cpu_percent", 0.1), Goal("wakeups_per_s", 2))

    def measure(self, target):
        target.start()
        self.settle(15)
        woken, started = machine.wakeups(target.pid), time.monotonic()
        with machine.Window(target.pid) as window:
            self.settle(20)
        per_s = (machine.wakeups(target.pid) - woken) / (time.monotonic() - started)
        status = machine.status(target.pid)
        result = {"VmRSS_MB": status["VmRSS"] * 1.024e-3, "RssAnon_MB": status["RssAnon"] * 1.024e-3,
                  "cpu_percent": window.broker_s / window.wall_s * 100, "wakeups_per_s": per_s,
                  "descriptors": machine.descriptors(target.pid)}
        target.close()
        return result, window.other_share


class Partitions(Suite):
    name = "partitions"
    title = "a topic of 1,000 partitions: made, kept, and there again after a restart"
    targets = ("jackdaw", "kafka")
    running = False
    figures = (Figure("create_ms", "created, all with a leader, ms"), Figure("memory_MB", "VmRSS after it, MB more"),
               Figure("written_MB", "and with a record in each, MB more"), Figure("stop_ms", "clean stop, ms"),
               Figure("restart_ms", "exec to an acknowledged record, ms"))
    goals = (Goal("create_ms", 0.2, "kafka"), Goal("memory_MB", 5), Goal("restart_ms", 0.02, "kafka"))

    def measure(self, target):
        count = self.size(1000, 20)
        target.start()
        self.settle(5)
        before = machine.status(target.pid)["VmRSS"]
        with machine.Window(target.pid) as window:
            said = self.clients.create(target, "many", count)
        self.settle(10)
        created = machine.status(target.pid)["VmRSS"]
        self.clients.load(target, "produce", "-t", "many", "-P", count, "-n", count, what="one to each")
        written = machine.status(target.pid)["VmRSS"]
        stop_s = target.stop()
        again = target.start_timed(self.clients.load_path, "many", count - 1)
        target.close()
        return {"create_ms": said["leaders_ms"], "response_ms": said["response_ms"],
                "memory_MB": (created - before) * 1.024e-3, "written_MB": (written - before) * 1.024e-3,
                "stop_ms": stop_s * 1e3, "restart_ms": again["produce_ms"]}, window.other_share


class Connections(Suite):
    name = "connections"
    title = "1,000 connections that have asked for ApiVersions and now say nothing"
    targets = ("jackdaw", "kafka")
    rounds = 3
    running = False
    figures = (Figure("KB_each", "VmRSS, KB each"), Figure("open_ms", "opened in, ms"))
    goals = (Goal("KB_each", 2),)

    def measure(self, target):
        count = self.size(1000, 20)
        target.start()
        self.settle(5)
        before = machine.status(target.pid)["VmRSS"]
        with machine.Window(target.pid) as window:
            words = [self.clients.load_path, "connections", "-b", target.address, "-c", str(count)]
            self.clients.note(self.name, words)
            client = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            line = client.stdout.readline()
            self.settle(2)
            after = machine.status(target.pid)["VmRSS"]
            client.stdin.close()
            client.wait()
            client.stdout.close()
        target.close()
        if not line:
            raise Failed("the connections were not opened")
        return {"KB_each": (after - before) * 1.024 / count, "open_ms": json.loads(line)["open_ms"]}, window.other_share


class Recovery(Suite):
    name = "recovery"
    title = "kill -9 with 2 GB in 12 partitions: exec to the first acknowledged record"
    targets = ("jackdaw", "kafka")
    running = False
    rounds = 3
    figures = (Figure("crashed_ms", "after kill -9, ms"), Figure("clean_ms", "after a clean stop, ms"))

    def measure(self, target):
        target.start()
        self.clients.create(target, "big", 12)
        self.clients.rdk(target, "produce", "-t", "big", "-n", self.size(2_000_000, 2000), "-s", 1024, "-X", "acks=all",
                         what="fill 2 GB")
        target.crash()
        with machine.Window() as window:
            crashed = target.start_timed(self.clients.load_path, "big")
            target.stop()
            clean = target.start_timed(self.clients.load_path, "big")
            target.stop()
        target.close()
        return {"crashed_ms": crashed["produce_ms"], "clean_ms": clean["produce_ms"]}, window.other_share


class Cold(Suite):
    """What a reader of old data does to the producers beside it."""
    name = "cold"
    title = "ack latency at 1,000/s while a reader takes 2 GB that are not in the page cache"
    rounds = 3
    figures = (Figure("p50_us", "p50, µs"), Figure("p99_us", "p99, µs"), Figure("p999_us", "p99.9, µs"),
               Figure("read_MB_s", "read, MB/s"))

    def prepare(self, target):
        self.warm_requests(target)
        self.clients.create(target, self.name, 4)
        self.clients.rdk(target, "produce", "-t", self.name, "-n", self.size(2_000_000, 2000), "-s", 1024, "-X", "acks=all",
                         what="fill 2 GB")

    def forget_pages(self, target):
        """Drop the target's files from the page cache: its folder's, and those it holds open."""
        paths = [path for path in pathlib.Path(target.folder).rglob("*") if path.is_file()]
        paths += pathlib.Path(f"/proc/{target.pid}/fd").iterdir()
        for path in paths:
            try:
                if not path.is_file() or path.stat().st_size < 1 << 20:
                    continue
                file = os.open(path, os.O_RDONLY)
            except OSError:
                continue
            os.fsync(file)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)

    def measure(self, target):
        topic = self.next_topic()
        self.clients.create(target, topic)
        self.forget_pages(target)
        wanted = self.size(2_000_000, 2000) * 1024
        with machine.Window(target.pid) as window:
            words = [self.clients.load_path, "fetch", "-b", target.address, "-t", self.name, "-P", "4", "-B", str(wanted)]
            self.clients.note("cold read", words)
            reader = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
            said = self.clients.load(target, "produce", "-t", topic, "-r", 1000, "-k", 1000, "-n", self.size(8000, 300),
                                     what=self.name)
            out, _ = reader.communicate(timeout=300)
        self.clients.delete(target, topic)
        if reader.returncode:
            raise Failed("the cold read failed")
        return {"p50_us": said["p50_us"], "p99_us": said["p99_us"], "p999_us": said["p999_us"],
                "read_MB_s": json.loads(out)["MB_s"]}, window.other_share


class Java(Suite):
    name = "java"
    title = "Java's producer (its defaults, 1 KiB, payloads from a file) and consumer (assign)"
    rounds = 3
    figures = (Figure("produce_cpu_s_per_GB", "produce: broker CPU-s/GB"), Figure("produce_per_s", "records/s"),
               Figure("consume_cpu_s_per_GB", "consume: broker CPU-s/GB"), Figure("consume_MB_s", "MB/s"))

    def prepare(self, target):
        self.warm_batches(target)
        self.payloads = self.scratch / "payloads"
        line = '{"user":%07d,"action":"order","page":"/item/%03d"} '
        with open(self.payloads, "w") as out:
            for i in range(1000):
                out.write("".join(line % (i * 7919 % 9999991, (i + j) % 1000) for j in range(24))[:1024] + "\n")

    def measure(self, target):
        topic = self.next_topic()
        records = self.size(400_000, 1000)
        self.clients.create(target, topic)
        with machine.Window(target.pid) as produce:
            produced = self.clients.java_produce(target, topic, records, self.payloads)
        with machine.Window(target.pid) as consume:
            consumed = self.clients.java_consume(target, topic, records)
        self.clients.delete(target, topic)
        size_GB = records * 1024 / GB
        return {"produce_cpu_s_per_GB": produce.broker_s / size_GB, "produce_per_s": produced["per_s"],
                "consume_cpu_s_per_GB": consume.broker_s / size_GB, "consume_MB_s": consumed["MB_s"]}, \
            max(produce.other_share, consume.other_share)


ALL = [Produce, Consume, Single, Wide, Ack, Hold, Start, Idle, Partitions, Connections, Small, Fanout, Recovery, Cold, Java,
       *suites_groups.ALL]
# One word for several.
SETS = {"groups": [suite.name for suite in suites_groups.ALL]}
