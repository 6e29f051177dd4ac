"""Runs suites and counts. `./dev test` comes here; docs/testing.md describes the rules.

A suite is a program in test/suites/ that prints, among lines of its own, one line per test:

    ok NAME
    FAIL NAME (why)
    SKIP NAME (why)

A test that cannot run says SKIP and why. With CI=true a skip that test/allowed-skips does not list is
a failure. A suite that ends non-zero without saying FAIL counts as one failure. The last line printed
is "N passed, N failed, N skipped".
"""
import concurrent.futures
import fnmatch
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parent.parent
LANES = 3
PRINTING = threading.Lock()
LINE = re.compile(r"^(ok|FAIL|SKIP) (\S.*?)(?: \((.*)\))?$")


@dataclass(frozen=True)
class Suite:
    name: str
    what: str
    packages: str  # a group of `./dev install`
    needs: str = ""  # files without which the suite is not there yet
    long_only: bool = False  # in `./dev test all` only
    beside: bool = False  # it waits more than it works, for clients and brokers, and so runs beside others
    limit_s: int = 600  # a suite that hangs is ended and failed
    long_limit_s: int = 1800  # in `./dev test all`, which as a whole ends within an hour on two idle cores


# The one list of suites, in the order they run.
SERVER = "src/server/*.c"
SUITES = [
    Suite("lint", "format, includes by rank, system calls, READMEs", "lint"),
    Suite("door", "./dev and the README say the same", "lint"),
    Suite("program", "the program as a process: arguments, signals, limits, descriptors", "build"),
    Suite("harness", "the tests' own machinery", "lint"),
    Suite("unit", "unit tests under AddressSanitizer and UBSan", "unit"),
    Suite("threads", "unit tests of threaded parts under ThreadSanitizer", "unit"),
    Suite("trace", "a produce request goes where ARCHITECTURE.md says", "unit"),
    Suite("sim", "simulated nodes, crashes and networks, with new seeds", "unit"),
    Suite("mutants", "planted faults, each found by the checker that it names", "unit", limit_s=900),
    Suite("differential", "codec and records against Kafka's own classes", "clients"),
    Suite("fuzz", "every fuzz target for a while", "fuzz"),
    Suite("interop-kafka", "the client scenarios against Apache Kafka, which must all hold", "clients", limit_s=900, long_limit_s=3600, beside=True),
    Suite("interop", "the client scenarios against Jackdaw", "clients", SERVER, limit_s=900, beside=True),
    Suite("groups", "the same group requests to Apache Kafka and to Jackdaw", "clients", SERVER, beside=True),
    Suite("histories", "what members of groups see beside Kafka and Jackdaw, judged by one checker", "clients", SERVER, beside=True),
    Suite("hostile", "hostile requests, clients and files", "build", SERVER, beside=True),
    Suite("exactly-once", "Kafka Streams and copy jobs in transactions, killed", "clients", SERVER, long_limit_s=3600, beside=True),
    Suite("kill9", "kill -9 under idempotent load", "clients", SERVER, beside=True),
    Suite("storage", "the stock settings; a full disk; directories that Kafka had and has again", "disk", SERVER, beside=True),
    Suite("compaction", "what the cleaner leaves, read by Kafka's reader and tool; the coordinators' topics stay small", "clients",
          SERVER, limit_s=900, beside=True),
    Suite("bench", "the benchmark, in tiny sizes on the floor", "bench"),
    Suite("fresh", "a plain Debian 12 builds and runs it", "fresh", long_only=True),
]


def present(suite):
    return (ROOT / "test/suites" / suite.name).exists() and (not suite.needs or any(ROOT.glob(suite.needs)))


