#!/usr/bin/env python3
"""ARCHITECTURE.md says where a produce request goes; this traces one and compares.

The page's block under "A request in a straight line" has a line per station: file, function, what for;
indented further means called from the station above. trace-produce prints what a loop entered and left;
addr2line names it. Prints a line per test, as every suite does."""
import pathlib
import re
import subprocess
import sys
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = ROOT / "build-trace/test/trace/trace-produce"
STATION = re.compile(r"^( *)([\w/]+\.c) +(\w+) +\S")
COMMON = ("base/", "os/")  # what everything is made of


@dataclass(frozen=True)
class Station:
    indent: int
    file: str
    function: str


def read_page():
    """The section's stations, and all files it names."""
    page = (ROOT / "ARCHITECTURE.md").read_text()
    section = page.split("## A request in a straight line\n", 1)[1].split("\n## ", 1)[0]
    block = section.split("```")[1]
    stations = [Station(len(m[1]), m[2], m[3]) for m in map(STATION.match, block.splitlines()) if m]
    reading = re.search(r"read five files: (.*?)\.\s", section, re.S)
    five = re.findall(r"`([\w/]+\.c)`", reading[1]) if reading else []
    named = set(re.findall(r"`([\w/]+\.c)`", section)) | {station.file for station in stations}
    return stations, five, named


def read_trace():
    """(depth, file, function) of every function entered, in order."""
    run = subprocess.run([PROGRAM], stdout=subprocess.PIPE, text=True, timeout=120)
    if run.returncode != 0:
        sys.exit(f"{run.stdout}\nFAIL the_request_is_served (trace-produce ended with {run.returncode})")
    steps = [line for line in run.stdout.splitlines() if line[:2] == "> " or line == "<"]
    addresses = sorted({step[2:] for step in steps if step != "<"})
    lines = subprocess.run(["addr2line", "-f", "-e", PROGRAM], input="\n".join("0x" + a for a in addresses), text=True,
                           stdout=subprocess.PIPE, check=True).stdout.splitlines()
    names = {a: (re.sub(r".*/src/", "", lines[2 * i + 1]).split(":")[0], lines[2 * i]) for i, a in enumerate(addresses)}
    entered, depth = [], 0
    for step in steps:
        if step == "<":
            depth = max(0, depth - 1)  # of functions entered before the trace began
        else:
            entered.append((depth, *names[step[2:]]))
            depth += 1
    return entered


def callers(entered, at):
    """The places in `entered` of the functions that entered[at] was called from."""
    depth = entered[at][0]
    for i in range(at - 1, -1, -1):
        if entered[i][0] < depth:
            depth = entered[i][0]
            yield i


def walk(stations, entered):
    """The first station that the request did not pass as the page says, or None."""
    passed = []  # places in `entered`
    for i, station in enumerate(stations):
        parent = next((j for j in range(i - 1, -1, -1) if stations[j].indent < station.indent), None)
        start = passed[-1] + 1 if passed else 0
        place = next((at for at in range(start, len(entered)) if entered[at][1:] == (station.file, station.function)
                      and (parent is None or passed[parent] in callers(entered, at))), None)
        if place is None:
            return station
        passed.append(place)
    return None


def main():
    stations, five, named = read_page()
    entered = read_trace()
    verdicts = []
    verdicts.append(("the_page_has_the_line", "" if len(stations) >= 8 and len(five) == 5 else
                     f"{len(stations)} stations, {len(five)} files to read"))
    lost = walk(stations, entered)
    verdicts.append(("a_produce_goes_where_the_page_says",
                     f"not passed, or not from there: {lost.file} {lost.function}" if lost else ""))
    passed = {file for _, file, _ in entered if file.endswith(".c") and not file.startswith(COMMON)}
    unnamed = sorted(passed - named)
    verdicts.append(("every_file_it_passes_is_named", ", ".join(unnamed)))
    idle = sorted(file for file in named - passed if not file.startswith(COMMON) and file in
                  {station.file for station in stations} | set(five))
    verdicts.append(("the_files_to_read_are_on_the_way", ", ".join(idle)))
    # The comparison itself: another order, another name and another caller must be noticed.
    changes = {"order": [stations[3], stations[2]],
               "name": [Station(s.indent, s.file, s.function.replace("log_append", "log_written")) for s in stations],
               "caller": [stations[0], Station(40, stations[-1].file, stations[-1].function)]}
    blind = [name for name, changed in changes.items() if not walk(changed, entered)]
    verdicts.append(("a_wrong_line_is_noticed", ", ".join(blind)))
    for name, why in verdicts:
        print(f"FAIL {name} ({why})" if why else f"ok {name}")
    return any(why for _, why in verdicts)


sys.exit(main())
