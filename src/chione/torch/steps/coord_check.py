"""The coordinate check: how what a step changes goes with the width of a model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch

from chione.base import Array, ChioneError, Estimate, Status, checks
from chione.torch.steps.bench import Loss, bench
from chione.torch.steps.coord_report import CoordCheck
from chione.torch.steps.exponents import MakeOptimizer, ModelParametrization, parametrization
from chione.torch.steps.fits import bend, slope
from chione.torch.steps.looks import look
from chione.torch.steps.optimizers import label, made
from chione.torch.steps.runs import Ran, run

Models: TypeAlias = Callable[[int], torch.nn.Module] | Mapping[int, Callable[[], torch.nn.Module]]

_ROUNDING = 30.0  # a change must be so many times the rounding of what it is a change of


def coord_check(
    models: Models,
    batch: Any,
    loss: Loss,
    optimizer: str | float | MakeOptimizer,
    *,
    widths: Sequence[int] | None = None,
    lr: float | None = None,
    seeds: int = 4,
    steps: int = 1,
    tolerance: float = 0.1,
) -> CoordCheck:
    r"""Fit how the change of each layer's output in a step goes with the width.

    .. math:: |dh| = \sqrt{\langle (h_{\rm after} - h_{\rm before})^2 \rangle} \sim n^{s}

    In muP all s are zero: a step moves features and output alike at every width, so that the
    best learning rate is the same for all. In PyTorch's own (standard) parametrisation dh grows.

    Parameters
    ----------
    models : callable or mapping
        ``models(width)`` makes a model; or functions without arguments, by width. The sizes of
        what enters and leaves must not depend on the width.
    batch : Tensor, tuple, list or mapping
        As :func:`inspect` takes it, the same for all widths.
    loss : callable
        From what a model returns to a number.
    optimizer : str, float or callable
        A name such as "sgd" or "adam" with `lr`; a number, the learning rate of SGD; or
        ``optimizer(model, width)``, which makes the optimizer with all its learning rates.
    widths : sequence of int
        Two or more, such as (64, 128, 256, 512); those of a mapping by default.
    lr : float, optional
        Learning rate of an optimizer that is given by its name.
    seeds : int
        Models of each width, 2 or more.
    steps : int
        Steps that each model takes on the batch.
    tolerance : float
        Slopes up to this size count as flat, whatever the noise: widths are finite.

    Returns
    -------
    CoordCheck
        ``print`` says of each layer whether it is flat; ``.slopes``, ``.changes``, ``.plot()``,
        ``.parametrization``.

    Raises
    ------
    ValueError
        If there are fewer than two widths or seeds, or a model cannot take a step.

    Notes
    -----
    What leaves a matrix counts behind the constants that it is multiplied by, as it enters the next
    layer. Error bars are three standard errors over seeds, and half of how much the slopes of
    narrow and of wide models stand apart beyond that; more inputs in the batch, seeds and widths
    make them smaller. The name of the parametrisation comes from
    :func:`parametrization`, on the first input, for SGD and Adam.

    Where all weights of the output start at zero, as muP recommends, nothing before them moves in
    the first step: take ``steps=2`` or more.

    Examples
    --------
    >>> import torch
    >>> from chione.torch import coord_check
    >>> def mlp(n):
    ...     layers = torch.nn.Linear(8, n), torch.nn.Tanh(), torch.nn.Linear(n, 1)
    ...     return torch.nn.Sequential(*layers)
    >>> x = torch.randn(16, 8, generator=torch.Generator().manual_seed(0))
    >>> found = coord_check(
    ...     mlp, x, lambda out: (out - 1).square().mean(), 0.001, widths=(64, 256, 1024))
    >>> found.parametrization.parametrization.name
    'standard'
    """
    sizes = _widths(models, widths)
    count, many = checks.integer("seeds", seeds), checks.integer("steps", steps)
    slack = checks.positive("tolerance", tolerance)
    if len(set(sizes)) < 2 or count < 2:
        raise ValueError(
            f"exponents need two widths or more and two seeds or more, but widths are {sizes} and "
            f"seeds is {count}."
        )
    make_model = _maker(models)
    make = _optimizer(optimizer, lr)
    runs, kinds, words = [], dict[str, str](), ""
    for n in sizes:
        for seed in range(count):
            ran, here, words = _one(make_model, make, n, seed, batch, loss, many, words)
            runs.append(ran)
            kinds = here if not kinds else {k: v for k, v in kinds.items() if k in here}
    rows = tuple(name for name in kinds if all(name in ran.rows for ran in runs))
    if not rows:
        raise ValueError(
            "the models of different widths have no layer of the same name in common; "
            "models(width) must build the same code at every width."
        )
    shape = len(rows), len(sizes), count
    changes, values = (
        np.array([[getattr(ran.rows[name], what) for ran in runs] for name in rows]).reshape(shape)
        for what in ("change", "value")
    )
    logs = np.log(np.array(sizes, dtype=np.float64))
    named, notes = _named(make_model, make, sizes, batch, count)
    return CoordCheck(
        widths=np.array(sizes),
        seeds=count,
        steps=many,
        optimizer=words,
        layers=rows,
        operations=tuple(kinds[name] for name in rows),
        values=values,
        changes=changes,
        value_slopes=_slopes(logs, values),
        slopes=_slopes(logs, changes),
        tolerance=slack,
        parametrization=named,
        notes=(*notes, *_rounded(rows, changes, values, runs[0])),
    )


def _widths(models: Models, widths: Sequence[int] | None) -> list[int]:
    if widths is None:
        if not isinstance(models, Mapping):
            raise ValueError(
                "widths must be given, such as widths=(64, 128, 256, 512), unless models is a "
                "mapping from widths to functions."
            )
        widths = list(models)
    return [checks.integer("widths", n) for n in widths]


def _maker(models: Models) -> Callable[[int], torch.nn.Module]:
    if isinstance(models, Mapping):
        return lambda n: models[n]()
    if not callable(models):
        raise TypeError(
            f"models must be a function of the width, or functions by width, but it is "
            f"{type(models).__name__}."
        )
    return models


def _optimizer(optimizer: str | float | MakeOptimizer, lr: float | None) -> MakeOptimizer:
    """From a model and its width to its optimiser."""
    if isinstance(optimizer, str):
        name = optimizer
        return lambda model, width: made(model, name, lr)
    if callable(optimizer):
        return optimizer
    rate = checks.positive("optimizer", optimizer)
    return lambda model, width: made(model, "sgd", rate)


def _one(
    make_model: Callable[[int], torch.nn.Module],
    make: MakeOptimizer,
    width: int,
    seed: int,
    batch: Any,
    loss: Loss,
    steps: int,
    words: str,
) -> tuple[Ran, dict[str, str], str]:
    """Steps of one model, what its rows are, and a word for its optimiser."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = make_model(width)
        optimizer = make(model, width)
        with bench(model, batch, loss, optimizer, None, seed) as b:
            before = look(b, scaled=True)
            kinds = {node.name: node.operation or node.kind for node in before.graph.rows()}
            return run(b, before, steps), kinds, words or label(b.optimizer)


