"""Builds one kind of `./dev prepare`, runs its unit tests through meson, and prints a line per test
function: cmocka says which of them passed, meson what became of the program."""
import json
import os
import pathlib
import re
import subprocess
import sys

root = pathlib.Path(__file__).resolve().parent.parent.parent
kind, *args = sys.argv[1:]
build = root / f"build-{kind}"
subprocess.run([root / "dev", "prepare", kind], check=True)

environ = dict(os.environ, ASAN_OPTIONS="detect_leaks=1:abort_on_error=0", UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1",
               TSAN_OPTIONS="halt_on_error=1:second_deadlock_stack=1")
log = build / "meson-logs/testlog.json"
log.unlink(missing_ok=True)
# One more at a time than there are processors: nearly half of the time is waited for disks and timers.
subprocess.run(["meson", "test", "-C", build, "--no-rebuild", "--num-processes", str(os.cpu_count() + 1), *args], stdout=subprocess.DEVNULL,
               stderr=subprocess.DEVNULL, env=environ)
programs = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

status = 0
for program in programs:
    name = program["name"].split(" / ")[-1].split(":")[-1]
    output = program.get("stdout", "") + "\n" + program.get("stderr", "")
    passed = set(re.findall(r"^\[       OK \] (\S+)", output, re.M))
    failed = set(re.findall(r"^\[  (?:FAILED|ERROR) *\] (\S+)", output, re.M)) - {"tests"}
    skipped = set(re.findall(r"^\[  SKIPPED \] (\w*[A-Za-z]\w*)$", output, re.M))
    failed = {test for test in failed if re.search(rf"^\[ RUN      \] {re.escape(test)}$", output, re.M)}
    for test in sorted(passed - failed):
        print(f"ok {name}: {test}")
    for test in sorted(skipped - failed):
        print(f"SKIP {name}: {test} (the test says so)")
    if program["result"] != "OK" or failed:
        status = 1
        print("\n".join(output.splitlines()[-60:]))
        for test in sorted(failed):
            print(f"FAIL {name}: {test}")
        if not failed:
            print(f"FAIL {name} ({program['result'].lower()}, exit status {program['returncode']})")
    elif not passed and not skipped and re.search(r"^Ran [1-9]\d* tests? in", output, re.M):
        print(f"ok {name}")  # Python's unittest
    elif not passed and not skipped and re.search(r"^\S+ seeds=[1-9]\d* failed=0 ", output, re.M):
        print(f"ok {name}")  # a simulation
    elif not passed and not skipped:
        print(f"FAIL {name} (it ran no test)")
        status = 1
if not programs and "--suite" in args:
    print("no unit test is marked so yet")
elif not programs:
    print(f"FAIL {kind} (no test was found)")
    status = 1
sys.exit(status)
