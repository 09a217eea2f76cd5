"""Is a verdict right? Judge the zoo of trained models by `inspect`, beside how they train.

    python benchmarks/bench_verdict.py [--half development|held] [--json out.json] [--page]

Prints for each half how often each verdict (yes, doubtful, no) met each label of training, the same
for "trainable or not" (yes and doubtful against no), both by family, and every model on which the
two disagree with its losses. --page writes the tables into docs/doctor-evaluated.md. Labels are in
benchmarks/zoo/labels.json; the rule behind them is in benchmarks/zoo/training.py.
"""

from __future__ import annotations

import argparse
import json
import math
import time
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import torch

from chione.torch import inspect
from page import fill
from zoo import ENTRIES, LABELS, build, halves
from zoo.catalogue import SHOWN

WORDS = ("yes", "doubtful", "no")


@dataclass(frozen=True)
class Judged:
    """A verdict beside the label."""

    name: str
    family: str
    verdict: str  # or "error"
    label: str
    why: str

    @property
    def agrees(self) -> bool:
        """Whether "trainable or not" is judged as training found it."""
        return self.verdict != "error" and (self.verdict == "no") == (self.label == "no")


def judge(name: str) -> Judged:
    """Inspect a model as it is before training. A refusal of the model is a "no"."""
    entry = ENTRIES[name]
    model, task = build(entry)
    label = str(LABELS[name]["label"])
    try:
        found = inspect(model, task.inputs[:SHOWN]).verdict
    except ValueError as err:
        return Judged(name, entry.family, "no", label, f"refused: {err}")
    except Exception as err:  # a crash is a result of this benchmark
        return Judged(name, entry.family, "error", label, f"{type(err).__name__}: {err}")
    return Judged(name, entry.family, found.trains, label, found.sentence)


def matrix(judged: Iterable[Judged], words: tuple[str, ...] = WORDS) -> list[list[int]]:
    """Counts, a row for each verdict and a column for each label."""
    found = Counter((j.verdict, j.label) for j in judged)
    return [[found[v, w] for w in words] for v in words]


def share(judged: list[Judged]) -> str:
    """Agreement on "trainable or not", with its binomial standard error."""
    n, k = len(judged), sum(j.agrees for j in judged)
    p = k / n
    return f"{k} of {n} ({100 * p:.1f} +- {100 * math.sqrt(p * (1 - p) / n):.1f} %)"


def tables(judged: list[Judged], title: str) -> str:
    """The two matrices and the agreement by family, in Markdown."""
    lines = [f"**{title}**: {share(judged)} judged as they train.", ""]
    lines += ["| verdict | trained: yes | doubtful | no |", "|---|---|---|---|"]
    rows = zip(WORDS, matrix(judged), strict=True)
    lines += [f"| {w} | {' | '.join(map(str, row))} |" for w, row in rows]
    trains = [j for j in judged if j.label != "no"]
    not_ = [j for j in judged if j.label == "no"]
    lines += [
        "", "| verdict | some optimiser trains it | none does |", "|---|---|---|",
        f"| trainable (yes or doubtful) | {sum(j.agrees for j in trains)} | "
        f"{sum(not j.agrees for j in not_)} |",
        f"| no | {sum(not j.agrees for j in trains)} | {sum(j.agrees for j in not_)} |", "",
        "| family | judged as they train |", "|---|---|",
    ]  # fmt: skip
    for family in dict.fromkeys(j.family for j in judged):
        lines.append(f"| {family} | {share([j for j in judged if j.family == family])} |")
    return "\n".join(lines)


def together(judged: list[Judged]) -> str:
    """Both halves, and how far a firm word can be trusted."""
    yes = [j for j in judged if j.verdict == "yes"]
    no = [j for j in judged if j.verdict == "no"]
    return (
        f"Both halves: {share(judged)} judged as they train. Of {len(no)} models called *no* "
        f"{sum(j.label == 'no' for j in no)} do not train; of {len(yes)} called *yes* "
        f"{sum(j.label != 'no' for j in yes)} do."
    )


def losses(name: str) -> str:
    """The best loss of each optimiser as a share of the constant's, and the idle share."""
    best = {"sgd": math.inf, "adam": math.inf}
    idle = 0.0
    for optimiser, _, ratio, at in LABELS[name]["runs"]:  # type: ignore[attr-defined]
        best[optimiser] = min(best[optimiser], math.inf if ratio is None else ratio)
        idle = max(idle, at)
    return ", ".join(f"{k} {v:.2f}" for k, v in best.items()) + f", idle {idle:.0%}"


def disagreements(judged: list[Judged]) -> str:
    """Every model on which verdict and training differ."""
    lines = ["| model | verdict | label | losses |", "|---|---|---|---|"]
    for j in judged:
        if not j.agrees:
            lines.append(f"| {j.name} | {j.verdict} | {j.label} | {losses(j.name)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--half", choices=("development", "held"), help="only this half")
    parser.add_argument("--json", metavar="FILE", help="write every verdict")
    parser.add_argument("--page", action="store_true", help="fill docs/doctor-evaluated.md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    start = time.perf_counter()
    halved: dict[str, list[Judged]] = {}
    for half, names in halves().items():
        if options.half in (None, half):
            halved[half] = [judge(n) for n in names if n in LABELS]
    for half, judged in halved.items():
        print(tables(judged, f"{half} half") + "\n\n" + disagreements(judged) + "\n")
        for j in judged:
            if not j.agrees:
                print(f"{j.name}: {j.why[:300]}")
    print(f"{time.perf_counter() - start:.0f} s")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({h: [asdict(j) for j in js] for h, js in halved.items()}, file, indent=1)
    if options.page and options.half is None:
        fill("verdicts-all", together([j for judged in halved.values() for j in judged]))
        for half, judged in halved.items():
            fill(f"verdicts-{half}", tables(judged, f"{half.capitalize()} half"))
            fill(f"disagreements-{half}", disagreements(judged))


if __name__ == "__main__":
    main()
