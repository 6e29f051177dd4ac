"""`kill -9` under idempotent load. Rounds of: a librdkafka producer sends and notes every delivery report;
at a random moment the broker is killed and started again; the producer goes on. At the end the Java
consumer reads everything: each acknowledged (partition, offset, checksum) is there, nothing twice,
nothing out of order, nothing that was not sent.

    test/storage/kill9.py [--target jackdaw|kafka] [--rounds N] [--seed S] [--seconds S]
"""
import argparse
import pathlib
import random
import shutil
import sys
import tempfile
import threading
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent)]


from lib.ledger import Ledger  # noqa: E402
from lib.load import Load, create_topic, read_back  # noqa: E402
from lib.target import Target, TargetError  # noqa: E402

TOPIC = "ledger"
PARTITIONS = 4
PRODUCERS = 2


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", choices=("jackdaw", "kafka"), default="jackdaw")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else int(time.time())
    chance = random.Random(seed)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="kill9-"))
    name = f"what_was_acknowledged_survives_{options.rounds}_kills"
    problems, restarts = [], []
    target = Target(options.target, folder, {"log.segment.bytes": "4194304"})
    loads, ledger, lock = [], Ledger(), threading.Lock()
    try:
        target.start()
        create_topic(target.address, TOPIC, PARTITIONS)
        loads = [Load(n, target.address, TOPIC, PARTITIONS, ledger, lock, seed) for n in range(PRODUCERS)]
        for load in loads:
            load.start()
        for _ in range(options.rounds):
            # The random moment: a time of its own after the load has moved on since the last start.
            before = [load.acknowledged for load in loads]
            deadline = time.monotonic() + 60
            while any(load.acknowledged <= was for load, was in zip(loads, before)):
                if time.monotonic() > deadline or any(load.fatal for load in loads):
                    raise TargetError(f"the load did not go on: fatal {[load.fatal for load in loads]}")
                time.sleep(0.005)
            time.sleep(chance.uniform(0, 0.5))
            if not target.alive():
                raise TargetError(f"the broker ended by itself: {target.last_words()}")
            target.kill()
            target.start()
            restarts.append(target.ready_s)
        for load in loads:
            load.stopping.set()
        for load in loads:
            load.join(120)
        problems += [f"{load.prefix} had a fatal error: {load.fatal}" for load in loads if load.fatal]
        problems += [failure for load in loads for failure in load.failed[:3]]
        dump = folder / "read.txt"
        count = read_back(target.address, TOPIC, PARTITIONS, dump, folder / "driver.log")
        problems += ledger.check(dump, set().union(*(load.sent for load in loads)))
        print(f"seed {seed}: {len(ledger.promised)} acknowledged, {count} read, {options.rounds} kills, "
              f"restart {max(restarts):.2f} s at most")
    except Exception as thrown:
        problems.append(f"{type(thrown).__name__}: {thrown}")
    finally:
        for load in loads:
            load.stopping.set()
        if target.alive():
            target.kill()
    if problems:
        print("\n".join(problems[:20]))
        print(f"FAIL {name} (seed {seed}, {len(problems)} problems; kept {folder})")
        return 1
    print(f"ok {name}")
    if not options.keep:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
