r"""A population: sampled channels, their random tangents, and averages over them.

Rows of all arrays of one walk are the same channels. Gaussian leaves are drawn antithetically
(in every block of rows the second half is the negative of the first) and made to have exactly the
second moments that they stand for. Gradients and tangents enter only by second moments given the
channels, so signs with the right covariance serve; on a diagonal they add no noise at all.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Protocol

import numpy as np

from chione.base import EPS, Array, checks
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.orbits import Orbits

BLOCK = 256  # rows of one block, whose averages tell the standard error
_NUMBERS = 2e6  # rows times sites
_LEAST, _MOST = 2048, 524_288  # rows
_SIGMAS = 3.0  # standard errors that are stated
_ROUNDING = (4.0 + BLOCK**0.5) * EPS  # of a sum over one block, whatever the order of its terms
_CLOSE = 0.05  # D / q below which differences are taken channel by channel


class Recipe(Protocol):
    """What a population asks of a :class:`chione.theory.layers.recipe.Recipe`."""

    @property
    def parents(self) -> tuple[Recipe, ...]:
        """What it is made from."""

    @property
    def whole(self) -> int:
        """Number of rows that hold all channels there are; 0 where rows are a sample."""

    @property
    def moments_error(self) -> float | None:
        """Largest relative error of the moments that it is drawn with, if it is drawn."""

    def value(self, crowd: Population, *x: Array) -> Array:
        """Channels from those of the parents."""

    def tangent(self, crowd: Population, *dx: Array | None) -> Array | None:
        """Tangents from those of the parents; None are zeros."""


class Population:
    """Sampled channels of one walk.

    Parameters
    ----------
    seed : int
        Of all draws.
    share : float
        How much of the usual number of channels is drawn: a walk that is one of several takes a
        share.
    stated : bool
        Whether averages carry their standard errors; without, only what else is known of them.
    """

    def __init__(self, seed: int = 0, share: float = 1.0, stated: bool = True) -> None:
        self.seed, self.share, self.stated = checks.integer("seed", seed, minimum=0), share, stated
        self._values: dict[Recipe, Array] = {}
        self._tangents: dict[Recipe, Array | None] = {}
        self._kept: dict[Hashable, Any] = {}
        self._drawn = 0
        self._sent = 0
        self._owner: object = None
        self._owned: Array = np.empty((0, 0))
        self._elsewhere = False

    @property
    def used(self) -> bool:
        """Whether any channel was drawn."""
        return bool(self._values) or self._elsewhere

    def drawn_elsewhere(self) -> None:
        """Hear that a rule drew channels of its own."""
        self._elsewhere = True

    def rows(self, sites: int) -> int:
        """Number of channels for a stream of so many sites."""
        wanted = self.share * min(_MOST, max(_LEAST, _NUMBERS / sites))
        return max(_LEAST // BLOCK, round(wanted / BLOCK)) * BLOCK

    # ---- what recipes give ---------------------------------------------------------------------

    def values(self, recipe: Recipe) -> Array:
        """Channels of a recipe, (rows, sites)."""
        found: Array = self._made(recipe, self._values, lambda r, x: r.value(self, *x))
        return found

    def tangents(self, recipe: Recipe) -> Array | None:
        """Tangents of a recipe, likewise; None are zeros."""
        found: Array | None = self._made(recipe, self._tangents, lambda r, dx: r.tangent(self, *dx))
        return found

    def _made(self, recipe: Recipe, memo: dict[Recipe, Any], make: Callable[..., Any]) -> Any:
        stack = [recipe]  # deeper networks than Python's stack
        while stack:
            missing = [p for p in stack[-1].parents if p not in memo and stack[-1] not in memo]
            if missing:
                stack += missing
                continue
            done = stack.pop()
            if done not in memo:
                memo[done] = make(done, [memo[p] for p in done.parents])
        return memo[recipe]

    def kept(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What `make` gives, made once for each key."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    # ---- draws ---------------------------------------------------------------------------------

    def generator(self) -> np.random.Generator:
        """A generator of its own for each use, in the order of the walk."""
        self._drawn += 1
        return np.random.Generator(np.random.SFC64([self.seed, 1, self._drawn]))

    def normal(self, k: Array, d: Array) -> Array:
        """Rows of N(0, K), for squared distances d."""
        root = _root(k, d)
        rows, n = self.rows(len(k)), root.shape[1]
        # seven digits are enough for a draw; what is made of it keeps all
        rng = self.generator()
        z = rng.standard_normal((rows // 2, n), np.float32).astype(np.float64)
        if 8 * n <= rows:  # then the sampled second moments are made right
            # block by block: one sum over all rows would round by hundreds of last digits
            gram = _products(z.reshape(-1, BLOCK // 2, n)).mean(axis=0)
            root = root @ np.linalg.inv(np.linalg.cholesky(gram))
        out = np.empty((rows // BLOCK, 2, BLOCK // 2, len(root)))
        np.matmul(z.reshape(-1, BLOCK // 2, n), root.T, out=out[:, 0])
        # partners stand apart by a distance of the leaf's own, so that two leaves are not mirrored
        # together, and by more than a norm's group of few channels
        away = int(rng.integers(BLOCK // 4, BLOCK // 2))
        np.negative(out[:, 0, away:], out=out[:, 1, :-away])
        np.negative(out[:, 0, :away], out=out[:, 1, -away:])
        return out.reshape(rows, len(root))

    def column(self, key: Hashable, rows: int) -> Array:
        """One N(0, 1) for each channel, (rows, 1)."""
        column = self.kept(
            ("column", key), lambda: self.generator().standard_normal((self.rows(1), 1))
        )
        return np.asarray(column[:rows])

    def signs(self, key: Hashable, gram: Array, rows: int) -> Array:
        """Rows whose second moments are `gram`, from random signs."""
        if not np.all(np.isfinite(gram)):
            return np.full((rows, len(gram)), np.nan)
        return self._signs(self.generator(), gram, rows)

    def gradients(self, gram: Array, rows: int) -> Array:
        """The same for what comes back."""
        self._sent += 1
        rng = np.random.Generator(np.random.SFC64([self.seed, 2, self._sent]))
        if not np.all(np.isfinite(gram)):
            return np.full((rows, len(gram)), np.nan)
        return self._signs(rng, gram, rows)

    def gradients_of(self, owner: object, gram: Array, rows: int) -> Array:
        """The same, once for each owner until gradients are sent again."""
        if self._owner is not owner:
            self._owner, self._owned = owner, self.gradients(gram, rows)
        return self._owned[:rows]

    def sent_back(self) -> None:
        """Before gradients are sent: the same ones again."""
        self._sent, self._owner = 0, None

    @staticmethod
    def _signs(rng: np.random.Generator, gram: Array, rows: int) -> Array:
        diagonal = np.diagonal(gram)
        plain = np.count_nonzero(gram) == np.count_nonzero(diagonal)
        root = np.sqrt(np.maximum(diagonal, 0.0)) if plain else _psd_root(gram)
        n = root.shape[-1]
        bits = np.unpackbits(np.frombuffer(rng.bytes(-(-rows * n // 8)), np.uint8))
        positive = bits[: rows * n].reshape(rows, n).view(np.bool_)
        if plain:
            return np.where(positive, root, -root)
        return np.asarray(np.where(positive, 1.0, -1.0) @ root.T)

    # ---- averages ------------------------------------------------------------------------------

    def moments(self, recipe: Recipe, orbits: Orbits) -> tuple[Bounded, Bounded, Bounded]:
        """K, D and m of a recipe, for classes of sites."""
        x = self.values(recipe)
        count = recipe.whole
        blocks = x[None, :count] if count else _blocks(x)
        k = _by_class(blocks, orbits)
        one, two = k[:, orbits.one], k[:, orbits.two]
        d = one + two - 2.0 * k
        for c in np.flatnonzero(orbits.apart & (d.mean(0) <= _CLOSE * (one + two).mean(0))):
            gap = blocks[:, :, orbits.rows[c]] - blocks[:, :, orbits.columns[c]]
            d[:, c] = (gap * gap).mean(axis=1)
        d[:, ~orbits.apart] = 0.0
        of, size = _alike(orbits)
        mean = np.stack([np.bincount(of, m) for m in blocks.mean(axis=1)]) / size
        spread = self.relative(recipe)
        q = k.mean(axis=0)
        scale = np.sqrt(np.abs(q[orbits.one] * q[orbits.two]))
        found = self._averaged(mean)
        shift = spread * np.sqrt(np.abs(q[orbits.diagonal]))
        return (
            _wider(self._averaged(k), spread * scale),
            _wider(self._averaged(d), spread * d.mean(axis=0)),
            _wider(found.at(of), shift),
        )

    def kernel(self, recipe: Recipe, orbits: Orbits) -> Bounded:
        """Theta of a recipe, for classes of sites."""
        dx = self.tangents(recipe)
        if dx is None:
            return Bounded.exact(np.zeros(orbits.count))
        out = self._averaged(_by_class(_blocks(dx), orbits))
        return Bounded(out.value, np.where(np.isnan(out.value), np.inf, out.error))

    def second_moments(self, g: Array, orbits: Orbits) -> Bounded:
        """P of sampled gradients, for classes of sites."""
        return self._averaged(_by_class(_blocks(g), orbits))

    def cross(self, one: Array, two: Array, orbits: Orbits) -> Bounded:
        """E (x y^T + y x^T) of two arrays of rows."""
        rows = min(len(one), len(two))
        a, b = _blocks(one[:rows]), _blocks(two[:rows])
        joint = np.matmul(a.transpose(0, 2, 1), b) / BLOCK
        return self._averaged(orbits.means(joint + joint.transpose(0, 2, 1)))

    def weighted(self, g: Array, weights: Array, orbits: Orbits) -> Bounded:
        """E w^2 g g^T."""
        return self.second_moments(g * weights[: len(g), None], orbits)

    def relative(self, recipe: Recipe) -> float:
        """Largest relative error of the moments that the leaves below were drawn with."""
        return float(self.kept(("relative", recipe), lambda: self._relative(recipe)))

    def _relative(self, recipe: Recipe) -> float:
        met, stack, worst = set[Recipe](), [recipe], 0.0
        while stack:
            one = stack.pop()
            if one in met:
                continue
            met.add(one)
            known = self._kept.get(("relative", one))
            if known is not None:
                worst = max(worst, known)
            elif one.moments_error is not None:
                worst = max(worst, one.moments_error)
            else:
                stack += one.parents
        return worst

    def _averaged(self, blocks: Array) -> Bounded:
        """Mean over blocks, with three standard errors."""
        count, value = len(blocks), blocks.mean(axis=0)
        error = _ROUNDING * np.abs(value)
        if self.stated and count > 1:
            # a few blocks know their own spread badly
            factor = _SIGMAS * (1.0 + 2.0 / (count - 1)) / np.sqrt(count)
            error = error + factor * blocks.std(axis=0, ddof=1)
        return Bounded(value, error)


def _wider(x: Bounded, by: Array) -> Bounded:
    return Bounded(x.value, x.error + by)


def _blocks(x: Array) -> Array:
    count = max(len(x) // BLOCK, 1)
    size = min(BLOCK, len(x))
    return np.ascontiguousarray(x[: count * size]).reshape(count, size, x.shape[1])


def _by_class(blocks: Array, orbits: Orbits) -> Array:
    """Second moments in each block, averaged over pairs of one class."""
    return orbits.means(_products(blocks))


def _products(blocks: Array) -> Array:
    """Second moments of the columns in each block."""
    return np.asarray(np.matmul(blocks.transpose(0, 2, 1), blocks) / blocks.shape[1])


def _alike(orbits: Orbits) -> tuple[Any, Any]:
    """For each site the number of its class, and how many sites each has."""

    def make() -> tuple[Any, Any]:
        _, of = np.unique(orbits.diagonal, return_inverse=True)
        return of, np.bincount(of)

    return orbits.remembered("alike", make)


def _root(k: Array, d: Array) -> Array:
    r"""A root of K that keeps the differences of close sites.

    .. math:: x_i = a_i x_0 + r_i, \qquad
       E\,(x_i - x_0)(x_j - x_0) = \tfrac12 (D_{i0} + D_{j0} - D_{ij})
    """
    if not np.all(np.isfinite(k)):
        return np.full((len(k), 1), np.nan)
    q = np.diagonal(k)
    first = int(np.argmax(q))
    if q[first] <= 0.0:
        return np.zeros((len(k), 1))
    step = 0.5 * (q - q[first] - d[first])  # E x_0 (x_i - x_0)
    rest = 0.5 * (d[first][:, None] + d[first] - d) - np.outer(step, step) / q[first]
    ahead = np.sqrt(q[first]) + step / np.sqrt(q[first])
    return np.column_stack([ahead, _psd_root(rest)])


def _psd_root(gram: Array) -> Array:
    """A root of a matrix without negative eigenvalues, as many columns as it has rank."""
    values, vectors = np.linalg.eigh(0.5 * (gram + gram.T))
    kept = values > len(gram) * EPS * max(float(values[-1]), 0.0)
    if not np.any(kept):
        return np.zeros((len(gram), 1))
    return np.asarray(vectors[:, kept] * np.sqrt(values[kept]))
