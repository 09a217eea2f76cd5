r"""The line between order and chaos in the plane of sigma_w and sigma_b, without iteration.

For each q there is at most one pair of sigmas with :math:`\chi_\perp = 1` at the fixed point q:

.. math:: \sigma_w^2 = \frac{1}{E\,\phi'(\sqrt q z)^2}, \qquad
   \sigma_b^2 = q - \sigma_w^2 E\,\phi(\sqrt q z)^2 \ge 0
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from chione.activations import AbstractActivation, ActivationLike, activation
from chione.base import EPS, AbstractResult, Array, along, checks, cost, result
from chione.theory.moments.growth_profile import own_unit
from chione.theory.moments.moments import Moments, moments

_LOWEST, _HIGHEST, _PER_DECADE = 1e-8, 1e4, 40  # of q, where the caller names none
_LARGEST = 1e16  # of sigma_w^2 over that of the own unit: beyond, the slope is that of far tails
_BISECTIONS = 60


@result
class CriticalLine(AbstractResult):
    r"""Pairs of sigmas with chi_perp = 1, along increasing q.

    Parameters
    ----------
    activation : AbstractActivation
        The activation.
    q : ndarray, shape (n,)
        Fixed point of the length map. Where the line has several parts they are separated by a
        NaN in all arrays.
    sigma_w, sigma_b : ndarray, shape (n,)
        Standard deviations of weights and biases.
    chi_parallel : ndarray, shape (n,)
        Slope of the length map; where it is above 1 lengths leave this fixed point.
    error_w, error_b, error_parallel : ndarray, shape (n,)
        Estimated absolute errors of sigma_w, sigma_b and chi_parallel at the q given.
    error_q : ndarray, shape (n,)
        Estimated absolute error of q: zero but at the ends of the line, which are found.
    sentence : str
        What the line is, or why there is none.
    """

    axes = along(
        "q",
        "q",
        "sigma_w",
        "sigma_b",
        "chi_parallel",
        "error_w",
        "error_b",
        "error_parallel",
        "error_q",
    )

    activation: AbstractActivation
    q: Array
    sigma_w: Array
    sigma_b: Array
    chi_parallel: Array
    error_w: Array
    error_b: Array
    error_parallel: Array
    error_q: Array
    sentence: str


@cost.ends
def critical_line(phi: ActivationLike, *, q: Any = None) -> CriticalLine:
    r"""The critical line as a curve with parameter q.

    Parameters
    ----------
    phi : activation
        Anything :func:`chione.activation` accepts.
    q : array_like, shape (n,), optional
        Mean squares above zero, in any order; by default 40 a decade from 1e-8 to 1e4 of the
        unit of the activation, and the
        limit q = 0 where the line starts there. Values without a real sigma_b are left out, and
        the ends of the line are put where sigma_b = 0.

    Returns
    -------
    CriticalLine
        Empty, with a sentence that says why, where there is no such line. One point for a
        homogeneous activation, for which every q gives the same pair.

    Raises
    ------
    ValueError
        If a q is not above zero.

    Notes
    -----
    :math:`\sigma_b^2` is a difference; its error is absolute, about 1e-15 of q.

    Examples
    --------
    >>> line = critical_line("relu")
    >>> [round(float(x[0]), 6) for x in (line.sigma_w, line.sigma_b)]
    [1.414214, 0.0]
    >>> critical_line("step").sigma_w.size
    0
    """
    act = activation(phi)
    m = moments(act)
    grid = _grid(q, own_unit(act))
    if m.slope_is_infinite:
        why = m.why_infinite()
        return _empty(act, f"{why[0].upper()}{why[1:]}, so chi_perp is infinite and never 1.")
    w2, b2, noise = _sigmas(m, grid)
    typical = float(1.0 / m.derivative_square(own_unit(act)).value)
    known = (w2 > 0.0) & (w2 <= _LARGEST * typical) & np.isfinite(b2) & np.isfinite(noise)
    known &= np.isfinite(np.asarray(m.slope(grid).value))
    grid, w2, b2, noise = (a[known] for a in (grid, w2, b2, noise))
    if grid.size == 0:
        return _empty(act, "chi_perp is zero or has no value at every length.")
    if np.all(np.abs(b2) <= noise):
        sentence = "The critical line is one point: with sigma_b = 0 every length is fixed there."
        one = grid[[np.argmin(np.abs(np.log(grid)))]]
        return _line(m, [one], sentence)
    inside = b2 > noise
    if not inside.any():
        return _empty(act, "chi_perp = 1 would need a negative sigma_b^2 at every length.")
    runs = _runs(inside)
    parts = [_part(m, grid, run) for run in runs]
    first = runs[0].start
    if q is None and np.all(b2[:first] > -noise[:first]):  # nothing but rounding below
        parts[0] = _from_zero(m, grid[runs[0]])
    if len(parts) == 1:
        sentence = "chi_perp is 1 on one curve."
    else:
        sentence = f"chi_perp is 1 on {len(parts)} curves."
    return _line(m, parts, sentence)


def _grid(q: Any, unit: float) -> Array:
    if q is None:
        n = round(np.log10(_HIGHEST / _LOWEST) * _PER_DECADE) + 1
        return np.geomspace(_LOWEST * unit, _HIGHEST * unit, n)
    grid = np.unique(np.atleast_1d(checks.real_array("q", q)))
    if grid.size == 0 or grid[0] <= 0.0:
        bad = "is empty" if grid.size == 0 else f"holds {float(grid[0])!r}"
        raise ValueError(f"q must hold mean squares above 0, but it {bad}.")
    return grid


def _sigmas(m: Moments, q: Array) -> tuple[Array, Array, Array]:
    """sigma_w^2, sigma_b^2 and the error of the latter."""
    square, slope = m.square(q), m.derivative_square(q)
    with np.errstate(all="ignore"):
        w2 = 1.0 / np.asarray(slope.value)
        held = w2 * square.value
        error = held * (slope.error / slope.value + 4.0 * EPS) + w2 * square.error
    return np.asarray(w2), np.asarray(q - held), np.asarray(error + 4.0 * EPS * q)


def _runs(inside: NDArray[np.bool_]) -> list[slice]:
    """Stretches of True."""
    step = np.diff(np.r_[False, inside, False].astype(np.int8))
    starts, ends = np.flatnonzero(step > 0), np.flatnonzero(step < 0)
    return [slice(int(a), int(b)) for a, b in zip(starts, ends, strict=True)]


def _part(m: Moments, grid: Array, run: slice) -> Array:
    """Parameters of one part, with the ends at which sigma_b is 0 found to rounding."""
    q = grid[run]
    if run.start > 0:
        q = np.r_[_edge(m, grid[run.start - 1], grid[run.start]), q]
    if run.stop < grid.size:
        q = np.r_[q, _edge(m, grid[run.stop], grid[run.stop - 1])]
    return q


def _edge(m: Moments, outside: float, inside: float) -> float:
    """The q at which sigma_b^2 turns negative."""
    for _ in range(_BISECTIONS):
        middle = float(np.sqrt(outside * inside))
        if _sigmas(m, np.array([middle]))[1][0] >= 0.0:
            inside = middle
        else:
            outside = middle
        if abs(inside - outside) <= 4.0 * EPS * inside:
            break
    return inside


def _from_zero(m: Moments, q: Array) -> Array:
    """Start the line at q = 0 if it gets there, which needs phi(0) = 0 and one slope."""
    if float(m.square(0.0).value) == 0.0 and float(m.derivative_square(0.0).value) > 0.0:
        return np.asarray(np.r_[0.0, q])
    return q


def _line(m: Moments, parts: list[Array], sentence: str) -> CriticalLine:
    columns = []
    for q in parts:
        w2, b2, noise = _sigmas(m, q)
        # at a refined end only rounding is left of sigma_b^2
        b2 = np.where(np.abs(b2) <= 4.0 * noise, 0.0, b2)
        w, b = np.sqrt(w2), np.sqrt(np.maximum(b2, 0.0))
        slope = m.derivative_square(q)
        relative = slope.error / slope.value + 4.0 * EPS
        above = q > 0.0
        chi, chi_error = np.ones_like(q), np.zeros_like(q)  # at 0 both slopes are one
        if above.any():
            parallel = m.slope(q[above])
            chi[above] = w2[above] * parallel.value
            chi_error[above] = w2[above] * parallel.error
        chi_error = chi_error + np.abs(chi) * relative
        with np.errstate(all="ignore"):
            error_b = np.where(b > 0.0, noise / (2.0 * b), np.sqrt(noise))
        found = np.zeros_like(q)
        ends = (b == 0.0) & above
        if ends.any():  # where q - sigma_w^2 E phi^2 changes sign: its error over its slope
            steep = np.abs(_slope_of_bias(m, q[ends]))
            with np.errstate(all="ignore"):
                found[ends] = np.minimum(noise[ends] / steep, q[ends]) + 4.0 * EPS * q[ends]
        columns.append((q, w, b, chi, 0.5 * w * relative, error_b, chi_error, found))
    nan = (np.full(1, np.nan),) * 8
    pieces = [columns[0]] + [x for c in columns[1:] for x in (nan, c)]
    q, w, b, chi, *errors = (np.concatenate(column) for column in zip(*pieces, strict=True))
    return CriticalLine(m.phi, q, w, b, chi, errors[0], errors[1], errors[2], errors[3], sentence)


def _slope_of_bias(m: Moments, q: Array) -> Array:
    """d(sigma_b^2)/dq along the line, by a difference: only an error rests on it."""
    high, low = (_sigmas(m, q * f)[1] for f in (1.0 + 1e-4, 1.0 - 1e-4))
    with np.errstate(all="ignore"):  # a q whose steps underflow has no difference
        return np.nan_to_num(np.asarray((high - low) / (2e-4 * q)))


def _empty(act: AbstractActivation, sentence: str) -> CriticalLine:
    none = np.empty(0)
    return CriticalLine(act, *(none,) * 8, sentence)
