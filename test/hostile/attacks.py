"""Hostile clients and broken files against the real program. After every attack the broker serves an
ordinary produce and fetch, its memory stayed below a named limit, and the log says what happened.

    test/hostile/attacks.py [--only NAME] [--seed N] [--keep]
"""
import argparse
import random
import shutil
import struct
import sys
import time

from attack import ATTACKS, Skipped
import attack_clients  # noqa: F401
import attack_coordinators  # noqa: F401
import attack_files  # noqa: F401
import attack_groups  # noqa: F401
import attack_requests  # noqa: F401
import codec
import wire
from lib.target import TargetError
from site_under_attack import Site


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", action="append")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--keep", action="store_true", help="leave the folders of the brokers")
    options = parser.parse_args()
    status = 0
    for function in ATTACKS:
        name = function.__name__
        if options.only and name not in options.only:
            continue
        if Site.sanitized:
            name += "_under_sanitizers"
        started = time.monotonic()
        keep = options.keep
        try:
            function(random.Random(options.seed))
            print(f"ok {name} ({time.monotonic() - started:.1f} s)", flush=True)
        except Skipped as why:
            print(f"SKIP {name} ({why})", flush=True)
        except (AssertionError, TargetError, wire.Closed, wire.Silent, codec.Malformed, OSError, struct.error) as thrown:
            text = str(thrown).replace("\n", " ")[:300]
            print(f"FAIL {name} ({type(thrown).__name__}: {text}; seed {options.seed})", flush=True)
            status, keep = 1, True
        for folder in Site.folders:
            if keep:
                print(f"kept {folder}")
            else:
                shutil.rmtree(folder, ignore_errors=True)
        Site.folders.clear()
    return status


if __name__ == "__main__":
    sys.exit(main())
