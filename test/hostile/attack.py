"""What the attacks share: the list of them, and what must hold after each."""
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from site_under_attack import MIB, Site, frame  # noqa: E402, F401

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
