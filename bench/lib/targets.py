"""The programs under load: started on an empty folder, on loopback, on a port of their own choice.

All three have one command line, `PROGRAM server key=value…`, and print `ready HOST:PORT`."""
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

READY_WAIT_S = 120
STOP_WAIT_S = 60


class Failed(Exception):
    """A program or client did not do what was asked: the round, and perhaps the target, is lost."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Target:
    name = ""
    program = []
    settings = []  # key=value words beside log.dirs and listeners
    about = ""

    def __init__(self, root, scratch):
        self.root = root
        self.scratch = scratch
        self.program = [str(root / self.program[0]), *self.program[1:]]
        self.more_settings = ()  # of a suite
        self.folder = None  # of this instance: data and log
        self.process = None  # what was started here: the program, its starter or bench/load
        self.program_pid = None  # the program or its starter
        self.pid = None  # the broker itself
        self.address = ""

    def missing(self):
        """Why it cannot be measured, or nothing."""
        return "" if os.access(self.program[0], os.X_OK) else f"no {self.program[0]}"

    def command(self, port):
        return [*self.program, f"log.dirs={self.folder}/data", f"listeners=PLAINTEXT://127.0.0.1:{port}",
                *self.settings, *self.more_settings]

    def create_folder(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{self.name}-", dir=self.scratch))
        (self.folder / "data").mkdir()

    def log_text(self):
        return (self.folder / "log").read_text(errors="replace")

    def await_ready(self, offset):
        """Until the log says `ready` after `offset`; sets address and pid. A starter tells its broker's
        pid; else the program is the broker."""
        log = self.folder / "log"
        give_up = time.monotonic() + READY_WAIT_S
        while True:
            said = log.read_bytes()[offset:].decode(errors="replace") if log.exists() else ""
            ready = re.search(r"^ready (\S+:\d+)$", said, re.M)
            if ready:
                break
            if self.process.poll() is not None or time.monotonic() > give_up:
                raise Failed(f"{self.name} did not start: {said[-1500:]}")
            time.sleep(0.01)
        pid = re.search(r"^pid (\d+)$", said, re.M)
        self.address = ready[1]
        self.pid = int(pid[1]) if pid else self.program_pid

    def log_size(self):
        log = self.folder / "log"
        return log.stat().st_size if log.exists() else 0

    def start(self):
        """Start on a new folder, or again on the one that it has."""
        if not self.folder:
            self.create_folder()
        offset = self.log_size()
        with open(self.folder / "log", "ab") as out:
            self.process = subprocess.Popen(self.command(0), cwd=self.folder, stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=subprocess.STDOUT)
        self.program_pid = self.process.pid
        self.await_ready(offset)
        return self

    def start_timed(self, load, topic=None, partition=0, group=None):
        """Start on the folder that it has: how long until it answers, in ms, by bench/load."""
        offset = self.log_size()
        port = free_port()
        words = ["-t", topic, "-p", str(partition)] if topic else []
        words += ["-g", group] if group else []
        self.process = subprocess.Popen(
            [load, "first", "-b", f"127.0.0.1:{port}", "-l", str(self.folder / "log"), *words, "--",
             *self.command(port)], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f"{self.name} did not start: {self.log_text()[-1500:]}")
        result = json.loads(line)
        self.program_pid = result["pid"]
        self.await_ready(offset)
        return result

    def stop(self):
        """In order, within a minute. How long that took, in s."""
        started = time.monotonic()
        if self.process and self.process.poll() is None:
            os.kill(self.program_pid, signal.SIGTERM)
            try:
                self.process.wait(STOP_WAIT_S)
            except subprocess.TimeoutExpired:
                self.crash()
                raise Failed(f"{self.name} did not stop within {STOP_WAIT_S} s") from None
        self.forget_process()
        return time.monotonic() - started

    def crash(self):
        """kill -9."""
        if self.process and self.process.poll() is None:
            os.kill(self.pid or self.program_pid, signal.SIGKILL)
            self.process.wait()
        self.forget_process()

    def forget_process(self):
        if self.process and self.process.stdout:
            self.process.stdout.close()
        self.process = self.pid = self.program_pid = None

    def close(self):
        """Stop it as may be and remove its folder."""
        try:
            self.stop()
        except (Failed, ProcessLookupError):
            pass
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder = None

    def describe(self):
        return {"command": " ".join(os.path.relpath(word, self.root) if word.startswith(str(self.root)) else word
                                    for word in self.program) +
                           " log.dirs=… listeners=PLAINTEXT://127.0.0.1:… " + " ".join(self.settings),
                "about": self.about}


class Jackdaw(Target):
    name = "jackdaw"
    program = ["build/jackdaw", "server"]
    about = "all settings at their defaults"


class Kafka(Target):
    """Apache Kafka under the flags of its own start script. `server.properties` as it ships says what
    its defaults say, but for these."""
    name = "kafka"
    program = ["tools/kafka", "server"]
    settings = ["num.network.threads=3", "num.io.threads=8", "socket.send.buffer.bytes=102400",
                "socket.receive.buffer.bytes=102400", "num.partitions=1", "num.recovery.threads.per.data.dir=2",
                "log.segment.bytes=1073741824", "log.retention.hours=168",
                # not upstream's: the files of deleted topics should be gone before the next round
                "log.segment.delete.delay.ms=1000"]

    def missing(self):
        return super().missing() or ("" if shutil.which("java") else "no java")

    def describe(self):
        java = subprocess.run([self.program[0], "java"], capture_output=True, text=True).stdout.strip()
        version = subprocess.run([java, "-version"], capture_output=True, text=True).stderr.split("\n")[0]
        heap = os.environ.get("KAFKA_HEAP_OPTS", "-Xmx1G -Xms1G")
        return dict(super().describe(), about=f"Apache Kafka 4.4.0, one combined node; {version}; {heap}, G1 "
                                              "with upstream's flags; INFO log to one file, no GC log")


class Floor(Target):
    name = "floor"
    program = ["build/bench/floor", "server"]
    about = "receives, checksums and appends; or sends from the cached file"


class Echo(Floor):
    """The floor without its append: what the sockets alone cost."""
    name = "echo"
    settings = ["append=false"]
    about = "receives and checksums"


ALL = [Jackdaw, Kafka, Floor, Echo]
