"""What an initialisation did, for the reader."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from chione.base import AbstractResult, paragraph, result, text_table
from chione.torch.inspection.report import Verdict


@result
class LayerChange(AbstractResult):
    r"""One parameter that was set.

    Parameters
    ----------
    name, parameter : str
        The layer as it ran, and the full name of its weight.
    law : str
        What its entries were drawn from, such as "normal"; a value where they are all the same.
    std : float
        Standard deviation of the entries, the factor of the batch included.
    activation : str or None
        The activation that follows.
    sigma_w, sigma_b : float
        What it has now: :math:`\sqrt{n_{in} E W^2}`, the factor of the batch included, and the
        standard deviation of the biases. For a normalisation `sigma_w` is its gain.
    length : float
        Mean square that its output should have, NaN where nothing is asked of it.
    factor : float
        By which the pass with the batch corrected the weights; 1 without.
    reason : str
        Why these values.
    """

    name: str
    parameter: str
    law: str
    std: float
    activation: str | None
    sigma_w: float
    sigma_b: float
    length: float
    factor: float
    reason: str


@result
class InitializationReport(AbstractResult):
    """What was set, what was left alone and why, and what the model is like now.

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
    written : bool
        Whether the model holds these values: not after a dry run, nor where they would be worse
        than what was there.
    verdict : Verdict or None
        Of the model with these values on the batch; None without a batch.
    loss_above_guess : float
        By how much a cross-entropy of the output lies above that of a uniform guess, on average
        over labels; NaN without a batch or for a single output.
    note : str
        How the structure was found, if not by running the batch; what theory offers for an
        activation that no initialisation helps; why nothing was written.
    """

    changes: tuple[LayerChange, ...]
    left: tuple[tuple[str, str], ...]
    weights: str
    target: str
    residual_sums: int
    written: bool = True
    verdict: Verdict | None = None
    loss_above_guess: float = math.nan
    note: str = ""

    def __str__(self) -> str:
        head = ("layer", "then", "law", "sigma_w", "sigma_b", "q", "factor", "why")
        rows = [
            (
                c.name,
                c.activation or "",
                c.law,
                f"{c.sigma_w:.4g}",
                f"{c.sigma_b:.4g}",
                "" if math.isnan(c.length) else f"{c.length:.3g}",
                "" if c.factor == 1.0 else f"{c.factor:.3f}",
                c.reason,
            )
            for c in self.changes
        ]
        lines = [] if self.written else ["Nothing was written; this is the plan."]
        lines.append(text_table(head, rows))
        lines += [paragraph(f"left alone: {name}: {reason}.") for name, reason in self.left]
        if self.note:
            lines.append(paragraph(f"note: {self.note}"))
        if self.verdict is not None:
            lines.append(paragraph(self.verdict.sentence))
        return "\n".join(lines)

    def _parts(self) -> dict[str, Any]:
        out = asdict(self)
        for change in (*out["changes"], out):
            for key, value in change.items():
                if isinstance(value, float) and not math.isfinite(value):
                    change[key] = None
        return out
