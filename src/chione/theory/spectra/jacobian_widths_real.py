"""Real solutions at different widths: which branches fit together, and their exact values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from chione.base import EPS, Array
from chione.freeprob.measures import Integers
from chione.theory.spectra.jacobian_widths_branches import Branch
from chione.theory.spectra.jacobian_widths_equation import WidthsEquation

_POINTS = 3000  # of the grid of x, for all widths together
NEAR = 0.01  # of the margin, ten times the error of the tables
_MEMORY = 10_000_000  # entries of the table of what is left to gain
_CHOICES = 2_000  # partial choices kept at a time; more need thousands of atoms and widths
_NEWTON = 40
_FAR = 12.0  # of log |x| from 0, where w is near an atom of t or infinity
_ROOT = 60  # steps for a critical point
PASSING = 1e-8  # how near, in 1 + b x, to places at which some w passes 0
SMALLEST = 1e-11  # of a x: at x = 0 some w are infinite and whole numbers cancel
LARGEST = 1e11  # of |x| on the grid: w lies within 1e-11 of an atom of t there
_CRITICAL = 1e-8  # x dlog z / dx that counts as zero; log z is flat there


@dataclass(frozen=True)
class Candidates:
    """Choices of branches, one for each width, that may be off the spectrum.

    Parameters
    ----------
    x : ndarray, shape (m,)
        Rising grid of one sign.
    choices : list
        The numbers of the branches, and the margin along x: above 0 where z falls with x,
        -inf where the choice does not exist.
    """

    x: Array
    choices: list[tuple[tuple[int, ...], Array]]


@dataclass(frozen=True)
class RealPoint:
    """Real solutions: margin, log z, w, x and dw/dx, shapes (E,), (E,), (E, G), (E,), (E, G)."""

    margin: Array
    log_z: Array
    w: Array
    x: Array
    rate: Array


@dataclass(frozen=True)
class RealSolutions:
    """The equation on the real axis."""

    eq: WidthsEquation
    branches: tuple[Branch, ...]

    # ---------------------------------------------------------------------------- the search

    def candidates(self, sign: float) -> Candidates:
        """Choices with a margin about zero somewhere, from tabulated branches."""
        a, n = self.eq.groups
        x = self._grid(sign)
        count = self.eq.depth - self._negative_layers(x)  # of layers with w > 0
        large, scale = self._is_large(x), self._scale(x)
        base = np.nan_to_num(-sign * scale * self._base(x), nan=-np.inf)
        gain = np.full((a.size, len(self.branches), x.size), -np.inf)
        for g in range(a.size):
            for k, branch in enumerate(self.branches):
                if branch.positive or sign < 0.0:
                    value = -sign * scale * branch.slope_at(a[g] * x, n[g], self._shared[g], large)
                    gain[g, k] = np.where(np.isfinite(value), value, -np.inf)
        rest = self._best_rest(gain, count)
        parts: list[tuple[tuple[int, ...], Array, float]] = [((), base, 0.0)]
        for g in range(a.size):
            new, best = [], []
            for ks, margin, own in parts:
                for k, branch in enumerate(self.branches):
                    total = np.where(np.isfinite(margin), margin + gain[g, k], -np.inf)
                    more = own + (n[g] if branch.positive else 0.0)
                    top = float(np.max(total + rest(g + 1, more)))
                    if top > -NEAR:
                        new.append(((*ks, k), total, more))
                        best.append(top)
            if len(new) > _CHOICES:
                new = [new[i] for i in np.argsort(best)[: -_CHOICES - 1 : -1]]
            parts = new
        found = [(ks, np.where(count == own, margin, -np.inf)) for ks, margin, own in parts]
        return Candidates(x, [(ks, self._mended(ks, x, margin)) for ks, margin in found])

    def _best_rest(self, gain: Array, count: Array) -> Callable[[int, float], Array]:
        """The most that the widths from number g on can add, with all layers' signs as needed.

        Dynamic programming over the widths and the number of layers with w > 0.
        """
        n = self.eq.groups[1].astype(int)
        negative = np.array([not b.positive for b in self.branches])
        below, above = gain[:, negative].max(axis=1), gain[:, ~negative].max(axis=1)
        # A row for every number of such layers that is needed anywhere; 0 or 1 for Gaussian ones.
        top = int(min(max(count.max(), 0.0), n.sum()))
        table = np.full((n.size + 1, top + 1, count.size), -np.inf)
        table[-1, 0] = 0.0
        for g in range(n.size - 1, -1, -1):
            table[g] = table[g + 1] + below[g]
            if n[g] <= top:
                shifted = table[g + 1, : top + 1 - n[g]] + above[g]
                table[g, n[g] :] = np.maximum(table[g, n[g] :], shifted)
        columns = np.arange(count.size)

        def rest(g: int, own: float) -> Array:
            left = (count - own).astype(int)
            inside = (left >= 0) & (left <= top)
            return np.where(inside, table[g, np.clip(left, 0, top), columns], -np.inf)

        return rest

    def _mended(self, ks: tuple[int, ...], x: Array, margin: Array) -> Array:
        """The margin with values near zero, where signs are at stake, replaced by exact ones."""
        near = np.nonzero(abs(margin) < NEAR)[0]
        if near.size:
            margin = margin.copy()
            exact = self.at(np.tile(np.array(ks), (near.size, 1)), x[near]).margin
            # Close to an atom of t the distance of w to it, of size 1/x, is rounded.
            noise = 16.0 * EPS * self.eq.depth * (1.0 + abs(x[near]) * self.eq.groups[0].max())
            far = abs(np.log(abs(x[near]) * self.eq.groups[0].max())) > _FAR
            lost = np.where(far, -np.inf, -noise)
            margin[near] = np.where(abs(exact) > noise, exact, lost)
        return margin

    @cached_property
    def _shared(self) -> Array:
        """Exponents of the factors 1 + b x that belong to a layer's own w, shape (G,).

        There 1 + b x = P(w), which may be zero where w is; both are taken together.
        """
        b, e = self.eq.factors
        a, _ = self.eq.groups
        return np.array([float(e[b == g].sum()) for g in a])

    @cached_property
    def _own(self) -> tuple[Array, Array]:
        """The other factors."""
        b, e = self.eq.factors
        free = ~np.isin(b, self.eq.groups[0])
        return b[free], e[free]

    def _base(self, x: Array) -> Array:
        """X dlog z / dx without the layers, NaN at its poles; at large x without cancellation."""
        b, e = self._own
        one = 1.0 + x[:, None] * b
        n_shared = float(self._shared.sum())
        with np.errstate(divide="ignore", invalid="ignore"):
            small = self.eq.depth - 1 + (x[:, None] * b / one) @ e
            large = self.eq.depth - 1 + n_shared + float(e.sum()) - (1.0 / one) @ e
        value = np.where(self._is_large(x), large, small)
        return np.where(np.all(one != 0.0, axis=1), value, np.nan)

    def _scale(self, x: Array) -> Array:
        """What brings the margin to size 1 at large x, where it falls like 1/x."""
        return np.asarray(1.0 + abs(x) * self.eq.groups[0].min())

    def _is_large(self, x: Array) -> Array:
        return np.asarray(abs(x) * self.eq.groups[0].min() > 1.0)

    def _negative_layers(self, x: Array) -> Array:
        """How many layers must have w < 0 for log z to be real."""
        b, e = self.eq.factors
        below = (1.0 + x[:, None] * b < 0.0).astype(np.float64)
        return np.asarray(np.where(x < 0.0, self.eq.depth - 1.0, 0.0) + below @ e)

    def _grid(self, sign: float) -> Array:
        a, _ = self.eq.groups
        values = []
        for branch in self.branches:
            m = branch.m[np.sign(branch.m) == sign]
            if not branch.positive:  # smooth: every other point will do, and the far ends matter
                m = m[(abs(m) > 1e-20) | (np.arange(m.size) % 16 == 0)]
            values.append((m[:, None] / a).ravel())
        x = np.concatenate(values)
        x = x[np.isfinite(x)]
        if sign < 0.0:
            marks = np.unique(
                np.concatenate([1.0 / self.eq.factors[0], 1.0 / a, self.eq.alive / a])
            )
            near = np.geomspace(1e-14, 0.3, 60)
            near = np.concatenate([-near, near])
            x = np.concatenate([x, -(marks[:, None] * (1.0 + near)).ravel()])
            # Where w passes 0 and log z does not notice, sums of poles are lost in rounding.
            for passing in a[(self._shared == -self.eq.groups[1]) & (self.eq.alive == 1.0)]:
                x = x[abs(1.0 + passing * x) > PASSING]
        x = np.unique(x[(abs(x) * a[-1] > SMALLEST) & (abs(x) < LARGEST)])
        points = min(_POINTS, _MEMORY // (a.size * (a.size + 10)))
        step = -(-x.size // max(points, 200))
        return x[::step] if step > 1 else x

    # ------------------------------------------------------------------------- exact values

    @cached_property
    def _ends(self) -> tuple[Array, Array]:
        low = np.array([b.low for b in self.branches])
        return low, np.array([b.high for b in self.branches])

    def at(self, ks: Integers, x: Array, near: RealPoint | None = None) -> RealPoint:
        """Margin, log z and w of choices ks, shape (E, G), at x, shape (E,); `near` is close."""
        eq = self.eq
        a, n = eq.groups
        b, e = eq.factors
        m = x[:, None] * a
        guess = None
        if near is not None:
            guess = near.w + near.rate * (x - near.x)[:, None]
        w, p, q = self._inverse(ks.ravel(), m.ravel(), None if guess is None else guess.ravel())
        w, p, q = (v.reshape(m.shape) for v in (w, p, q))
        one = 1.0 + x[:, None] * b
        for j, g in zip(*np.nonzero(b[:, None] == a), strict=True):
            small = abs(one[:, j]) < 0.5
            one[small, j] = p[small, g]  # without cancellation near a w of 0
        with np.errstate(divide="ignore", invalid="ignore"):
            own = self._shared != 0.0
            shared = np.where(self._is_large(x)[:, None], -1.0, m[:, own]) / p[:, own]
            sigma = self._base(x) + (m / q) @ n + shared @ self._shared[own]
            log_z = eq.constant + (eq.depth - 1) * np.log(abs(x))
            log_z = log_z + np.log(abs(w)) @ n + np.log(abs(one)) @ e
            rate = a * w / q
        return RealPoint(-np.sign(x) * sigma * self._scale(x), log_z, w, x, rate)

    def _inverse(
        self, k: Integers, m: Array, guess: Array | None = None
    ) -> tuple[Array, Array, Array]:
        """W with M(w) = m on branch k each, and P and Q there."""
        w, low, high = (np.empty(m.size) for _ in range(3))
        for i, branch in enumerate(self.branches):
            at = k == i
            w[at], low[at], high[at] = branch.start(m[at])
        if guess is not None:
            w = np.where((guess > low) & (guess < high), guess, w)
        active = np.arange(m.size)
        p, q = np.empty(m.size), np.empty(m.size)
        with np.errstate(all="ignore"):
            for _ in range(_NEWTON):
                here = w[active]
                r = self.eq.law.resolvent(here.astype(complex))
                p[active], q[active] = r.p.real, r.q.real
                miss = r.m.real - m[active]  # M falls
                low[active] = np.where(miss > 0.0, here, low[active])
                high[active] = np.where(miss > 0.0, high[active], here)
                new = here - miss * here / r.q.real
                inside = (new >= low[active]) & (new <= high[active])
                new = np.where(inside, new, 0.5 * (low[active] + high[active]))
                step = abs(new - here)
                near = np.minimum(abs(here - self._ends[0][k[active]]), abs(here))
                near = np.minimum(near, abs(here - self._ends[1][k[active]]))
                w[active] = new
                active = active[(step > 1e-12 * near) & (abs(miss) > 4.0 * EPS * abs(m[active]))]
                if active.size == 0:
                    break
        return w, p, q

    def critical(self, ks: Integers, inner: Array, outer: Array) -> Array:
        """X between a point of margin above 0 and one below, where the margin is 0."""
        x0, x1 = inner.copy(), outer.copy()
        y = self.at(ks, x0)
        f0, f1 = y.margin, self.at(ks, x1).margin
        x = np.where(f0 > 0.0, x0, x1)
        active = np.nonzero((f0 > 0.0) & (f1 < 0.0))[0]
        y = RealPoint(*(v[active] for v in vars(y).values()))
        last = np.full(x.size, -1)  # which end moved: neither so far
        for _ in range(_ROOT):
            if active.size == 0:
                break
            i = active
            share = f0[i] / (f0[i] - f1[i])
            x[i] = x0[i] + np.clip(share, 1e-6, 1.0 - 1e-6) * (x1[i] - x0[i])
            y = self.at(ks[i], x[i], y)
            f, up = y.margin, y.margin > 0.0
            # Illinois: an end that stays twice is halved, so that both ends move.
            again = np.where(up == last[i], 0.5, 1.0)
            x0[i], x1[i] = np.where(up, x[i], x0[i]), np.where(up, x1[i], x[i])
            f0[i], f1[i] = np.where(up, f, again * f0[i]), np.where(up, again * f1[i], f)
            last[i] = up
            done = (abs(f) < _CRITICAL) | (abs(x1[i] - x0[i]) < 1e-12 * abs(x[i])) | ~np.isfinite(f)
            active = i[~done]
            y = RealPoint(*(v[~done] for v in vars(y).values()))
        return x

    def turning(self, ks: Integers, low: Array, high: Array, sign: Array) -> tuple[Array, Array]:
        """Where sign * margin is largest between low and high, and the margin there."""
        shrink = 0.5 * (np.sqrt(5.0) - 1.0)
        a, b = low.copy(), high.copy()
        for _ in range(30):
            x0, x1 = b - shrink * (b - a), a + shrink * (b - a)
            left = sign * self.at(ks, x0).margin > sign * self.at(ks, x1).margin
            a, b = np.where(left, a, x0), np.where(left, x1, b)
        x = 0.5 * (a + b)
        return x, self.at(ks, x).margin
