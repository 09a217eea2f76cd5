"""What a comparison of initialisations combines: schemes, activations, depths, rates, seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from chione.base import SpecError, checks
from chione.sweeps.training import Training

SCHEMES_COMPARED: Mapping[str, tuple[str, str]] = {
    "pytorch": ("pytorch", "uniform"),
    "calculate_gain": ("calculate_gain", "gaussian"),
    "he": ("he", "gaussian"),
    "xavier": ("xavier", "gaussian"),
    "lsuv": ("lsuv", "orthogonal"),
    "orthogonal": ("orthogonal", "orthogonal"),
    "chione": ("chione", "gaussian"),
    "chione orthogonal": ("chione", "orthogonal"),
}
"""Columns of the table: scheme and law of the weights by name."""

ACTIVATIONS = (
    "relu", "leaky_relu", "gelu", "silu", "mish", "elu", "selu", "tanh", "erf", "softsign",
    "sigmoid", "softplus",
)  # fmt: skip
"""Popular ones and hard ones, chosen before anything was measured."""

DEPTHS = (10, 30, 50, 100)

RATES: Mapping[str, tuple[float, ...]] = {
    "sgd": (1e-3, 4e-3, 1.6e-2, 6.4e-2, 2.56e-1, 1.0),
    "momentum": (2.5e-4, 1e-3, 4e-3, 1.6e-2, 6.4e-2, 2.56e-1),
    "adam": (3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2),
}
"""Learning rates that every scheme may choose from, by optimiser.

Wide enough for ReLU at 100 layers and for PyTorch's default at 10; the ends were fixed after a
first look at both.
"""

TUNING_SEEDS = (100,)

Cell = tuple[str, int, str, str]
"""Activation, depth, optimiser and scheme."""


@dataclass(frozen=True)
class Design:
    """Everything that is combined; sizes that all networks share."""

    activations: tuple[str, ...]
    depths: tuple[int, ...]
    optimizers: tuple[str, ...]
    schemes: tuple[str, ...]
    rates: Mapping[str, tuple[float, ...]]
    seeds: tuple[int, ...]
    tuning_seeds: tuple[int, ...]
    width: int
    batch: int
    steps: int
    data: str

    def cells(self) -> Iterable[Cell]:
        """Activation, depth, optimiser and scheme of each."""
        return product(self.activations, self.depths, self.optimizers, self.schemes)

    def training(self, cell: Cell, rate: float, seed: int) -> Training:
        """One network of a cell."""
        activation, depth, optimizer, name = cell
        scheme, weights = SCHEMES_COMPARED[name]
        return Training(
            activation, 1.0, 0.0, depth, self.width, scheme=scheme, weights=weights,
            optimizer=optimizer, rate=rate, steps=self.steps, batch=self.batch, data=self.data,
            seed=seed,
        )  # fmt: skip


def design_of(
    activations: Sequence[str],
    depths: Sequence[int],
    schemes: Sequence[str],
    optimizers: Sequence[str],
    rates: Mapping[str, Sequence[float]],
    n_seeds: int,
    tuning_seeds: Sequence[int],
    **shared: Any,
) -> Design:
    """The design, checked."""
    for name in schemes:
        if name not in SCHEMES_COMPARED:
            known = ", ".join(SCHEMES_COMPARED)
            raise SpecError(f"schemes must be some of {known}, but one is {name!r}.")
    for name in optimizers:
        if name not in rates or not rates[name]:
            raise SpecError(f"rates must hold learning rates for {name!r}; it has {list(rates)}.")
    if len({len(rates[name]) for name in optimizers}) > 1:
        raise SpecError("rates must have equally many learning rates for every optimizer.")
    seeds = tuple(range(checks.integer("n_seeds", n_seeds)))
    if not tuning_seeds or set(seeds) & set(tuning_seeds):
        raise SpecError(
            f"tuning_seeds must be seeds beside 0 to {n_seeds - 1}, but they are "
            f"{tuple(tuning_seeds)}: the networks that choose the rate may not be counted."
        )
    grid = {name: tuple(float(r) for r in rates[name]) for name in optimizers}
    depths = tuple(checks.integer("depth", d) for d in depths)
    design = Design(
        tuple(activations), depths, tuple(optimizers), tuple(schemes), grid, seeds,
        tuple(tuning_seeds), **shared,
    )  # fmt: skip
    for size in ("width", "batch", "steps"):
        checks.integer(size, getattr(design, size))
    return design
