r"""Up to which curvature an optimiser is stable, and the preconditioner it applies.

On a quadratic loss each direction of curvature :math:`\lambda` of the preconditioned matrix stays
bounded up to :math:`\eta \lambda < s`:

.. math:: \text{SGD: } s = 2, \quad
   \text{heavy ball: } s = \frac{2 (1 + \mu)}{1 - \tau}, \quad
   \text{Nesterov: } s = \frac{2 (1 + \mu)}{1 + 2 \mu}, \quad
   \text{Adam: } s = \frac{2 (1 + \beta_1)}{1 - \beta_1}

with momentum :math:`\mu` and dampening :math:`\tau`; for Adam with the preconditioner
:math:`D = 1 / (\sqrt{\hat v} + \epsilon)` held where it is.

References
----------
[1] J. Cohen et al., Gradient descent on neural networks typically occurs at the edge of stability
(2021), for momentum.
[2] J. Cohen et al., Adaptive gradient methods at the edge of stability (2022), for Adam.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from chione.torch.steps.bench import Bench
from chione.torch.steps.largest_report import PLAIN

Scale = torch.Tensor | float


@dataclass(frozen=True)
class Rule:
    """What an optimiser makes of curvature.

    Parameters
    ----------
    limit : float
        The number s.
    scales : list of Tensor or float
        Diagonal of D by parameter, learning rates of groups beside the first one included.
    decay : tuple of float
        Smallest and largest diagonal entry that weight decay adds to D times the curvature.
    plain : bool
        Whether D is the identity.
    words : str
        The rule for the reader.
    """

    limit: float
    scales: list[Scale]
    decay: tuple[float, float]
    plain: bool
    words: str


def rule(bench: Bench) -> Rule | None:
    """The rule of SGD, Adam and AdamW, after the gradients are known; None for others."""
    optimizer = bench.optimizer
    groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    mine = [groups[id(p)] for p in bench.parameters]
    if any(group.get("maximize") or group.get("amsgrad") for group in mine):
        return None
    first = float(optimizer.param_groups[0]["lr"])
    if first <= 0.0:
        return None
    ratios = [float(group["lr"]) / first for group in mine]
    if type(optimizer) is torch.optim.SGD:
        limits = {_sgd(group) for group in mine}
        scales: list[Scale] = list(ratios)
        words = PLAIN
        if any(group["momentum"] for group in mine):
            words = "2 (1 + mu) / (1 + 2 mu) / lambda" if mine[0]["nesterov"] else (
                "2 (1 + mu) / lambda"
            )  # fmt: skip
    elif type(optimizer) in (torch.optim.Adam, torch.optim.AdamW):
        limits = {2.0 * (1.0 + b) / (1.0 - b) for b in (float(g["betas"][0]) for g in mine)}
        adaptive = zip(bench.parameters, mine, ratios, strict=True)
        scales = [ratio / _root(optimizer, p, group) for p, group, ratio in adaptive]
        words = "2 (1 + beta_1) / (1 - beta_1) / lambda"
    else:
        return None
    if len(limits) > 1:
        return None  # groups of different momentum
    decays = [
        float(group.get("weight_decay") or 0.0) * _part(scale, ratio, group, optimizer)
        for group, scale, ratio in zip(mine, scales, ratios, strict=True)
    ]
    plain = type(optimizer) is torch.optim.SGD and set(ratios) == {1.0}
    return Rule(limits.pop(), scales, (min(decays), max(decays)), plain, words)


def _sgd(group: dict[str, Any]) -> float:
    mu = float(group["momentum"])
    if group["nesterov"]:
        return 2.0 * (1.0 + mu) / (1.0 + 2.0 * mu)
    return 2.0 * (1.0 + mu) / (1.0 - float(group["dampening"]))


def _root(optimizer: Any, p: torch.nn.Parameter, group: dict[str, Any]) -> torch.Tensor:
    """What Adam divides by in its next step."""
    g = torch.zeros_like(p) if p.grad is None else p.grad
    square, beta = g.detach().double() ** 2, float(group["betas"][1])
    state = optimizer.state.get(p) or {}
    steps = float(state.get("step", 0.0)) + 1.0
    before = state.get("exp_avg_sq")
    v = (1.0 - beta) * square + (0.0 if before is None else beta * before.double())
    root: torch.Tensor = (v / (1.0 - beta**steps)).sqrt()
    return root + float(group["eps"])


def _part(scale: Scale, ratio: float, group: dict[str, Any], optimizer: Any) -> float:
    """What multiplies weight decay: D, or the rate alone where it is decoupled."""
    decoupled = isinstance(optimizer, torch.optim.AdamW) or group.get("decoupled_weight_decay")
    if decoupled or not isinstance(scale, torch.Tensor):
        return ratio
    return float(scale.max())
