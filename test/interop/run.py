"""Runs every client against one target through every scenario, and prints the matrix.

    test/interop/run.py --target jackdaw|kafka [--client NAME]… [--scenario NAME]… [--document FILE]
                        [--check FILE] [--keep]

A line for each cell (`ok client: scenario`), then the matrix in Markdown. With --document it is written
to a file; with --check the file must say the same. The last is done only for a run of everything, which two processes share,
each with brokers of its own: nearly all of the time is waited for clients.
"""
import argparse
import fnmatch
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(pathlib.Path(__file__).resolve().parent.parent)]

from clients.base import ClientError  # noqa: E402
from context import CLIENTS, Context, Mismatch  # noqa: E402
from lib import paths  # noqa: E402
from lib.target import TargetError  # noqa: E402
from scenarios import SCENARIOS  # noqa: E402
import scenarios_groups  # noqa: E402,F401  its scenarios come after the others
import scenarios_rebalances  # noqa: E402,F401
import scenarios_consumers  # noqa: E402,F401
import scenarios_transactions  # noqa: E402,F401  and these last

CELL_S = int(90 * paths.PATIENCE)
SLOW_S = 3
MARKS = {"ok": "✓", "FAIL": "✗", None: "–"}
# By their clients; about the same time each.
SHARES = (("confluent-kafka", "kafka-python", "aiokafka"), ("kcat", "Java", "Kafka's tools"))
NAMES = {"jackdaw": "Jackdaw", "kafka": "Apache Kafka 4.4.0"}


class TooLong(Exception):
    pass


def attempt(context, client, settings, function):
    """One cell: None when it went well, else what went wrong."""
    def alarm(*_):
        raise TooLong
    signal.signal(signal.SIGALRM, alarm)
    signal.alarm(CELL_S)
    try:
        context.use(**settings)
        function(context, client)
        return None
    except TooLong:
        return f"no end after {CELL_S} s"
    except (ClientError, Mismatch, TargetError) as thrown:
        why = str(thrown)
    except Exception as thrown:
        frame = traceback.extract_tb(thrown.__traceback__)[-1]
        why = f"{type(thrown).__name__}: {thrown} at {pathlib.Path(frame.filename).name}:{frame.lineno}"
    finally:
        signal.alarm(0)
    if not context.target.alive():
        why += f"; the broker ended: {context.target.last_words()}"
    return " ".join(why.split())[:500]


def matrix(target, versions, cells):
    lines = [f"| {NAMES[target]} | " + " | ".join(versions) + " |",
             "|---|" + "---|" * len(versions),
             "| *version* | " + " | ".join(versions.values()) + " |"]
    for name, what, *_ in SCENARIOS:
        if any((client, name) in cells for client in versions):
            marks = " | ".join(MARKS[cells.get((client, name))] for client in versions)
            lines.append(f"| **{name}**: {what} | {marks} |")
    return "\n".join(lines) + "\n"


HEAD = """# Clients

Which client does what against {name}. This page is what `./dev test interop --target {target} --document FILE` prints;
`./dev test` compares the two. ✓ it works as against Apache Kafka, ✗ it does not, – the client has no such thing, or what it does
is not to be relied on, with Apache Kafka neither (`test/interop/clients/`).
The same scenarios run against Apache Kafka itself, so that they test behaviour and not our habits. They are in
`test/interop/scenarios.py`, `scenarios_groups.py`, `scenarios_rebalances.py`, `scenarios_consumers.py` and
`scenarios_transactions.py`, each with what it expects.

"""


def run(options):
    """(client → version, (client, scenario) → verdict, status) of the clients and scenarios that are asked for."""
    folder = tempfile.mkdtemp(prefix="interop-")
    versions, cells, status = {}, {}, 0
    context = None
    try:
        context = Context(options.target, folder)
        clients = [client for client in context.clients
                   if not options.client or any(fnmatch.fnmatch(client.name, one) for one in options.client)]
        versions = {client.name: client.version() for client in clients}
        for name, _, needs, settings, function in SCENARIOS:
            if options.scenario and not any(fnmatch.fnmatch(name, one) for one in options.scenario):
                continue
            able = [client for client in clients if client.has(needs)]
            if options.one_client and able:
                able = [random.choice(able)]
            for client in able:
                started = time.monotonic()
                problem = attempt(context, client, settings, function)
                took_s = time.monotonic() - started
                cells[client.name, name] = "FAIL" if problem else "ok"
                print(f"FAIL {client.name}: {name} ({problem})" if problem else f"ok {client.name}: {name}", flush=True)
                if took_s > SLOW_S:
                    print(f"   {client.name}: {name} took {took_s:.1f} s", flush=True)
                status |= bool(problem)
        problem = context.stop()
        print(f"FAIL the_brokers_stop_in_order ({problem})" if problem else "ok the_brokers_stop_in_order", flush=True)
        status |= bool(problem)
    except TargetError as thrown:
        print(f"FAIL start ({' '.join(str(thrown).split())[:600]})", flush=True)
        status = 1
    finally:
        if context:
            context.close()
        if options.keep:
            print(f"kept {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return versions, cells, status


def run_shares(options):
    """The same for everything, by two of these programs at a time."""
    versions, cells, status = {}, {}, 0
    with tempfile.TemporaryDirectory(prefix="interop-") as folder:
        processes = {}
        for number, clients in enumerate(SHARES):
            result = pathlib.Path(folder, f"{number}.json")
            processes[result] = subprocess.Popen([sys.executable, __file__, "--target", options.target, "--result", result,
                                                  *(["--keep"] if options.keep else []), *(f"--client={name}" for name in clients)])
        for result, process in processes.items():
            status |= process.wait()
            if result.exists():
                share = json.loads(result.read_text())
                versions |= share["versions"]
                cells |= {(client, name): verdict for client, name, verdict in share["cells"]}
    return {client.name: versions.get(client.name, "") for client in CLIENTS}, cells, status


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", choices=NAMES, default="jackdaw")
    parser.add_argument("--client", action="append", default=[])
    parser.add_argument("--scenario", action="append", default=[])
    parser.add_argument("--document")
    parser.add_argument("--check")
    parser.add_argument("--one-client", action="store_true", help="each scenario by one client, another one each time")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--result", help="write what came out to this file, for the run of which this is a share")
    options = parser.parse_args()
    everything = not options.client and not options.scenario
    versions, cells, status = (run_shares if everything and not options.one_client else run)(options)
    if options.result:
        pathlib.Path(options.result).write_text(json.dumps({"versions": versions, "cells": [[*key, cells[key]] for key in cells]}))
    else:
        text = matrix(options.target, versions, cells)
        print("\n" + text)
        document = HEAD.format(name=NAMES[options.target], target=options.target) + text
        if options.document:
            pathlib.Path(options.document).write_text(document)
        if options.check and everything:
            same = pathlib.Path(options.check).exists() and pathlib.Path(options.check).read_text() == document
            print("ok the_document_says_the_same" if same else f"FAIL the_document_says_the_same ({options.check} differs)")
            status |= not same
    sys.stdout.flush()
    # Clients' threads that hang must not hold the suite.
    os._exit(status)


if __name__ == "__main__":
    main()
