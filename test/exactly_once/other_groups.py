"""Groups that Apache Kafka has and Jackdaw has not: Kafka Streams with `group.protocol=streams`, and share groups. Clients are
told so at once, in words that say what is missing; nobody waits, and nothing is half-served.

    test/exactly_once/other_groups.py [--target jackdaw|kafka] [--keep]
"""
import pathlib
import subprocess
import sys
import threading
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent)]

import jobs  # noqa: E402
from lib import program  # noqa: E402
from lib.load import create_topic  # noqa: E402
from lib.target import Target  # noqa: E402

SETTINGS = {"share.coordinator.state.topic.replication.factor": "1", "share.coordinator.state.topic.min.isr": "1"}
REFUSED = "org.apache.kafka.common.errors.UnsupportedVersionException"
WORDS = {"streams": "streams", "share": "share group"}  # among what is said


def ask(kind, target, folder):
    """What a client of this kind says, and after how long."""
    stop, started = threading.Event(), time.monotonic()

    def write():
        # A share group hears only what comes when it is there.
        while not stop.wait(0.5):
            jobs.feed(target.address, "input", [(0, b"key", b"value")])

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    try:
        with open(folder / f"{kind}.log", "wb") as log:
            said = subprocess.run(jobs.java_command("OtherGroups", kind, target.address, f"{kind}-group", "input", folder / kind),
                                  stdout=subprocess.PIPE, stderr=log, text=True, timeout=2 * jobs.WAIT_S).stdout.strip()
    finally:
        stop.set()
        writer.join()
    return said, time.monotonic() - started


def run(options, folder):
    failed = False
    with Target(options.target, folder / "node", SETTINGS if options.target == "kafka" else {}) as target:
        create_topic(target.address, "input", 1)
        for kind in ("streams", "share"):
            said, took_s = ask(kind, target, folder)
            right = said == "works" if options.target == "kafka" else said.startswith(REFUSED) and WORDS[kind] in said.lower()
            print(f"{kind}: {said[:300]} ({took_s:.1f} s)")
            failed |= program.tell(f"a_{kind}_group_{'works' if options.target == 'kafka' else 'is_refused_in_words'}",
                                   [] if right else [said], options, folder)
    return failed


def main():
    options = program.parser().parse_args()
    return program.in_folder(options, lambda folder: run(options, folder))


if __name__ == "__main__":
    sys.exit(main())
