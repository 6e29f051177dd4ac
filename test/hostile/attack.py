"""What the attacks share: the list of them, and what must hold after each."""
import pathlib
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import codec  # noqa: E402
import wire  # noqa: E402
from site_under_attack import ARENA_MAX, BASE, LOOPS, MIB, REQUEST_MEMORY, Site, frame  # noqa: E402, F401

ATTACKS = []


def attack(function):
    ATTACKS.append(function)
    return function


class Skipped(Exception):
    pass


def expect(condition, text):
    if not condition:
        raise AssertionError(text)


def expect_memory(site, limit):
    """The most that the broker held since reset_peak, unless the program counts its memory otherwise."""
    peak = site.peak()
    expect(site.sanitized or peak <= limit, f"VmRSS reached {peak // MIB} MiB, limit {limit // MIB} MiB")


def expect_health(site, when="afterwards", timeout_s=None):
    wrong = site.health(timeout_s) if timeout_s else site.health()
    expect(wrong is None, f"{when}: {wrong}")


def expect_said(site, text, within_s=5):
    expect(site.said(text, within_s), f"the log does not say: {text}")


def expect_descriptors(site, most, within_s=20):
    expect(site.await_descriptors(most, within_s), f"{site.descriptors()} descriptors are open where {most} were")


def sizes_of_answers(connections):
    """The size of each one's answer, or why there is none; then they are closed."""
    sizes = []
    for connection in connections:
        try:
            sizes.append(len(connection.receive_frame()))
        except (wire.Closed, wire.Silent) as thrown:
            sizes.append(type(thrown).__name__)
        connection.close()
    return sizes


def expect_others_served(site, name, key, version, body, times):
    """The same large request on several connections at a time: meanwhile others are served, and it takes no more memory
    than requests may."""
    site.reset_peak()
    data = codec.encode(key, version, 1, body)
    connections = [site.connect(60) for _ in range(times)]
    for connection in connections:
        connection.send_frame(data)
    started = time.monotonic()
    wrong = site.health(60)
    waited_s = time.monotonic() - started
    sizes = sizes_of_answers(connections)
    print(f"{name}: {len(data)} bytes, answers of {sizes} in {time.monotonic() - started:.2f} s, VmRSS at most "
          f"{site.peak() // MIB} MiB, others waited {waited_s:.2f} s")
    expect(wrong is None, f"during {name}: {wrong}")
    expect_memory(site, BASE + REQUEST_MEMORY + LOOPS * ARENA_MAX)
