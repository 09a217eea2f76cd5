r"""Expectations by one fixed rule, where disks prove that it is enough.

Gauss-Legendre with N nodes on a panel of half width w misses at most

.. math:: \frac{64}{15}\,\frac{w M}{\rho^{2N - 2} (\rho^2 - 1)}, \qquad \rho = 2 + \sqrt 3,

if the integrand is analytic and bounded by M within the disk of radius 2 w around it, which holds
the ellipse of that rho [1]. :mod:`chione.gaussian.disks` finds M from the way in which the
function is written, so that one pass over some 400 nodes gives a value and a bound, and nothing
narrow can hide. Functions that it cannot read, and integrals that the rule does not settle, are
for panels that adapt.

References
----------
.. [1] L. N. Trefethen, "Is Gauss quadrature better than Clenshaw-Curtis?", SIAM Review 50 (2008),
   theorem 4.5.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chione.base import EPS, Array, Estimate, Status
from chione.gaussian.disk_rules import variable
from chione.gaussian.disks import Book, Choice, Disk, lift

_N = 20
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(_N)
_RHO = 2.0 + math.sqrt(3.0)
_MISSED = 64.0 / 15.0 / (_RHO ** (2 * _N - 2) * (_RHO**2 - 1.0))
_ROOT_2PI = math.sqrt(2.0 * math.pi)

# Standard deviations up to which disks are asked, as far as narrow features are looked for; beyond
# them samples have to show that nothing is left
_FAR = 16.0
_WINDOW = 40.0  # the smallest float64 is exp(-800)
_LEFT = 1e-18  # of the integral, beyond
_ENOUGH = 1e-17  # of the integral, missed on one panel
_ALL = 1e-16  # of the integral, missed on all
_GRADED = math.sqrt(2.0)  # ratio of the edges: exp(-x^2) still falls on disks around such panels
_COARSEST, _FINEST = -1, 24  # octaves of the standard deviation above 1 that panels are graded by
_BINADE = (1.0, math.sqrt(2.0), 2.0)  # deviations at which a rule for a binade is tried
_NEGLIGIBLE = 1e-19  # of the integral: nodes that contribute less are dropped
_ROUNDS = 6
_MOST_PANELS = 600
_SPLITS, _PARTS = 2, 4
_BLURRED = 4.0  # roundings of a difference within which its sign is not known
_EDGE = 16.0 * EPS  # of an edge: the same for a kink that is there by luck, or was declared
_TRIED = 1e-13  # of a root: closer to an edge than that, the edge has been tried
_RANGE = (1e-250, 1e250)  # of the integral: beyond, roundings of other kinds matter

# Where growth is read: up to 2^60, as chione.gaussian.growth does
_GRID = 2.0 ** np.arange(-4.0, 61.0)
_SIDES = np.concatenate([-_GRID[::-1], _GRID])
_PLACES = np.linspace(0.5, 0.99, 9)
_EXPONENTIAL = 8.0  # growth of log|f| over the outer half below which f is a power
_BENT = 1e-9  # of that growth: an exponential of h has second differences of rounding


@dataclass(frozen=True)
class _Panels:
    """Panels in units of sigma for S deviations; P of them, K nodes, T places beyond."""

    edges: Array  # (P + 1,)
    loose: Array  # (P + 1,), how far a kink may be from its edge, beyond rounding of the edge
    places: Array  # (P + K + T,), centres, nodes, places beyond
    radius: Array  # (P,), of the disks
    lebesgue: Array  # (K,), weights of the nodes
    weight: Array  # (S, K), the same with the Gaussian densities
    rounding: Array  # (S, K), of these
    missed: Array  # (S, P), what each misses of a function bounded by 1 on its disk
    beyond: Array  # (S, T), weights of the places beyond
    at_edges: Array  # (S, P - 1), densities at the edges between panels
    power: int
    spreads: tuple[float, ...]  # the deviations
    split: int  # times that panels have been cut into parts


def proven(
    g: Callable[[Array], Array], q: float, breakpoints: tuple[float, ...], power: int
) -> Estimate | None:
    r"""E g(sqrt(q) z)^p where the fixed rule is proven to give it; None elsewhere.

    Parameters
    ----------
    g : callable
        Vectorised function, (n,) -> (n,).
    q : float
        Variance, above zero.
    breakpoints : tuple of float
        Where g or a derivative of it jumps; kinks of ``abs``, ``maximum``, ``where`` are found.
    power : int
        The power p.
    """
    found = _settled(g, math.sqrt(q), breakpoints, power, (1.0,))
    if found is None:
        return None
    value = found.panels.weight[0] @ found.at.values**power
    return Estimate(float(value), float(found.error[0]), Status.OK)


def proven_nodes(
    g: Callable[[Array], Array], sigma: float, breakpoints: tuple[float, ...], power: int
) -> Nodes | None:
    """The rule for all deviations from `sigma` to two of it, where it is proven; else None."""
    found = _settled(g, sigma, breakpoints, power, _BINADE)
    if found is None:
        return None
    panels, at = found.panels, found.at
    p, k = panels.radius.size, panels.lebesgue.size
    keep = np.any(panels.weight * at.size > _NEGLIGIBLE * found.total[:, None], axis=0)
    relative = float((found.error / found.total).max())
    return Nodes(panels.places[p : p + k][keep], panels.lebesgue[keep], at.values[keep], relative)


@dataclass(frozen=True)
class Nodes:
    """Nodes and Lebesgue weights in units of sigma, values there, error relative to E |g|^p."""

    u: Array
    weight: Array
    values: Array
    relative: float


def _settled(
    g: Callable[[Array], Array],
    sigma: float,
    breakpoints: tuple[float, ...],
    power: int,
    spreads: tuple[float, ...],
) -> _Settled | None:
    if not 1e-100 < sigma < 1e100:
        return None
    octave = max(_COARSEST, math.frexp(sigma)[1])
    if octave > _FINEST:
        return None
    with np.errstate(all="ignore"):
        panels = _graded(octave, power, spreads)
        if breakpoints:
            panels = _with_edges(panels, [k / sigma for k in breakpoints])
        return _on(g, sigma, panels, power)


def _on(g: Callable[[Any], Any], sigma: float, panels: _Panels, power: int) -> _Settled | None:
    for _ in range(_ROUNDS):
        p, k = panels.radius.size, panels.lebesgue.size
        h = sigma * panels.places
        book: Book = []
        try:
            f = _read(g, h[: p + k], sigma * panels.radius, book)
            values = np.asarray(g(np.concatenate([h, _SIDES])), dtype=np.float64)
            values = np.broadcast_to(values, h.size + _SIDES.size)
        except Exception:  # the function is not written in operations that have rules
            return None
        # the function of disks is that of arrays
        if not np.all(np.abs(f.value - values[: p + k]) <= 4.0 * f.noise):
            return None
        at = _At(values[p : p + k], f.noise[p:], values[p + k : h.size], power)
        total = panels.weight @ at.size
        if not (total.min() > _RANGE[0] and total.max() < _RANGE[1]):
            return None
        missed = panels.missed * _largest(f) ** power
        fine = np.all(missed <= _ENOUGH * total[:, None], axis=0)
        if fine.all():
            known = _calm(g, values[h.size :])
            return _summed(panels, at, total, missed.sum(axis=1)) if known else None
        finer = _refined(panels, fine, book)
        if finer is None:
            return None
        panels = finer
    return None


def _read(g: Callable[[Any], Any], h: Array, radius: Array, book: Book) -> Disk:
    """The function on disks: centres and nodes h, radii of the disks."""
    x = variable(h, radius, book)
    f = g(x)
    return f.disk() if isinstance(f, Choice) else lift(f, x)


def _largest(f: Disk) -> Array:
    """Bound on |f| on each disk."""
    centre = np.abs(f.centre)
    bound = centre + f.radius
    return bound if f.log is None else np.fmin(bound, centre * np.exp(f.log))


@dataclass(frozen=True)
class _At:
    """A function at the nodes and at the places beyond, and the rounding of the first."""

    values: Array
    noise: Array
    beyond: Array
    power: int

    @cached_property
    def size(self) -> Array:
        """|g|^p."""
        return np.abs(self.values) ** self.power


@dataclass(frozen=True)
class _Settled:
    """A rule that holds: E |g|^p and the error for each of the S deviations."""

    panels: _Panels
    at: _At
    total: Array
    error: Array


def _summed(panels: _Panels, at: _At, total: Array, missed: Array) -> _Settled | None:
    n = at.power
    beyond = panels.beyond @ np.abs(at.beyond) ** n
    if not np.all((beyond <= _LEFT * total) & (missed <= _ALL * total)):
        return None
    steep = at.noise if n == 1 else n * np.abs(at.values) ** (n - 1) * at.noise
    rounded = panels.rounding @ at.size + panels.weight @ steep
    rounded += EPS * (2.0 + 2.0 * n) * total + _misplaced(panels, at.values**n)
    return _Settled(panels, at, total, missed + beyond + rounded)


def _misplaced(panels: _Panels, values: Array) -> Array:
    """What a jump that is not quite at its edge changes."""
    u = panels.edges[1:-1]
    jump = np.abs(values[_N::_N] - values[_N - 1 : -1 : _N])
    width = panels.loose[1:-1] + _EDGE * np.abs(u)
    return np.asarray(panels.at_edges @ (jump * width))


def _calm(g: Callable[[Array], Array], at_sides: Array) -> bool:
    """Whether g grows no faster than an exponential, so that its expectations are finite.

    As :func:`chione.gaussian.growth.growth` decides it, with a limit known to one in a hundred.
    """
    half = _GRID.size
    for side, values in ((-1.0, at_sides[half - 1 :: -1]), (1.0, at_sides[half:])):
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size == 0 or bad[0] == 0:
            continue
        low = _GRID[bad[0] - 1]
        try_ = low * 2.0 ** np.linspace(0.0, 1.0, 65)
        finite = np.isfinite(g(side * try_))
        limit = float(try_[max(int(np.argmin(finite)) - 1, 0)]) if not finite.all() else low
        log_f = np.log(np.abs(g(side * limit * _PLACES)))
        rise = float(log_f[-1] - log_f[0])
        if not np.all(np.isfinite(log_f)) or rise < _EXPONENTIAL:
            if np.all(np.isfinite(log_f)):
                continue  # a power
            return False
        if not float(np.diff(log_f, 2).max()) <= _BENT * rise:
            return False
    return True


@lru_cache(maxsize=64)
def _graded(octave: int, power: int, spreads: tuple[float, ...]) -> _Panels:
    """Panels from zero on, the first one below 1 in h, wherever sigma < 2^octave."""
    first, far = 2.0 ** -max(0, octave), _FAR * spreads[-1]
    steps = round(2.0 * math.log2(far / (2.0 * first)))
    side = np.concatenate([[0.0, first], 2.0 * first * _GRADED ** np.arange(steps + 1.0)])
    side[-1] = far
    return _laid(np.concatenate([-side[:0:-1], side]), power, spreads)


def _with_edges(panels: _Panels, places: list[float]) -> _Panels:
    inside = [u for u in places if abs(u) < panels.edges[-1] and u not in panels.edges]
    if not inside:
        return panels
    edges = np.unique(np.concatenate([panels.edges, inside]))
    return _laid(edges, panels.power, panels.spreads)


def _refined(panels: _Panels, fine: NDArray[np.bool_], book: Book) -> _Panels | None:
    """Panels cut at the roots of what changes its sign inside of them, or else into four."""
    p = panels.radius.size
    u = panels.places[p : p + panels.lebesgue.size]
    roots, blur = [np.empty(0)], [np.empty(0)]
    for d, noise in book:
        i = np.flatnonzero((d[:-1] < 0.0) != (d[1:] < 0.0))
        steep = (d[i + 1] - d[i]) / (u[i + 1] - u[i])
        roots.append(u[i] - d[i] / steep)
        blur.append(_BLURRED * noise[i] / np.abs(steep))
    new, off = np.concatenate(roots), np.concatenate(blur)
    after = np.clip(np.searchsorted(panels.edges, new), 1, p)
    gap = np.minimum(np.abs(panels.edges[after] - new), np.abs(panels.edges[after - 1] - new))
    untried = gap > _TRIED * np.maximum(np.abs(new), 1e-3)
    new, off = new[untried], off[untried]
    if not new.size:
        if panels.split >= _SPLITS:
            return None
        wide = np.flatnonzero(~fine)
        low, high = panels.edges[wide], panels.edges[wide + 1]
        new = (low[:, None] + (high - low)[:, None] * (np.arange(1, _PARTS) / _PARTS)).ravel()
        off = np.zeros_like(new)
    if p + new.size > _MOST_PANELS:
        return None
    edges, first = np.unique(np.concatenate([panels.edges, new]), return_index=True)
    loose = np.concatenate([panels.loose, off])[first]
    split = panels.split + (not untried.any())
    return _laid(edges, panels.power, panels.spreads, loose, split)


def _density(u: Array, spreads: tuple[float, ...]) -> Array:
    """Densities of the S deviations, (S, ...)."""
    s = np.array(spreads)[:, None]
    return np.asarray(np.exp(-0.5 * (u / s) ** 2) / (s * _ROOT_2PI))


def _laid(
    edges: Array,
    power: int,
    spreads: tuple[float, ...],
    loose: Array | None = None,
    split: int = 0,
) -> _Panels:
    low, high = edges[:-1], edges[1:]
    half, middle = 0.5 * (high - low), 0.5 * (high + low)
    nodes = (middle[:, None] + half[:, None] * _NODES).ravel()
    lebesgue = (half[:, None] * _WEIGHTS).ravel()
    weight = lebesgue * _density(nodes, spreads)
    radius = 2.0 * half
    # least real part of z^2 on each disk: of the density, M is its value there
    c, s = np.abs(middle), np.array(spreads)[:, None]
    least = np.where(c < 2.0 * radius, 0.5 * c * c - radius * radius, (c - radius) ** 2)
    missed = _MISSED * half * np.exp(-0.5 * least / (s * s)) / (s * _ROOT_2PI)
    far = float(edges[-1])
    steps = np.geomspace(far, far * _WINDOW / _FAR * math.sqrt(power), 34)
    beyond = np.concatenate([-steps[::-1], steps])
    width = np.concatenate([np.gradient(steps)[::-1], np.gradient(steps)])
    return _Panels(
        edges,
        np.zeros_like(edges) if loose is None else loose,
        np.concatenate([middle, nodes, beyond]),
        radius,
        lebesgue,
        weight,
        EPS * (2.0 + 0.5 * (nodes / s) ** 2) * weight,
        missed,
        width * _density(beyond, spreads),
        _density(edges[1:-1], spreads),
        power,
        spreads,
        split,
    )
