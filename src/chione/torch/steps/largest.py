"""The largest learning rate at which an optimiser is stable on a batch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from chione.base import Estimate, Status, checks
from chione.torch.steps.bench import Bench, Loss, bench
from chione.torch.steps.curvature import Curvature, NoCurvatureError, hessian_extremes
from chione.torch.steps.krylov import Extreme
from chione.torch.steps.largest_report import LargestLearningRate
from chione.torch.steps.line_search import Crossing, crossing
from chione.torch.steps.optimizers import OptimizerLike, label
from chione.torch.steps.runs import once
from chione.torch.steps.stability import Rule, Scale, rule
from chione.torch.steps.tangent import expected_sharpness

_MOST = 9  # forward passes of the line search
_BRACKET = 0.05  # its relative width at the end


def largest_learning_rate(
    model: torch.nn.Module,
    batch: Any,
    loss: Loss,
    optimizer: OptimizerLike = "sgd",
    *,
    hessian: bool = False,
    rehearse: int = 0,
    steps: int = 100,
    rtol: float = 1e-3,
    seed: int = 0,
) -> LargestLearningRate:
    r"""Say up to which learning rate training is stable on a batch, before training.

    .. math:: \eta_{\max} = \frac{2}{\lambda_{\max}(G)}, \qquad G = J^\top H J, \quad
       J = \frac{\partial f}{\partial \theta}, \; H = \frac{\partial^2 L}{\partial f^2}

    and beside it the critical learning rate, at which the loss after one step is what it was.

    Parameters
    ----------
    model : Module
        Runs in the mode that it is in, and is left as it was, also after an exception.
    batch : Tensor, tuple, list or mapping
        As :func:`inspect` takes it; the learning rate is that of full-batch steps on it.
    loss : callable
        From what the model returns to a number.
    optimizer : torch.optim.Optimizer, callable or str
        As for :func:`first_step`; a name needs no learning rate. Of several groups the ratios of
        the learning rates are kept, and the answer is that of the first group.
    hessian : bool
        Whether the ends of the spectrum of the true Hessian are found too.
    rehearse : int
        So many steps are taken at half the limit (of Adam: at half the critical learning rate)
        before the limit is looked up again: curvature moves while training goes on. They are taken
        back as everything else.
    steps : int
        At most so many Lanczos steps.
    rtol : float
        Relative error at which they stop.
    seed : int
        Seed of the start vector and of dropout masks.

    Returns
    -------
    LargestLearningRate
        ``print`` explains it; ``.learning_rate``, ``.sharpness``, ``.critical``, ``.theory``.

    Raises
    ------
    ValueError, TypeError
        As :func:`first_step`.

    Notes
    -----
    The largest eigenvalue comes from Lanczos on products with J and its transpose, in the space of
    outputs or of parameters, whichever is smaller; its error is the residual, or its square over
    the gap to the next Ritz value. For momentum 2 becomes :math:`2 (1 + \mu)`, for Adam
    :math:`2 (1 + \beta_1) / (1 - \beta_1)` with its preconditioner where it is now; see
    :mod:`chione.torch.steps.stability`. In the first step of Adam that preconditioner is one over
    the size of each gradient and changes quickly: there the critical learning rate is the one to
    look at.

    The critical learning rate is found along the optimiser's own first step by a few forward
    passes. It is never below :math:`2 / \lambda_{\max}` on a quadratic loss, and needs no second
    derivatives, so that it holds for losses and models that are piecewise linear too.

    Beyond :math:`\eta_{\max}` the loss grows at first. It need not diverge: up to about twice that
    a wide network with a squared loss may find a flatter place (a catapult), and cross entropy
    bounds its own gradients. Below it, curvature itself moves while training goes on, mostly
    upwards to :math:`2 / \eta` (the edge of stability). Minibatches lower the limit.

    Where the loss is piecewise linear in the output (L1, hinge), H and G are zero. With piecewise
    linear activations G is exact between the kinks and does not see them. Losses that count
    (accuracy, argmax) have no gradient and are refused.

    References
    ----------
    .. [1] J. Cohen et al., Gradient descent on neural networks typically occurs at the edge of
       stability (2021).
    .. [2] D. S. Kalra, M. Barkeshli (2026), critical sharpness, arXiv 2605.21486.

    Examples
    --------
    A linear model with a squared loss is a quadratic, whose limit is known:

    >>> import torch
    >>> from chione.torch import largest_learning_rate
    >>> x = torch.tensor([[3.0, 0.0], [0.0, 1.0]])
    >>> found = largest_learning_rate(
    ...     torch.nn.Linear(2, 1, bias=False), x, lambda out: 0.5 * (out - 1).square().sum())
    >>> print(f"{float(found.learning_rate.value):.4f}")
    0.2222
    """
    many = checks.integer("rehearse", rehearse, minimum=0)
    limit, slack = checks.integer("steps", steps, minimum=2), checks.positive("rtol", rtol)
    lr = 1e-3 if isinstance(optimizer, str) else None
    with bench(model, batch, loss, optimizer, lr, seed) as b:
        notes: list[str] = []
        start = float(b.gradients(b.traced()[1]))  # traced, so that an error names the layer
        law = rule(b)
        if law is None:
            notes.append(
                f"The limit by curvature is known for SGD, Adam and AdamW with one momentum, not "
                f"for this {type(b.optimizer).__name__}; the critical learning rate holds for all."
            )
        scales: list[Scale] = [1.0] * len(b.parameters) if law is None else law.scales
        options: dict[str, Any] = {"steps": limit, "rtol": slack, "seed": seed}
        curvature, ends = _curved(b, scales, options, notes)
        sharpness, rate = _limits(ends, law, notes)
        true = hessian_extremes(b, scales, **options) if hessian else None
        theory = None if ends is None else _theory(b, curvature, law, notes)
        first = float(b.optimizer.param_groups[0]["lr"])
        known = law is not None and law.plain and math.isfinite(rate.value)
        found, tried = _critical(b, start, float(rate.value) / first if known else 1.0)
        adaptive = law is not None and any(isinstance(s, torch.Tensor) for s in law.scales)
        target = 0.5 * (first * found.value if adaptive else float(rate.value))
        later = _rehearsed(b, target / first, many, options, notes) if many else None
        return LargestLearningRate(
            model=type(b.model).__name__,
            optimizer=label(b.optimizer) if lr is None else type(b.optimizer).__name__,
            batch=b.size,
            parameters=sum(p.numel() for p in b.parameters),
            outputs=curvature.outputs if curvature is not None else 0,
            loss=start,
            limit=math.nan if law is None else law.limit,
            rule="" if law is None else law.words,
            sharpness=sharpness,
            learning_rate=rate,
            critical=_crossed(found, first),
            forwards=found.evaluations,
            lanczos_steps=0 if ends is None else ends[0].steps,
            hessian=None if true is None else _ends(true),
            theory=theory,
            adaptive=adaptive,
            rehearsed=many,
            later=later,
            rates=first * np.array(sorted(tried)),
            losses=np.array([tried[t] for t in sorted(tried)]),
            seed=seed,
            notes=tuple(notes),
        )


def _curved(
    b: Bench, scales: list[Scale], options: dict[str, Any], notes: list[str]
) -> tuple[Curvature | None, tuple[Extreme, Extreme] | None]:
    """The Gauss-Newton matrix and the ends of its spectrum, where it has some."""
    curvature = None
    try:
        curvature = Curvature(b, scales)
        ends = curvature.largest(**options)
    except NoCurvatureError as err:
        notes.append(f"No Gauss-Newton matrix: {err}")
        return curvature, None
    if ends[0].value == ends[1].value == 0.0:
        notes.append(
            "The loss is piecewise linear in the output, so its Gauss-Newton matrix is "
            "zero and tells no limit; the critical learning rate does."
        )
        return curvature, None
    return curvature, ends


def _rehearsed(
    b: Bench, factor: float, steps: int, options: dict[str, Any], notes: list[str]
) -> Estimate | None:
    """The limit after some steps at `factor` times the learning rates of the optimiser."""
    if not 0.0 < factor < math.inf:
        notes.append("No rehearsal: there is no learning rate to take half of.")
        return None
    before = {name: p.detach().clone() for name, p in b.model.named_parameters()}
    with once(b, before):
        for group in b.optimizer.param_groups:
            group["lr"] = float(group["lr"]) * factor
        try:
            for _ in range(steps):
                b.gradients(b.output())
                b.move()
            b.gradients(b.output())
        except ValueError:
            notes.append("The rehearsal overflows at half of that learning rate.")
            return None
        law = rule(b)
        if law is None:
            return None
        _, ends = _curved(b, law.scales, options, [])
        return _limits(ends, law, [])[1]


def _limits(
    ends: tuple[Extreme, Extreme] | None, law: Rule | None, notes: list[str]
) -> tuple[Estimate, Estimate]:
    """The largest eigenvalue, weight decay added, and the learning rate that it allows."""
    if ends is None:
        unknown = _estimate(math.nan, math.inf)
        return unknown, unknown
    top, bottom = ends
    low, high = (0.0, 0.0) if law is None else law.decay
    value, error = top.value + 0.5 * (low + high), top.error + 0.5 * (high - low)
    if bottom.value < -max(bottom.error, 0.1 * top.value):
        notes.append(
            f"The loss is not convex in the output: the Gauss-Newton matrix has the eigenvalue "
            f"{bottom.value:.3g} too."
        )
    status = Status.OK if top.converged else Status.INEXACT
    sharpness = Estimate(value, error, status)
    if law is None or value <= 0.0:
        return sharpness, _estimate(math.nan if law is None else math.inf, math.inf)
    rate = law.limit / value
    spread = rate * error / (value - error) if error < value else math.inf
    return sharpness, Estimate(rate, spread, status)


def _critical(b: Bench, start: float, guess: float) -> tuple[Crossing, dict[float, float]]:
    """Along the optimiser's own first step, in units of it; and the losses that were found."""
    tried: dict[float, float] = {}
    before = {name: p.detach().clone() for name, p in b.model.named_parameters()}
    b.gradients(b.output())
    grads = {p: p.grad.clone() for p in b.parameters if p.grad is not None}
    origin = {p: p.detach().clone() for p in b.parameters}
    with once(b, before):
        b.move()
        step = {p: p.detach() - old for p, old in origin.items()}
    slope = sum(float((g.double() * step[p].double()).sum()) for p, g in grads.items())

    def at(t: float) -> float:
        with torch.no_grad():
            for p, old in origin.items():
                p.copy_(old + t * step[p])
        tried[t] = b.value()
        return tried[t]

    try:
        if not slope < 0.0:
            return Crossing(math.nan, math.inf, 0), tried
        return crossing(at, start, slope, rtol=_BRACKET, most=_MOST, first=guess), tried
    finally:
        with torch.no_grad():
            for p, old in origin.items():
                p.copy_(old)


