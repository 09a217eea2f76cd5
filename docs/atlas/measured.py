"""Test accuracies of trained networks, where they were measured."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

import chione as ch
from atlas.words import row_table

FILE = Path(__file__).parents[2] / "benchmarks" / "which_initialisation.json"
SHOWN = ("pytorch", "xavier", "he", "chione", "chione orthogonal")


@cache
def table():
    """The measured table."""
    return ch.load(FILE)


def section(slug: str) -> list[str]:
    """Medians over seeds by depth and optimiser; nothing where it was not measured."""
    found = table()
    if slug not in found.activation:
        return []
    rows = []
    for optimizer in found.optimizer:
        for scheme in SHOWN:
            rows.append(
                (optimizer, scheme, *(_median(slug, d, optimizer, scheme) for d in found.depth))
            )
    return [
        "## Trained",
        "",
        f"Median test accuracy on digits over {found.seed.size} networks of width {found.width}, "
        "each at its best learning rate; not tried where a smaller depth had failed. `chione` is "
        "the advice for that depth, which changes some activations. How it was measured, and the "
        "other schemes: [which initialisation trains](../../initialisations-measured.md).",
        "",
        *row_table(
            ("optimiser", "initialisation", *(f"{d} layers" for d in found.depth)), rows, "llrrrr"
        ),
    ]


def _median(slug: str, depth: int, optimizer: str, scheme: str) -> str:
    found = table()
    at = (
        found.activation.index(slug),
        int(np.flatnonzero(found.depth == depth)[0]),
        found.optimizer.index(optimizer),
        found.scheme.index(scheme),
    )
    seeds = found.test_accuracy[at]
    known = seeds[~np.isnan(seeds)]
    return f"{np.median(known):.3f}" if known.size else "not tried"
