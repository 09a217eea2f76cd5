"""Arrays of a law into Estimates with statuses, and arguments of a user into arrays."""

from __future__ import annotations

from numbers import Real
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from chione.base import EPS, Array, Estimate, Status, checks
from chione.freeprob.measures import AbstractMeasure, Complex


@runtime_checkable
class HasMeasure(Protocol):
    """Anything that knows its own law, such as a spectrum."""

    def to_measure(self) -> Any:
        """The law, or a :class:`~chione.freeprob.Measure`."""


def is_number(x: Any) -> bool:
    """Whether x is one real number; booleans are not."""
    if isinstance(x, np.ndarray):
        return x.ndim == 0
    return isinstance(x, Real | np.number) and not isinstance(x, bool)


def estimate(value: Any, error: Any, status: Any = None) -> Estimate:
    """An Estimate, of plain numbers where nothing has an axis."""
    value, error = np.asarray(value), np.asarray(error, dtype=np.float64)
    status = np.zeros(value.shape, np.int8) if status is None else np.asarray(status, dtype=np.int8)
    if value.ndim:
        return Estimate(value, error, status)
    return Estimate(value.item(), float(error), Status(int(status)))


def flags(x: Any, **where: NDArray[np.bool_]) -> NDArray[np.int8]:
    """A status per element: OK, or what `where` says by name, later ones first."""
    status = np.zeros(np.shape(x), dtype=np.int8)
    for name, mask in where.items():
        status[mask] = Status[name]
    return status


def density(law: AbstractMeasure, x: Array) -> Estimate:
    """Density of the continuous part; see :meth:`chione.freeprob.Measure.density`."""
    at_atom = np.isin(x, [a for a, _ in law.atoms])
    ends = [x for band in law.support if band[1] > band[0] for x in band]
    if not ends:
        return estimate(np.zeros(x.shape), np.zeros(x.shape), flags(x, UNDEFINED=at_atom))
    outside = ~within(x, law.support)
    if not law.is_determined:
        return estimate(np.where(outside, 0.0, np.nan), np.where(outside, 0.0, np.nan))
    with np.errstate(all="ignore"):
        value, error = law.density(x), law.density_error(x)
    # NaN at an end is infinity over infinity; elsewhere there is no answer
    infinite = (np.isinf(value) | (np.isnan(value) & np.isin(x, ends))) & ~outside & ~at_atom
    none = outside | (at_atom & ~np.isfinite(value))
    value = np.where(infinite, np.inf, np.where(none, 0.0, value))
    error = np.where(outside & ~at_atom, 0.0, np.where(np.isnan(error), np.inf, error))
    return estimate(value, error, flags(x, DIVERGENT=infinite, UNDEFINED=at_atom))


def distribution(law: AbstractMeasure, x: Array) -> Estimate:
    """Mass of (-inf, x]; x may be infinite."""
    inner = np.where(np.isfinite(x), x, 0.0)
    value = np.where(np.isfinite(x), law.cdf(inner), np.where(x > 0.0, 1.0, 0.0))
    error = np.where(np.isfinite(x), law.cdf_error(inner), 0.0)
    return estimate(value, np.minimum(error, 1.0), flags(x))


def stieltjes_derivative(law: AbstractMeasure, z: Complex) -> Estimate:
    """dG/dz, of which rounding of z moves as much as the distance to the support allows."""
    low, high = law.support[0][0], law.support[-1][1]
    away = np.maximum(abs(z - np.clip(z.real, low, high)), 1e-3 * abs(z) + 1e-300)
    with np.errstate(all="ignore"):
        slope = law.stieltjes_derivative(z)
        error = 64.0 * EPS * (abs(slope) * (1.0 + abs(z) / away))
    return transform(slope, error, z)


def shares(p: Any) -> Array:
    """Probabilities, in [0, 1]."""
    a = checks.real_array("p", p)
    if np.any((a < 0.0) | (a > 1.0)):
        bad = a[(a < 0.0) | (a > 1.0)].ravel()[0]
        raise ValueError(f"p must lie in [0, 1], but it holds {bad}.")
    return a


def transform(value: Complex, error: Array, z: Complex) -> Estimate:
    """A transform; where it is infinite (at atoms, at some ends) it is DIVERGENT."""
    lost = ~np.isfinite(value)
    value = np.where(lost, np.nan, value)
    return estimate(value, np.where(lost, np.nan, error), flags(z, DIVERGENT=lost))


def within(x: Array, support: tuple[tuple[float, float], ...]) -> NDArray[np.bool_]:
    """Whether x lies in a band."""
    inside = np.zeros(x.shape, dtype=bool)
    for a, b in support:
        if b > a:
            inside |= (x >= a) & (x <= b)
    return inside


def complex_array(name: str, z: Any) -> Complex:
    """Finite complex numbers."""
    a = np.asarray(z)
    if a.dtype.kind != "c":
        return np.asarray(checks.real_array(name, z), dtype=complex)
    if not np.all(np.isfinite(a)):
        raise ValueError(f"{name} must be finite, but it holds {a[~np.isfinite(a)].ravel()[0]}.")
    return np.asarray(a, dtype=complex)


def extended_array(name: str, x: Any) -> Array:
    """Real numbers, infinite ones among them."""
    a = np.asarray(x)
    if a.dtype.kind == "f" and not np.isnan(a).any():
        return a.astype(np.float64)
    return checks.real_array(name, x)
