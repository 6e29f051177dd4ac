"""Runs the simulations: the test programs around sim/sim_main.h.

    ./dev sim [NAME…] [--seconds S]          each with seeds from the clock for S seconds (60)
    ./dev sim NAME --seed N [--trace]        one seed again, with the nodes' logs
    ./dev sim --list
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / "build-asan"


def programs():
    """Name → path, of the programs whose sources call sim_main."""
    said = subprocess.run(["meson", "introspect", BUILD, "--targets"], check=True, capture_output=True, text=True).stdout
    found = {}
    for target in json.loads(said):
        sources = [pathlib.Path(path) for group in target["target_sources"] for path in group.get("sources", [])]
        if target["type"] == "executable" and any(
                "sim_main(argc" in path.read_text(errors="replace") for path in sources if path.suffix == ".c"):
            found[target["name"].removeprefix("test-")] = target["filename"][0]
    return dict(sorted(found.items()))


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--trace", action="store_true")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    subprocess.run([ROOT / "dev", "prepare", "asan"], check=True)
    known = programs()
    if options.list:
        print("\n".join(known))
        return 0
    chosen = options.names or list(known)
    unknown = set(chosen) - set(known)
    if unknown or options.seed is not None and len(chosen) != 1:
        print(f"name one of: {' '.join(known)}", file=sys.stderr)
        return 2
    if options.seed is not None:
        trace = ["--trace"] if options.trace else []
        return subprocess.run([known[chosen[0]], "--seed", str(options.seed), *trace]).returncode
    status, first = 0, int(time.time())

    def run(name):
        return name, subprocess.run([known[name], "--first", str(first), "--seconds", str(options.seconds)], stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, text=True, errors="replace")

    for name, done in concurrent.futures.ThreadPoolExecutor(os.cpu_count()).map(run, chosen):
        tail = done.stdout.splitlines()
        print("\n".join(tail[-40:] if done.returncode else tail[-6:]))
        failed = re.findall(r"failed seed=(\d+)", done.stdout)
        if done.returncode:
            status = 1
            print(f"FAIL {name} (seeds {' '.join(failed[:5]) or 'unknown'}; repeat with ./dev sim {name} --seed N)")
        else:
            print(f"ok {name}")
    return status


if __name__ == "__main__":
    sys.exit(main())
