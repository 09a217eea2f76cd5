r"""The length map and its two susceptibilities.

.. math:: V(q) = \sigma_w^2 E\,\phi(\sqrt q z)^2 + \sigma_b^2, \qquad
   \chi_\parallel = V'(q), \qquad \chi_\perp = \sigma_w^2 E\,\phi'(\sqrt q z)^2
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, final

import numpy as np

from chione.activations import ActivationLike
from chione.base import EPS, Array, Estimate, Status, checks
from chione.theory.meanfield.growth_factor import growth_factor, unsettled
from chione.theory.moments.growth_profile import growth_profile
from chione.theory.moments.moments import Moments, moments
from chione.theory.moments.scale_free import zero_slope

LARGEST_COUNT = 10**300
LARGEST_LENGTH = 1e100
LARGEST_SIGMA = 1e100  # its square, times a mean square of 1e100, is still a float64

_BLOCK = 64  # of a scan: where eight octaves are not resolved, none beyond will be
_FAINT = 1e-250  # smaller means are inexact for want of range, not of resolution


class AbstractLengthMap(ABC):
    r"""How a layer, or a block of layers, changes the mean square of its signal: q' = V(q).

    Fixed points, phases and depth scales ask a map for nothing but what stands here, so that
    whatever answers these questions has them: one layer of weights (:class:`LengthMap`), or a
    block of many layers. `q` is a number or an array, and what comes back has its shape.
    """

    @abstractmethod
    def value(self, q: Any) -> Estimate:
        """V(q), the mean square after the layer."""

    @abstractmethod
    def slope(self, q: Any) -> Estimate:
        r"""Slope of the map, :math:`\chi_\parallel = V'(q)`; at q = 0 the one from above."""

    @abstractmethod
    def gradient(self, q: Any) -> Estimate:
        r"""Factor on the mean square gradient, :math:`\chi_\perp`; at q = 0 its limit."""

    @abstractmethod
    def scan(self) -> tuple[Array, Estimate]:
        """Rising q between which all fixed points above zero lie, and V there.

        No feature of V may be narrower than a few of the steps. The scan ends before the first q
        at which V has no value, or is not resolved.
        """

    @abstractmethod
    def growth(self) -> Estimate:
        """Factor V(q) / q on large lengths; infinite where it rises without end."""

    @abstractmethod
    def fate(self) -> Status:
        """What lengths do where none attracts: ``DIVERGENT``, ``OVERFLOW`` or ``NONE``."""


@final
@dataclass(frozen=True, eq=False)
class LengthMap(AbstractLengthMap):
    r"""The map of one layer of weights and an activation.

    .. math:: V(q) = \sigma_w^2 E\,\phi(\sqrt q z)^2 + \sigma_b^2

    Parameters
    ----------
    moments : Moments
        The activation's moments.
    w2, b2 : float or ndarray
        Variances of the weights and of the biases. Arrays describe many layers: q then broadcasts
        with them, and a scan is one that serves all their pairs.
    """

    moments: Moments
    w2: Any
    b2: Any

    @classmethod
    def of(cls, phi: ActivationLike, sigma_w: float, sigma_b: float) -> LengthMap:
        """The map of an activation and two standard deviations, which are checked."""
        return cls(moments(phi), *variances(sigma_w, sigma_b))

    def value(self, q: Any) -> Estimate:  # noqa: D102  (documented in AbstractLengthMap)
        return affine(self.moments.square(q), self.w2, self.b2)

    def slope(self, q: Any) -> Estimate:  # noqa: D102
        if isinstance(q, (int, float)) and q == 0.0 and self.starts_at_zero:
            chi = zero_slope(self.moments.phi, self.w2)
            return Estimate(chi, 4.0 * EPS * chi)
        return affine(self.moments.slope(q), self.w2, 0.0)

    def gradient(self, q: Any) -> Estimate:  # noqa: D102
        if isinstance(q, (int, float)) and q == 0.0 and self.starts_at_zero:
            return self.slope(q)
        return affine(self.moments.derivative_square(q), self.w2, 0.0)

    @property
    def starts_at_zero(self) -> bool:
        """Whether the activation vanishes at zero, so that small signals meet its slopes there."""
        return bool(self.moments.square(0.0).value == 0.0)

    def scan(self) -> tuple[Array, Estimate]:  # noqa: D102
        grid, square, _ = self.mean_squares()
        return grid, affine(square, self.w2, self.b2)

    def mean_squares(self) -> tuple[Array, Estimate, bool]:
        r"""The scan's q and :math:`E\,\phi^2` there, and whether it is resolved up to the end."""
        w2, b2 = np.atleast_1d(self.w2), np.atleast_1d(self.b2)
        grid = growth_profile(self.moments.phi).grid(w2, b2)
        square = _on_grid(self.moments, grid.tobytes())
        known = square.value.size
        return grid[:known], square, known == grid.size

    def growth(self) -> Estimate:  # noqa: D102
        factor = growth_factor(self.moments)
        return self.w2 * factor if np.isfinite(factor.value) else factor

    def fate(self) -> Status:  # noqa: D102
        return Status(int(unsettled(self.moments, np.array(self.w2), np.array(self.b2))))


def carried(layer: AbstractLengthMap, q: Estimate) -> Estimate:
    r"""The length one layer on, with the error that comes along.

    .. math:: \delta V = |V'(q)|\,\delta q + \delta_V(q)
    """
    after = layer.value(q.value)
    if np.ndim(q.error) == 0 and q.error == 0.0:
        return after
    return moved(after, layer.slope(q.value), q)


