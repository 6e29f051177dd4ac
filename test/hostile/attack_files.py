"""Files that lie under the broker, or cannot be read."""
import os
import shutil

from attack import Site, attack, expect, expect_health, expect_said
import codec
import wire
from lib.target import TargetError


def segment(site, topic, number=0):
    return site.target.segments(topic)[number]


def read_all(site, topic, version=11, offset=0):
    """The answer to a fetch: 'closed', an error's name, or the number of bytes."""
    try:
        with site.connect() as connection:
            part = connection.request(wire.FETCH, version, wire.fetch_body(topic, offset))["Responses"][0]["Partitions"][0]
            return codec.error_name(part["ErrorCode"]) if part["ErrorCode"] else len(part["Records"])
    except wire.Closed:
        return "closed"


@attack
def a_segment_that_is_cut_under_the_broker(chance):
    with Site() as site:
        expect_health(site, "before")
        with site.connect() as connection:
            wire.create_topic(connection, "victim")
        site.fill("victim", 10, 10_000)
        os.truncate(segment(site, "victim"), 500)
        found = read_all(site, "victim")
        expect(found == "closed" or isinstance(found, str), f"a cut segment was answered with {found} bytes")
        expect_said(site, "victim")
        expect_health(site)


@attack
def a_segment_with_flipped_bits_is_cut_at_recovery(chance):
    """A crash, and the disk lies about what was never synced: the log ends before the flipped byte."""
    with Site() as site:
        expect_health(site, "before")
        with site.connect() as connection:
            wire.create_topic(connection, "victim")
        site.fill("victim", 10, 1000)
        site.target.kill()
        path = segment(site, "victim")
        data = bytearray(path.read_bytes())
        size = len(data) // 10
        data[4 * size + 200] ^= 0x40
        path.write_bytes(data)
        site.target.start()
        with site.connect() as connection:
            answer = connection.request(wire.LIST_OFFSETS, 7, {"ReplicaId": -1, "Topics": [
                {"Name": "victim", "Partitions": [{"PartitionIndex": 0, "Timestamp": -1}]}]})
        end = answer["Topics"][0]["Partitions"][0]["Offset"]
        expect(end == 4, f"the log ends at {end}, not before the flipped byte at 4")
        expect(site.said("victim-0", 1), "the log says nothing of it")
        expect_health(site)


@attack
def a_segment_that_cannot_be_opened_at_start(chance):
    """Two directories; in one a segment is no file any more. What is on the other is served."""
    folders = ["one", "two"]
    with Site() as site:
        site.target.settings["log.dirs"] = ",".join(str(site.folder / name) for name in folders)
        site.target.kill()
        shutil.rmtree(site.target.data, ignore_errors=True)
        site.target.start()
        site.made = False
        with site.connect() as connection:
            for n in range(4):
                wire.create_topic(connection, f"victim-{n}")
        for n in range(4):
            site.fill(f"victim-{n}", 3, 1000)
        site.target.stop()
        paths = {n: next(path for name in folders for path in (site.folder / name).glob(f"victim-{n}-0/*.log")) for n in range(4)}
        bad = paths[3].parent.parent.name
        expect({path.parent.parent.name for path in paths.values()} == set(folders), "the topics are all in one directory")
        paths[3].unlink()
        paths[3].symlink_to(paths[3].name)  # it leads to itself: no open succeeds, not even root's
        try:
            site.target.start()
        except TargetError as ended:
            raise AssertionError(f"the broker does not start: {ended}") from None
        expect(site.said("victim-3", 1) or site.said("offline", 1), "the log says nothing of it")
        for n in range(4):
            found = read_all(site, f"victim-{n}")
            if n == 3:
                expect(isinstance(found, str) and found != "closed", f"the unreadable topic was answered {found}")
            elif paths[n].parent.parent.name != bad:
                expect(isinstance(found, int) and found > 3000, f"{paths[n].parent} was answered {found}")
        with site.connect() as connection:
            wire.create_topic(connection, "later")
        site.fill("later", 1, 100)
