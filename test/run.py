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
import contextlib
import fnmatch
import itertools
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
LINE = re.compile(r"^(ok|FAIL|SKIP) (\S.*?)(?: \((.*)\))?$")

# How a suite runs in a run of everything. Consecutive ones that compute and those that wait make one stage: the former one
# after the other, beside them LANES of the latter. Those that compute have no clock that could run out, and give way.
ALONE, COMPUTES, WAITS = range(3)
LANES = 4
NICE = 10


@dataclass(frozen=True)
class Suite:
    name: str
    what: str
    packages: str  # a group of `./dev install`
    needs: str = ""  # files without which the suite is not there yet
    long_only: bool = False  # in `./dev test all` only
    how: int = ALONE
    limit_s: int = 900  # a suite that hangs is ended and failed
    long_limit_s: int = 2400  # in `./dev test all`, which as a whole ends within an hour on two idle cores


# The one list of suites, in the order they run. Of those that wait the longest come first; of those that compute the ones
# that take a time rather than an amount of work, which others beside them cannot make longer.
SERVER = "src/server/*.c"
SUITES = [
    Suite("lint", "format, includes by rank, system calls, READMEs", "lint"),
    Suite("door", "./dev and the README say the same", "lint"),
    Suite("program", "the program as a process: arguments, signals, limits, descriptors", "build"),
    Suite("harness", "the tests' own machinery", "lint"),
    Suite("unit", "unit tests under AddressSanitizer and UBSan", "unit"),
    Suite("threads", "unit tests of threaded parts under ThreadSanitizer", "unit"),
    Suite("sim", "simulated nodes, crashes and networks, with new seeds", "unit", how=COMPUTES),
    Suite("differential", "codec and records against Kafka's own classes", "clients", how=COMPUTES),
    Suite("fuzz", "every fuzz target for a while", "fuzz", how=COMPUTES),
    Suite("trace", "a produce request goes where ARCHITECTURE.md says", "unit", how=COMPUTES),
    Suite("mutants", "planted faults, each found by the checker that it names", "unit", how=COMPUTES),
    Suite("interop", "the client scenarios against Jackdaw", "clients", SERVER, how=WAITS),
    Suite("kill9", "kill -9 under idempotent load", "clients", SERVER, how=WAITS, long_limit_s=3600),
    Suite("exactly-once", "Kafka Streams and copy jobs in transactions, killed", "clients", SERVER, how=WAITS, long_limit_s=3600),
    Suite("interop-kafka", "the client scenarios against Apache Kafka, which must all hold", "clients", how=WAITS, long_limit_s=3600),
    Suite("hostile", "hostile requests, clients and files", "build", SERVER, how=WAITS),
    Suite("storage", "the stock settings; a full disk; directories that Kafka had and has again", "disk", SERVER, how=WAITS),
    Suite("groups", "the same group requests to Apache Kafka and to Jackdaw", "clients", SERVER, how=WAITS),
    Suite("histories", "what members of groups see beside Kafka and Jackdaw, judged by one checker", "clients", SERVER, how=WAITS),
    Suite("compaction", "what the cleaner leaves, read by Kafka's reader and tool; the coordinators' topics stay small", "clients",
          SERVER, how=WAITS),
    Suite("bench", "the benchmark, in tiny sizes on the floor", "bench", how=WAITS),
    Suite("fresh", "a plain Debian 12 builds and runs it", "fresh", long_only=True),
]


def present(suite):
    return (ROOT / "test/suites" / suite.name).exists() and (not suite.needs or any(ROOT.glob(suite.needs)))


class Tally:
    def __init__(self):
        self.counts = {"ok": 0, "FAIL": 0, "SKIP": 0}
        self.bad = []
        self.skips = []
        self.times = []
        self.started = time.monotonic()
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


def install(packages):
    subprocess.run([ROOT / "dev", "install", packages], check=True, stdin=subprocess.DEVNULL)


