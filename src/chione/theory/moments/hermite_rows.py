r"""Hermite coefficients of one activation at many lengths, from one set of nodes.

.. math:: \phi(\sqrt q\,z) = \sum_n a_n(q)\,he_n(z), \qquad
   a_n(q) = \int \psi_n(z)\,\phi(\sqrt q\,z)\,e^{-z^2/4} \frac{dz}{\sqrt{2\pi}}, \qquad
   \psi_n = he_n\,e^{-z^2/4}

The nodes z and the functions psi_n serve every length: what depends on q are values of phi, and
the coefficients are one matrix product. Only the panels in which phi has a kink are laid anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chione.activations import AbstractActivation
from chione.base import EPS, Array, ConvergenceError, cost
from chione.gaussian.panels import NODES, WEIGHTS

Index = NDArray[np.intp]

_REACHES = (13.0, 14.5, 18.0, 26.0, 40.0)  # standard deviations; exp(-13^2 / 4) is 4e-19
_BEYOND = np.linspace(0.0, 6.0, 49)  # where it is seen whether a reach holds all of phi
_TURNS = 9.0  # of psi_n in a panel: sixteen Gauss nodes hold what turns by 9 radians to 1e-17
_WIDEST = 0.8
_RESOLVED = 1e-11  # last two Legendre coefficients of phi in a panel; the rule errs by the square
_NOTHING = 1e-16  # of the whole: what a panel at a singularity may be off by
_MAX_LEVELS = 40
_MOST = 6_000  # nodes in all
_FINEST = 1e-13  # narrowest panel in standard deviations
_BLOCK = 1 << 16

# (16, 2): node values -> Legendre coefficients of degree 14 and 15
_LAST: Array = np.stack(
    [
        (2 * k + 1) / 2.0 * WEIGHTS * np.polynomial.legendre.Legendre.basis(k)(NODES)
        for k in (14, 15)
    ],
    1,
)


@dataclass(frozen=True)
class Grid:
    r"""Panels of z that resolve phi and the first psi_n at every length of a range.

    Parameters
    ----------
    edges : ndarray, shape (P + 1,)
        Increasing; zero is one of them.
    nodes, weights : ndarray, shape (16 P,)
        Nodes, and weights that hold :math:`e^{-z^2/4} / \sqrt{2\pi}`.
    n : int
        Number of the functions psi_n.
    """

    edges: Array
    nodes: Array
    weights: Array
    n: int


def grid(phi: AbstractActivation, q: Array, n: int) -> Grid:
    """A grid for the first `n` coefficients at the lengths `q`.

    Raises
    ------
    ConvergenceError
        If phi is too rough, or grows too fast, for so many nodes.
    """
    reach = _reach(phi, q)
    width = min(_WIDEST, _TURNS / np.sqrt(n))
    half = width * np.arange(np.ceil(reach / width) + 1.0)
    low = np.concatenate([-half[:0:-1], half[:-1]])
    high = np.concatenate([-half[-2::-1], half[1:]])
    done: list[tuple[Array, Array]] = []
    count = len(low)
    scale = 0.0
    for level in range(_MAX_LEVELS + 1):
        cost.tick()
        rest, size = _rest(phi, q, low, high)
        scale = max(scale, size)
        fine = (rest <= _RESOLVED * scale) | (rest * (high - low) <= _NOTHING * scale)
        done.append((low[fine], high[fine]))
        if fine.all():
            break
        low, high = low[~fine], high[~fine]
        count += len(low)
        if level == _MAX_LEVELS or 16 * count > _MOST or (high - low).min() < _FINEST:
            raise ConvergenceError(f"{phi} is too rough for {_MOST} nodes at lengths {q.max():.3g}")
        middle = 0.5 * (low + high)
        low, high = np.concatenate([low, middle]), np.concatenate([middle, high])
    starts = np.sort(np.concatenate([a for a, _ in done]))
    edges = np.append(starts, max(float(b.max(initial=-np.inf)) for _, b in done))
    nodes, weights = _laid(edges[:-1], edges[1:])
    return Grid(edges, nodes, weights, n)


def _reach(phi: AbstractActivation, q: Array) -> float:
    """Standard deviations that hold phi times a quarter Gaussian to rounding."""
    root = np.sqrt(q)[:, None]
    near = np.linspace(-6.0, 6.0, 193)
    with np.errstate(all="ignore"):
        size = np.abs(phi.value((root * near).ravel())).reshape(len(q), -1)
        size = (size * np.exp(-0.25 * near * near)).max(axis=1)
        for reach in _REACHES:
            far = np.concatenate([-reach - _BEYOND, reach + _BEYOND])
            value = np.abs(phi.value((root * far).ravel())).reshape(len(q), -1)
            outside = (value * np.exp(-0.25 * far * far)).max(axis=1)
            if np.all(outside <= 0.01 * EPS * size):
                return reach
    raise ConvergenceError(f"{phi} grows too fast for its Hermite coefficients at {q.max():.3g}.")


def _laid(low: Array, high: Array) -> tuple[Array, Array]:
    """Nodes and weights of panels, the quarter Gaussian in the weights."""
    half = 0.5 * (high - low)[:, None]
    nodes = (0.5 * (low + high)[:, None] + half * NODES).ravel()
    weights = (half * WEIGHTS).ravel() * np.exp(-0.25 * nodes * nodes) / np.sqrt(2.0 * np.pi)
    return nodes, weights


def _rest(phi: AbstractActivation, q: Array, low: Array, high: Array) -> tuple[Array, float]:
    """Last Legendre coefficients of phi exp(-z^2 / 4) in panels, relative to its size at each q.

    Panels with a kink are cut there at each length, and are not judged as they stand.
    """
    rest, largest = np.zeros(len(low)), 0.0
    z = 0.5 * (low + high)[:, None] + 0.5 * (high - low)[:, None] * NODES
    step = max(1, _BLOCK // max(1, z.size))
    for start in range(0, len(q), step):
        root = np.sqrt(q[start : start + step])
        value = phi.value((root[:, None, None] * z).ravel()).reshape(len(root), *z.shape)
        value = value * np.exp(-0.25 * z * z)
        if not np.all(np.isfinite(value)):
            raise ConvergenceError(f"{phi} leaves float64 at lengths about {q.max():.3g}.")
        size = np.abs(value).max(axis=(1, 2))
        largest = max(largest, 1.0)
        last = np.abs(value @ _LAST).max(axis=2)
        for k in phi.kinks:
            at = (k / root)[:, None]
            last[(low < at) & (at < high)] = 0.0
        with np.errstate(invalid="ignore"):
            last = np.where(size[:, None] > 0.0, last / size[:, None], 0.0)
        rest = np.maximum(rest, last.max(axis=0))
    return rest, largest


def coefficients(phi: AbstractActivation, at: Grid, q: Array) -> Array:
    """The coefficients at each length, (len(q), n)."""
    root = np.sqrt(q)
    out, size = np.empty((len(q), at.n)), np.empty(len(q))
    values = np.empty((len(q), len(at.nodes)))
    step = max(1, _BLOCK // len(at.nodes))
    for start in range(0, len(q), step):
        part = slice(start, start + step)
        value = phi.value((root[part, None] * at.nodes).ravel()).reshape(-1, len(at.nodes))
        size[part] = np.abs(value * np.exp(-0.25 * at.nodes**2)).max(axis=1)
        values[part] = value * at.weights
        _silence_kinks(phi, at, root[part], values[part])
    for first, psi in _hermite_blocks(at.nodes, at.n):
        out[:, first : first + len(psi)] = values @ psi.T
    _add_kinks(phi, at, root, size, out)
    return out


def _hermite_blocks(z: Array, n: int) -> Iterator[tuple[int, Array]]:
    """The first n Hermite functions, some rows at a time, each with the number of the first.

    All of them would be a hundred megabytes; a few rows stay in the cache.
    """
    rows = max(2, _BLOCK // len(z))
    before, psi = np.zeros_like(z), np.asarray(np.exp(-0.25 * z * z))
    block = np.empty((rows, len(z)))
    roots = np.sqrt(np.arange(n + 1.0)).tolist()
    held = np.empty_like(z)
    for k in range(n):
        place = k % rows
        block[place] = psi
        if place == rows - 1 or k == n - 1:
            yield k - place, block[: place + 1]
        np.multiply(z, psi, out=held)  # psi_(k+1) = (z psi_k - sqrt(k) psi_(k-1)) / sqrt(k + 1)
        before *= roots[k]
        held -= before
        held /= roots[k + 1]
        before, psi, held = psi, held, before


def _kinked(phi: AbstractActivation, at: Grid, root: float) -> tuple[Array, Array]:
    """Kinks inside panels at one length, in standard deviations, and the panels they are in."""
    places = np.asarray(phi.kinks, dtype=np.float64) / root
    inside = (places > at.edges[0]) & (places < at.edges[-1]) & ~np.isin(places, at.edges)
    places = places[inside]
    return places, np.searchsorted(at.edges, places) - 1


def _silence_kinks(phi: AbstractActivation, at: Grid, root: Array, value: Array) -> None:
    """Take the panels that hold a kink out of the values, (len(root), nodes)."""
    if not phi.kinks:
        return
    panels = value.reshape(len(root), -1, len(NODES))
    for i, r in enumerate(root):
        panels[i, _kinked(phi, at, float(r))[1]] = 0.0


def _add_kinks(phi: AbstractActivation, at: Grid, root: Array, size: Array, out: Array) -> None:
    """Add what panels with a kink hold, cut at their kinks, to coefficients (len(root), n)."""
    lows, highs, owners = [], [], []
    for i, r in enumerate(root if phi.kinks else ()):
        places, panel = _kinked(phi, at, float(r))
        for p in np.unique(panel):
            cuts = np.concatenate([[at.edges[p]], places[panel == p], [at.edges[p + 1]]])
            lows.append(cuts[:-1])
            highs.append(cuts[1:])
            owners.append(np.full(len(cuts) - 1, i))
    if not lows:
        return
    pieces = np.concatenate(lows), np.concatenate(highs), np.concatenate(owners)
    low, high, owner = _resolved(phi, root, size, *pieces)
    place = np.repeat(owner, len(NODES))
    z, weights = _laid(low, high)
    weights = weights * phi.value(root[place] * z)
    starts = np.flatnonzero(np.diff(place, prepend=-1))
    where = place[starts]
    before, psi = np.zeros_like(z), np.exp(-0.25 * z * z) * weights
    for k in range(out.shape[1]):
        out[where, k] += np.add.reduceat(psi, starts)
        before, psi = psi, (z * psi - np.sqrt(k) * before) / np.sqrt(k + 1.0)


def _resolved(
    phi: AbstractActivation, root: Array, size: Array, low: Array, high: Array, owner: Index
) -> tuple[Array, Array, Index]:
    """Pieces next to kinks, halved until they resolve phi, in the order of their lengths."""
    done: list[tuple[Array, Array, Index]] = []
    for level in range(_MAX_LEVELS + 1):
        z = 0.5 * (low + high)[:, None] + 0.5 * (high - low)[:, None] * NODES
        value = phi.value((root[owner][:, None] * z).ravel()).reshape(z.shape)
        last = np.abs((value * np.exp(-0.25 * z * z)) @ _LAST).max(axis=1)
        fine = (last <= _RESOLVED * size[owner]) | (last * (high - low) <= _NOTHING * size[owner])
        done.append((low[fine], high[fine], owner[fine]))
        if fine.all():
            break
        if level == _MAX_LEVELS:
            raise ConvergenceError(f"{phi} is too rough next to its kinks for Hermite coefficients")
        low, high, owner = low[~fine], high[~fine], owner[~fine]
        middle = 0.5 * (low + high)
        low, high = np.concatenate([low, middle]), np.concatenate([middle, high])
        owner = np.concatenate([owner, owner])
    low, high, owner = (np.concatenate(x) for x in zip(*done, strict=True))
    order = np.argsort(owner, kind="stable")
    return low[order], high[order], owner[order]
