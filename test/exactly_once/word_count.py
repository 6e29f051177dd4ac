"""Kafka Streams counts words with exactly_once_v2 in two instances; one after the other is killed (`kill -9`) at random moments,
and started again. What is committed in the end is what `sort | uniq -c` says of the input; and since every word
makes a record of its count so far, each word's records count from one up to that, each once, in order.

    test/exactly_once/word_count.py [--target jackdaw|kafka] [--words N] [--kills N] [--seed S]
"""
import argparse
import collections
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent)]

import jobs  # noqa: E402
from lib.load import create_topic  # noqa: E402
from lib.target import Target  # noqa: E402

PARTITIONS = 4
WORDS_IN_A_LINE = 10


def lines(words, seed):
    """A few words are frequent and many are rare, as in a language."""
    chance = random.Random(seed)
    known = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyzé", k=chance.randint(2, 9))) for _ in range(5000)]
    some = [known[min(int(chance.paretovariate(0.7)) - 1, len(known) - 1)] for _ in range(words)]
    return [" ".join(some[n:n + WORDS_IN_A_LINE]) for n in range(0, words, WORDS_IN_A_LINE)]


def counted(text, folder):
    """What the shell says."""
    (folder / "input.txt").write_text("\n".join(text) + "\n")
    said = subprocess.run(f"tr ' ' '\\n' <'{folder}/input.txt' | LC_ALL=C sort | uniq -c", shell=True, check=True,
                          stdout=subprocess.PIPE).stdout.decode()
    return {word: int(count) for count, word in map(str.split, said.splitlines())}


def check(got, wanted):
    last, wrong = collections.Counter(), []
    for partition in got.values():
        for word, count in partition:
            word, count = word.decode(), int(count)
            if count != last[word] + 1:
                wrong.append(f"{word}: {last[word]} is followed by {count}")
            last[word] = count
    wrong += [f"{word}: {last[word]}, and sort | uniq -c says {wanted.get(word)}" for word in set(last) | set(wanted)
              if last[word] != wanted.get(word)]
    if wrong:
        raise jobs.Wrong(f"{len(wrong)} counts are wrong: {'; '.join(wrong[:3])}")


def run(options, folder, seed):
    text = lines(options.words, seed)
    wanted = counted(text, folder)
    records = [(n % PARTITIONS, None, line.encode()) for n, line in enumerate(text)]
    counters = []
    with Target(options.target, folder / "node", jobs.SETTINGS) as target:
        for topic in ("lines", "words"):
            create_topic(target.address, topic, PARTITIONS)
        try:
            for n in range(2):
                counters.append(jobs.Job(jobs.java_command("WordCount", target.address, "count", "lines", "words",
                                                           folder / f"state-{n}"), folder / f"counter-{n}.log"))
            reader = jobs.Reader(target.address, "words", PARTITIONS)
            reader.start()
            started = time.monotonic()
            stalls = jobs.kill_and_feed(target.address, "lines", records, counters, reader,
                                        lambda some: sum(len(line.split()) for _, _, line in some), options.kills, seed)
            took_s = time.monotonic() - started
            ended = [job.stop() for job in counters]
            got = reader.finish()
        finally:
            for job in counters:
                job.kill()
    if any(ended):
        raise jobs.Wrong(f"the instances ended with {ended}")
    check(got, wanted)
    print(f"seed {seed}: {options.words} words, {len(wanted)} different, in {took_s:.1f} s, {options.kills} kills, "
          f"all counted {max(stalls, default=0):.1f} s after a kill at most")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", choices=("jackdaw", "kafka"), default="jackdaw")
    parser.add_argument("--words", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="word-count-"))
    name = f"streams_counts_{options.words}_words_exactly_once_over_{options.kills}_kills"
    try:
        run(options, folder, options.seed)
    except Exception as thrown:
        print(f"FAIL {name} (seed {options.seed}; {type(thrown).__name__}: {' '.join(str(thrown).split())[:500]}; kept {folder})")
        return 1
    print(f"ok {name}")
    if not options.keep:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
