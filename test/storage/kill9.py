"""`kill -9` under idempotent load. Rounds of: a librdkafka producer sends and notes every delivery report;
at a random moment the broker is killed and started again; the producer goes on. At the end the Java
consumer reads everything: each acknowledged (partition, offset, checksum) is there, nothing twice,
nothing out of order, nothing that was not sent.

    test/storage/kill9.py [--target jackdaw|kafka] [--rounds N] [--seed S] [--keep]
"""
import pathlib
import random
import sys
import threading

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent)]

from lib import program  # noqa: E402
from lib.ledger import Ledger  # noqa: E402
from lib.load import Load, create_topic, kill_under_load, read_back  # noqa: E402
from lib.target import Target  # noqa: E402

TOPIC = "ledger"
PARTITIONS = 4
PRODUCERS = 2


def run(options, folder):
    ledger, lock = Ledger(), threading.Lock()
    with Target(options.target, folder, {"log.segment.bytes": "4194304"}) as target:
        create_topic(target.address, TOPIC, PARTITIONS)
        loads = [Load(n, target.address, TOPIC, PARTITIONS, ledger, lock, options.seed) for n in range(PRODUCERS)]
        longest_s = kill_under_load(target, loads, options.rounds, random.Random(options.seed))
        problems = [f"{load.prefix} had a fatal error: {load.problem}" for load in loads if load.problem]
        problems += [failure for load in loads for failure in load.failed[:3]]
        dump = folder / "read.txt"
        count = read_back(target.address, TOPIC, PARTITIONS, dump, folder / "driver.log")
    problems += ledger.check(dump, set().union(*(load.sent for load in loads)))
    print(f"seed {options.seed}: {len(ledger.promised)} acknowledged, {count} read, {options.rounds} kills, "
          f"restart {longest_s:.2f} s at most")
    return problems


def main():
    options = program.parser(rounds=10).parse_args()
    return program.prove(f"what_was_acknowledged_survives_{options.rounds}_kills", options, run)


if __name__ == "__main__":
    sys.exit(main())
