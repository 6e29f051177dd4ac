"""The harness itself: what must be noticed is noticed."""
import io
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib
from contextlib import redirect_stdout

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent)]

import run as runner  # noqa: E402
from lib import program  # noqa: E402
from lib.ledger import Ledger  # noqa: E402
from lib.segments import batches  # noqa: E402


class LedgerTest(unittest.TestCase):
    def setUp(self):
        self.ledger = Ledger()
        self.lines = []
        for offset in range(5):
            value = b"value %d" % offset
            self.ledger.acknowledge(0, offset, value, f"p0.{offset}")
            self.lines.append(f"topic 0 {offset} {zlib.crc32(value)} p0.{offset}")

    def check(self, lines):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("".join(line + "\n" for line in lines))
            file.flush()
            return self.ledger.check(file.name, {f"p0.{n}" for n in range(9)})

    def test_a_whole_log_is_right(self):
        self.assertEqual(self.check(self.lines), [])

    def test_a_record_that_was_sent_and_not_acknowledged_may_be_there(self):
        self.assertEqual(self.check([*self.lines, "topic 0 5 1 p0.5"]), [])

    def test_a_lost_record_is_noticed(self):
        self.assertTrue(any("promised" in one for one in self.check(self.lines[:-1])))

    def test_a_changed_record_is_noticed(self):
        self.assertTrue(any("promised" in one for one in self.check([*self.lines[:-1], "topic 0 4 1 p0.4"])))

    def test_a_duplicate_is_noticed(self):
        again = "topic 0 5 " + self.lines[4].split(" ", 3)[3]
        self.assertTrue(any("2 times" in one for one in self.check([*self.lines, again])))

    def test_a_gap_is_noticed(self):
        self.assertTrue(any("gap" in one for one in self.check([*self.lines, "topic 0 6 1 p0.6"])))

    def test_a_wrong_order_is_noticed(self):
        self.assertTrue(any("comes after" in one for one in self.check([*self.lines, "topic 0 5 1 p0.7", "topic 0 6 1 p0.6"])))

    def test_a_record_from_nowhere_is_noticed(self):
        self.assertTrue(any("never sent" in one for one in self.check([*self.lines, "topic 0 5 1 p0.99"])))

    def test_an_offset_promised_twice_is_noticed(self):
        self.ledger.acknowledge(0, 2, b"other", "p0.8")
        self.assertTrue(any("was promised to" in one for one in self.check(self.lines)))


class ProgramTest(unittest.TestCase):
    """A test that is a program."""

    def prove(self, run):
        options = program.parser(rounds=3).parse_args(["--seed", "5"])
        output = io.StringIO()
        with redirect_stdout(output):
            status = program.prove("it_holds", options, run)
        return status, output.getvalue()

    def test_a_program_that_finds_nothing_wrong_is_ok(self):
        seen = []
        self.assertEqual(self.prove(lambda options, folder: seen.append((options.rounds, folder))), (0, "ok it_holds\n"))
        (rounds, folder), = seen
        self.assertEqual(rounds, 3)
        self.assertFalse(folder.exists())

    def test_a_program_that_finds_problems_fails_and_keeps_its_folder(self):
        folders = []
        status, said = self.prove(lambda _, folder: folders.append(folder) or ["one is lost", "two is there twice"])
        self.assertEqual(status, 1)
        self.assertIn("\nFAIL it_holds (one is lost; seed 5, 2 problems; kept ", said)
        folders[0].rmdir()

    def test_a_program_that_raises_fails(self):
        folders = []

        def run(_, folder):
            folders.append(folder)
            raise ValueError("a line\nand another")

        status, said = self.prove(run)
        self.assertEqual(status, 1)
        self.assertIn("\nFAIL it_holds (ValueError: a line and another; seed 5, 1 problems; kept ", said)
        folders[0].rmdir()


