"""Running the load: our own generator, librdkafka and Java's tools. Each prints what it measured."""
import json
import os
import re
import subprocess

from targets import Failed

LIMIT_S = 300
JAVA_OPTIONS = ["-Xmx512M", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",
                "-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent",
                "-Djava.awt.headless=true"]


class Live:
    """A load that was told to begin, and says one line of JSON when it is ready and whenever it is asked."""

    def __init__(self, words):
        self.words = words
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True)
        self.pid = self.process.pid
        self.ready = self.line()

    def line(self):
        said = self.process.stdout.readline()
        if not said:
            raise Failed(f"{' '.join(self.words[:3])}: {self.process.communicate(timeout=LIMIT_S)[1][-800:]}")
        return json.loads(said)

    def ask(self, *words):
        try:
            print(*words, file=self.process.stdin, flush=True)
        except BrokenPipeError:
            pass  # the line says why
        return self.line()

    def end(self):
        """Ends the load; what it says last."""
        out, err = self.process.communicate(timeout=LIMIT_S)
        if self.process.returncode:
            raise Failed(f"{' '.join(self.words[:3])}: status {self.process.returncode}: {out[-300:]} {err[-500:]}")
        return json.loads(out.strip().splitlines()[-1]) if out.strip() else {}

    def kill(self):
        """At once, if it has not ended."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                pipe.close()
            except BrokenPipeError:
                pass


class Clients:
    def __init__(self, root):
        self.root = root
        self.load_path = str(root / "build/bench/load")
        self.rdk_path = str(root / "build/bench/rdk")
        self.java_path = None
        self.commands = {}  # the first command of each kind, for the report

    def note(self, what, words):
        shown = [os.path.relpath(word, self.root) if str(word).startswith(str(self.root)) else word for word in words]
        self.commands.setdefault(what, " ".join(map(str, shown)))

    def run(self, what, words, allowed=(0,)):
        words = list(map(str, words))
        self.note(what, words)
        try:
            done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            raise Failed(f"{' '.join(words[:3])}: not done after {LIMIT_S} s") from None
        if done.returncode not in allowed or not done.stdout:
            raise Failed(f"{' '.join(words[:3])}: status {done.returncode}: {(done.stderr or done.stdout)[-800:]}")
        return done.stdout

    def json(self, what, words, allowed=(0,)):
        return json.loads(self.run(what, words, allowed).strip().splitlines()[-1])

    def load(self, target, mode, *words, what="", allowed=(0,)):
        return self.json(what or f"load {mode}", [self.load_path, mode, "-b", target.address, *words], allowed)

    def live(self, target, mode, *words, what="", path=None):
        """A load that goes on until its standard input ends."""
        words = list(map(str, [path or self.load_path, mode, "-b", target.address, *words]))
        self.note(what or f"load {mode}", words)
        return Live(words)

    def rdk(self, target, mode, *words, what=""):
        return self.json(what or f"rdk {mode}", [self.rdk_path, mode, "-b", target.address, *words])

    def create(self, target, topic, partitions=1):
        return self.load(target, "topic", "-t", topic, "-P", partitions, "create")

    def delete(self, target, topic):
        self.load(target, "topic", "-t", topic, "delete")

    def java(self):
        if not self.java_path:
            ask = [str(self.root / "tools/kafka")]
            self.java_path = subprocess.run([*ask, "java"], capture_output=True, text=True, check=True).stdout.strip()
            self.jars = subprocess.run([*ask, "jars", "tools"], capture_output=True, text=True, check=True).stdout.strip()
        return [self.java_path, *JAVA_OPTIONS, "-cp", f"{self.jars}/*"]

    def java_produce(self, target, topic, records, payload_file, *settings):
        said = self.run("java produce", [*self.java(), "org.apache.kafka.tools.ProducerPerformance",
                                         "--bootstrap-server", target.address, "--topic", topic, "--num-records", records,
                                         "--payload-file", payload_file, "--throughput", -1,
                                         *(word for setting in settings for word in ("--command-property", setting))])
        found = re.findall(r"(\d+) records sent, ([\d.]+) records/sec \(([\d.]+) MB/sec\)", said)
        if not found or int(found[-1][0]) != records:
            raise Failed(f"ProducerPerformance said: {said[-800:]}")
        return {"records": records, "per_s": float(found[-1][1])}

    def java_consume(self, target, topic, records, partitions=1):
        return self.json("java consume", [*self.java(), self.root / "bench/Consume.java", target.address, topic,
                                          partitions, records])