def _theory(
    b: Bench, curvature: Curvature | None, law: Rule | None, notes: list[str]
) -> Estimate | None:
    """The learning rate from the tangent kernel of the wide network, for plain SGD."""
    if curvature is None or law is None:
        return None
    if not law.plain:
        notes.append("No theory: it is for SGD with one learning rate.")
        return None
    found, why = expected_sharpness(b, curvature)
    if found is None:
        notes.append(f"No theory: {why}")
        return None
    value, error = float(found.value) + law.decay[1], float(found.error)
    return _estimate(law.limit / value, law.limit * error / value**2)


def _ends(true: tuple[Extreme, Extreme]) -> Estimate:
    """Smallest and largest eigenvalue."""
    top, bottom = true
    pair = (bottom, top)
    status = [Status.OK if x.converged else Status.INEXACT for x in pair]
    return Estimate(
        np.array([x.value for x in pair]),
        np.array([x.error for x in pair]),
        np.array(status, dtype=np.int8),
    )


def _crossed(found: Crossing, rate: float) -> Estimate:
    """In learning rates; a lower bound is INEXACT."""
    if math.isfinite(found.value) and math.isinf(found.error):
        return Estimate(rate * found.value, math.inf, Status.INEXACT)
    return _estimate(rate * found.value, rate * found.error)


def _estimate(value: float, error: float) -> Estimate:
    known = math.isfinite(value)
    return Estimate(
        value, error if known else math.inf, Status.OK if known else Status.NOT_COMPUTED
    )
