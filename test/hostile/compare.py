"""Runs the cases against a broker and compares with what Apache Kafka answered.

    test/hostile/compare.py --target jackdaw|kafka [--case NAME] [--record] [--keep]

answers.json holds Kafka's answers (written by --target kafka --record). differences.json lists where Jackdaw
answers otherwise on purpose: in `cases` and `answers` (patterns, or the names in `only`), where Kafka says `kafka`
Jackdaw says `jackdaw` instead; without `kafka` that is the whole answer. Each entry has its reason, and one that
is needed no more is a failure."""
import argparse
import fnmatch
import json
import pathlib
import shutil
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import cases  # noqa: E402
# In the order in which they are run.
import cases_records  # noqa: E402, F401
import cases_topics  # noqa: E402, F401
import cases_frames  # noqa: E402, F401
import cases_consumers  # noqa: E402, F401
import cases_groups  # noqa: E402, F401
import cases_transactions  # noqa: E402, F401
import cases_histories  # noqa: E402, F401
import cases_members  # noqa: E402, F401
import codec  # noqa: E402
from lib.target import Target  # noqa: E402

ANSWERS, DIFFERENCES = HERE / "answers.json", HERE / "differences.json"


def run_case(world, function):
    answers = {}
    try:
        for name, answer in function(world):
            answers[name] = answer
    except (codec.Malformed, AssertionError, OSError) as thrown:
        answers["(the case itself)"] = f"{type(thrown).__name__}: {thrown}"
    return answers


def differences(expected, got):
    for name in dict.fromkeys([*expected, *got]):
        if expected.get(name) != got.get(name):
            yield name, expected.get(name), got.get(name)


class Differences:
    """The entries of differences.json, and which of them were needed."""

    def __init__(self, entries):
        self.entries, self.needed = entries, [False] * len(entries)

    def expected(self, case, theirs):
        """What Jackdaw answers to a case, given Kafka's answers."""
        ours = dict(theirs)
        for n, entry in enumerate(self.entries):
            if not fnmatch.fnmatchcase(case, entry["cases"]):
                continue
            for name, answer in ours.items():
                if name not in entry.get("only", [name]) or not fnmatch.fnmatchcase(name, entry.get("answers", "*")):
                    continue
                changed = answer.replace(entry["kafka"], entry["jackdaw"]) if "kafka" in entry else entry["jackdaw"]
                self.needed[n] |= changed != answer
                ours[name] = changed
        return ours

    def unneeded(self, cases):
        return [entry for entry, needed in zip(self.entries, self.needed)
                if not needed and any(fnmatch.fnmatchcase(case, entry["cases"]) for case in cases)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", choices=("jackdaw", "kafka"), default="jackdaw")
    parser.add_argument("--case", action="append")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    chosen = [one for one in cases.CASES if not options.case or one.__name__ in options.case]
    folder = pathlib.Path(tempfile.mkdtemp(prefix="hostile-"))
    recorded = json.loads(ANSWERS.read_text()) if ANSWERS.exists() else {}
    allowed = Differences(json.loads(DIFFERENCES.read_text()))
    # In the consumer protocol one answer a heartbeat: no assignment is put off, none is computed beside the requests.
    settings = {"auto.create.topics.enable": "false", "group.initial.rebalance.delay.ms": "0",
                "group.consumer.assignment.interval.ms": "0", "group.consumer.assignor.offload.enable": "false"}
    target = Target(options.target, folder, settings)
    status = 0
    try:
        target.start()
        world = cases.World(target.address)
        for function in chosen:
            name = function.__name__
            got = run_case(world, function)
            if options.record:
                recorded[name] = got
                continue
            expected = recorded.get(name, {})
            if options.target == "jackdaw":
                expected = allowed.expected(name, expected)
            found = list(differences(expected, got))
            for one, theirs, ours in found:
                print(f"{name}: {one}: expected {theirs}, got {ours}")
            what = "as_kafka" if options.target == "jackdaw" else "as_recorded"
            print(f"FAIL {name}_answers_{what} ({len(found)} of {len(got)})" if found else f"ok {name}_answers_{what} ({len(got)})")
            status |= bool(found)
            if not target.alive():
                print(f"FAIL the_broker_lives (it ended in {name}: {target.last_words()})")
                status = 1
                break
        for entry in allowed.unneeded([one.__name__ for one in chosen]) if options.target == "jackdaw" and not options.case else []:
            print(f"FAIL every_difference_is_needed ({entry['cases']}, {entry.get('answers', '*')})")
            status = 1
        if options.record:
            ANSWERS.write_text(json.dumps(recorded, indent=1, sort_keys=False) + "\n")
            print(f"recorded {sum(map(len, recorded.values()))} answers")
    finally:
        if target.alive():
            target.kill()
        if options.keep or status:
            print(f"kept {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
