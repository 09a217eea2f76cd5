"""Measure a real model, judge it, and say what helps, as tried on a copy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from chione.torch.doctor.trials import remedy_of, rescue
from chione.torch.inspection.inspection import Loss, NonFiniteError, examine
from chione.torch.inspection.report import InspectionReport

# Where the code or the batch is at fault no new weights help: the verdict itself says what to do.
_TOLD = ("no gradient", "degenerate batch")
# New weights may help here, and the verdict knows what to do where they do not.
_ALSO_TOLD = ("dead units", "copied units")


def inspect(
    model: torch.nn.Module,
    batch: Any,
    loss: Loss | None = None,
    *,
    projections: int = 4,
    seed: int = 0,
    remedies: bool = True,
) -> InspectionReport:
    r"""Measure signals and gradients in every layer of a model, beside what theory expects.

    .. math:: q = \langle h^2 \rangle, \quad
              c_{ab} = \frac{h_a \cdot h_b}{|h_a| |h_b|}, \quad
              g = \langle (\partial \mathcal L / \partial h)^2 \rangle, \quad
              \mathcal J = \frac{1}{n_y} \left\| \frac{\partial y}{\partial h} \right\|_F^2

    Parameters
    ----------
    model : Module
        Any module; it runs in the mode (train or eval) it is in. Weights, buffers, gradients,
        modes, hooks and random states are afterwards as before, also after an exception.
    batch : Tensor, tuple, list or mapping
        A tuple or list goes to ``forward`` as positional arguments, a mapping as keyword arguments,
        where its signature takes them so, else as one argument. The first axis of the first
        tensor counts the inputs; a few different inputs (32 or more) give good correlations.
    loss : callable, optional
        From what the model returns to a number. Without one the gradients are those of random
        projections of the output, with mean square 1 there.
    projections : int
        Number of random projections, each one backward pass; at least 1.
    seed : int
        Seed of the projections, and of the remedies that are tried.
    remedies : bool
        Whether to try remedies on copies of a model that does not train.

    Returns
    -------
    InspectionReport
        ``print`` shows a table; ``.layers``, ``.verdict``, ``.plot()``, ``.to_dict()``,
        ``.assert_trainable()``.

    Raises
    ------
    TypeError
        If `model` is no module.
    ValueError
        For a model without parameters, with integer or meta-device parameters or NaN in them; for
        a batch without tensors, with NaN, or that the model rejects (the layer is named and its own
        error attached). NonFiniteError, a ValueError, if a layer produces NaN or infinities (the
        first one is named).

    Notes
    -----
    Measured values are exact for the batch, up to the precision of the model; `jacobian` has the
    standard error of the projections beside it. The theory is that of wide random networks: a
    network of width N deviates by about sqrt(depth / N). Where a layer has no rule, theory starts
    again behind it from what was measured. Cost: one forward pass, 1 + `projections` backward
    passes, one copy of the weights.

    Where the verdict is not "yes", remedies are tried on copies of the model, each judged anew:
    weights of one layer scaled or its biases taken away, :func:`chione.torch.initialize_`, a
    normalisation before each activation. The verdict recommends what helped, and says so if
    nothing did. That costs a copy of the model and a few passes.

    Examples
    --------
    >>> import torch
    >>> from chione.torch import inspect
    >>> net = torch.nn.Sequential(*[m for _ in range(20) for m in
    ...                             (torch.nn.Linear(64, 64), torch.nn.Tanh())])
    >>> inspect(net, torch.randn(16, 64)).verdict.problem
    'vanishing gradient'
    """
    try:
        report = examine(model, batch, loss, projections=projections, seed=seed)
    except NonFiniteError as err:
        if not remedies:
            raise
        told = rescue(model, batch, loss, seed)
        raise NonFiniteError(f"{err} {told}") from err
    if report.verdict.trains == "yes" or report.verdict.problem in _TOLD:
        return report
    fix = remedy_of(model, batch, loss, report, seed) if remedies else ""
    if report.verdict.problem in _ALSO_TOLD and "makes it" not in fix:
        fix = report.verdict.fix
    verdict = replace(report.verdict, fix=fix)
    return replace(report, verdict=verdict)
