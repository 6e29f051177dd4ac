"""Kafka Streams counts words with exactly_once_v2 in two instances; one after the other is killed (`kill -9`) at random moments,
and started again. What is committed in the end is what `sort | uniq -c` says of the input; and since every word
makes a record of its count so far, each word's records count from one up to that, each once, in order. With at_least_once a kill may
make words count twice, and no word less often.

    test/exactly_once/word_count.py [--target jackdaw|kafka] [--words N] [--kills N] [--guarantee exactly_once_v2|at_least_once]
                                    [--seed S] [--keep]
"""
import collections
import pathlib
import random
import subprocess
import sys
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent)]

import jobs  # noqa: E402
from lib import program  # noqa: E402

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


def greatest(got):
    """The greatest count of each word."""
    most = collections.Counter()
    for partition in list(got.values()):
        for word, count in list(partition):
            most[word.decode()] = max(most[word.decode()], int(count))
    return most


def wait_for_all(reader, wanted, instances):
    """Until no word has been counted less often than it is there."""
    deadline = time.monotonic() + jobs.WAIT_S
    while True:
        most = greatest(reader.got)
        less = [word for word in wanted if most[word] < wanted[word]]
        if not less:
            return
        for job in instances:
            job.supervise()
        if time.monotonic() > deadline:
            raise jobs.Wrong(f"{len(less)} words were counted less often than they are there, {less[0]} {most[less[0]]} times of "
                             f"{wanted[less[0]]}")
        time.sleep(0.5)


def run(options, folder):
    text = lines(options.words, options.seed)
    wanted = counted(text, folder)
    records = [(n % jobs.PARTITIONS, None, line.encode()) for n, line in enumerate(text)]
    once = options.guarantee == "exactly_once_v2"
    got, times = jobs.play(options, folder, "lines", "words",
                           lambda address, n: jobs.java_command("WordCount", address, "count", "lines", "words", folder / f"state-{n}",
                                                                options.guarantee, jobs.STOP_S // 2),
                           records, lambda some: sum(len(line.split()) for _, _, line in some),
                           None if once else lambda reader, instances: wait_for_all(reader, wanted, instances))
    if once:
        check(got, wanted)
    twice = sum((wanted if once else greatest(got)).values()) - options.words
    print(f"seed {options.seed}: {options.words} words, {len(wanted)} different, {twice} counted more than once, {times}")
    if not options.kills and twice:
        raise jobs.Wrong(f"{twice} words were counted twice, and nobody was killed")


def main():
    options = program.parser(words=20_000, kills=2, guarantee="exactly_once_v2").parse_args()
    if options.guarantee not in ("exactly_once_v2", "at_least_once"):
        sys.exit(f"there is no guarantee {options.guarantee}")
    how = "exactly" if options.guarantee == "exactly_once_v2" else "at_least"
    return program.prove(f"streams_counts_{options.words}_words_{how}_once_over_{options.kills}_kills", options, run)


if __name__ == "__main__":
    sys.exit(main())
