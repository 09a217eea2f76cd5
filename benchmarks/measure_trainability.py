"""Measures the results of docs/trainability-measured.md; numbers go to docs/measured/.

``python benchmarks/measure_trainability.py LEDGER [NAME ...]`` trains what the ledger does not know,
so that an interrupted run goes on from there. ``page`` in place of names writes the page from the
numbers alone.
"""

import sys
import time
from pathlib import Path

from chione.gallery.trainable_depth import CASES, measure

FOLDER = Path(__file__).parents[1] / "docs" / "measured"


def file_of(name):
    """Where the numbers of a case are."""
    return FOLDER / f"boundary-{name.replace(', ', '-').replace(' ', '-').lower()}.json"


def main(ledger, *names):
    """Measure."""
    FOLDER.mkdir(exist_ok=True)
    for name in names or CASES:
        start, cpu = time.time(), time.process_time()
        found = measure(name, False, out=ledger)
        found.save(file_of(name))
        print(found, flush=True)
        print(f"{name}: {time.process_time() - cpu:.0f} s of CPU, {time.time() - start:.0f} s\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
