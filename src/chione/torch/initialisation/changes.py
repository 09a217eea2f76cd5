"""What an initialisation did, for the reader."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from chione.base import AbstractResult, paragraph, result, text_table


@result
class LayerChange(AbstractResult):
    r"""One weight that was set.

    Parameters
    ----------
    name, parameter : str
        The layer as it ran, and the full name of its weight.
    activation : str or None
        The activation that follows.
    sigma_w, sigma_b : float
        What it has now: :math:`\sqrt{n_{in} E W^2}`, the factor of the batch included, and the
        standard deviation of the biases. For a normalisation `sigma_w` is its gain.
    length : float
        Mean square that its output should have, NaN where theory cannot tell.
    factor : float
        By which the pass with the batch corrected the weights; 1 without.
    reason : str
        Why these values.
    """

    name: str
    parameter: str
    activation: str | None
    sigma_w: float
    sigma_b: float
    length: float
    factor: float
    reason: str


@result
class InitializationReport(AbstractResult):
    """What was set, what was left alone and why.

    Parameters
    ----------
    changes : tuple of LayerChange
        In order of execution.
    left : tuple of (str, str)
        Name and reason of what was not touched.
    weights, target : str
        As asked for.
    residual_sums : int
        Number of residual additions found.
    note : str
        How the structure was found, if not by running the batch, and what theory offers for an
        activation that no initialisation helps.
    """

    changes: tuple[LayerChange, ...]
    left: tuple[tuple[str, str], ...]
    weights: str
    target: str
    residual_sums: int
    note: str

    def __str__(self) -> str:
        head = ("layer", "then", "sigma_w", "sigma_b", "q", "factor", "why")
        rows = [
            (
                c.name,
                c.activation or "",
                f"{c.sigma_w:.4g}",
                f"{c.sigma_b:.4g}",
                "" if math.isnan(c.length) else f"{c.length:.3g}",
                "" if c.factor == 1.0 else f"{c.factor:.3f}",
                c.reason,
            )
            for c in self.changes
        ]
        lines = [text_table(head, rows)]
        lines += [paragraph(f"left alone: {name}: {reason}.") for name, reason in self.left]
        if self.note:
            lines.append(paragraph(f"note: {self.note}"))
        return "\n".join(lines)

    def _parts(self) -> dict[str, Any]:
        out = asdict(self)
        for change in out["changes"]:
            for key, value in change.items():
                if isinstance(value, float) and not math.isfinite(value):
                    change[key] = None
        return out
