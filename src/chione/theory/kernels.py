r"""Kernels of infinitely wide networks for arrays of inputs.

.. math::
    K^1 = \sigma_b^2 + \sigma_w^2 \frac{x \cdot x'}{n_0}, \qquad
    K^{l+1} = \sigma_b^2 + \sigma_w^2 E\,\phi(u_1) \phi(u_2), \qquad
    \Theta^1 = K^1, \quad
    \Theta^{l+1} = K^{l+1} + \sigma_w^2 E\,\phi'(u_1) \phi'(u_2)\,\Theta^l
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from chione.base import AbstractResult, Array, Estimate, Status, along, checks, result
from chione.networks import MLP, as_network
from chione.theory.correlation_map import derivative_kernel, kernel
from chione.theory.fading import is_straight
from chione.theory.kernel_mixed import mixed_kernels
from chione.theory.kernel_table import DepthKernel, Layers
from chione.theory.moments import moments
from chione.theory.taylor import origin

_BLOCK = 1 << 20  # entries at a time: some 8 MB an array
_EQUAL = 1e-13  # norms that differ by less than this, relatively, count as equal
_CLOSE = 1e-3  # 1 - c below which it is taken from the difference of the inputs


def nngp(network: MLP, x1: Any, x2: Any = None) -> Estimate:
    r"""Covariance of the last pre-activations of infinitely wide networks, :math:`K^L(x, x')`.

    Parameters
    ----------
    network : MLP
        Its activation, sigmas and depth count; widths and the law of the weights do not.
    x1 : array_like, shape (n1, n_0)
        Inputs.
    x2 : array_like, shape (n2, n_0), optional
        Further inputs; `x1` itself by default, which costs half as much.

    Returns
    -------
    Estimate
        Shape (n1, n2), with one error bound for all entries.

    Raises
    ------
    ValueError
        If the inputs are no matrices with equal numbers of columns, or not finite.
    ConvergenceError
        If lengths leave the range of float64, or a moment is infinite.

    Notes
    -----
    Inputs of equal norm, and all inputs where phi is homogeneous and sigma_b = 0, need one
    function of the correlation, which is compiled for the whole depth: the cost of an entry does
    not grow with depth. Other inputs go through the layers one by one
    (:mod:`chione.theory.kernel_mixed`). Memory beyond the result is bounded by blocks of rows.

    Examples
    --------
    >>> import chione
    >>> net = chione.MLP(chione.activation("relu"), 2**0.5, depth=2)
    >>> k = nngp(net, [[1.0, 0.0], [0.0, 1.0]])
    >>> [round(float(v), 9) for v in k.value[0]]  # 1, 1 / pi
    [1.0, 0.318309886]
    """
    return _kernel(network, x1, x2, False)


def ntk(network: MLP, x1: Any, x2: Any = None) -> Estimate:
    r"""Neural tangent kernel of infinitely wide networks, :math:`\Theta^L(x, x')`.

    In the parametrisation :math:`W = \sigma_w w / \sqrt n`, :math:`b = \sigma_b \beta` with w and
    beta trained from N(0, 1). Arguments and notes as :func:`nngp`; the activation must not jump.
    """
    return _kernel(network, x1, x2, True)


@result
class KernelLayers(AbstractResult):
    """Both kernels of a pair of inputs, layer by layer.

    Parameters
    ----------
    nngp, ntk : Estimate
        Shape (L, 3): the entries 11, 12 and 22 of each layer.
    """

    axes = along("layer entry", "nngp", "ntk")

    nngp: Estimate
    ntk: Estimate


def kernel_layers(
    network: MLP, *, q0: tuple[float, float] = (1.0, 1.0), c0: float = 0.5
) -> KernelLayers:
    r"""Both kernels of one pair of inputs in every layer, each from its own integrals.

    Parameters
    ----------
    network : MLP
        Activation, sigmas and depth count.
    q0 : tuple of float
        Mean squares of the two inputs.
    c0 : float
        Their correlation, in [-1, 1].
    """
    network = as_network(network)
    act, w2, b2 = network.activation, network.sigma_w**2, network.sigma_b**2
    a, b = (checks.non_negative("q0", q) for q in q0)
    c = float(checks.correlation("c0", checks.finite("c0", c0)))
    k = w2 * np.array([a, c * math.sqrt(a * b), b]) + b2
    theta, k_error, t_error = k.copy(), 4e-16 * np.abs(k), 4e-16 * np.abs(k)
    rows = [(k, k_error, theta, t_error)]
    for _ in range(network.depth - 1):
        norm = math.sqrt(k[0] * k[2])
        r = min(1.0, max(-1.0, k[1] / norm)) if norm else 0.0
        q1, q2, cs = k[[0, 0, 2]], k[[0, 2, 2]], np.array([1.0, r, 1.0])
        value, slope = kernel(act, q1, q2, cs), derivative_kernel(act, q1, q2, cs)
        s = w2 * slope.value
        k_error = np.abs(s) * k_error.max() + w2 * value.error + 4e-16 * np.abs(k)
        k = w2 * value.value + b2
        t_error = k_error + np.abs(s) * t_error + w2 * slope.error * np.abs(theta)
        theta = k + s * theta
        rows.append((k, k_error, theta, t_error))
    columns = [np.stack([row[i] for row in rows]) for i in range(4)]
    status = [np.where(np.isfinite(x), Status.OK, Status.INFINITE) for x in columns]
    return KernelLayers(
        Estimate(columns[0], columns[1], status[0].astype(np.int8)),
        Estimate(columns[2], columns[3], status[2].astype(np.int8)),
    )


def kernel_diagonal(network: MLP, q0: Any, *, with_ntk: bool = False) -> Estimate:
    r"""Kernel of inputs with themselves, from their mean squares alone.

    .. math:: K^{l+1} = V(K^l), \qquad \Theta^{l+1} = K^{l+1} + \chi_\perp(K^l)\,\Theta^l

    Parameters
    ----------
    network : MLP
        Activation, sigmas and depth count.
    q0 : array_like
        Mean squares of the inputs, zero or above.
    with_ntk : bool
        Whether the tangent kernel is wanted instead of the NNGP kernel.
    """
    network, q = as_network(network), checks.real_array("q0", q0)
    m, w2, b2 = moments(network.activation), network.sigma_w**2, network.sigma_b**2
    k = w2 * q + b2
    theta, error = k, 4e-16 * np.abs(k)
    for _ in range(network.depth - 1):
        square = m.square(k)
        slope: Any = m.derivative_square(k).value if with_ntk else 0.0
        k = w2 * np.asarray(square.value) + b2
        theta = k + w2 * slope * theta if with_ntk else k
        relative = square.error / np.maximum(np.abs(square.value), 1e-300)
        error = np.abs(theta) * (2.0 * relative + 4e-16) + (1.0 + w2 * np.abs(slope)) * error
    status = np.where(np.isfinite(theta), Status.OK, Status.INFINITE).astype(np.int8)
    return Estimate(theta, error, status)


def _kernel(network: MLP, x1: Any, x2: Any, with_ntk: bool) -> Estimate:
    network, a = as_network(network), _inputs("x1", x1)
    same = x2 is None
    b = a if same else _inputs("x2", x2)
    if a.shape[1] != b.shape[1]:
        raise ValueError(
            f"x1 and x2 must have equally many columns, but their shapes are {a.shape} and "
            f"{b.shape}."
        )
    a_norm, b_norm = (np.einsum("ij,ij->i", x, x) / x.shape[1] for x in (a, b))
    homogeneous = network.sigma_b == 0.0 and is_straight(
        network.activation, origin(network.activation)
    )
    top, low = max(a_norm.max(), b_norm.max()), min(a_norm.min(), b_norm.min())
    if homogeneous:
        table = _compiled(network, 1.0, True, with_ntk)
        return _Tabulated(network, a, b, same, table).homogeneous(a_norm, b_norm)
    if top - low <= _EQUAL * top and network.sigma_w**2 * top + network.sigma_b**2 > 0.0:
        table = _compiled(network, float(top), False, with_ntk)
        return _Tabulated(network, a, b, same, table).equal(float(top))
    return mixed_kernels(network, a, b, same=same, with_ntk=with_ntk)


@dataclass(frozen=True)
class _Table:
    """A compiled kernel with the length it is relative to."""

    kernel: DepthKernel
    last: float
    first: float


@lru_cache(maxsize=32)
def _compiled_for(
    act: Any, sigma_w: float, sigma_b: float, depth: int, q0: float, flat: bool, with_ntk: bool
) -> _Table:
    q1 = sigma_w**2 * q0 + sigma_b**2
    layers = Layers(act, sigma_w, sigma_b, depth, q1, flat)
    return _Table(DepthKernel(layers, with_ntk), float(layers.q[-1]), q1)


def _compiled(network: MLP, q0: float, flat: bool, with_ntk: bool) -> _Table:
    return _compiled_for(
        network.activation, network.sigma_w, network.sigma_b, network.depth, q0, flat, with_ntk
    )


class _Tabulated:
    """Fills the matrix from a compiled kernel, block by block."""

    def __init__(self, network: MLP, a: Array, b: Array, same: bool, table: _Table) -> None:
        self._w2, self._b2 = network.sigma_w**2, network.sigma_b**2
        self._a, self._b, self._same, self._table = a, b, same, table

    def equal(self, q0: float) -> Estimate:
        """Inputs of one norm: c of the first layer is affine in the inner product."""
        scale = self._w2 / (self._a.shape[1] * self._table.first)
        offset = self._b2 / self._table.first
        return self._fill(scale * self._a, self._b, offset, None)

    def homogeneous(self, a_norm: Array, b_norm: Array) -> Estimate:
        """Any norms: the kernel of the directions times both lengths."""
        d = self._a.shape[1]
        roots = [np.sqrt(n) for n in (a_norm, b_norm)]
        with np.errstate(divide="ignore", invalid="ignore"):
            units = [
                np.where(r[:, None] > 0.0, x / r[:, None], 0.0)
                for r, x in zip(roots, (self._a, self._b), strict=True)
            ]
        self._a, self._b = units
        return self._fill(units[0] / d, units[1], 0.0, (roots[0], roots[1]))

    def _fill(
        self, left: Array, right: Array, offset: float, roots: tuple[Array, Array] | None
    ) -> Estimate:
        n1, n2 = len(left), len(right)
        out = np.empty((n1, n2))
        for rows in _blocks(n1, n2):
            first = rows.start if self._same else 0
            c = left[rows] @ right[first:].T
            if offset:
                c += offset
            near = np.nonzero(c > 1.0 - _CLOSE)
            values = self._table.kernel.values(c)
            if len(near[0]):
                gap = self._gaps(rows, first, near)
                values[near] = self._table.kernel.close(gap)
            values *= self._table.last
            if roots is not None:
                values *= roots[0][rows, None]
                values *= roots[1][None, first:]
            if self._same:  # rounding of the product may differ across the diagonal
                square = values[:, : rows.stop - rows.start]
                square[:] = np.tril(square) + np.tril(square, -1).T
            out[rows, first:] = values
            if self._same:
                out[first:, rows] = values.T
        top = self._table.last * (1.0 if roots is None else float(roots[0].max() * roots[1].max()))
        error = self._table.kernel.error * top + self._rounding(top)
        status = np.broadcast_to(np.int8(Status.OK), out.shape)
        return Estimate(out, np.broadcast_to(error, out.shape), status)

    def _rounding(self, top: float) -> float:
        """What rounding of c makes of the kernel, at its steepest where c itself is used."""
        eps = float(np.finfo(np.float64).eps)
        gap = np.array([_CLOSE, 2.0 * _CLOSE])
        near = self._table.kernel.close(gap)
        far = self._table.kernel.values(np.array([_CLOSE - 1.0, -1.0]))
        steep = max(abs(near[1] - near[0]), abs(far[1] - far[0])) / _CLOSE
        return float(16.0 * eps * (steep + 1.0)) * top

    def _gaps(self, rows: slice, first: int, near: tuple[Any, ...]) -> Array:
        """1 - c of close pairs, from the difference of the two inputs."""
        d = self._a.shape[1]
        i, j = near[0] + rows.start, near[1] + first
        scale = 0.5 / d
        if self._b2 or self._table.first != self._w2:
            scale *= self._w2 / self._table.first
        gap = np.empty(len(i))
        step = max(1, _BLOCK // d)
        for start in range(0, len(i), step):
            part = slice(start, start + step)
            difference = self._a[i[part]] - self._b[j[part]]
            gap[part] = scale * np.einsum("ij,ij->i", difference, difference)
        return gap


def _blocks(n1: int, n2: int) -> Iterator[slice]:
    step = max(1, min(256, _BLOCK // max(1, n2)))
    for start in range(0, n1, step):
        yield slice(start, min(start + step, n1))


def _inputs(name: str, x: Any) -> Array:
    a = checks.real_array(name, x)
    if a.ndim != 2 or 0 in a.shape:
        raise ValueError(
            f"{name} must be a matrix with one input in each row, but its shape is {a.shape}."
        )
    return a
