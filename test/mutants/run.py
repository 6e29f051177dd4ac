"""Planted faults: each must be found by the checker that it names.

    test/mutants/run.py [NAME…] [--list]    without a name: all

A mutant is a patch, test/mutants/NAME.patch, whose head says in words what it breaks and names its
checker, a test program and its arguments:

    What: records are acknowledged before they are in the log
    Checker: sim-broker --first 1 --seeds 20

The patch is applied to a copy of the tree, so that the program itself knows nothing of mutants. The
checker must pass without the patch and fail with it. A patch that no longer applies or does not
build is a failure. Prints `ok NAME (found by CHECKER: TEST)` or `FAIL NAME (survived CHECKER)`.
"""
import argparse
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = pathlib.Path(os.environ.get("JACKDAW_CACHE") or ROOT / ".cache") / "mutants"
TREE, BUILD = WORK / "tree", WORK / "build"
LIMIT_S = 240  # for a checker; one that hangs with the fault has found it
FAILED_TEST = re.compile(r"^\[  FAILED  \] (?!tests)(\S*[a-z]\S*)", re.M)  # as cmocka says it


@dataclass(frozen=True)
class Mutant:
    name: str
    what: str
    checker: tuple  # a test program's name and its arguments
    files: tuple
    path: pathlib.Path


def read_mutant(path):
    text = path.read_text()
    what = re.search(r"^What: (.+)$", text, re.M)
    checker = re.search(r"^Checker: (.+)$", text, re.M)
    files = re.findall(r"^\+\+\+ b/(\S+)", text, re.M)
    if not what or not checker or not files:
        raise SystemExit(f"{path.name}: it needs the lines What: and Checker: and a patch")
    return Mutant(path.stem, what[1], tuple(shlex.split(checker[1])), tuple(files), path)


def copy_tree():
    """Brings the copy up to date; a file that is the same keeps its time, so that little is built anew."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True,
                            capture_output=True).stdout.decode().split("\0")
    wanted = {name for name in listed if name and (ROOT / name).is_file()}
    for path in [path for path in TREE.rglob("*") if path.is_file()]:
        if str(path.relative_to(TREE)) not in wanted:
            path.unlink()
    for name in wanted:
        restore(name)


def restore(name):
    source, copy = ROOT / name, TREE / name
    if not copy.exists() or source.read_bytes() != copy.read_bytes():
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, copy)


def build(programs):
    """None, or what the compiler complains of."""
    if not (BUILD / "build.ninja").exists():
        done = subprocess.run(["meson", "setup", BUILD, TREE, "-Dtests=true", "--buildtype=debugoptimized", "-Dwerror=false"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            return done.stdout[-2000:]
    targets = [f"test/test-{name.replace('-', '_')}" for name in programs]
    done = subprocess.run(["ninja", "-C", BUILD, *targets], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    if done.returncode == 0:
        return None
    errors = [line for line in done.stdout.splitlines() if "error" in line or "ninja:" in line]
    return "\n".join(errors[:10]) or done.stdout[-1000:]


def check(checker):
    """(whether it passed, the test that failed or the seed that did, seconds). One failed test or
    seed is enough: those after it, which may wait long for what the fault took away, are not waited for."""
    program = BUILD / "test" / f"test-{checker[0].replace('-', '_')}"
    started = time.monotonic()
    process = subprocess.Popen(["timeout", "-s", "KILL", str(LIMIT_S), "stdbuf", "-oL", program, *checker[1:]], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", cwd=WORK,
                               start_new_session=True)
    output = ""
    try:
        for line in process.stdout:
            output += line
            if FAILED_TEST.match(line) or line.startswith("failed seed="):
                break
        else:
            process.wait()
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        process.stdout.close()
    took_s = time.monotonic() - started
    if process.returncode == 0:
        return True, "", took_s
    if took_s >= LIMIT_S:
        return False, f"it hangs for {LIMIT_S} s", took_s
    return False, culprit(output), took_s


def culprit(output):
    """The first test or seed that failed, as cmocka and sim_main tell it."""
    failed = FAILED_TEST.search(output)
    running = re.findall(r"^\[ RUN      \] (\S+)", output, re.M)
    seed = re.search(r"failed seed=(\d+)", output)
    if seed:
        said = re.search(r"^(?:history: |must )?(.*)$", (re.findall(r"^(?:history: |.*must\().*$", output, re.M) or [""])[0])
        return f"seed {seed[1]}" + (f", {said[1]}" if said and said[1] else "")
    if failed:
        return failed[1]
    return f"{running[-1]} stops" if running else "it stops"


def apply_patch(mutant, *options):
    # The nearest lines around a change must be as they were; those farther off may have moved. Without a
    # repository around it, or git would look for the files in there.
    return subprocess.run(["git", "apply", "-C1", *options, mutant.path], cwd=TREE,
                          env=dict(os.environ, GIT_CEILING_DIRECTORIES=str(WORK)), capture_output=True, text=True)


def run_mutant(mutant, healthy):
    done = apply_patch(mutant)
    if done.returncode:
        return f"FAIL {mutant.name} (the patch no longer applies: {done.stderr.strip()[:200]})"
    try:
        errors = build([mutant.checker[0]])
        if errors:
            print(errors)
            return f"FAIL {mutant.name} (it does not build)"
        passed, what, took_s = check(mutant.checker)
    finally:
        for name in mutant.files:
            restore(name)
    if passed:
        return f"FAIL {mutant.name} (survived {' '.join(mutant.checker)})"
    return f"ok {mutant.name} (found by {mutant.checker[0]}: {what}; {took_s:.1f} s, without the fault {healthy:.1f} s)"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    mutants = [read_mutant(path) for path in sorted(HERE.glob("*.patch"))]
    unknown = set(options.names) - {mutant.name for mutant in mutants}
    if unknown:
        raise SystemExit(f"no such mutant: {' '.join(sorted(unknown))}")
    mutants = [mutant for mutant in mutants if not options.names or mutant.name in options.names]
    if options.list:
        for mutant in mutants:
            print(f"{mutant.name:36} {mutant.checker[0]:20} {mutant.what}")
        return 0
    WORK.mkdir(parents=True, exist_ok=True)
    copy_tree()
    stale = [mutant.name for mutant in mutants if apply_patch(mutant, "--check").returncode]
    print(f"FAIL all_patches_apply (not {' '.join(stale)})" if stale else "ok all_patches_apply", flush=True)
    errors = build(sorted({mutant.checker[0] for mutant in mutants}))
    if errors:
        print(errors)
        print("FAIL the_tree_without_faults_builds")
        return 1
    healthy, status, sound = {}, int(bool(stale)), True
    table = (ROOT / "docs/testing.md").read_text()
    missing = [mutant.name for mutant in mutants if f"| `{mutant.name}` |" not in table]
    if missing:
        print(f"FAIL docs_testing_md_names_every_mutant (not {' '.join(missing)})")
        status = 1
    for checker in sorted({mutant.checker for mutant in mutants}):
        passed, what, took_s = check(checker)
        healthy[checker] = took_s
        if not passed:
            print(f"FAIL {' '.join(checker)} passes_without_faults ({what})", flush=True)
            sound = False
    if not sound:
        return 1
    print("ok the_checkers_pass_without_faults")
    for mutant in mutants:
        line = run_mutant(mutant, healthy[mutant.checker])
        print(line, flush=True)
        status |= line.startswith("FAIL")
    return status


if __name__ == "__main__":
    sys.exit(main())
