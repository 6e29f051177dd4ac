"""A Jackdaw that is attacked: what it takes in memory and descriptors, what it says, and whether it still serves."""
import os
import pathlib
import struct
import tempfile
import time

import batches
import codec
import wire
from lib.target import Target

MIB = 1 << 20
# Small, so that a test need not send much to meet it.
REQUEST_MEMORY = 64 * MIB
FRAME_MAX = 32 * MIB
# What the program takes beside request memory: itself, its caches, what the allocator keeps. With room.
BASE = 96 * MIB
LOOPS = 2
# REQUEST_ARENA_MAX_BYTES of src/server/request.h: each loop works on one request at a time.
ARENA_MAX = 256 * MIB
# REQUEST_ANSWER_MAX_BYTES there: likewise, while an answer is encoded.
ANSWER_MAX = 256 * MIB
# jackdaw.response.memory.bytes: answers that wait for their clients.
RESPONSE_MEMORY = 32 * MIB
HEALTH = "health"


class Site:
    """A broker on its own folder. `with Site(...) as site`."""

    folders = []
    # A build with sanitizers takes memory of its own.
    sanitized = bool(os.environ.get("HOSTILE_SANITIZED"))

    def __init__(self, settings=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="hostile-"))
        self.folders.append(self.folder)
        # The records of the attacks are old; no retention shall remove segments meanwhile.
        self.target = Target("jackdaw", self.folder, {
            "auto.create.topics.enable": "false", "jackdaw.request.memory.bytes": str(REQUEST_MEMORY),
            "socket.request.max.bytes": str(FRAME_MAX), "jackdaw.event.loops": str(LOOPS), "log.retention.ms": "-1",
            "jackdaw.response.memory.bytes": str(RESPONSE_MEMORY),
            "socket.listen.backlog.size": "4096", **(settings or {})})
        self.made = False

    def __enter__(self):
        self.target.start()
        return self

    def __exit__(self, kind, *_):
        if self.target.alive():
            if kind or not self.sanitized:
                self.target.kill()
            else:
                self.target.stop()  # in order: what is left over then is a leak
        if self.sanitized:
            found = [line for line in self.log().splitlines() if "Sanitizer" in line or "runtime error:" in line]
            assert not found, f"{found[0]} (and more in {self.target.log})"

    @property
    def address(self):
        return self.target.address

    @property
    def pid(self):
        return self.target.process.pid

    def connect(self, timeout_s=wire.ANSWER_S, receive_bytes=None):
        return wire.Connection(self.address, timeout_s, receive_bytes)

    def log(self):
        return self.target.log.read_text(errors="replace")

    def said(self, text, within_s=5):
        """Whether the log has this text by then."""
        deadline = time.monotonic() + within_s
        while text not in self.log():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def status(self, field):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
        raise KeyError(field)

    def reset_peak(self):
        pathlib.Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def peak(self):
        """The most VmRSS since reset_peak."""
        return self.status("VmHWM")

    def descriptors(self):
        return sum(1 for _ in pathlib.Path(f"/proc/{self.pid}/fd").iterdir())

    def await_descriptors(self, most, within_s=10):
        deadline = time.monotonic() + within_s
        while self.descriptors() > most:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def health(self, timeout_s=wire.ANSWER_S):
        """An ordinary produce and fetch on a connection of its own. Returns what is wrong, or None."""
        if not self.target.alive():
            return f"the broker ended: {self.target.last_words()}"
        try:
            with self.connect(timeout_s) as connection:
                if not self.made:
                    wire.create_topic(connection, HEALTH)
                    self.made = True
                value = b"alive at %d" % time.monotonic_ns()
                body = wire.produce_body(HEALTH, batches.batch([batches.record(value)]))
                error, offset = wire.produced(connection.request(wire.PRODUCE, 11, body))
                if error != "NONE":
                    return f"produce was answered {error}"
                answer = connection.request(wire.FETCH, 11, wire.fetch_body(HEALTH, offset))
                part = answer["Responses"][0]["Partitions"][0]
                if part["ErrorCode"] != 0 or value not in (part["Records"] or b""):
                    return f"fetch was answered {codec.error_name(part['ErrorCode'])}, without the record"
        except (wire.Closed, wire.Silent, codec.Malformed, OSError, AssertionError) as thrown:
            return f"not served: {type(thrown).__name__} {thrown}"
        return None

    def fill(self, topic, count, size, partition=0):
        """`count` batches of one record with `size` bytes."""
        data = batches.batch([batches.record(bytes(size))])
        with self.connect() as connection:
            for _ in range(count):
                error, _ = wire.produced(connection.request(wire.PRODUCE, 11, wire.produce_body(topic, data, partition=partition)))
                assert error == "NONE", error


def frame(data):
    return struct.pack(">i", len(data)) + data
