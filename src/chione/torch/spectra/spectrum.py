"""Singular values, moments and spectral density of a model's input-output Jacobian."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from chione.base import Array, Estimate, Status, UnsupportedModuleError, checks
from chione.torch.capture import batches
from chione.torch.capture.nodes import Node
from chione.torch.capture.products import JacobianOperator
from chione.torch.capture.tracing import check_model
from chione.torch.spectra.chains import theory_of_chain, traced
from chione.torch.spectra.factors import chain_steps
from chione.torch.spectra.jacobian import jacobian_operator, roughness
from chione.torch.spectra.known import Known
from chione.torch.spectra.lanczos import GaussRule, gauss_rule
from chione.torch.spectra.result import ModelJacobian, interval

_DENSE = 2000  # up to so many outputs the matrix is formed: cheaper than Lanczos, and exact
_FEW = 512  # outputs from which on the memory of the matrix is looked at
_DENSE_ENTRIES = 1 << 26  # of the matrix, 512 MB
_STABILISED = 1e10  # multiplications of a chain whose stabilised product takes about a second


def jacobian_spectrum(
    model: torch.nn.Module,
    x: Any,
    *,
    method: str = "auto",
    probes: int = 8,
    steps: int = 40,
    moments: int = 4,
    seed: int = 0,
) -> ModelJacobian:
    r"""Spectrum of the input-output Jacobian of any model.

    .. math:: J = \frac{\partial y}{\partial x}, \qquad
              \frac{1}{n_y} \sum_i f(\lambda_i) = E_u\, u^\top f(J J^\top) u,
              \quad u \text{ uniform on the unit sphere}

    Parameters
    ----------
    model : Module
        Any model; it runs in the mode it is in and is left as it was.
    x : Tensor, tuple, list or dict of Tensors
        One input with its batch axis, in any form that :func:`chione.torch.inspect` takes. J is
        taken with respect to the first floating tensor in it, all others held fixed; single
        numbers, and entries of a dictionary whose name says "mask", are passed over. If it holds
        integers only (tokens), J is taken with respect to the output of the embedding: the first
        rows of a table that are picked by them, or, where no table is read, the first floating
        tensor made from them (a one-hot encoding, a cast). Further embeddings (of positions, of
        segments) are held fixed.
    method : {"auto", "dense", "stabilised", "lanczos"}
        ``dense`` forms the matrix by backward passes of many outputs side by side: each singular
        value is right to the rounding of the largest. ``stabilised`` multiplies the layers of a
        chain (dense layers and activations, one input) so that the small ones are right too, at
        about three times the cost. ``auto`` forms the matrix up to 512 outputs, or 2000 if it
        fits into 512 MB, and goes on to the stabilised product where values lie below rounding
        and it takes less than about a second; beyond it is ``lanczos``.
    probes : int
        Random start vectors for Lanczos.
    steps : int
        Lanczos steps of each; the largest singular value usually needs 20 to 40.
    moments : int
        Number of trace moments; at most 2 `steps` - 1 are exact for each probe.
    seed : int
        Seed of the probes.

    Returns
    -------
    ModelJacobian

    Raises
    ------
    ValueError
        For a batch in which nothing floating is found or made from integers, or an output that
        does not depend on it.
    UnsupportedModuleError
        For Lanczos through an operation that has no second derivative, and for the stabilised
        product of a model that is no chain.

    Notes
    -----
    Golub-Kahan bidiagonalisation with full reorthogonalisation. J u is a backward pass through the
    backward pass. Products are computed in the precision of the model, everything else in float64;
    run a copy in double (``copy.deepcopy(model).double()``) for more. The stabilised product takes
    the weights as they are and computes signals, slopes and products in float64.

    Errors are about the Jacobian in exact arithmetic. A chaotic network amplifies the rounding of
    its forward pass, and the slopes are then off by more than rounding: this is measured by a
    second pass from an input that is moved by one unit of rounding.

    References
    ----------
    .. [1] G. H. Golub, G. Meurant, Matrices, Moments and Quadrature with Applications (2010).
    """
    model = check_model(model)
    batches.batch_size(x)
    checks.one_of("method", method, ("auto", "dense", "stabilised", "lanczos"))
    probes, steps = checks.integer("probes", probes), checks.integer("steps", steps)
    count = checks.integer("moments", moments)
    generator = torch.Generator().manual_seed(checks.integer("seed", seed, minimum=0))
    graph = traced(model, x)
    theory, note = theory_of_chain(graph, batches.batch_size(x))
    moved = roughness(model, x)
    with jacobian_operator(model, x) as operator:
        known = Known(operator, moved, theory, operator.of + note, count)
        if method == "stabilised":
            return known.stabilised(chain_steps(graph))
        if method == "dense" or (method == "auto" and _fits(operator)):
            steps_of_chain = chain_steps(graph)
            found = known.dense(steps_of_chain)
            if method == "auto" and steps_of_chain and _cheap(steps_of_chain):
                found = _more_digits(known, found, steps_of_chain)
            return found
        if count > 2 * steps - 1:
            raise ValueError(
                f"moments must be at most 2 * steps - 1 = {2 * steps - 1}, but it is {count}."
            )
        rules = []
        for _ in range(probes):
            start = torch.randn(operator.outputs, generator=generator, dtype=torch.float64)
            rules.append(gauss_rule(operator, start.to(operator.device), steps))
        return _lanczos(known, rules, count, steps)


def _fits(operator: JacobianOperator) -> bool:
    """Whether the matrix is the cheaper way, and fits into memory."""
    entries = operator.outputs * operator.inputs
    return operator.outputs <= _FEW or (operator.outputs <= _DENSE and entries <= _DENSE_ENTRIES)


def _cheap(steps: list[Node]) -> bool:
    sizes = [s.weight.weight.numel() * max(s.weight.weight.shape) for s in steps if s.weight]
    return sum(sizes) <= _STABILISED


def _more_digits(known: Known, found: ModelJacobian, steps: list[Node]) -> ModelJacobian:
    """The stabilised product where the matrix leaves singular values below its rounding."""
    assert found.singular_values is not None
    if np.all(found.singular_values.status == int(Status.OK)):
        return found
    try:
        return known.stabilised(steps)
    except UnsupportedModuleError:  # a layer is not what it was taken for: the matrix stands
        return found


def _lanczos(known: Known, rules: list[GaussRule], count: int, steps: int) -> ModelJacobian:
    operator = known.operator
    size = max(rule.nodes.numel() for rule in rules)
    nodes = np.stack([_padded(rule.nodes.numpy(), size) for rule in rules])  # (probes, k)
    weights = np.stack([_padded(rule.weights.numpy(), size) for rule in rules])
    each = np.stack([np.sum(weights * nodes**k, axis=1) for k in range(1, count + 1)], axis=1)
    error = interval(each)
    status = Status.OK if len(rules) > 1 else Status.INEXACT
    return ModelJacobian(
        outputs=operator.outputs,
        inputs=operator.inputs,
        method="lanczos",
        largest=_extreme(rules, known, top=True),
        smallest=_extreme(rules, known, top=False),
        moments=Estimate(each.mean(axis=0), error, np.full(count, int(status))),
        probes=len(rules),
        steps=steps,
        products=operator.products,
        singular_values=None,
        log_singular_values=None,
        theory=known.theory,
        note=known.note,
        nodes=nodes,
        weights=weights,
    )


def _extreme(rules: list[GaussRule], known: Known, *, top: bool) -> Estimate:
    """Largest or smallest Ritz value over the probes, with its residual."""
    operator = known.operator
    rank = min(operator.outputs, operator.inputs)
    found = []
    for rule in rules:
        # A wide output has at least outputs - inputs zeros, which are no singular values of J.
        keep = min(rule.nodes.numel(), rank)
        i = 0 if top else keep - 1
        found.append((math.sqrt(float(rule.nodes[i])), float(rule.residuals[i]), rule.complete))
    value, residual, complete = (max if top else min)(found, key=lambda entry: entry[0])
    # Products are right to rounding relative to the largest singular value, also for the smallest.
    largest = max(math.sqrt(float(rule.nodes[0])) for rule in rules)
    rounding = known.rounding(largest)
    sure = complete if not top else residual <= 1e-3 * value
    return Estimate(value, residual + rounding, Status.OK if sure else Status.INEXACT)


def _padded(x: Array, size: int) -> Array:
    return np.concatenate([x, np.zeros(size - x.size)])
