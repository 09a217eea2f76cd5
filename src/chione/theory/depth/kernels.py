r"""Kernels of infinitely wide networks for arrays of inputs.

.. math::
    K^1 = \sigma_b^2 + \sigma_w^2 \frac{x \cdot x'}{n_0}, \qquad
    K^{l+1} = \sigma_b^2 + \sigma_w^2 E\,\phi(u_1) \phi(u_2), \qquad
    \Theta^1 = K^1, \quad
    \Theta^{l+1} = K^{l+1} + \sigma_w^2 E\,\phi'(u_1) \phi'(u_2)\,\Theta^l
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from chione.base import EPS, AbstractResult, Array, Estimate, Status, along, checks, cost, result
from chione.networks import MLP, Network, as_network
from chione.theory.depth.depth_kernel import DepthKernel, Layers
from chione.theory.depth.kernel_fill import CompiledKernel, Tabulated
from chione.theory.depth.kernel_mixed import mixed_kernels, two_inputs
from chione.theory.depth.kernel_patches import patched_kernels
from chione.theory.depth.pair_layers import Scale
from chione.theory.meanfield.fading import is_straight
from chione.theory.moments.moments import Moments, moments
from chione.theory.moments.taylor import origin

_EQUAL = 1e-14  # norms that differ by less than this, relatively, count as equal
_RESOLVED = 1e-9  # error of a compiled kernel beyond which layers are followed one by one


@cost.ends
def nngp(network: MLP | Network, x1: Any, x2: Any = None) -> Estimate:
    r"""Covariance of the last pre-activations of infinitely wide networks, :math:`K^L(x, x')`.

    Parameters
    ----------
    network : MLP or Network
        Of an MLP its activation, sigmas and depth count; widths and the law of the weights do
        not. Of a network of any layers the kernel is that of what leaves its last layer.
    x1 : array_like, shape (n1, n_0), with positions (n1, *grid, n_0)
        Inputs.
    x2 : array_like, shape (n2, n_0), optional
        Further inputs; `x1` itself by default, which costs half as much.

    Returns
    -------
    Estimate
        Shape (n1, n2); (n1, P, n2, P) where P positions leave the network.

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
    not grow with depth. Of other inputs both kernels are compiled as polynomials in both lengths
    and the angle, which are kept for the next call
    (:mod:`chione.theory.depth.kernel_patches`); few inputs, nearly equal and opposite pairs and
    outlying lengths go through the layers one by one
    (:mod:`chione.theory.depth.kernel_mixed`), without closed forms by compiled maps of a layer.
    Memory beyond the result is bounded by blocks of rows.

    Examples
    --------
    >>> import chione
    >>> net = chione.MLP(chione.activation("relu"), 2**0.5, depth=2)
    >>> k = nngp(net, [[1.0, 0.0], [0.0, 1.0]])
    >>> [round(float(v), 9) for v in k.value[0]]  # 1, 1 / pi
    [1.0, 0.318309886]
    """
    return _kernel(network, x1, x2, False)


@cost.ends
def ntk(network: MLP | Network, x1: Any, x2: Any = None) -> Estimate:
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


@cost.ends
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
    a, b = (checks.non_negative("q0", q) for q in q0)
    c = float(checks.correlation("c0", checks.finite("c0", c0)))
    jumps = moments(network.activation).has_jumps
    with np.errstate(over="ignore", invalid="ignore"):  # it raises where lengths leave float64
        run = two_inputs(network, (a, b), c, with_slope=not jumps)
    k = run.metric
    theta, error = np.array(k.value), np.array(k.error)
    if jumps:
        theta[1:], error[1:] = np.nan, np.nan
    with np.errstate(over="ignore", invalid="ignore"):  # what leaves float64 is told below
        for layer in range(0 if jumps else network.depth - 1):
            s, s_error = run.slope.value[layer], run.slope.error[layer]
            error[layer + 1] = (
                k.error[layer + 1]
                + np.abs(s) * error[layer]
                + np.abs(theta[layer]) * (s_error + 4.0 * EPS * np.abs(s))
            )
            theta[layer + 1] = k.value[layer + 1] + s * theta[layer]
        beyond = Status.INFINITE if jumps else Status.OVERFLOW
        known = np.isfinite(theta)
        theta, error = np.where(known, theta, np.nan), np.where(known, error, np.nan)
        status = np.where(known, Status.OK, beyond).astype(np.int8)
        return KernelLayers(k, Estimate(theta, error + 2.0 * EPS * np.abs(theta), status))


@cost.ends
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
    if np.any(q < 0.0):
        raise ValueError(f"q0 must be mean squares, 0 or above, but it holds {q.min()!r}.")
    _check_cost(network.depth, q.size)
    m, scale = moments(network.activation), Scale.of(network.sigma_w, network.sigma_b)
    k, relative = scale.times(scale.w2 * q + scale.b2), np.full(q.shape, 4.0 * EPS)
    theta, error = k, relative * k
    with np.errstate(all="ignore"):
        for _ in range(network.depth - 1):
            square = m.square(k)
            after = scale.w2 * np.asarray(square.value) + scale.b2
            pull = np.nan_to_num(scale.w2 * np.abs(k * m.slope(k).value) / after)
            slope, slope_error = _steepness(m, k, relative) if with_ntk else (0.0 * k, 0.0 * k)
            slope, slope_error = scale.times(scale.w2 * slope), scale.times(scale.w2 * slope_error)
            own = np.nan_to_num(scale.w2 * np.asarray(square.error) / after)
            k, relative = scale.times(after), pull * relative + own + 4.0 * EPS
            carried = slope * error + np.abs(theta) * (slope_error + 4.0 * EPS * slope)
            theta = k + slope * theta if with_ntk else k
            error = k * relative + carried + 2.0 * EPS * np.abs(theta)
    status = np.where(np.isfinite(theta), Status.OK, Status.INFINITE).astype(np.int8)
    return Estimate(theta, error + np.where(k > 0.0, 1e-307, 0.0), status)


def _steepness(m: Moments, q: Array, relative: Array) -> tuple[Array, Array]:
    """E phi'^2 and its error, that of q included."""
    here, beside = m.derivative_square(q), m.derivative_square(q * (1.0 + 1e-3))
    value = np.asarray(here.value)
    pull = 1e3 * np.abs(np.asarray(beside.value) - value)
    return value, np.asarray(here.error) + 2.0 * pull * relative