def _slopes(logs: Array, values: Array) -> Estimate:
    """Over log n, of (rows, widths, seeds)."""
    found, error = np.full(len(values), math.nan), np.full(len(values), math.inf)
    for i, row in enumerate(values):
        if np.all(np.isfinite(row)) and np.all(row > 0.0):
            points = np.log(row).tolist()
            found[i], noise = slope(logs, points)
            error[i] = noise + bend(logs, points)
    bad = np.int8(Status.NOT_COMPUTED)
    status = np.where(np.isfinite(found), np.int8(Status.OK), bad).astype(np.int8)
    return Estimate(found, error, status)


def _named(
    make_model: Callable[[int], torch.nn.Module],
    make: MakeOptimizer,
    sizes: list[int],
    batch: Any,
    seeds: int,
) -> tuple[ModelParametrization | None, tuple[str, ...]]:
    """Its parametrisation, and why there is none."""
    if not isinstance(batch, torch.Tensor):
        return None, ("The parametrisation is named where the batch is one tensor.",)
    try:
        found = parametrization(make_model, sizes, optimizer=make, batch=batch, seeds=seeds)
    except (ChioneError, ValueError, TypeError) as err:
        return None, (f"The parametrisation is not named: {err}",)
    return found, ()


def _rounded(rows: tuple[str, ...], changes: Array, values: Array, ran: Ran) -> tuple[str, ...]:
    """A note where changes are so small that rounding is part of them."""
    limit = _ROUNDING * ran.rounding
    with np.errstate(all="ignore"):
        small = [
            name
            for name, dh, h in zip(rows, changes, values, strict=True)
            if np.any((dh > 0.0) & (dh < limit * h))
        ]
    if not small:
        return ()
    return (
        f"The changes of {', '.join(small[:5])} are close to rounding; make the models in float64 "
        f"(.double()) or take a larger step.",
    )
