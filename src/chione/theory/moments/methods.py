"""How a moment is found: a closed form, a look-up for many values, or an integral."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chione.base import EPS, Array, Estimate, Status, checks
from chione.gaussian import Table

METHODS = ("auto", "closed", "quadrature")
# The closed forms are written so that no digits cancel; their tests hold them to this.
CLOSED_ERROR = 64.0 * EPS
_EXPONENT_ERROR = 4.0 * EPS  # of the logarithm: three roundings, and those of q and of constants
# Values from which on a look-up is tried: below, it costs as much as the integrals themselves
MANY = 32


def is_auto(method: str) -> bool:
    """Whether the way is left open; a word that is none is refused before it is compared."""
    checks.one_of("method", method, METHODS)
    return method == "auto"


def looked_up(table: Callable[[], Table], direct: Callable[[Any], Estimate], q: Any) -> Estimate:
    """`direct` of q, from its table where q holds many values."""
    if type(q) is not float:
        q = checks.real_array("q", q)
        if q.size >= MANY:
            return table().estimate(q)
    return direct(q)


def choose(
    closed: Callable[[Array], Array] | None,
    integrator: Callable[[Any], Estimate],
    q: Any,
    method: str,
) -> Estimate:
    """The closed form at q, where there is one and `method` lets it, else the integral."""
    checks.one_of("method", method, METHODS)
    if method == "closed" and closed is None:
        raise ValueError("No closed form is known for this moment; use method='quadrature'.")
    if closed is None or method == "quadrature":
        return integrator(q)
    q = checks.real_array("q", q)
    if np.any(q < 0.0):
        raise ValueError(f"q must be a variance, 0 or above, but it is {q.min()!r}.")
    with np.errstate(over="ignore"):
        value = np.asarray(closed(q), dtype=np.float64)
    status = np.where(np.isfinite(value), Status.OK, Status.OVERFLOW).astype(np.int8)
    value = np.where(np.isfinite(value), value, np.nan)
    return unwrap(Estimate(value, closed_error(value), status))


def closed_error(value: Array) -> Array:
    r"""Error of a closed form: 64 ulp, and the rounding of the exponent where it is an exponential.

    .. math:: |e^{t (1 + \epsilon)} - e^t| \approx \epsilon\,|t|\,e^t

    No formula of the catalogue has a logarithm beyond 75 for any other reason, so that this at
    most doubles the error where it is not needed.
    """
    size = np.abs(value)
    with np.errstate(divide="ignore", invalid="ignore"):
        exponent = np.where(size > 0.0, np.abs(np.log(size)), 0.0)
    # an exponential below the smallest normal number is off by 5e-324, times the factor before it
    faint = np.where(size < 1e-290, 1e-316, 0.0)
    return np.asarray((CLOSED_ERROR + _EXPONENT_ERROR * exponent) * size + faint)


def unwrap(e: Estimate) -> Estimate:
    """Zero-dimensional arrays become plain numbers."""
    if np.ndim(e.value):
        return e
    return Estimate(float(e.value), float(e.error), Status(int(e.status)))
