"""Runs the cases against a broker and compares with what Apache Kafka answered.

    test/hostile/compare.py --target jackdaw|kafka [--case NAME] [--record] [--keep]

answers.json holds Kafka's answers (written by --target kafka --record); differences.json those where
Jackdaw answers otherwise on purpose, each with its reason."""
import argparse
import json
import pathlib
import shutil
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import cases  # noqa: E402
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
    allowed = json.loads(DIFFERENCES.read_text()) if DIFFERENCES.exists() else {}
    settings = {"auto.create.topics.enable": "false", "group.initial.rebalance.delay.ms": "0"}
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
            expected = dict(recorded.get(name, {}))
            if options.target == "jackdaw":
                for one, entry in allowed.get(name, {}).items():
                    expected[one] = entry["jackdaw"]
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
