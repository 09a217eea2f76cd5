"""How many rows of real architectures carry a theory value, and how far it lies from the mean.

Run as ``python tests/torch/doctor_coverage.py [draws] [model ...]``.
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass, field

import torch
from doctor_models import MODELS

from chione.torch import inspect
from chione.torch.capture import batches
from chione.torch.capture.gradients import arriving
from chione.torch.capture.tracing import trace
from chione.torch.inspection.inspection import measured_moments
from chione.torch.inspection.report import InspectionReport

DRAWS, WITHIN, ERRORS = 20, 0.15, 3.0


@dataclass
class Coverage:
    """Counts for one model, and the rows that fall short."""

    name: str
    rows: int
    squares: int
    gradients: int
    missing: list[str] = field(default_factory=list)
    off: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.name:13} {self.rows:4} rows, theory for q {self.squares:4} "
            f"({self.squares / self.rows:4.0%}), gradient {self.gradients:4} "
            f"({self.gradients / self.rows:4.0%}), off {len(self.off):3}, {self.seconds:.1f} s"
        )


def covered(name: str, draws: int = DRAWS) -> Coverage:
    """The coverage of one model: theory of the first draw beside the means over all."""
    started = time.perf_counter()
    report = _report(name)
    spent = time.perf_counter() - started
    rows = report.layers
    found = Coverage(
        name, len(rows),
        sum(math.isfinite(row.expected.mean_square) for row in rows),
        sum(math.isfinite(row.expected.gradient) for row in rows), seconds=spent,
    )  # fmt: skip
    for row in rows:
        what = [
            word
            for word, value in (
                ("q", row.expected.mean_square), ("gradient", row.expected.gradient),
            )
            if not math.isfinite(value)
        ]  # fmt: skip
        if what:
            found.missing.append(f"{row.name} ({row.operation}): {', '.join(what)}")
    if draws > 1:
        _compare(found, report, [_measured(name, seed) for seed in range(draws)])
    return found


def _compare(
    found: Coverage, report: InspectionReport, drawn: list[list[tuple[float, float]]]
) -> None:
    values = torch.tensor(drawn, dtype=torch.float64)  # draws, rows, (q, gradient)
    mean, error = values.mean(dim=0), values.std(dim=0) / math.sqrt(len(drawn))
    for i, row in enumerate(report.layers):
        pairs = (("q", row.expected.mean_square), ("gradient", row.expected.gradient))
        for j, (word, theory) in enumerate(pairs):
            m, e = float(mean[i, j]), float(error[i, j])
            if math.isfinite(theory) and abs(theory - m) > max(WITHIN * m, ERRORS * e):
                found.off.append(
                    f"{row.name} ({row.operation}): {word} {theory:.4g}, measured {m:.4g} "
                    f"+- {e:.2g}, ratio {theory / m if m else math.inf:.2f}"
                )


def _report(name: str) -> InspectionReport:
    torch.manual_seed(0)
    model, batch = MODELS[name]()
    return inspect(model, batch, projections=4)


def _measured(name: str, seed: int) -> list[tuple[float, float]]:
    """Mean squares of signal and gradient at each row of one draw."""
    torch.manual_seed(seed)
    model, batch = MODELS[name]()
    graph, out = trace(model, batch, batches.batch_size(batch))
    generator = torch.Generator().manual_seed(seed)
    grads = arriving(
        graph, batches.output_tensor(out), None, projections=2, generator=generator
    ).gradient
    moments = measured_moments(graph)
    return [(moments[n.index].mean_square, grads.get(n.index, math.nan)) for n in graph.rows()]


def main(arguments: list[str]) -> None:
    draws = int(arguments[0]) if arguments and arguments[0].isdigit() else DRAWS
    names = [a for a in arguments if not a.isdigit() and a != "-v"] or list(MODELS)
    for name in names:
        found = covered(name, draws)
        print(found, flush=True)
        if "-v" in arguments:
            for line in found.missing:
                print("    missing", line)
            for line in found.off:
                print("    off", line)


if __name__ == "__main__":
    main(sys.argv[1:])
