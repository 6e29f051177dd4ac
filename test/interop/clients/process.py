"""A Python client's member of a group in a process of its own, which can be killed: a member that dies says nothing.

    python -m clients.process {"module": …, "class": …, "address": …, "topics": […], "group": …, "options": {…}}

The process polls, and writes what it owns as a line of JSON whenever that changes.
"""
import contextlib
import importlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

FOLDER = pathlib.Path(__file__).resolve().parent.parent
PATHS = os.pathsep.join([str(FOLDER), str(FOLDER.parent)])


class ChildMember:
    """A member that is a child process and polls by itself. What the process says is heard line by line; `now` is what it owns."""

    stop_s = 20  # it may take to leave

    def __init__(self, process, lines):
        self.process, self.now, self.changed = process, set(), threading.Event()
        threading.Thread(target=self._listen, args=(lines,), daemon=True).start()

    def _listen(self, lines):
        for line in lines:
            self.heard(line)
            self.changed.set()
        self.now = set()
        self.changed.set()

    def heard(self, line):
        raise NotImplementedError

    def poll(self, timeout_s=0.1):
        """Waits for news."""
        self.changed.wait(timeout_s)
        self.changed.clear()

    def held(self):
        return self.now

    def owned(self):
        return {partition for _, partition in self.now}

    def die(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(self.stop_s)
        except subprocess.TimeoutExpired:
            self.die()


class ProcessMember(ChildMember):
    def __init__(self, client, topics, group, options):
        what = {"module": type(client).__module__, "class": type(client).__name__, "address": client.address,
                "topics": topics, "group": group, "options": options}
        process = subprocess.Popen([sys.executable, "-m", "clients.process", json.dumps(what)], cwd=FOLDER,
                                   env={**os.environ, "PYTHONPATH": PATHS}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        super().__init__(process, process.stdout)

    @classmethod
    @contextlib.contextmanager
    def context(cls, client, topics, group, options):
        member = cls(client, topics, group, options)
        try:
            yield member
        finally:
            member.close()

    def heard(self, line):
        self.now = {tuple(one) for one in json.loads(line)}


def main(what):
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    context = SimpleNamespace(target=SimpleNamespace(address=what["address"]))
    client = getattr(importlib.import_module(what["module"]), what["class"])(context)
    said = None
    with client.member(what["topics"], what["group"], **what["options"]) as member:
        while not stop:
            member.poll()
            if member.held() != said:
                said = member.held()
                print(json.dumps(sorted(said)), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
