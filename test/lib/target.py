"""A broker under test: Jackdaw, or Apache Kafka as the measure. Both take the same settings, print
`ready HOST:PORT` when they serve, stop on SIGTERM and crash on SIGKILL."""
import contextlib
import os
import pathlib
import queue
import signal
import subprocess
import threading
import time

from lib import paths

START_S = {"jackdaw": 20 * paths.PATIENCE, "kafka": 120 * paths.PATIENCE}
STOP_S = {"jackdaw": 20 * paths.PATIENCE, "kafka": 60 * paths.PATIENCE}


class TargetError(Exception):
    pass


class Target:
    """One node with a data folder of its own, on a free port that it keeps over restarts."""

    def __init__(self, kind, folder, settings=None):
        self.kind, self.folder = kind, pathlib.Path(folder)
        self.data = self.folder / "data"
        self.log = self.folder / f"{kind}.log"
        self.settings = {"process.roles": "broker,controller", "node.id": "1", "log.dirs": str(self.data),
                         "listeners": "PLAINTEXT://127.0.0.1:0", "offsets.topic.replication.factor": "1",
                         "transaction.state.log.replication.factor": "1", "transaction.state.log.min.isr": "1",
                         **(settings or {})}
        self.process = self.address = self.ready_s = self.pid = None
        self.folder.mkdir(parents=True, exist_ok=True)

    def command(self):
        program = paths.JACKDAW if self.kind == "jackdaw" else paths.KAFKA
        return [program, "server", "--config", self.folder / "server.properties"]

    def write(self, path):
        path.write_text("".join(f"{key}={value}\n" for key, value in self.settings.items()))

    def start(self):
        if self.address:
            self.settings["listeners"] = f"PLAINTEXT://{self.address}"
        self.write(self.folder / "server.properties")
        started = time.monotonic()
        lines = queue.Queue()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command(), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                            stderr=log, text=True, errors="replace",
                                            env={"KAFKA_WAIT_S": str(int(90 * paths.PATIENCE)), **os.environ})
        process = self.process

        def read():
            for line in process.stdout:
                lines.put(line)
            lines.put(None)

        threading.Thread(target=read, daemon=True).start()
        deadline = started + START_S[self.kind]
        while True:
            try:
                line = lines.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                self.kill()
                raise TargetError(f"not ready in {START_S[self.kind]} s: {self.last_words()}") from None
            if line is None:
                raise TargetError(f"ended with status {process.wait()} before it was ready: {self.last_words()}")
            if line.startswith("pid "):
                self.pid = int(line.split()[1])
            if line.startswith("ready "):
                self.address = line.split()[1]
                self.ready_s = time.monotonic() - started
                return self

    def last_words(self):
        tail = self.log.read_text(errors="replace").splitlines()[-5:] if self.log.exists() else []
        return " | ".join(tail)

    def stop(self):
        """SIGTERM; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_S[self.kind])
        except subprocess.TimeoutExpired:
            self.kill()
            raise TargetError(f"did not stop in {STOP_S[self.kind]} s") from None

    def kill(self):
        """SIGKILL: what was not written is lost, and nothing is said to clients. Afterwards its ports and
        directories are free."""
        self.process.kill()
        self.process.wait()
        # The starter of Kafka is gone before the broker that dies with it.
        while self.pid and os.path.exists(f"/proc/{self.pid}"):
            time.sleep(0.005)
        self.pid = None

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def segments(self, topic, partition=0):
        return sorted((self.data / f"{topic}-{partition}").glob("*.log"))

    def log_bytes(self, topic, partition=0, pattern="*.log"):
        """What the log's files have together; some of them may go meanwhile."""
        total = 0
        for path in (self.data / f"{topic}-{partition}").glob(pattern):
            with contextlib.suppress(FileNotFoundError):
                total += path.stat().st_size
        return total

    def __enter__(self):
        return self if self.alive() else self.start()

    def __exit__(self, *_):
        if self.alive():
            self.kill()
