r"""Panels on which a function is a polynomial, as far as Gauss-Legendre can tell.

They depend on the function alone, not on where a Gaussian window will be put over it, so any
window cut at their edges is integrated safely. Kinks and jumps that nobody declared are found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chione.base import EPS, Array, cost
from chione.gaussian.panels import NODES, WEIGHTS, graded_edges

# Interpolation in 16 nodes to this accuracy integrates to its square, that is to 1e-18
_RESOLVED = 1e-9
_NOISE = 1e-5  # a remainder below this that no longer falls is noise of the function
_NEGLIGIBLE = 1e-20  # of the largest value within ten standard deviations
_MAX_LEVELS = 54
_REACH = 1e4  # up to where these levels come down to 1e-12
_OVERFLOW_LEVELS = 12
_MAX_PANELS = 20_000
_TINY = 1e-11
# nodes of the halves, and the ends: a kink beyond the last node is seen only there. A little
# inside, because on a breakpoint itself the value belongs to one side
_END = 1.0 - 2.0**-40
_TESTS = np.concatenate([0.5 * NODES - 0.5, 0.5 * NODES + 0.5, [-_END, _END]])
_PROBES = 768  # uniform, beside the graded ones
_AT_ZERO = np.geomspace(1e-13, 1e-3, 31)  # a spike there, as of the slope of tanh(1e9 x)

# node values -> Legendre coefficients, (16, 16)
_TO_LEGENDRE: Array = (
    (2.0 * np.arange(16) + 1.0)
    / 2.0
    * WEIGHTS[:, None]
    * np.polynomial.legendre.legvander(NODES, 15)
)
_TO_TESTS: Array = _TO_LEGENDRE @ np.polynomial.legendre.legvander(_TESTS, 15).T  # (16, 34)


@dataclass(frozen=True)
class Resolution:
    """Panels that resolve one function.

    Parameters
    ----------
    edges : ndarray, shape (P + 1,)
        Increasing.
    rough : ndarray of bool, shape (P,)
        Panels where the function stayed unresolved: noise, or the last one at a singularity.
    breakpoints : tuple of float
        The declared ones and those that were found.
    """

    edges: Array
    rough: NDArray[np.bool_]
    breakpoints: tuple[float, ...]


@np.errstate(all="ignore")
def resolve(
    g: Callable[[Array], Array],
    breakpoints: tuple[float, ...],
    sigma: float,
    reach: float,
    *,
    extra_edges: Array | None = None,
) -> Resolution:
    """Resolve `g` on [-reach, reach]; `sigma` is the scale on which it will be used.

    Every panel is compared with its halves and with probes, graded around zero and the
    breakpoints and uniform elsewhere, so that a narrow feature is not overlooked.
    """
    graded = graded_edges(breakpoints, sigma, reach)
    half = 0.5 * np.diff(graded)
    near = (0.5 * (graded[1:] + graded[:-1]) + half * NODES[::2, None]).ravel()
    wide = np.linspace(-10.0, 10.0, _PROBES) * min(sigma, reach / 10.0)
    first = np.empty(0) if extra_edges is None else extra_edges[np.abs(extra_edges) < reach]
    probes = np.sort(np.concatenate([near, wide, first, -_AT_ZERO, _AT_ZERO]))
    at_probes = np.asarray(g(probes), dtype=np.float64)
    inside = tuple(k for k in breakpoints if abs(k) < reach)
    first = np.concatenate([first, [-reach, *inside, reach]])
    edges, rough, found = _bisect(g, probes, at_probes, first, sigma, reach)
    if found:
        inside = tuple(sorted({*inside, *found}))
        first = np.concatenate([first, inside])
        edges, rough, _ = _bisect(g, probes, at_probes, first, sigma, reach)
    return Resolution(edges, rough, tuple(sorted({*breakpoints, *inside})))


def _bisect(
    g: Callable[[Array], Array],
    probes: Array,
    at_probes: Array,
    first: Array,
    sigma: float,
    reach: float,
) -> tuple[Array, NDArray[np.bool_], list[float]]:
    """Panel edges, unresolved panels, and the places at which bisection did not end."""
    edges = np.unique(first)
    low, high, before = edges[:-1], edges[1:], np.full(len(edges) - 1, np.inf)
    near = np.isfinite(at_probes) & (np.abs(probes) <= 10.0 * sigma)
    floor = _NEGLIGIBLE * float(np.abs(at_probes[near]).max(initial=0.0))
    done: list[tuple[Array, Array, NDArray[np.bool_]]] = []
    count = len(low)
    # a feature at zero keeps its width, however far the panels reach
    most = _MAX_LEVELS + max(0, int(np.log2(reach / _REACH)))
    for level in range(most + 1):
        cost.tick()
        rest, size, blur, finite = _remainder(g, low, high, probes, at_probes)
        fine = rest <= _RESOLVED * size + blur + floor
        noise = ~fine & (rest <= _NOISE * size) & (rest > 0.3 * before)
        if level:  # noise is in both halves of a panel, a kink in one of them
            noise &= np.roll(noise, len(low) // 2)
        smallest = (high - low) <= 2.0 * np.spacing(np.maximum(np.abs(low), np.abs(high)))
        stop = fine | noise | smallest | (~finite & (level >= _OVERFLOW_LEVELS))
        if level == most or count > _MAX_PANELS:
            stop[:] = True
        done.append((low[stop], high[stop], (~fine & finite)[stop]))
        if np.all(stop):
            break
        low, high, before = low[~stop], high[~stop], rest[~stop]
        middle = 0.5 * (low + high)
        low, high = np.concatenate([low, middle]), np.concatenate([middle, high])
        before = np.concatenate([before, before])
        count += len(low)
    start, _, rough = (np.concatenate(part) for part in zip(*done, strict=True))
    order = np.argsort(start)
    edges = np.append(start[order], reach)
    return edges, rough[order], _singular(edges, reach)


def _singular(edges: Array, reach: float) -> list[float]:
    """Where bisection went on to tiny panels: the smallest of each run of such panels."""
    width = np.diff(edges)
    tiny = np.flatnonzero(width < _TINY * np.maximum(np.abs(edges[1:]), 1e-3 * reach))
    found = []
    for run in np.split(tiny, np.flatnonzero(np.diff(tiny) > 1) + 1):
        if run.size:
            k = run[np.argmin(width[run])]
            middle = float(0.5 * (edges[k] + edges[k + 1]))
            # near zero panels shrink for ever: what is left of the last one is zero itself
            found.append(middle if abs(middle) > 1e-14 * reach else 0.0)
    return found


def _remainder(
    g: Callable[[Array], Array], low: Array, high: Array, probes: Array, at_probes: Array
) -> tuple[Array, Array, Array, NDArray[np.bool_]]:
    """How far g is from its interpolant, its size, its rounding, and whether it is finite."""
    centre, half = 0.5 * (low + high), 0.5 * (high - low)
    t = np.concatenate([NODES, _TESTS])
    values = np.asarray(g((centre[:, None] + half[:, None] * t).ravel()), dtype=np.float64)
    values = values.reshape(len(low), len(t))  # (P, 50)
    finite: NDArray[np.bool_] = np.all(np.isfinite(values), axis=1)
    beyond = ~np.any(np.isfinite(values), axis=1)  # overflow everywhere: nothing to resolve
    values = np.where(finite[:, None], values, 0.0)
    unit = np.abs(values).max(1)  # sums of values near the largest float would overflow
    unit = np.where(unit > 0.0, unit, 1.0)
    values = values / unit[:, None]
    at_nodes, at_tests = values[:, :16], values[:, 16:]
    rest = np.abs(at_nodes @ _TO_TESTS - at_tests).max(1)
    # the argument is rounded, so g is known to eps |h| times its slope and no better
    blur = EPS * np.maximum(np.abs(low), np.abs(high)) * np.ptp(values, axis=1) / (high - low)
    size = np.abs(values).max(1)
    # probes that fall into one of the panels, which need not be neighbours
    order = np.argsort(low)
    panel = order[np.clip(np.searchsorted(low[order], probes, side="right") - 1, 0, None)]
    hit = (probes > low[panel]) & (probes < high[panel]) & np.isfinite(at_probes)
    panel, p = panel[hit], probes[hit]
    gp = at_probes[hit] / unit[panel]
    coefficients = (at_nodes @ _TO_LEGENDRE)[panel]  # (S, 16)
    basis = np.polynomial.legendre.legvander((p - centre[panel]) / half[panel], 15)
    np.maximum.at(rest, panel, np.abs(np.einsum("ij,ij->i", coefficients, basis) - gp))
    np.maximum.at(size, panel, np.abs(gp))
    rest = np.where(finite, rest, np.where(beyond, 0.0, np.inf))
    return rest * unit, size * unit, blur * unit, finite