def _kernel(network: MLP | Network, x1: Any, x2: Any, with_ntk: bool) -> Estimate:
    if isinstance(network, Network):
        # only here, since plain networks do without the layer kinds
        from chione.theory.layers.network_kernel import network_kernel

        return network_kernel(network, x1, x2, with_ntk)
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
    _check_cost(network.depth, len(a) * len(b))
    plain = _is_plain(network.sigma_w) and (network.sigma_b == 0.0 or _is_plain(network.sigma_b))
    faint = (np.any((n < 1e-200) & x.any(axis=1)) for n, x in ((a_norm, a), (b_norm, b)))
    plain = plain and bool(np.isfinite(top)) and not any(faint)
    table = _compiled(network, 1.0, True, with_ntk) if homogeneous and plain else None
    if table is not None:
        return Tabulated(network, a, b, same, table).homogeneous(a_norm, b_norm)
    if plain and top - low <= _EQUAL * top and network.sigma_w**2 * top + network.sigma_b**2 > 0.0:
        table = _compiled(network, float(top), False, with_ntk)
        if table is not None and table.kernel.error <= _RESOLVED * table.kernel.scale:
            return Tabulated(network, a, b, same, table).equal()
    if plain and low > 0.0:
        found = patched_kernels(network, a, b, same=same, with_ntk=with_ntk)
        if found is not None:
            return found
    return mixed_kernels(network, a, b, same=same, with_ntk=with_ntk)


@lru_cache(maxsize=32)
def _compiled_for(
    act: Any, sigma_w: float, sigma_b: float, depth: int, q0: float, flat: bool, with_ntk: bool
) -> CompiledKernel | None:
    q1 = sigma_w**2 * q0 + sigma_b**2
    layers = Layers(act, sigma_w, sigma_b, depth, q1, flat)
    if layers.vanishes:
        return None
    return CompiledKernel(DepthKernel(layers, with_ntk), float(layers.q[-1]), q1)


def _compiled(network: MLP, q0: float, flat: bool, with_ntk: bool) -> CompiledKernel | None:
    """The compiled kernel, or None where lengths become zero on the way."""
    return _compiled_for(
        network.activation, network.sigma_w, network.sigma_b, network.depth, q0, flat, with_ntk
    )


def _is_plain(sigma: float) -> bool:
    """Whether the square of a standard deviation is far inside float64."""
    return 1e-100 < sigma < 1e100


def _check_cost(depth: int, entries: int) -> None:
    seconds = 4e-3 * depth + 2e-9 * entries
    gigabytes = 3e-8 * entries + 4e-8 * depth
    fits = f"depth {int(15.0 / 4e-3)} fits" if 4e-3 * depth > 15.0 else "fewer inputs fit"
    cost.check(
        f"A kernel of {entries} entries at depth {depth}",
        seconds=seconds,
        gigabytes=gigabytes,
        fits=fits,
    )


def _inputs(name: str, x: Any) -> Array:
    a = checks.real_array(name, x)
    if a.ndim != 2 or 0 in a.shape:
        raise ValueError(
            f"{name} must be a matrix with one input in each row, but its shape is {a.shape}."
        )
    return a
