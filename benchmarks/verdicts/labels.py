"""What training shows: `python -m verdicts.labels` in benchmarks/ trains what has no label yet.

The rule, written down before any of the networks was trained:

* A network is trained on scikit-learn's digits (the training part of `chione.sweeps`' task, chance
  is 0.1) by :func:`chione.sweeps.train`: softmax cross-entropy, batches of 32, float32, its own
  optimiser at a constant rate, at each of three rates (`RATES`, the same for all networks, a factor
  of ten apart), at most 300 steps.
* It **trains** if at one of the rates the training accuracy, the mean over ten batches in a row,
  reaches 0.75 (`LEARNED`). A training ends there; the largest rate goes first.
* Else it **does not train**, whatever accuracy it had: leaving the numbers at all three rates,
  standing still, and being at 0.7 after 300 steps all count as that. How many of them had reached
  0.5 is told beside.
* One draw of weights and batches a network, so a part of the labels is chance.

The rates were chosen on 55 other networks (another seed), of 27 of which some rate of six to nine
from 1e-5 to 3 trained them: these three train 26.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from chione.sweeps.bundle import train
from chione.sweeps.tasks import Task, load_task
from chione.sweeps.training import Training
from verdicts.networks import Net, everything

FILE = Path(__file__).with_name("labels.jsonl")
RATES = {"sgd": (1e-1, 1e-2, 1e-3), "momentum": (1e-2, 1e-3, 1e-4), "adam": (1e-2, 1e-3, 1e-4)}
STEPS, BATCH, LEARNED = 300, 32, 0.75


def label(net: Net, task: Task) -> dict[str, Any]:
    """Train at one rate after the other until it learns.

    Returns
    -------
    dict
        number; trains; runs, for each rate [rate, status, largest share of `SHARES` that the
        running accuracy reached, steps made].
    """
    runs = []
    for rate in RATES[net.optimizer]:
        training = Training(
            net.activation, net.sigma_w, net.sigma_b, net.depth, net.width,
            optimizer=net.optimizer, rate=rate, steps=STEPS, batch=BATCH, data=task.name,
            seed=net.number, until=LEARNED,
        )  # fmt: skip
        (done,) = train([training], task)
        share = max((x for x, _ in done.steps_to), default=0.0)
        runs.append([rate, done.status, share, len(done.losses)])
        if share >= LEARNED:
            break
    return {"number": net.number, "trains": runs[-1][2] >= LEARNED, "runs": runs}


def read(path: Path = FILE) -> dict[int, dict[str, Any]]:
    """Labels by number; a torn last line of an interrupted run is left out."""
    out = {}
    for line in path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []:
        row = json.loads(line)
        out[row["number"]] = row
    return out


def fill(path: Path = FILE) -> None:
    """Train what has no label yet, one line after each network."""
    known, task = read(path), load_task("digits")
    if path.exists():  # the torn line of an interrupted run goes
        whole = path.read_text(encoding="utf-8")
        path.write_text(whole[: whole.rfind("\n") + 1], encoding="utf-8")
    with path.open("a", encoding="utf-8") as file:
        for net in everything():
            if net.number in known:
                continue
            start = time.perf_counter()
            row = label(net, task)
            file.write(json.dumps(row) + "\n")
            file.flush()
            print(f"{time.perf_counter() - start:6.1f} s  {json.dumps(row)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=FILE)
    fill(parser.parse_args().out)


if __name__ == "__main__":
    main()
