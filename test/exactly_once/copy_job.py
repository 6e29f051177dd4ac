"""A copy job in transactions: two instances read what they write, and commit their positions with it; one is killed
(`kill -9`) at a random moment, and started again. Every record is there once, in its order.

    test/exactly_once/copy_job.py [--target jackdaw|kafka] [--client java|confluent] [--records N] [--kills N] [--seed S]
"""
import argparse
import pathlib
import shutil
import sys
import tempfile
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent)]

import jobs  # noqa: E402
from lib.load import create_topic  # noqa: E402
from lib.target import Target  # noqa: E402

PARTITIONS = 4


def command(client, *words):
    if client == "java":
        return jobs.java_command("CopyJob", *words)
    return [sys.executable, str(jobs.FOLDER / "copy_confluent.py"), *words]


def run(options, folder, seed):
    records = [(n % PARTITIONS, b"%d" % n, b"value %d" % n) for n in range(options.records)]
    copiers = []
    with Target(options.target, folder / "node", jobs.SETTINGS) as target:
        for topic in ("source", "copy"):
            create_topic(target.address, topic, PARTITIONS)
        try:
            for n in range(2):
                copiers.append(jobs.Job(command(options.client, target.address, "copiers", "source", "copy", f"copier-{n}"),
                                        folder / f"copier-{n}.log"))
            reader = jobs.Reader(target.address, "copy", PARTITIONS)
            reader.start()
            started = time.monotonic()
            stalls = jobs.kill_and_feed(target.address, "source", records, copiers, reader, len, options.kills, seed)
            took_s = time.monotonic() - started
            ended = [job.stop() for job in copiers]
            got = reader.finish()
        finally:
            for job in copiers:
                job.kill()
    if any(ended):
        raise jobs.Wrong(f"the copiers ended with {ended}")
    for partition in range(PARTITIONS):
        wanted = [(key, b"copy of " + value) for where, key, value in records if where == partition]
        if got[partition] != wanted:
            odd = next((n for n, (one, other) in enumerate(zip(got[partition], wanted)) if one != other), "the end")
            raise jobs.Wrong(f"partition {partition}: {len(got[partition])} records of {len(wanted)}, different from {odd} on")
    print(f"seed {seed}: {options.records} records in {took_s:.1f} s, {options.kills} kills, "
          f"all copied {max(stalls, default=0):.1f} s after a kill at most")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", choices=("jackdaw", "kafka"), default="jackdaw")
    parser.add_argument("--client", choices=("java", "confluent"), action="append")
    parser.add_argument("--records", type=int, default=8000)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options, status = parser.parse_args(), 0
    for options.client in options.client or ("java", "confluent"):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="copy-job-"))
        name = f"a_copy_job_in_{options.client}_copies_each_record_once_over_{options.kills}_kills"
        try:
            run(options, folder, options.seed)
            print(f"ok {name}", flush=True)
            shutil.rmtree(folder, ignore_errors=True)
        except Exception as thrown:
            print(f"FAIL {name} (seed {options.seed}; {type(thrown).__name__}: {' '.join(str(thrown).split())[:500]}; kept {folder})")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
