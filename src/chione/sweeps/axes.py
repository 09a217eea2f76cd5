"""The words that a plan, its result and their pictures share: axes, quantities, outcomes."""

from __future__ import annotations

from typing import Any

EVERY = (
    *("activation", "scheme", "weights", "optimizer", "dropout", "width", "depth"),
    *("sigma_b", "sigma_w", "rate", "seed"),
)
"""Axes of a sweep, slowest first: the order of its trainings and of the arrays of its result."""
CELL = EVERY[:-2]
"""Axes of a cell: learning rates are chosen among, seeds are averaged over."""
THEORY = ("activation", "dropout", "sigma_b", "sigma_w")
"""Axes that depth scales depend on."""
READS_SIGMAS = "sigmas"
"""The scheme that draws by sigma_w and sigma_b; all others have rules of their own."""
QUANTITIES = ("accuracy", "test_accuracy", "loss")
MISSING = "missing"
STATUSES = ("done", "diverged", "failed", "lost", MISSING)
Swept = Any
"""A SweepResult, for the files that it imports itself."""
