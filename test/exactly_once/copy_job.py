"""A copy job in transactions: two instances read what they write, and commit their positions with it; one is killed
(`kill -9`) at a random moment, and started again. Every record is there once, in its order.

    test/exactly_once/copy_job.py [--target jackdaw|kafka] [--client java|confluent] [--records N] [--kills N] [--seed S]
                                  [--keep]
"""
import pathlib
import sys

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent)]

import jobs  # noqa: E402
from lib import program  # noqa: E402

CLIENTS = ("java", "confluent")


def command(client, *words):
    if client == "java":
        return jobs.java_command("CopyJob", *words)
    return [sys.executable, str(jobs.FOLDER / "copy_confluent.py"), *words]


def run(options, folder):
    records = [(n % jobs.PARTITIONS, b"%d" % n, b"value %d" % n) for n in range(options.records)]
    got, times = jobs.play(options, folder, "source", "copy",
                           lambda address, n: command(options.client, address, "copiers", "source", "copy", f"copier-{n}"),
                           records, len)
    for partition in range(jobs.PARTITIONS):
        wanted = [(key, b"copy of " + value) for where, key, value in records if where == partition]
        if got[partition] != wanted:
            odd = next((n for n, (one, other) in enumerate(zip(got[partition], wanted)) if one != other), "the end")
            raise jobs.Wrong(f"partition {partition}: {len(got[partition])} records of {len(wanted)}, different from {odd} on")
    print(f"seed {options.seed}: {options.records} records, {times}")


def main():
    parser = program.parser(records=8000, kills=2)
    parser.add_argument("--client", choices=CLIENTS, action="append")
    options, status = parser.parse_args(), 0
    for options.client in options.client or CLIENTS:
        name = f"a_copy_job_in_{options.client}_copies_each_record_once_over_{options.kills}_kills"
        status |= program.prove(name, options, run)
    return status


if __name__ == "__main__":
    sys.exit(main())