def fetch(root):
    """What suites will download is under way while others compile. If it cannot be had, the suites that need it say so."""
    for command in (["./dev", "prepare", "venv"], *(["tools/kafka", "jars", kind] for kind in ("broker", "tools", "streams"))):
        with contextlib.suppress(OSError):
            subprocess.run(command, cwd=root, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def start(suite, args, long, nice):
    environ = dict(os.environ, TEST_LONG="1" if long else "")
    process = subprocess.Popen(["nice", "-n", str(nice), ROOT / "test/suites" / suite.name, *args], cwd=ROOT, env=environ, text=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, errors="replace", start_new_session=True)
    # Where the kernel shares the processors among sessions, nice counts within one of them only, and the session has its own.
    with contextlib.suppress(OSError):
        pathlib.Path(f"/proc/{process.pid}/autogroup").write_text(str(nice))
    return process


def run_suite(suite, args, tally, long, say, nice=0):
    say(f"== {suite.name}: {suite.what}")
    limit_s = suite.long_limit_s if long else suite.limit_s
    started = time.monotonic()
    process = start(suite, args, long, nice)
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
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    finally:
        alarm.cancel()
        # Whatever the suite has started and left goes with it.
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    ended = time.monotonic()
    if process.returncode != 0 and not failed:
        why = f"ran over {limit_s} s" if ended - started >= limit_s else f"exit status {process.returncode}"
        tally.add(suite.name, "FAIL", "the suite itself", why)
    say(f"-- {suite.name}: {ended - started:.0f} s")
    tally.times.append((suite.name, started, ended, used.ru_utime + used.ru_stime))


def say_at_once(line):
    print(line, flush=True)


def run_together(suites, tally, long):
    """Those that compute one after the other, beside them some that wait. What these say is printed when they are over."""
    def run(suite):
        lines = []
        run_suite(suite, [], tally, long, lines.append)
        return "\n".join(lines)

    with concurrent.futures.ThreadPoolExecutor(LANES) as lanes:
        waiting = {lanes.submit(run, suite) for suite in suites if suite.how == WAITS}
        for suite in suites:
            if suite.how == COMPUTES:
                run_suite(suite, [], tally, long, say_at_once, NICE)
                over = {one for one in waiting if one.done()}
                waiting -= over
                for one in over:
                    say_at_once(one.result())
        for one in concurrent.futures.as_completed(waiting):
            say_at_once(one.result())


def run_all(suites, tally, long):
    for packages in dict.fromkeys(suite.packages for suite in suites):
        install(packages)
    threading.Thread(target=fetch, args=[ROOT], daemon=True).start()
    for alone, stage in itertools.groupby(suites, lambda suite: suite.how == ALONE):
        if not alone:
            run_together(list(stage), tally, long)
            continue
        for suite in stage:
            run_suite(suite, [], tally, long, say_at_once)


def print_times(tally):
    """CPU seconds are those of processes that were waited for: one that is killed together with its parent is missing."""
    print(f"{'suite':14} {'from':>6} {'to':>6} {'s':>6} {'CPU s':>6}")
    for name, began, ended, cpu_s in tally.times:
        print(f"{name:14} {began - tally.started:6.0f} {ended - tally.started:6.0f} {ended - began:6.0f} {cpu_s:6.0f}")
    print(f"all took {(time.monotonic() - tally.started) / 60:.0f} min")


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
    tally = Tally()
    if not names or long:
        run_all(chosen, tally, long)
    else:
        for suite in chosen:
            install(suite.packages)
            run_suite(suite, args, tally, long, say_at_once)
    if tally.skips or tally.bad:
        print("==")
    for line in tally.skips:
        print(f"skipped {line}")
    for line in tally.bad:
        print(line)
    counts = tally.counts
    if len(chosen) > 1:
        print_times(tally)
    print(f"{counts['ok']} passed, {counts['FAIL']} failed, {counts['SKIP']} skipped", flush=True)
    return 1 if counts["FAIL"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
