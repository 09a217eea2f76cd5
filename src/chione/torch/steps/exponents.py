r"""Which parametrisation a model is in, measured on models of several widths.

The code of a model says how weights and learning rates go with width only by what it builds. So
models of several widths are built and take one step on one example, and exponents in the width n
are fitted: of each matrix as its module applies it (multipliers included)

.. math:: s: \; \sqrt{E W_{ij}^2} \sim n^{-s}, \qquad
   u: \; \frac{|\Delta W x|}{|g\,x^T x|} \sim n^{-u} \;\text{(SGD)}, \quad
   \sqrt{E (\Delta W_{ij})^2} \sim n^{-u} \;\text{(Adam)}

and of what features and the output do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, final

import numpy as np
import torch

from chione.base import AbstractResult, Array, Estimate, along, checks, result, text_table
from chione.theory.depth.parametrization import Parametrization, from_exponents
from chione.torch.steps.fits import slope

MakeModel: TypeAlias = Callable[[int], torch.nn.Module]
MakeOptimizer: TypeAlias = Callable[[torch.nn.Module, int], torch.optim.Optimizer]

_SMALL = 1e-5  # of the step is taken, in float64, so that features follow it linearly
_NO_EPSILON = 1e-200  # below all gradients; a parameter without one stays
_QUANTITIES = ("weights", "rates", "features", "updates")
_KINDS: tuple[tuple[type[torch.optim.Optimizer], str], ...] = (
    (torch.optim.SGD, "sgd"),
    (torch.optim.Adam, "adam"),  # AdamW is one
)


@final
@result
class ModelParametrization(AbstractResult):
    r"""Exponents in the width that were measured on a model, and what they mean.

    Parameters
    ----------
    widths : tuple of int
        The widths.
    seeds : int
        Models of each width.
    optimizer : {"sgd", "adam"}
        The optimizer.
    modules : tuple of str, length M
        Names of the modules with a matrix that grows with the width, in order of execution.
    roles : tuple of str, length M
        ``input``, ``hidden`` or ``output``: whose outputs, both sides or inputs grow.
    weights, rates : Estimate, shape (M,)
        The exponents s and u.
    features, updates : Estimate, shape (M,)
        Slopes in log n of the root mean squares of what leaves each module, and of its change in
        the first step.
    parametrization : Parametrization
        Its name, and what training of wide networks does, from exponents rounded to halves where
        that is within their errors or `tolerance`.
    """

    axes = along("module", "weights", "rates", "features", "updates")

    widths: tuple[int, ...]
    seeds: int
    optimizer: str
    modules: tuple[str, ...]
    roles: tuple[str, ...]
    weights: Estimate
    rates: Estimate
    features: Estimate
    updates: Estimate
    parametrization: Parametrization

    def __str__(self) -> str:
        columns = (self.weights, self.rates, self.features, self.updates)
        rows = [
            [name, role, *(f"{float(c.value[i]):.2f}" for c in columns)]
            for i, (name, role) in enumerate(zip(self.modules, self.roles, strict=True))
        ]
        heads = ["module", "role", "s", "u", "slope of h", "slope of dh"]
        return f"{self.parametrization}\n\n{text_table(heads, rows, align='<<>>>>')}"


def parametrization(
    make_model: MakeModel,
    widths: Sequence[int],
    *,
    optimizer: float | MakeOptimizer,
    batch: torch.Tensor,
    seeds: int = 4,
    tolerance: float = 0.15,
) -> ModelParametrization:
    r"""Name the parametrisation of a model from several of its widths.

    Parameters
    ----------
    make_model : callable
        ``make_model(width)`` builds the model; its input and output sizes must not change.
    widths : sequence of int
        Two widths or more, such as (128, 256, 512, 1024).
    optimizer : float or callable
        ``optimizer(model, width)`` makes the optimizer (SGD, Adam or AdamW) with the learning
        rates of all groups; a number is the learning rate of SGD for all widths.
    batch : Tensor
        An example as the model takes it, or several of which the first is used.
    seeds : int
        Models of each width, 2 or more.
    tolerance : float
        How far an exponent may be from a multiple of 1/2 and still count as that.

    Returns
    -------
    ModelParametrization

    Raises
    ------
    ValueError
        If there are fewer than two widths or seeds, or no matrix reads the input or gives the
        output.
    TypeError
        If the optimizer is of another kind.

    Notes
    -----
    Modules count whose matrix acts on the last axis, with two axes of its own: ``nn.Linear``, and
    modules of your own that hold a matrix, whatever they multiply it by. Embeddings,
    convolutions, norms and biases are left out. Weight decay and the epsilon of Adam are off for
    the step; an epsilon that is not far below all gradients of the widest model changes exponents
    and should shrink with them.

    Examples
    --------
    >>> def mlp(n):
    ...     layers = torch.nn.Linear(8, n), torch.nn.Tanh(), torch.nn.Linear(n, 1)
    ...     return torch.nn.Sequential(*layers)
    >>> found = parametrization(mlp, (64, 256), optimizer=0.1, batch=torch.ones(1, 8))
    >>> found.parametrization.name, found.parametrization.regime
    ('standard', 'unstable')
    """
    sizes = [checks.integer("widths", n) for n in widths]
    count = checks.integer("seeds", seeds)
    slack = checks.positive("tolerance", tolerance)
    if len(set(sizes)) < 2 or count < 2:
        raise ValueError(
            f"exponents need two widths or more and two seeds or more, but widths are {sizes} and "
            f"seeds is {count}."
        )
    make = optimizer if callable(optimizer) else _sgd(checks.positive("optimizer", optimizer))
    runs = [[_run(make_model, make, n, batch[:1], seed) for seed in range(count)] for n in sizes]
    kind, roles = runs[0][0].kind, _roles(sizes, runs[0][0].shapes, runs[-1][0].shapes)
    logs = np.log(np.array(sizes, dtype=np.float64))
    fitted = {
        what: [
            slope(logs, [[run.logs[what][name] for run in row] for row in runs]) for name in roles
        ]
        for what in _QUANTITIES
    }
    for what in ("weights", "rates"):
        for name, (found, _) in zip(roles, fitted[what], strict=True):
            if not math.isfinite(found):
                raise ValueError(
                    f"the exponent of the {what} of {name!r} cannot be fitted: its weights or its "
                    f"gradient are zero at the start. Initialise the matrices behind it otherwise "
                    f"than by zero."
                )
    s, u = (_halves(fitted[what], slack) for what in ("weights", "rates"))
    return ModelParametrization(
        tuple(sizes),
        count,
        kind,
        tuple(roles),
        tuple(roles.values()),
        _estimate(fitted["weights"], -1.0),
        _estimate(fitted["rates"], -1.0),
        _estimate(fitted["features"], 1.0),
        _estimate(fitted["updates"], 1.0),
        from_exponents(tuple(roles.values()), s, u, kind),
    )


def _roles(
    sizes: list[int], small: dict[str, tuple[int, int]], large: dict[str, tuple[int, int]]
) -> dict[str, str]:
    """The role of each matrix that grows, from (outputs, inputs) at two widths."""
    out = {name: _role(small[name], large[name]) for name in small if name in large}
    out = {name: role for name, role in out.items() if role}
    for role in ("input", "output"):
        if role not in out.values():
            raise ValueError(
                f"the model has no matrix of the role {role!r} whose size goes with the width; the "
                f"sizes of its matrices (outputs, inputs) at widths {sizes[0]} and {sizes[-1]} are "
                f"{small} and {large}. make_model(width) must keep the sizes of what enters and "
                f"leaves the model."
            )
    return out


def _sgd(rate: float) -> MakeOptimizer:
    return lambda model, width: torch.optim.SGD(model.parameters(), lr=rate)


def _role(small: tuple[int, int], large: tuple[int, int]) -> str:
    """From (outputs, inputs) at two widths; nothing where neither grows."""
    out, into = (b > a for a, b in zip(small, large, strict=True))
    return "hidden" if out and into else "input" if out else "output" if into else ""


# ---- one model ----------------------------------------------------------------------------------


@dataclass
class _Run:
    """What was measured on a model: logarithms, by quantity and module."""

    kind: str
    shapes: dict[str, tuple[int, int]]
    logs: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass
class _Seen:
    """What a module read and gave, and the gradient of that."""

    module: torch.nn.Module
    x: torch.Tensor
    z: torch.Tensor


def _run(
    make_model: MakeModel, make: MakeOptimizer, width: int, example: torch.Tensor, seed: int
) -> _Run:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = make_model(width).double()
        given = example.double() if example.is_floating_point() else example
        optimizer = make(model, width)
        kind = _kind(optimizer)
        for group in optimizer.param_groups:
            group["weight_decay"] = 0.0
            if kind == "adam":
                group["eps"] = _NO_EPSILON
        before, out = _watched(model, given)
        cotangent = torch.randn_like(out)
        (out * cotangent / cotangent.norm()).sum().backward()
        maps = {name: _Linear(seen) for name, seen in before.items()}
        start = {p: p.detach().clone() for p in model.parameters()}
        optimizer.step()
        with torch.no_grad():
            for p, old in start.items():
                p.copy_(old + _SMALL * (p - old))
            after, _ = _watched(model, given)
            shapes = {name: m.shape for name, m in maps.items()}
            found = _Run(kind, shapes, {what: {} for what in _QUANTITIES})
            for name, m in maps.items():
                old, new = before[name].z.detach(), after[name].z
                values = (*m.moved(kind), _rms(old), _rms(new - old) / _SMALL)
                for what, value in zip(_QUANTITIES, values, strict=True):
                    found.logs[what][name] = math.log(value) if value > 0.0 else math.nan
    return found


def _kind(optimizer: Any) -> str:
    for cls, name in _KINDS:
        if isinstance(optimizer, cls):
            return name
    raise TypeError(
        f"optimizer must make an SGD, Adam or AdamW of torch.optim, but it made "
        f"{type(optimizer).__name__}."
    )


def _watched(model: torch.nn.Module, x: torch.Tensor) -> tuple[dict[str, _Seen], torch.Tensor]:
    """A forward pass, and what modules with a matrix read and gave."""
    seen: dict[str, _Seen] = {}
    hooks = []

    def watch(name: str, module: torch.nn.Module) -> None:
        def hook(_: Any, args: tuple[Any, ...], z: Any) -> None:
            if args and isinstance(args[0], torch.Tensor) and args[0].is_floating_point():
                if z.requires_grad:
                    z.retain_grad()
                seen[name] = _Seen(module, args[0].detach(), z)

        hooks.append(module.register_forward_hook(hook))

    for name, module in model.named_modules():
        matrices = [p for p in module.parameters(recurse=False) if p.dim() == 2]
        if len(matrices) == 1 and not isinstance(module, torch.nn.Embedding):
            watch(name, module)
    try:
        return seen, model(x)
    finally:
        for handle in hooks:
            handle.remove()


class _Linear:
    """The linear map of a module before a step, as it answers to random vectors."""

    def __init__(self, seen: _Seen) -> None:
        self._module, self._x = seen.module, seen.x
        self._g = seen.z.grad
        self.shape = seen.z.shape[-1], seen.x.shape[-1]
        self._probe = torch.randn(256, self.shape[1], dtype=torch.float64)
        with torch.no_grad():
            self._answer = self._apply(self._probe)
            self._at_x = self._apply(self._x)

    def _apply(self, x: torch.Tensor) -> torch.Tensor:
        """W x, without the bias."""
        answer = self._module(x) - self._module(torch.zeros_like(x))
        return answer if isinstance(answer, torch.Tensor) else torch.zeros(1)

    def moved(self, kind: str) -> tuple[float, float]:
        """Root mean square of W, and of its change beside that of gradient and input."""
        root = math.sqrt(self.shape[1])
        weights = _rms(self._answer) / root
        if kind == "adam":
            return weights, _rms(self._apply(self._probe) - self._answer) / root / _SMALL
        if self._g is None:
            return weights, math.nan
        x, g = (t.reshape(-1, t.shape[-1]) for t in (self._x, self._g))
        wanted = (x @ x.T) @ g
        change = (self._apply(self._x) - self._at_x) / _SMALL
        size = _rms(wanted)
        return weights, _rms(change) / size if size > 0.0 else math.nan


def _rms(x: torch.Tensor) -> float:
    return float(x.detach().square().mean().sqrt())


# ---- fits ---------------------------------------------------------------------------------------


def _halves(found: list[tuple[float, float]], tolerance: float) -> Array:
    """Exponents, rounded to halves where they are near one."""
    s = -np.array([value for value, _ in found])
    error = np.array([e for _, e in found])
    near = np.round(2.0 * s) / 2.0
    room = np.minimum(np.maximum(tolerance, error), 0.25)
    return np.asarray(np.where(np.abs(s - near) <= room, near, s)) + 0.0  # no -0


def _estimate(found: list[tuple[float, float]], sign: float) -> Estimate:
    value, error = (np.array(column) for column in zip(*found, strict=True))
    return Estimate(sign * value, error, np.zeros(len(value), np.int8))