def moved(after: Estimate, slope: Estimate, q: Estimate) -> Estimate:
    """V(q), found at the value of `q`, with what the error of `q` makes of it."""
    return Estimate(after.value, after.error + abs(slope.value) * q.error, after.status)


@lru_cache(maxsize=64)
def _on_grid(m: Moments, grid: bytes) -> Estimate:
    """E phi^2 on a grid, kept: sigmas of one magnitude have the same one."""
    square = resolved(m.square, np.frombuffer(grid))
    for x in (square.value, square.error, square.status):
        x.setflags(write=False)  # one for all callers
    return square


def resolved(f: Callable[[Array], Estimate], grid: Array) -> Estimate:
    """A mean square on a rising grid, as far as it is finite and resolved.

    An oscillation at q far beyond its period costs seconds and has no digits.
    """
    values, errors = [np.empty(0)], [np.empty(0)]
    for start in range(0, grid.size, _BLOCK):
        v = f(grid[start : start + _BLOCK])
        known = np.asarray(v.status) <= Status.INEXACT
        end = known.size if known.all() else int(np.argmin(known))
        values.append(np.asarray(v.value)[:end])
        errors.append(np.asarray(v.error)[:end])
        lost = np.all(np.asarray(v.status) == Status.INEXACT) and np.max(v.value) > _FAINT
        if end < known.size or lost:
            break
    value = np.concatenate(values)
    return Estimate(value, np.concatenate(errors), np.zeros(value.shape, dtype=np.int8))


def length_map(
    phi: ActivationLike, q: Any, *, sigma_w: float, sigma_b: float = 0.0, method: str = "auto"
) -> Estimate:
    r"""Mean square of the pre-activations one layer on.

    .. math:: V(q) = \sigma_w^2 E\,\phi(\sqrt q z)^2 + \sigma_b^2

    Parameters
    ----------
    phi : activation
        Anything :func:`chione.activation` accepts.
    q : float or array_like
        Mean squares, zero or above.
    sigma_w, sigma_b : float
        Standard deviations of the weights (times the square root of the fan-in) and biases.
    method : {"auto", "closed", "quadrature"}
        How the expectation is found.

    Returns
    -------
    Estimate
        Of the shape of `q`.

    Raises
    ------
    ValueError
        If a sigma or q is negative or not finite.
    """
    w2, b2 = variances(sigma_w, sigma_b)
    return affine(moments(phi).square(q, method), w2, b2)


def chi_parallel(phi: ActivationLike, q: Any, *, sigma_w: float, method: str = "auto") -> Estimate:
    r"""Slope of the length map, :math:`\chi_\parallel = \sigma_w^2 \frac{d}{dq} E\,\phi^2`.

    Also written chi_11. Never below -1/2 at a fixed point; parameters as :func:`length_map`.
    """
    w2, _ = variances(sigma_w, 0.0)
    return affine(moments(phi).slope(q, method), w2, 0.0)


def chi_perp(phi: ActivationLike, q: Any, *, sigma_w: float, method: str = "auto") -> Estimate:
    r"""Factor on the mean square gradient per layer, :math:`\sigma_w^2 E\,\phi'(\sqrt q z)^2`.

    At the fixed point it is chi_1, the slope of the correlation map at c = 1. Infinite where the
    activation jumps; parameters as :func:`length_map`.
    """
    w2, _ = variances(sigma_w, 0.0)
    return affine(moments(phi).derivative_square(q, method), w2, 0.0)


def variances(sigma_w: float, sigma_b: float) -> tuple[float, float]:
    """Checked squares of the two standard deviations."""
    w, b = sigmas(sigma_w, sigma_b)
    return w * w, b * b


def sigmas(sigma_w: float, sigma_b: float) -> tuple[float, float]:
    """The two standard deviations as float64, also where they came in single precision."""
    variance("sigma_w", sigma_w), variance("sigma_b", sigma_b)
    return float(sigma_w), float(sigma_b)


def variance(name: str, sigma: float) -> float:
    """Checked square of a standard deviation."""
    value = checks.non_negative(name, sigma)
    if value > LARGEST_SIGMA:
        raise ValueError(
            f"{name} must be at most {LARGEST_SIGMA:g}, because its square enters, "
            f"but it is {value!r}."
        )
    return value * value


def count(name: str, x: Any) -> int:
    """A number of layers or units: an integer from 1 to 1e300, which a float64 still holds."""
    n = checks.integer(name, x)
    if n > LARGEST_COUNT:
        raise ValueError(
            f"{name} must be at most 1e300, but it has some {n.bit_length() * 0.30103:.0f} digits."
        )
    return n


def mean_square(name: str, x: Any) -> float:
    """A mean square of inputs: above 0, and so small that products of lengths have a float64."""
    value = checks.positive(name, x)
    if value > LARGEST_LENGTH:
        raise ValueError(f"{name} must be at most {LARGEST_LENGTH:g}, but it is {value!r}.")
    return value


def affine(e: Estimate, scale: float, offset: float) -> Estimate:
    """An estimate times a number plus a number; an infinite expectation stays infinite."""
    value = scale * e.value + offset
    error = abs(scale) * e.error + 2.0 * EPS * abs(value)
    if isinstance(value, float) or np.ndim(value) == 0:
        return Estimate(float(value), float(error), e.status)
    return Estimate(value, error, e.status)
