r"""Parametrisations: how weights and learning rates go with width, and what training does then.

With :math:`W^l = n^{-a_l} w^l`, :math:`w^l \sim N(0, n^{-2 b_l})`, a learning rate
:math:`\eta\,n^{-c_l}` and a fixed input size (Yang & Hu 2021), two exponents of each layer count:

.. math:: s_l = a_l + b_l, \qquad u_l = 2 a_l + c_l \;\text{(SGD)}, \quad
   u_l = a_l + c_l \;\text{(Adam)}

the size of the weights, and that of what a step adds to them beside the outer product of gradient
and input (SGD), or of each entry added (Adam). Features move as :math:`n^{-r}`,

.. math:: \text{SGD:}\; r = \min(s_{L+1}, u_{L+1}) - 1 + \min_{l \le L} (u_l + [l = 1]), \qquad
   \text{Adam:}\; r = \min_{l \le L} (u_l - [l > 1])

Training is stable iff :math:`s_1 = 0`, :math:`s_l = \tfrac12`, :math:`s_{L+1} \ge \tfrac12`,
:math:`r \ge 0`, :math:`u_{L+1} \ge 1` and :math:`s_{L+1} + r \ge 1`, and then learns features
iff r = 0; with r > 0 it is that of a fixed kernel.

References
----------
[1] G. Yang, E. J. Hu, Feature learning in infinite-width neural networks (2021).
[2] G. Yang, E. Littwin, Tensor Programs IVb: adaptive optimization (2023), for Adam.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, final

import numpy as np

from chione.base import AbstractResult, checks, paragraph, result

ROLES = ("input", "hidden", "output")
_CLOSE = 1e-6  # exponents that differ by less are equal


@final
@result
class Parametrization(AbstractResult):
    r"""What the exponents of a parametrisation mean.

    Parameters
    ----------
    optimizer : {"sgd", "adam"}
        The optimizer.
    roles : tuple of {"input", "hidden", "output"}
        What grows with width: the outputs of a layer, both sides, or its inputs.
    weights, rates : tuple of float
        :math:`s_l` and :math:`u_l` of each layer.
    name : {"standard", "NTK", "mean-field", "muP", "other"}
        The usual name. With one hidden layer mean-field is muP, and goes by the name mean-field.
    r : float
        Features move as :math:`n^{-r}` in a step.
    stable : bool
        Whether features start at a size that does not depend on width and neither they nor the
        output leave it in a step.
    regime : {"feature learning", "kernel", "trivial", "unstable"}
        What training of very wide networks does; ``trivial``: features vanish at the start, or
        the output does not move.
    reasons : tuple of str
        What is unstable or trivial, one sentence each.
    update_slopes : tuple of float
        Slope in log n of the root mean square of dh in the first step, at each layer before the
        output; NaN where features vanish or grow at the start.
    output_slopes : tuple of float
        The same for the output at the start and for its change in the first step.
    """

    optimizer: str
    roles: tuple[str, ...]
    weights: tuple[float, ...]
    rates: tuple[float, ...]
    name: str
    r: float
    stable: bool
    regime: str
    reasons: tuple[str, ...]
    update_slopes: tuple[float, ...]
    output_slopes: tuple[float, float]

    def __str__(self) -> str:
        what = {
            "feature learning": "wide networks learn features",
            "kernel": "wide networks are kernel machines: features move as n^-r",
            "trivial": "wide networks do nothing",
            "unstable": "training of wide networks blows up",
        }[self.regime]
        return paragraph(f"{self.name}: r = {self.r:.4g}, {what}. {' '.join(self.reasons)}".strip())


def parametrization(
    a: Sequence[float], b: Sequence[float], c: float | Sequence[float], *, optimizer: str = "sgd"
) -> Parametrization:
    r"""Name a parametrisation, and say what training of wide networks does in it.

    Parameters
    ----------
    a, b : sequence of float, length L + 1
        Layer l has :math:`W = n^{-a_l} w` with w of standard deviation :math:`n^{-b_l}`; the first
        reads the input, whose size is fixed, the last is the output.
    c : float or sequence of float, length L + 1
        The learning rate goes as :math:`n^{-c}`, of each layer if there are several.
    optimizer : {"sgd", "adam"}
        The optimizer.

    Returns
    -------
    Parametrization

    Raises
    ------
    ValueError
        If there are fewer than two layers, or the lengths differ.

    Examples
    --------
    >>> print(parametrization([0, 0, 0], [0, 0.5, 0.5], 1.0))
    standard: r = 0.5, wide networks are kernel machines: features move as n^-r.
    >>> print(parametrization([-0.5, 0, 0.5], [0.5, 0.5, 0.5], 0.0))
    muP: r = 0, wide networks learn features.
    """
    one, two = checks.real_array("a", a), checks.real_array("b", b)
    if one.ndim != 1 or one.shape != two.shape or len(one) < 2:
        raise ValueError(
            f"a and b must have one exponent for each of two layers or more, but their shapes are "
            f"{one.shape} and {two.shape}."
        )
    rates = checks.real_array("c", c)
    if rates.shape not in ((), one.shape):
        raise ValueError(
            f"c must be one exponent or {len(one)}, one for each layer, but its shape is "
            f"{rates.shape}."
        )
    checks.one_of("optimizer", optimizer, ("sgd", "adam"))
    roles = ("input", *("hidden",) * (len(one) - 2), "output")
    u = (2.0 if optimizer == "sgd" else 1.0) * one + rates
    return from_exponents(roles, one + two, u, optimizer)


def from_exponents(
    roles: Sequence[str], weights: Any, rates: Any, optimizer: str
) -> Parametrization:
    """The parametrisation of exponents s and u; there must be an input and an output layer."""
    s, u = np.asarray(weights, dtype=np.float64), np.asarray(rates, dtype=np.float64)
    role = np.array(roles)
    inner, out = role != "output", role == "output"
    s_out, u_out = float(s[out].min()), float(u[out].min())
    first = role == "input"
    own = u + first if optimizer == "sgd" else u - ~first  # of each layer, without the gradient
    own = np.where(inner, own, np.inf)
    gradient = min(s_out, u_out) - 1.0 if optimizer == "sgd" else 0.0
    r = float(gradient + own.min())
    reasons = tuple(_reasons(role, s, (s_out, u_out), r))
    vanishing = bool(np.any(s[inner] > np.where(first, 0.0, 0.5)[inner] + _CLOSE))
    still = min(u_out, s_out + r) > 1.0 + _CLOSE
    start = s_out - 1.0 if optimizer == "sgd" else 0.0  # of the first step
    moves = 0.0 - (start + np.minimum.accumulate(own[inner]))
    clean = not any("start" in reason for reason in reasons)
    last = max(1.0 - u_out, 1.0 - s_out + float(moves[-1]))
    stable = not reasons
    regime = "feature learning" if abs(r) <= _CLOSE else "kernel"
    if not stable:
        regime = "trivial" if vanishing and r >= -_CLOSE else "unstable"
    elif still:
        regime, reasons = "trivial", ("The output does not move.",)
    return Parametrization(
        optimizer,
        tuple(str(x) for x in roles),
        tuple(float(x) for x in s),
        tuple(float(x) for x in u),
        _name(role, s, u, optimizer),
        r,
        stable,
        regime,
        reasons,
        tuple(float(x) if clean else math.nan for x in moves),
        (0.5 - s_out, last) if clean else (math.nan, math.nan),
    )


def _reasons(role: Any, s: Any, output: tuple[float, float], r: float) -> Any:
    """What makes it unstable, or lets features vanish."""
    for i, (where, x) in enumerate(zip(role, s, strict=True)):
        slope = (0.0 if where == "input" else 0.5) - x
        if slope > _CLOSE or (where != "output" and slope < -_CLOSE):
            how = "grows" if slope > 0 else "vanishes"
            yield f"Layer {i + 1} {how} as n^{slope:.3g} at the start."
    s_out, u_out = output
    if r < -_CLOSE:
        yield f"Features move by n^{-r:.3g} in a step."
    if u_out < 1.0 - _CLOSE:
        yield f"The weights of the output move it by n^{1.0 - u_out:.3g} in a step."
    if s_out + r < 1.0 - _CLOSE and r >= -_CLOSE:
        yield f"What features move changes the output by n^{1.0 - s_out - r:.3g} in a step."


def _name(role: Any, s: Any, u: Any, optimizer: str) -> str:
    """By the exponents of each role."""
    ideal = {"input": 0.0, "hidden": 0.5}
    patterns = {
        "standard": ideal | {"output": 0.5},
        "muP": ideal | {"output": 1.0},
        "mean-field": {"input": 0.0, "hidden": 1.0, "output": 1.0},
    }
    step = u - u[role == "output"].min()

    def fits(x: Any, wanted: dict[str, float]) -> bool:
        return all(abs(v - wanted[at]) <= _CLOSE for v, at in zip(x, role, strict=True))

    same = {"input": 0.0, "hidden": 0.0, "output": 0.0}
    sgd = optimizer == "sgd"
    if fits(s, patterns["standard"]):
        if fits(step, same):
            return "standard"
        if fits(step, same | {"input": -1.0 if sgd else -0.5}):
            return "NTK"
    deep = bool(np.any(role == "hidden"))
    maximal = (
        {"input": -1.0, "hidden": 0.0, "output": 1.0}
        if sgd
        else {"input": 0.0, "hidden": 1.0, "output": 1.0}
    )
    if fits(s, patterns["muP"]) and fits(u, maximal):
        return "muP" if deep else "mean-field"
    if fits(s, patterns["mean-field"]) and deep:
        return "mean-field"
    return "other"
