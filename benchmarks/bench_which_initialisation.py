"""Which initialisation trains? Eight of them on 12 activations, four depths and two optimisers.

    python benchmarks/bench_which_initialisation.py [--ledger runs.sqlite] [--workers 1] [--page]

The design stands in `chione.sweeps.scheme_design`, the criterion in `chione.sweeps.scheme_table`;
both were fixed before the measurement. Without --page it trains what the ledger does not hold
(about an hour of one core for all) and writes which_initialisation.json; --page writes tables
and pictures from that file into docs/initialisations-measured.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

import chione as ch
from chione.plotting import save
from chione.sweeps.scheme_table import UNTRAINED, SchemeTable, compared
from chione.sweeps.schemes import which_initialisation
from page import fill

FILE = Path(__file__).with_name("which_initialisation.json")
DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "initialisations-measured.md"
OURS = ("chione", "chione orthogonal")
DIGITS = 4  # kept of accuracies and losses


def kept() -> SchemeTable:
    """What was measured."""
    found = ch.load(FILE)
    assert isinstance(found, SchemeTable)
    return found


def rounded(table: SchemeTable) -> SchemeTable:
    """The table with as many digits as the file keeps."""
    return replace(
        table,
        test_accuracy=np.round(table.test_accuracy, DIGITS),
        tuning_loss=np.round(table.tuning_loss, DIGITS),
    )


def blocks(table: SchemeTable) -> dict[str, str]:
    """Every text that the page takes from the table, by the name of its place."""
    out = {}
    for ours in OURS:
        name = ours.replace(" ", "-")
        out[f"{name}-tally"] = tally(table, ours)
        out[f"{name}-losses"] = losses(table, ours)
    out["laws"] = laws(table)
    out["advice"] = advice(table)
    out["affine"] = affine(table)
    out["schemes"] = overview(table)
    for optimizer in table.optimizer:
        out[f"accuracy-{optimizer}"] = accuracies(table, optimizer)
        out[f"steps-{optimizer}"] = steps(table, optimizer)
    return out


def tally(table: SchemeTable, ours: str) -> str:
    """How often it is better, level, worse than each other scheme, in all and at each depth."""
    depths = [int(d) for d in table.depth]
    head = ["beside", "all depths", *(f"{d} layers" for d in depths)]
    lines = [row(head), rule(head)]
    for other in table.scheme:
        if other in OURS:
            continue
        cells = [counts(table, ours, other, depth) for depth in (None, *depths)]
        lines.append(row([other, *cells]))
    return "\n".join(lines)


def counts(table: SchemeTable, ours: str, other: str, depth: int | None) -> str:
    """Better, level, worse; and in how many cells neither trains."""
    n = table.tally(ours, other, depth=depth)
    return f"{n.better}, {n.level}, {n.worse} ({n.untrained})"


def laws(table: SchemeTable) -> str:
    """Gaussian beside orthogonal weights of the same advice."""
    depths = [int(d) for d in table.depth]
    head = ["", "all depths", *(f"{d} layers" for d in depths)]
    cells = [counts(table, OURS[1], OURS[0], depth) for depth in (None, *depths)]
    return "\n".join([row(head), rule(head), row(["orthogonal beside Gaussian", *cells])])


def advice(table: SchemeTable) -> str:
    """What was advised for orthogonal weights, depth by depth."""
    head = ["activation", *(f"{d} layers" for d in table.depth)]
    lines = [row(head), rule(head)]
    found = {(name, depth): rest for name, depth, scheme, *rest in table.advice.rows
             if scheme == OURS[1]}  # fmt: skip
    for name in table.activation:
        cells = []
        for depth in table.depth:
            if (name, float(depth)) not in found:
                cells.append("none")
                continue
            trained, first, sigma_w, sigma_b = found[name, float(depth)]
            word = "" if trained == name else "affine: "
            cells.append(f"{word}{sigma_w:.3f}, {sigma_b:.3f}; {first:.3f}")
        lines.append(row([name, *cells]))
    return "\n".join(lines)


def affine(table: SchemeTable) -> str:
    """The affine changes that were advised."""
    changed = {str(trained) for name, _, _, trained, *_ in table.advice.rows if trained != name}
    return "\n".join(f"- `{text}`" for text in sorted(changed)) or "None."


def losses(table: SchemeTable, ours: str) -> str:
    """Each cell where it is worse, with the best of the schemes that are better there."""
    best, gaps = {}, table.losses(ours)
    for gap in gaps:
        if gap.other not in OURS:
            best.setdefault((gap.activation, gap.depth, gap.optimizer), gap)
    if not best:
        return "None."
    head = ["activation", "depth", "optimiser", "best scheme", "its accuracy", ours, "also better"]
    lines = [row(head), rule(head)]
    for cell, gap in best.items():
        others = [
            g.other
            for g in gaps
            if (g.activation, g.depth, g.optimizer) == cell and g.other not in (gap.other, *OURS)
        ]
        values = (gap.other, f"{gap.theirs:.2f}", f"{gap.ours:.2f}", ", ".join(others))
        lines.append(row([cell[0], str(cell[1]), cell[2], *values]))
    return "\n".join(lines)


def overview(table: SchemeTable) -> str:
    """For each scheme: in how many cells it trains, its mean accuracy, how often none is better."""
    head = ["scheme", "cells that train", "above 0.9", "none better", "mean of the medians"]
    lines = [row(head), rule(head)]
    found = table.median
    at = list(np.ndindex(found.shape[:3]))
    for k, scheme in enumerate(table.scheme):
        medians = found[..., k]
        rivals = [
            all(compared(table.test_accuracy[(*c, j)], table.test_accuracy[(*c, k)]) <= 0
                for j in range(len(table.scheme)))
            for c in at if medians[c] > UNTRAINED
        ]  # fmt: skip
        cells = [
            str(int(np.sum(medians > UNTRAINED))),
            str(int(np.sum(medians > 0.9))),
            str(sum(rivals)),
            f"{medians.mean():.3f}",
        ]
        lines.append(row([scheme, *cells]))
    return "\n".join([*lines, "", f"Of {len(at)} cells."])


def accuracies(table: SchemeTable, optimizer: str) -> str:
    """Median of the test accuracy, smallest and largest seed; bold: the best median."""
    return _by_cell(table, optimizer, _accuracy)


def steps(table: SchemeTable, optimizer: str) -> str:
    """Median of the steps to a running training accuracy of 90 %."""
    return _by_cell(table, optimizer, _steps)


def _by_cell(table: SchemeTable, optimizer: str, cells: object) -> str:
    head = ["activation", "depth", *table.scheme]
    lines = [row(head), rule(head)]
    for at in _cells(table, optimizer):
        name, depth = table.activation[at[0]], str(table.depth[at[1]])
        lines.append(row([name, depth, *cells(table, at)]))  # type: ignore[operator]
    return "\n".join(lines)


def _accuracy(table: SchemeTable, at: tuple[int, int, int]) -> list[str]:
    best = table.median[at].max()
    out = []
    for k in range(len(table.scheme)):
        x = table.test_accuracy[(*at, k)]
        x, median = x[~np.isnan(x)], table.median[(*at, k)]
        if len(x) < len(table.seed):  # the seeds were saved
            out.append("-")
            continue
        text = f"{median:.2f}"
        text = f"**{text}**" if median == best else text
        out.append(f"{text} ({x.min():.2f}-{x.max():.2f})")
    return out


def _steps(table: SchemeTable, at: tuple[int, int, int]) -> list[str]:
    return [f"{s:.0f}" if np.isfinite(s) else "-" for s in table.median_steps[at]]


def _cells(table: SchemeTable, optimizer: str) -> Iterator[tuple[int, int, int]]:
    o = table.optimizer.index(optimizer)
    for a in range(len(table.activation)):
        for d in range(len(table.depth)):
            yield a, d, o


def row(cells: list[str]) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


def rule(cells: list[str]) -> str:
    """The line under its head."""
    return "|---" * len(cells) + "|"


def pictures(table: SchemeTable) -> None:
    """A picture for each optimiser."""
    for o, name in enumerate(table.optimizer):
        one = replace(
            table,
            optimizer=(name,),
            **{f: getattr(table, f)[:, :, o : o + 1]
               for f in ("rate", "tuning_loss", "test_accuracy", "steps_to")},
            rates=table.rates[o : o + 1],
        )  # fmt: skip
        save(one.plot(), DOCS / "images" / f"which-initialisation-{name}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ledger", help="keeps every network as it ends, to go on from")
    parser.add_argument("--workers", type=int, default=1, help="networks trained at a time")
    parser.add_argument("--page", action="store_true", help="fill docs/initialisations-measured.md")
    options = parser.parse_args()
    if not options.page:
        found = which_initialisation(out=options.ledger, workers=options.workers, effort=4.0)
        rounded(found).save(FILE)
        print(found)
        return
    table = kept()
    for name, text in blocks(table).items():
        fill(name, text, PAGE)
    pictures(table)


if __name__ == "__main__":
    main()
