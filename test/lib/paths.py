"""Where things are."""
import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CACHE = pathlib.Path(os.environ.get("JACKDAW_CACHE") or ROOT / ".cache")
KAFKA = ROOT / "tools/kafka"
# Another build of the program may be tested by naming it here.
JACKDAW = pathlib.Path(os.environ.get("JACKDAW") or ROOT / "build/jackdaw")
# On a machine with much else to do, everything may take so many times longer.
PATIENCE = float(os.environ.get("TEST_PATIENCE") or 1)
