"""The labels that training gave, and the two halves of the zoo.

`python -m zoo.labels` in benchmarks/ trains what has no label yet (`--again` everything) and writes
labels.json; `--half development` begins with that half; `--stability` draws every model a second
time and counts how often the label is another: no verdict can be right more often than that.
"""

from __future__ import annotations

import argparse
import json
import math
import time
import zlib
from pathlib import Path

from zoo.catalogue import ENTRIES, Entry, build
from zoo.training import RATES, Run, label, train

FILE = Path(__file__).with_name("labels.json")
LABELS: dict[str, dict[str, object]] = (
    json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
)


def halves() -> dict[str, tuple[str, ...]]:
    """The zoo in two random halves: one to develop a verdict on, one held apart.

    A hash of its name throws the coin for each model, so that a new one moves no other.
    """
    developed = [n for n in ENTRIES if zlib.crc32(f"side of {n}".encode()) % 2 == 0]
    held = [n for n in ENTRIES if n not in developed]
    return {"development": tuple(developed), "held": tuple(held)}


def runs(entry: Entry, draw: int = 0) -> list[Run]:
    """Gradient descent and Adam at each of their rates; a fresh model for each."""
    found = []
    for optimiser, rates in RATES.items():
        for rate in rates:
            model, task = build(entry, draw)
            found.append(train(model, task, optimiser, rate))
    return found


def labelled(entry: Entry, draw: int = 0) -> dict[str, object]:
    """The label with the runs it stands on."""
    done = runs(entry, draw)
    return {
        "label": label(done),
        "runs": [
            [r.optimiser, r.rate, round(r.ratio, 4) if math.isfinite(r.ratio) else None,
             round(r.idle, 3)]
            for r in done
        ],
    }  # fmt: skip


def write(labels: dict[str, dict[str, object]]) -> None:
    """One line for each model, so that differences can be read."""
    lines = [f"{json.dumps(n)}: {json.dumps(labels[n])}" for n in ENTRIES if n in labels]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def stability() -> str:
    """How often a second draw of the same model has another label."""
    changed: list[str] = []
    crossed = 0
    for name, entry in ENTRIES.items():
        second, first = labelled(entry, 1)["label"], LABELS[name]["label"]
        if second != first:
            changed.append(f"{name}: {first}, then {second}")
            print(changed[-1], flush=True)
        crossed += (second == "no") != (first == "no")
    n = len(ENTRIES)
    return (
        f"of {n} models drawn twice {crossed} ({100 * crossed / n:.1f} %) are trainable once and "
        f"not the other time; {len(changed)} change between yes, doubtful and no"
    )


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--again",
        nargs="?",
        const="",
        metavar="TEXT",
        help="label anew all models, or those with TEXT in their name",
    )
    parser.add_argument("--half", choices=("development", "held"), default="development")
    parser.add_argument("--stability", action="store_true", help="draw every model again")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.stability:
        print(stability())
        return
    labels = dict(LABELS)
    first = halves()[options.half]
    for name in (*first, *(n for n in ENTRIES if n not in first)):
        again = options.again is not None and options.again in name
        if name in labels and not again:
            continue
        start = time.perf_counter()
        labels[name] = labelled(ENTRIES[name])
        spent = time.perf_counter() - start
        print(f"{spent:5.1f} s  {name}: {json.dumps(labels[name])}", flush=True)
        write(labels)


if __name__ == "__main__":
    main()
