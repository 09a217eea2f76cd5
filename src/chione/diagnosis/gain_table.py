"""Edge-of-chaos initialisations beside `calculate_gain`, for one activation or for all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from chione.activations import activation, catalogue
from chione.base import checks
from chione.diagnosis.alternatives import finite_or_none, log10_gradient
from chione.diagnosis.numbers import power_text, value_text
from chione.diagnosis.pytorch_rules import calculate_gain
from chione.theory import Gain, gain, trajectory


@dataclass(frozen=True)
class GainRow:
    """One activation: the recommended sigmas, PyTorch's gain, and what either does to gradients.

    Parameters
    ----------
    activation : str
        Its name.
    recommended : Gain
        The recommended initialisation, or why there is none.
    log10_gradient : float
        Decades by which the mean square gradient changes over the depth with it; NaN without one.
    torch_gain : float or None
        What ``torch.nn.init.calculate_gain`` gives; None where it raises.
    torch_log10_gradient : float
        Decades with that gain and zero biases; NaN without one.
    """

    activation: str
    recommended: Gain
    log10_gradient: float
    torch_gain: float | None
    torch_log10_gradient: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "activation": self.activation,
            "recommended": self.recommended.to_dict(),
            "log10_gradient": finite_or_none(self.log10_gradient),
            "calculate_gain": self.torch_gain,
            "calculate_gain_log10_gradient": finite_or_none(self.torch_log10_gradient),
        }

    def cells(self) -> tuple[str, ...]:
        """The line of the table as text."""
        best = self.recommended
        exists = math.isfinite(best.sigma_w)
        return (
            self.activation,
            f"{best.sigma_w:.6g}" if exists else "none",
            f"{best.sigma_b:.6g}" if exists else "",
            value_text(best.chi_parallel, 6) if exists else "",
            value_text(best.chi_perp, 6) if exists else "",
            power_text(self.log10_gradient) if exists else "",
            "raises" if self.torch_gain is None else f"{self.torch_gain:.6g}",
            "" if self.torch_gain is None else power_text(self.torch_log10_gradient),
        )


@dataclass(frozen=True)
class GainTable:
    """Rows for several activations at one depth; prints as a table.

    Parameters
    ----------
    rows : tuple of GainRow
        One for each activation.
    depth : int
        Number of layers L over which gradients are followed.
    """

    rows: tuple[GainRow, ...]
    depth: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {"depth": self.depth, "rows": [row.to_dict() for row in self.rows]}

    def __repr__(self) -> str:
        lines = [
            (
                "activation",
                "sigma_w",
                "sigma_b",
                "chi_parallel",
                "chi_perp",
                f"gradient x{self.depth}",
                "calculate_gain",
                f"gradient x{self.depth}",
            ),
            *(row.cells() for row in self.rows),
        ]
        wide = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
        text = ["  ".join(f"{c:<{w}}" for c, w in zip(line, wide, strict=True)) for line in lines]
        return "\n".join(line.rstrip() for line in (text[0], "-" * len(text[0]), *text[1:]))


def gain_table(phi: object = None, *, depth: int = 50) -> GainTable:
    r"""Tabulate sigmas on the edge of chaos and what they do, beside ``calculate_gain``.

    The gradient is followed layer by layer from an input of mean square 1:

    .. math:: \prod_{l=1}^{L} \sigma_w^2 E\,\phi'(\sqrt{q^l} z)^2

    Parameters
    ----------
    phi : activation, str or callable, optional
        One activation; all of the catalogue by default.
    depth : int
        Number of layers L.

    Returns
    -------
    GainTable

    Raises
    ------
    SpecError, ValueError, TypeError
        If `phi` or `depth` cannot be understood.
    """
    depth = checks.integer("depth", depth)
    chosen = catalogue().values() if phi is None else (activation(phi),)
    return GainTable(tuple(_row(act, depth) for act in chosen), depth)


def _row(act: Any, depth: int) -> GainRow:
    best = gain(act, depth=depth)
    rule = calculate_gain(act)
    return GainRow(
        act.name,
        best,
        _decades(act, float(best.sigma_w), float(best.sigma_b), depth),
        rule,
        math.nan if rule is None else _decades(act, rule, 0.0, depth),
    )


def _decades(act: Any, sigma_w: float, sigma_b: float, depth: int) -> float:
    if not math.isfinite(sigma_w):
        return math.nan
    return log10_gradient(trajectory(act, sigma_w=sigma_w, sigma_b=sigma_b, depth=depth))
