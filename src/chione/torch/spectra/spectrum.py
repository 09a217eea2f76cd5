"""Singular values, moments and spectral density of a model's input-output Jacobian."""

from __future__ import annotations

import math
from dataclasses import field
from typing import Any

import numpy as np
import torch
from scipy.special import stdtrit

from chione.base import EPS, AbstractResult, Array, Estimate, Status, along, checks, result
from chione.theory.spectra.jacobian import JacobianSpectrum
from chione.torch.capture import batches
from chione.torch.capture.products import JacobianOperator
from chione.torch.capture.tracing import check_model
from chione.torch.spectra.chains import theory_of_chain
from chione.torch.spectra.jacobian import jacobian_operator
from chione.torch.spectra.lanczos import GaussRule, gauss_rule

_DENSE = 2000  # up to so many outputs the matrix is formed: cheaper than Lanczos, and exact
_DENSE_ENTRIES = 1 << 26  # of the matrix, 512 MB


@result
class ModelJacobian(AbstractResult):
    r"""Spectrum of :math:`J J^\top`, :math:`J = \partial y / \partial x`, of a model at one input.

    Parameters
    ----------
    outputs, inputs : int
        Shape of J.
    method : {"dense", "lanczos"}
        How it was found.
    largest, smallest : Estimate
        Extreme singular values among the min(outputs, inputs). From Lanczos the error is the
        residual of the Ritz vector; `smallest` is then an upper bound, and INEXACT unless the
        Krylov space was exhausted.
    moments : Estimate, shape (k,)
        :math:`m_j = \operatorname{tr} (J J^\top)^j / n_y`, j = 1..k; the error is the
        half width of the 99 % interval over the probes for Lanczos, rounding for dense.
    probes, steps, products : int
        Random vectors, Lanczos steps of each, products with J and its transpose in all.
    theory : theory.JacobianSpectrum or None
        The law at infinite width, if the model is a plain multi-layer perceptron.
    note : str
        What x is where the batch is more than one floating tensor; why there is no theory, or what
        it rests on.
    """

    axes = along("moment", "moments") | along("probe node", "nodes", "weights")

    outputs: int
    inputs: int
    method: str
    largest: Estimate
    smallest: Estimate
    moments: Estimate
    probes: int
    steps: int
    products: int
    theory: JacobianSpectrum | None
    note: str
    # Spectral measures of the probes: eigenvalues of J J^T and weights, (probes, k), weight sum 1.
    nodes: Array = field(repr=False)
    weights: Array = field(repr=False)

    def cdf(self, eigenvalue: Any) -> Estimate:
        """Fraction of the eigenvalues of J J^T at or below a value, or several.

        Exact for ``dense``. For Lanczos each probe is a staircase; the error is the half
        width of the 99 % interval over the probes plus the height of one step of the staircase.
        """
        x = checks.real_array("eigenvalue", eigenvalue)
        below = self.nodes[:, :, None] <= np.ravel(x)[None, None, :]
        each = np.sum(self.weights[:, :, None] * below, axis=1)  # (probes, x)
        value = each.mean(axis=0)
        if self.method == "dense":
            error = np.full_like(value, 1.0 / self.outputs)
        else:
            nearest = np.argmin(np.abs(self.nodes[:, :, None] - np.ravel(x)), axis=1)
            steps = np.take_along_axis(self.weights, nearest, axis=1)
            error = _interval(each) + steps.max(axis=0)
        shape = np.shape(x)
        return Estimate(value.reshape(shape)[()], error.reshape(shape)[()], Status.OK)

    def histogram(self, edges: Any) -> Estimate:
        """Density of the eigenvalues of J J^T, averaged over the bins between `edges`."""
        e = checks.real_array("edges", edges)
        if e.ndim != 1 or e.size < 2 or np.any(np.diff(e) <= 0.0):
            raise ValueError("edges must be two or more increasing numbers.")
        inside = (self.nodes[:, :, None] > e[:-1]) & (self.nodes[:, :, None] <= e[1:])
        each = np.sum(self.weights[:, :, None] * inside, axis=1) / np.diff(e)
        return Estimate(each.mean(axis=0), _interval(each), np.zeros(e.size - 1, dtype=int))

    def _parts(self) -> dict[str, Any]:
        """Everything but the raw measures as plain JSON types."""
        return {
            "outputs": self.outputs,
            "inputs": self.inputs,
            "method": self.method,
            "largest": self.largest.to_dict(),
            "smallest": self.smallest.to_dict(),
            "moments": self.moments.to_dict(),
            "probes": self.probes,
            "steps": self.steps,
            "products": self.products,
            "note": self.note,
        }

    def plot(self, path: str | None = None, *, ax: Any = None, field: str | None = None) -> Any:
        """Distribution function of log eigenvalues, measured and by theory."""
        from chione.plotting.panels import Panel, Picture, assemble  # matplotlib is slow to load
        from chione.plotting.style import save
        from chione.plotting.torch_report import draw_distribution

        theory = None
        if self.theory is not None and self.theory.support:
            curve = self.theory.curve()
            theory = (np.asarray(curve.log_lambda), np.asarray(curve.cdf))
        panel = Panel(lambda axes: draw_distribution(axes, self.nodes, self.weights, theory))
        figure = assemble(Picture({"cdf": panel}), ax=ax, field=field)
        if path is not None:
            save(figure, path)
        return figure


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
    method : {"auto", "dense", "lanczos"}
        ``dense`` forms the matrix by backward passes of many outputs side by side and is exact;
        ``auto`` does so up to 2000 outputs, if it fits into 512 MB.
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
        For Lanczos through an operation that has no second derivative.

    Notes
    -----
    Golub-Kahan bidiagonalisation with full reorthogonalisation. J u is a backward pass through the
    backward pass. Products are computed in the precision of the model, everything else in float64;
    run a copy in double (``copy.deepcopy(model).double()``) for more. Cost of Lanczos:
    2 `probes` `steps` backward passes.

    References
    ----------
    .. [1] G. H. Golub, G. Meurant, Matrices, Moments and Quadrature with Applications (2010).
    """
    model = check_model(model)
    batches.batch_size(x)
    checks.one_of("method", method, ("auto", "dense", "lanczos"))
    probes, steps = checks.integer("probes", probes), checks.integer("steps", steps)
    count = checks.integer("moments", moments)
    generator = torch.Generator().manual_seed(checks.integer("seed", seed, minimum=0))
    theory, note = theory_of_chain(model, x)
    with jacobian_operator(model, x) as operator:
        note = operator.of + note
        small = operator.outputs <= _DENSE and operator.outputs * operator.inputs <= _DENSE_ENTRIES
        if method == "dense" or (method == "auto" and small):
            return _dense(operator, count, theory, note)
        if count > 2 * steps - 1:
            raise ValueError(
                f"moments must be at most 2 * steps - 1 = {2 * steps - 1}, but it is {count}."
            )
        rules = []
        for _ in range(probes):
            start = torch.randn(operator.outputs, generator=generator, dtype=torch.float64)
            rules.append(gauss_rule(operator, start.to(operator.device), steps))
        return _lanczos(operator, rules, count, steps, theory, note)


def _dense(
    operator: JacobianOperator, count: int, theory: JacobianSpectrum | None, note: str
) -> ModelJacobian:
    matrix = operator.dense().cpu()
    s = torch.linalg.svdvals(matrix).numpy()
    # Backward stable: each singular value is right to eps times the largest, in the precision in
    # which the rows were computed.
    eps = float(torch.finfo(operator.dtype).eps)
    rounding = 4.0 * eps * math.sqrt(max(matrix.shape)) * float(s[0])
    eigenvalues = np.zeros(operator.outputs)
    eigenvalues[: s.size] = s**2
    powers = np.arange(1, count + 1)
    m = np.array([np.mean(eigenvalues**k) for k in powers])
    error = np.array(
        [k * float(np.mean(np.r_[s, 0.0] ** (2 * k - 1))) * 2.0 * rounding for k in powers]
    )
    return ModelJacobian(
        outputs=operator.outputs,
        inputs=operator.inputs,
        method="dense",
        largest=Estimate(float(s[0]), rounding),
        smallest=Estimate(float(s[-1]), rounding),
        moments=Estimate(m, error + 8.0 * EPS * m, np.zeros(count, dtype=int)),
        probes=0,
        steps=0,
        products=operator.products,
        theory=theory,
        note=note,
        nodes=np.sort(eigenvalues)[None, :],
        weights=np.full((1, operator.outputs), 1.0 / operator.outputs),
    )


def _lanczos(
    operator: JacobianOperator,
    rules: list[GaussRule],
    count: int,
    steps: int,
    theory: JacobianSpectrum | None,
    note: str,
) -> ModelJacobian:
    size = max(rule.nodes.numel() for rule in rules)
    nodes = np.stack([_padded(rule.nodes.numpy(), size) for rule in rules])  # (probes, k)
    weights = np.stack([_padded(rule.weights.numpy(), size) for rule in rules])
    each = np.stack([np.sum(weights * nodes**k, axis=1) for k in range(1, count + 1)], axis=1)
    error = _interval(each)
    status = Status.OK if len(rules) > 1 else Status.INEXACT
    return ModelJacobian(
        outputs=operator.outputs,
        inputs=operator.inputs,
        method="lanczos",
        largest=_extreme(rules, operator, top=True),
        smallest=_extreme(rules, operator, top=False),
        moments=Estimate(each.mean(axis=0), error, np.full(count, int(status))),
        probes=len(rules),
        steps=steps,
        products=operator.products,
        theory=theory,
        note=note,
        nodes=nodes,
        weights=weights,
    )


def _extreme(rules: list[GaussRule], operator: JacobianOperator, *, top: bool) -> Estimate:
    """Largest or smallest Ritz value over the probes, with its residual."""
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
    rounding = 4.0 * float(torch.finfo(operator.dtype).eps) * math.sqrt(rank) * largest
    sure = complete if not top else residual <= 1e-3 * value
    return Estimate(value, residual + rounding, Status.OK if sure else Status.INEXACT)


def _interval(each: Array) -> Array:
    """Half width of the 99 % interval of the mean over the probes; NaN with one probe.

    Student's t, since the spread over a handful of probes is itself uncertain.
    """
    n = each.shape[0]
    if n < 2:
        return np.full(each.shape[1:], np.nan)
    return np.asarray(stdtrit(n - 1, 0.995) * each.std(axis=0, ddof=1) / math.sqrt(n))


def _padded(x: Array, size: int) -> Array:
    return np.concatenate([x, np.zeros(size - x.size)])
