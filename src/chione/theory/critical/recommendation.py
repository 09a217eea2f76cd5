"""An initialisation and its figures over the depth, as data that prints as advice."""

from __future__ import annotations

import math
from dataclasses import field
from typing import Any

from chione.base import AbstractResult, Estimate, Status, paragraph, plain, result, text_table

# Figures over the depth, in decades.
MEANINGS = {
    "gradient": "mean square gradient, last layer to first",
    "weight gradients": "largest over smallest mean square weight gradient of a layer",
    "distance": "1 - c of two inputs, input to last layer",
    "length": "mean square of the pre-activations, first layer to last",
    "inputs": "what half or twice the mean square of an input changes of gradient and length",
    "output": "mean square of the last layer's output",
    "first layer": "factor on the variance of the first layer's weights that starts at q*",
    "fluctuation": "standard deviation of gradient and length over networks of this width",
}


@result
class Recommendation(AbstractResult):
    r"""An initialisation with its figures over the depth.

    Parameters
    ----------
    name : str
        What the option is called, e.g. "critical point" or "he".
    activation : str
        The activation it is meant for, an affine change of the given one included.
    depth : int
        Number of layers L of the figures.
    sigma_w, sigma_b : float
        Standard deviations (weights times the root of the fan-in); NaN where nothing can be
        recommended.
    q_star : Estimate
        Mean square that pre-activations settle at, from inputs of mean square `q0`.
    chi_parallel, chi_perp : Estimate
        Susceptibilities there.
    gradient : Estimate
        :math:`\prod_{l=1}^{L} \sigma_w^2 E\,\phi'(\sqrt{q^l} z)^2`, the factor on the mean square
        gradient through all layers.
    log10_gradient : float
        The same in decades, also where float64 cannot hold the factor.
    log10_distance : float
        Decades by which 1 - c of two inputs of correlation 0.9 changes, by the leading terms of
        the correlation map near c = 1.
    status : Status
        ``OK``, ``HALF_STABLE`` or ``NONE``.
    kind : {"critical", "edge of chaos", "none", "scheme"}
        What holds: both susceptibilities 1, chi_perp = 1 only, nothing, or a reference scheme.
    reason : str
        What it controls and what it trades, in words.
    alternatives : tuple of Recommendation
        Other options in the same terms; empty for an option itself.
    errors : dict of str to float
        Estimated absolute errors of `sigma_w`, `sigma_b` and `log10_gradient`, by name; empty where
        nothing can be recommended. `log10_distance` is a figure by leading terms, without a bound.
    weighed : dict of str to float
        What it was weighed by, in decades over the depth: ``gradient``, ``weight gradients``,
        ``distance``, ``length``, ``inputs``, ``output``, ``first layer`` and ``fluctuation``;
        `meanings` says what each is. Theory's own numbers; one network of this width lies within
        twice ``fluctuation`` of each, and its weight gradients differ by up to thrice that more,
        since chance alone spreads them. Empty where the activation jumps.
    total : float
        What these decades cost together; the smallest total is recommended.
    weights : {"gaussian", "orthogonal", "uniform", "truncated", "delta"}
        Law of the weights that is recommended, or was asked for.
    first_layer : float
        Factor on sigma_w of the first layer that lets lengths start at `q_star`.
    holds : dict of str to float
        ``depth`` up to which it holds at the width it was weighed at, ``width`` from which it
        holds at its depth, and the ``at_width`` it was weighed at.
    """

    name: str
    activation: str
    depth: int
    sigma_w: float
    sigma_b: float
    q_star: Estimate
    chi_parallel: Estimate
    chi_perp: Estimate
    gradient: Estimate
    log10_gradient: float
    log10_distance: float
    status: Status
    kind: str
    reason: str
    alternatives: tuple[Recommendation, ...] = ()
    errors: dict[str, float] = field(default_factory=dict)
    weighed: dict[str, float] = field(default_factory=dict)
    total: float = math.nan
    weights: str = "gaussian"
    first_layer: float = 1.0
    holds: dict[str, float] = field(default_factory=dict)

    @property
    def meanings(self) -> dict[str, str]:
        """What each figure of `weighed` says."""
        return {name: MEANINGS[name] for name in self.weighed}

    def table(self) -> str:
        """What was weighed, of this option and its alternatives, as text."""
        options = [o for o in (self, *self.alternatives) if o.weighed]
        head = ("", "sigma_w", "sigma_b", *MEANINGS, "total")
        rows = [o._row() for o in options]
        legend = [f"{name}: {what}" for name, what in MEANINGS.items()]
        return "\n".join(
            [
                text_table(head, rows, align="<" + ">" * (len(head) - 1)),
                "",
                paragraph(f"Decades over {self.depth} layers. {'; '.join(legend)}."),
            ]
        )

    def _row(self) -> tuple[str, ...]:
        cells = [f"{d:+.2f}" if math.isfinite(d) else "lost" for d in self.weighed.values()]
        sum_ = f"{self.total:.2f}" if math.isfinite(self.total) else "lost"
        return (self.name, f"{self.sigma_w:.4g}", f"{self.sigma_b:.4g}", *cells, sum_)

    @property
    def exists(self) -> bool:
        """Whether there is something to recommend."""
        return math.isfinite(self.sigma_w)

    @property
    def sentence(self) -> str:
        """The advice in words."""
        if not self.exists:
            return f"{self.activation}: no initialisation can be recommended. {self.reason}"
        return (
            f"{self.activation}: sigma_w = {self.sigma_w:.9g}, sigma_b = {self.sigma_b:.9g} "
            f"({self.kind}). {self.reason}"
        )

    def _parts(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "activation": self.activation,
            "depth": self.depth,
            "sigma_w": plain(self.sigma_w),
            "sigma_b": plain(self.sigma_b),
            "q_star": self.q_star.to_dict(),
            "chi_parallel": self.chi_parallel.to_dict(),
            "chi_perp": self.chi_perp.to_dict(),
            "gradient": self.gradient.to_dict(),
            "log10_gradient": plain(self.log10_gradient),
            "log10_distance": plain(self.log10_distance),
            "status": self.status.word,
            "kind": self.kind,
            "reason": self.reason,
            "alternatives": [a.to_dict() for a in self.alternatives],
            "errors": {name: plain(error) for name, error in self.errors.items()},
            "weighed": {
                name: {"decades": plain(d), "means": MEANINGS[name]}
                for name, d in self.weighed.items()
            },
            "total": plain(self.total),
            "weights": self.weights,
            "first_layer": plain(self.first_layer),
            "holds": {name: plain(x) for name, x in self.holds.items()},
        }

    def __str__(self) -> str:
        return self.sentence
