"""Measures the results of docs/trainability-measured.md; numbers go to benchmarks/trainability/.

``python benchmarks/measure_trainability.py LEDGER [NAME ...]`` trains what the ledger does not
know, so that an interrupted run goes on from there; names are those of the cases of
`chione.gallery.trainable_depth`, "speed", "glorot-figure-2" and "glorot-figure-11". Then
``python benchmarks/trainability_page.py`` writes the page from the numbers alone.
"""

import json
import sys
import time
from pathlib import Path

from chione.base import plain
from chione.gallery import find, training_speed
from chione.gallery.trainable_depth import CASES, measure

FOLDER = Path(__file__).parent / "trainability"
FIGURES = ("glorot-figure-2", "glorot-figure-11")


def file_of(name):
    """Where the numbers of a case are."""
    short = name.replace(", ", "-").replace(" ", "-").lower()
    return FOLDER / f"{'boundary-' if name in CASES else ''}{short}.json"


def main(ledger, *names):
    """Measure."""
    FOLDER.mkdir(exist_ok=True, parents=True)
    for name in names or (*CASES, "speed", *FIGURES):
        start, cpu = time.time(), time.process_time()
        if name in CASES:
            found = measure(name, False, out=ledger)
            found.save(file_of(name))
            print(found, flush=True)
        elif name == "speed":
            write(name, training_speed.measure(training_speed.FULL, ledger))
        else:
            made = find(name).make(False)
            write(name, {key: variable.values for key, variable in made.data.items()})
            print([check.sentence for check in made.checks])
        took = time.process_time() - cpu
        print(f"{name}: {took:.0f} s of CPU, {time.time() - start:.0f} s\n", flush=True)


def write(name, data):
    """As JSON, with null for what is not finite."""
    file_of(name).write_text(json.dumps(plain(data)), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
