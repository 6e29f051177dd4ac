"""A test that is a program: its options, a folder of its own, and the line that says what came of it."""
import argparse
import pathlib
import shutil
import sys
import tempfile
import time

PROBLEMS_MAX = 20  # printed in full


def parser(**own):
    """The options of every such program, and its own with their defaults: `rounds=10` is --rounds N."""
    found = argparse.ArgumentParser()
    found.add_argument("--target", choices=("jackdaw", "kafka"), default="jackdaw")
    found.add_argument("--seed", type=int, default=int(time.time()))
    found.add_argument("--keep", action="store_true", help="leave the folder, even after a success")
    for name, default in own.items():
        found.add_argument(f"--{name}", type=type(default), default=default)
    return found


def tell(name, problems, options, folder):
    """Prints what is wrong and the test's line; returns whether it failed."""
    if not problems:
        print(f"ok {name}", flush=True)
        return False
    print("\n".join(problems[:PROBLEMS_MAX]))
    first = " ".join(problems[0].split())[:500]
    print(f"FAIL {name} ({first}; seed {options.seed}, {len(problems)} problems; kept {folder})", flush=True)
    return True


def prove(name, options, run):
    """One test: `run(options, folder)` raises or returns what is wrong, if anything is. Returns the exit status."""
    def body(folder):
        try:
            problems = run(options, folder)
        except Exception as thrown:
            problems = [wrong(thrown)]
        return tell(name, problems, options, folder)
    return in_folder(options, body)


def wrong(thrown):
    return f"{type(thrown).__name__}: {thrown}"


def in_folder(options, body):
    """Runs `body(folder)`, which returns whether anything failed; then the folder stays. Returns the exit status."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{pathlib.Path(sys.argv[0]).stem}-"))
    failed = body(folder)
    if not failed and not options.keep:
        shutil.rmtree(folder, ignore_errors=True)
    return int(failed)