class Tally:
    def __init__(self):
        self.counts = {"ok": 0, "FAIL": 0, "SKIP": 0}
        self.bad = []
        self.skips = []
        self.lock = threading.Lock()
        self.ci = os.environ.get("CI") == "true"
        listed = (ROOT / "test/allowed-skips").read_text().splitlines()
        self.allowed = [line.split("#")[0].strip() for line in listed if line.split("#")[0].strip()]

    def add(self, suite, verdict, name, why):
        with self.lock:
            self.note(suite, verdict, name, why)

    def note(self, suite, verdict, name, why):
        full = f"{suite}: {name}"
        if verdict == "SKIP":
            self.skips.append(f"{full} ({why})")
            if self.ci and not any(fnmatch.fnmatchcase(full, pattern) for pattern in self.allowed):
                verdict, why = "FAIL", f"skipped: {why}; test/allowed-skips does not list it"
        self.counts[verdict] += 1
        if verdict == "FAIL":
            self.bad.append(f"FAIL {full} ({why})" if why else f"FAIL {full}")


def install(suite):
    subprocess.run([ROOT / "dev", "install", suite.packages], check=True, stdin=subprocess.DEVNULL)


def run_suite(suite, args, tally, long, say):
    say(f"== {suite.name}: {suite.what}")
    environ = dict(os.environ, TEST_LONG="1" if long else "")
    limit_s = suite.long_limit_s if long else suite.limit_s
    started = time.monotonic()
    process = subprocess.Popen([ROOT / "test/suites" / suite.name, *args], cwd=ROOT, env=environ, text=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, errors="replace",
                               start_new_session=True)

    alarm = threading.Timer(limit_s, os.killpg, (process.pid, signal.SIGKILL))
    alarm.start()
    failed = False
    try:
        for line in process.stdout:
            line = line.rstrip("\n")
            say(line)
            found = LINE.match(line)
            if found:
                failed |= found[1] == "FAIL"
                tally.add(suite.name, found[1], found[2], found[3] or "")
        status = process.wait()
    finally:
        alarm.cancel()
        # Whatever the suite has started and left goes with it.
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    took_s = time.monotonic() - started
    if status != 0 and not failed:
        why = f"ran over {limit_s} s" if took_s >= limit_s else f"exit status {status}"
        tally.add(suite.name, "FAIL", "the suite itself", why)
    say(f"-- {suite.name}: {took_s:.0f} s")


def say_at_once(line):
    print(line, flush=True)


def run_beside(suites, tally, long):
    """Some at a time. What each says is printed when it is over."""
    def run(suite):
        lines = []
        run_suite(suite, [], tally, long, lines.append)
        with PRINTING:
            print("\n".join(lines), flush=True)

    with concurrent.futures.ThreadPoolExecutor(LANES) as lanes:
        list(lanes.map(run, suites))


def run_all(suites, tally, long):
    for suite in suites:
        install(suite)
    while suites:
        count = next((n for n, suite in enumerate(suites) if not suite.beside), len(suites))
        if count:
            run_beside(suites[:count], tally, long)
        else:
            count = 1
            run_suite(suites[0], [], tally, long, say_at_once)
        suites = suites[count:]


def main(argv):
    suites = [suite for suite in SUITES if present(suite)]
    if "--list" in argv:
        for suite in suites:
            print(f"{suite.name:14} {suite.what}{' (only in all)' if suite.long_only else ''}")
        return 0
    cut = next((i for i, word in enumerate(argv) if word.startswith("-")), len(argv))
    names, args = argv[:cut], argv[cut:]
    long = names == ["all"]
    if not names or long:
        chosen = [suite for suite in suites if long or not suite.long_only]
    else:
        known = {suite.name: suite for suite in suites}
        for name in names:
            if name not in known:
                print(f"no such suite: {name}; there are: {' '.join(known)}", file=sys.stderr)
                return 2
        chosen = [known[name] for name in names]
    if args and len(chosen) != 1:
        print("options belong to one suite: name it", file=sys.stderr)
        return 2
    tally, started = Tally(), time.monotonic()
    if not names or long:
        run_all(chosen, tally, long)
    else:
        for suite in chosen:
            install(suite)
            run_suite(suite, args, tally, long, say_at_once)
    if tally.skips or tally.bad:
        print("==")
    for line in tally.skips:
        print(f"skipped {line}")
    for line in tally.bad:
        print(line)
    counts = tally.counts
    if len(chosen) > 1:
        print(f"all took {(time.monotonic() - started) / 60:.0f} min")
    print(f"{counts['ok']} passed, {counts['FAIL']} failed, {counts['SKIP']} skipped", flush=True)
    return 1 if counts["FAIL"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
