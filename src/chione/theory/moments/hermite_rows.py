r"""Hermite coefficients of one activation at many lengths, from one set of nodes.

.. math:: \phi(\sqrt q\,z) = \sum_n a_n(q)\,he_n(z), \qquad
   a_n(q) = \int \psi_n(z)\,\phi(\sqrt q\,z)\,e^{-z^2/4} \frac{dz}{\sqrt{2\pi}}, \qquad
   \psi_n = he_n\,e^{-z^2/4}

The nodes z and the functions psi_n serve every length: what depends on q are values of phi, and
the coefficients are one matrix product. Only the panels in which phi has a kink are laid anew.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chione.activations import AbstractActivation
from chione.base import EPS, Array, ConvergenceError, cost
from chione.gaussian.hermite import hermite_functions
from chione.gaussian.panels import NODES, WEIGHTS

_REACHES = (13.0, 14.5, 18.0, 26.0, 40.0)  # standard deviations; exp(-13^2 / 4) is 4e-19
_BEYOND = np.linspace(0.0, 6.0, 49)  # where it is seen whether a reach holds all of phi
_TURNS = 9.0  # of psi_n in a panel: sixteen Gauss nodes hold what turns by 9 radians to 1e-17
_WIDEST = 0.8
_RESOLVED = 1e-11  # last two Legendre coefficients of phi in a panel; the rule errs by the square
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
    r"""Panels of z that resolve phi at every length of a range, and psi_n at their nodes.

    Parameters
    ----------
    edges : ndarray, shape (P + 1,)
        Increasing; zero is one of them.
    nodes, weights : ndarray, shape (16 P,)
        Nodes, and weights that hold :math:`e^{-z^2/4} / \sqrt{2\pi}`.
    psi : ndarray, shape (n, 16 P)
        Hermite functions.
    """

    edges: Array
    nodes: Array
    weights: Array
    psi: Array


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
        fine = rest <= _RESOLVED * scale
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
    return Grid(edges, nodes, weights, hermite_functions(nodes, n))


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
            last[(low <= at) & (at <= high)] = 0.0
        with np.errstate(invalid="ignore"):
            last = np.where(size[:, None] > 0.0, last / size[:, None], 0.0)
        rest = np.maximum(rest, last.max(axis=0))
    return rest, largest


def coefficients(phi: AbstractActivation, at: Grid, q: Array) -> Array:
    """The coefficients at each length, (len(q), n)."""
    root = np.sqrt(q)
    out = np.empty((len(q), len(at.psi)))
    step = max(1, _BLOCK // len(at.nodes))
    for start in range(0, len(q), step):
        part = slice(start, start + step)
        value = phi.value((root[part, None] * at.nodes).ravel()).reshape(-1, len(at.nodes))
        value = value * at.weights
        _silence_kinks(phi, at, root[part], value)
        out[part] = value @ at.psi.T
    _add_kinks(phi, at, root, out)
    return out


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


def _add_kinks(phi: AbstractActivation, at: Grid, root: Array, out: Array) -> None:
    """Add what panels with a kink hold, cut at their kinks, to coefficients (len(root), n)."""
    low, high, owner = [], [], []
    for i, r in enumerate(root if phi.kinks else ()):
        places, panel = _kinked(phi, at, float(r))
        for p in np.unique(panel):
            cuts = np.concatenate([[at.edges[p]], places[panel == p], [at.edges[p + 1]]])
            low.append(cuts[:-1])
            high.append(cuts[1:])
            owner.append(np.full(len(cuts) - 1, i))
    if not low:
        return
    owners = np.repeat(np.concatenate(owner), len(NODES))
    z, weights = _laid(np.concatenate(low), np.concatenate(high))
    weights = weights * phi.value(root[owners] * z)
    starts = np.flatnonzero(np.diff(owners, prepend=-1))
    where = owners[starts]
    before, psi = np.zeros_like(z), np.exp(-0.25 * z * z) * weights
    for k in range(out.shape[1]):
        out[where, k] += np.add.reduceat(psi, starts)
        before, psi = psi, (z * psi - np.sqrt(k) * before) / np.sqrt(k + 1.0)