class ClaimsTest(unittest.TestCase):
    """tools/lint-claims: what the pages of docs/ promise is shown by tests that are there."""
    TEST = "static void it_is_kept_over_a_restart(void **state)\n{\n}\n\nint main(void)\n{\n    T(it_is_kept_over_a_restart);\n}\n"

    def errors(self, page, test=TEST):
        lint = str(pathlib.Path(__file__).resolve().parent.parent.parent / "tools" / "lint-claims")
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / "docs").mkdir()
            (root / "test" / "suites").mkdir(parents=True)
            (root / "test" / "suites" / "sim").touch()
            (root / "test" / "kept_test.c").write_text(test)
            for name in ("durability", "groups", "testing"):
                (root / "docs" / f"{name}.md").touch()
            (root / "docs" / "transactions.md").write_text(page)
            found = subprocess.run([lint, root], capture_output=True, text=True)
            self.assertEqual(found.returncode, 1 if found.stdout else 0, found.stderr)
            return found.stdout.splitlines()

    def test_a_claim_with_its_test_is_right(self):
        self.assertEqual(self.errors("* It is kept:\n  `it_is_kept_over_a_restart`, suite `sim`.\n"), [])

    def test_a_claim_without_a_test_is_noticed(self):
        self.assertEqual(self.errors("# Page\n\n* It is kept: `it_is_kept_over_a_restart`.\n* It is fast.\n"),
                         ["docs/transactions.md:4: a claim that names no test"])
        self.assertEqual(len(self.errors("| what | how |\n|---|---|\n| kept | always |\n")), 1)

    def test_a_test_that_is_not_there_is_noticed(self):
        for page in ("* Kept: `it_was_kept_once`.\n", "* Kept: suite `kept`.\n", "* Kept: scenario `kept`.\n"):
            self.assertEqual(len(self.errors(page)), 1, page)

    def test_a_test_that_is_not_run_is_noticed(self):
        self.assertEqual(len(self.errors("* Kept: `it_is_kept_over_a_restart`.\n", self.TEST.replace("T(it_is", "T(that_is"))), 1)


class RunnerTest(unittest.TestCase):
    def tally(self, ci, *lines):
        tally = runner.Tally()
        tally.ci, tally.allowed = ci, ["suite: may be*"]
        for line in lines:
            found = runner.LINE.match(line)
            tally.add("suite", found[1], found[2], found[3] or "")
        return tally.counts["ok"], tally.counts["FAIL"], tally.counts["SKIP"]

    def test_verdicts_are_counted(self):
        self.assertEqual(self.tally(False, "ok one", "FAIL two (why)", "SKIP three (no root)"), (1, 1, 1))

    def test_in_ci_only_listed_skips_are_allowed(self):
        self.assertEqual(self.tally(True, "SKIP may be skipped (why)", "SKIP must run (why)"), (0, 1, 1))

    def run_suites(self, scripts, how):
        """What runs of these programs, name → text, leave in the tally."""
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / "test/suites").mkdir(parents=True)
            (root / "tools").mkdir()
            for path, text in [("dev", ""), ("tools/kafka", ""), *((f"test/suites/{name}", text) for name, text in scripts.items())]:
                (root / path).write_text("#!/bin/sh\n" + text)
                (root / path).chmod(0o755)
            tally, before = self.empty_tally(), runner.ROOT
            runner.ROOT = root
            try:
                with redirect_stdout(io.StringIO()):
                    runner.run_all([runner.Suite(name, "", "lint", how=how.get(name, runner.ALONE)) for name in scripts], tally, False)
            finally:
                runner.ROOT = before
        return tally

    def test_a_suite_that_dies_without_a_word_has_failed(self):
        tally = self.run_suites({"dies": "echo ok one\nexit 3\n"}, {})
        self.assertEqual((tally.counts["ok"], tally.counts["FAIL"]), (1, 1))

    def test_suites_that_wait_run_beside_those_that_compute(self):
        """Each ends only when the other has begun; what comes after them begins when both are over."""
        meet = "touch $0.here; until [ -e test/suites/%s.here ]; do sleep 0.01; done; echo ok met; touch $0.over\n"
        tally = self.run_suites({"waits": meet % "computes", "computes": meet % "waits",
                                 "after": "[ -e test/suites/waits.over ] && [ -e test/suites/computes.over ] && echo ok after\n"},
                                {"waits": runner.WAITS, "computes": runner.COMPUTES})
        self.assertEqual((tally.counts["ok"], tally.bad), (3, []))
        self.assertEqual([name for name, *_ in tally.times][2:], ["after"])

    @staticmethod
    def empty_tally():
        tally = runner.Tally()
        tally.ci = False
        return tally


class SegmentsTest(unittest.TestCase):
    def test_batch_headers_are_read_and_a_torn_tail_is_left(self):
        head = struct.pack(">qiibIhiqqqhii", 7, 49, 0, 2, 0, 4 | 8, 2, 0, 0, 11, 1, 5, 3)
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "0.log")
            path.write_bytes(head + head[:30])
            found = batches(path)
        self.assertEqual(len(found), 1)
        one = found[0]
        self.assertEqual((one.base_offset, one.last_offset, one.codec, one.log_append_time, one.base_sequence, one.count),
                         (7, 9, "zstd", True, 5, 3))


if __name__ == "__main__":
    unittest.main()
