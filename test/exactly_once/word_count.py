"""Kafka Streams counts words with exactly_once_v2 in two instances; one after the other is killed (`kill -9`) at random moments,
and started again. What is committed in the end is what `sort | uniq -c` says of the input; and since every word
makes a record of its count so far, each word's records count from one up to that, each once, in order.

    test/exactly_once/word_count.py [--target jackdaw|kafka] [--words N] [--kills N] [--seed S] [--keep]
"""
import collections
import pathlib
import random
import subprocess
import sys

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


def run(options, folder):
    text = lines(options.words, options.seed)
    wanted = counted(text, folder)
    records = [(n % jobs.PARTITIONS, None, line.encode()) for n, line in enumerate(text)]
    got, times = jobs.play(options, folder, "lines", "words",
                           lambda address, n: jobs.java_command("WordCount", address, "count", "lines", "words", folder / f"state-{n}"),
                           records, lambda some: sum(len(line.split()) for _, _, line in some))
    check(got, wanted)
    print(f"seed {options.seed}: {options.words} words, {len(wanted)} different, {times}")


def main():
    options = program.parser(words=20_000, kills=2).parse_args()
    return program.prove(f"streams_counts_{options.words}_words_exactly_once_over_{options.kills}_kills", options, run)


if __name__ == "__main__":
    sys.exit(main())
