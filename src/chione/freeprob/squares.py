"""The law of v(h)^2 for a Gaussian h: atoms, density, and transforms right up to the support."""

# ruff: noqa: D102  (the methods are documented once, in AbstractMeasure)

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from chione.base import EPS, Array, ConvergenceError, checks
from chione.freeprob.branches import Branches, Law
from chione.freeprob.measures import AbstractMeasure, Complex, Integers, by_halves, rounding
from chione.freeprob.near_logs import log_terms, primitive, scatter
from chione.freeprob.pieces import NODES, Pieces, cut, halved, joined, powers
from chione.freeprob.plain_sums import plain_angles, plain_logs, plain_sizes, plain_sums
from chione.freeprob.poles import Finder, Poles, find, make_finder, rule_error
from chione.freeprob.spread import relative_spread
from chione.freeprob.stretches import union
from chione.freeprob.waves import Wave, fold

Function = Callable[[Array], Array]
Sums = Callable[[Complex, Array, Array], Complex]
_BESIDE = 1e-6  # relative distance to a node at which the plain sum loses its digits
_TOUCHES = 1e-15  # of the largest value on a piece: a zero at its end
_STEP = 1e-6  # of a piece
_RESOLVED = 1e-12  # of the largest value
_SEEN = 7.5  # standard deviations within which every piece is resolved to its own size
_BLOCK = 2_000_000  # entries of one matrix of points times nodes


@dataclass(frozen=True)
class Resolvent:
    """Values that spectra are made of, at points w: P = E[w/(w-t)], M = P - 1, Q = w dM/dw."""

    p: Complex
    m: Complex
    q: Complex


@dataclass(frozen=True)
class GaussianSquare(AbstractMeasure):
    r"""Law of :math:`t = v(h)^2`, :math:`h \sim N(0, q)`.

    .. math:: G(w) = E\,\frac{1}{w - v(h)^2}

    Made by :func:`~chione.freeprob.gaussian_square`. Atoms are stretches between break points on
    which v is constant. Elsewhere v is cut into monotone pieces, and the poles of the integrand
    are taken out of the quadrature (see :mod:`chione.freeprob.poles`).

    Parameters
    ----------
    q : float
        Variance of h.
    place, mass : ndarray, shape (A,)
        Atoms of t.
    pieces : Pieces or None
        The rest.
    factor : float
        2 where v^2 is even and only h > 0 is stored, else 1.
    limits : tuple of float
        Infimum and supremum of t over the whole line.
    v, slope : callable
        The function, and its derivative where that is known.
    far : tuple of tuples of float
        Stretches beyond the stored range, with their break points, that hold less than 1e-20.
    breakpoints : tuple of float
        Places where v may break.
    waves : tuple of Wave
        Branches between turning points that have closed transforms.
    rest : Pieces or None
        The other pieces.
    """

    q: float
    place: Array
    mass: Array
    pieces: Pieces | None
    factor: float
    limits: tuple[float, float]
    v: Callable[[Array], Array] = field(repr=False, compare=False)
    slope: Callable[[Array], Array] | None = field(repr=False, compare=False)
    t: Array = field(repr=False)
    weight: Array = field(repr=False)
    finder: Finder | None = field(repr=False)
    far: tuple[tuple[float, ...], ...] = field(default=(), repr=False)
    breakpoints: tuple[float, ...] = field(default=(), repr=False)
    waves: tuple[Wave, ...] = field(default=(), repr=False)
    rest: Pieces | None = field(default=None, repr=False)

    @property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        return tuple((float(a), float(m)) for a, m in zip(self.place, self.mass, strict=True))

    @property
    def nodes(self) -> tuple[Array, Array]:
        """All places t and their weights, atoms included; the weights add up to 1."""
        return self.t, self.weight

    @property
    def support(self) -> tuple[tuple[float, float], ...]:
        spans = [(a, a) for a in self.place]
        if self.pieces is not None:
            e = np.sort(self.pieces.ends, axis=1)
            low, high = np.min(e**2, axis=1), np.max(e**2, axis=1)
            low[(e[:, 0] < 0.0) & (e[:, 1] > 0.0)] = 0.0
            spans += list(zip(low, high, strict=True))
            # The stored range stops where the weight does; the law goes on to the limits.
            top, bottom = float(high.max()), float(low.min())
            if self.limits[1] > top:
                spans.append((top, self.limits[1]))
            if self.limits[0] < bottom:
                spans.append((self.limits[0], bottom))
        return union(spans, 1e-16 * (spans[-1][1] if np.isinf(self.limits[1]) else self.limits[1]))

    def moments(self, n: int) -> Array:
        return np.array([float(np.sum(self.weight * self.t**k)) for k in range(1, n + 1)])

    @cached_property
    def spread(self) -> float:
        r"""Relative variance :math:`E t^2 / (E t)^2 - 1`, however small."""
        if self.slope is not None:
            found = relative_spread(self.v, self.slope, self.q, self.breakpoints)
            if found is not None:
                return found
        u = self.t / np.sum(self.weight * self.t) - 1.0
        return self.mean_of(u * u)

    def mean_of(self, g: Array) -> float:
        """Mean of a function given by its values at the nodes."""
        return float(np.sum(self.weight * g))

    def resolvent(self, w: Any) -> Resolvent:
        """P, M and Q at points w of any shape, without cancellation at small or large w."""
        w = np.asarray(w, dtype=complex) + 0.0  # -0j is the axis from above, too
        flat = self._above(w.ravel())
        p, m, q = (np.empty(flat.size, dtype=complex) for _ in range(3))
        step = max(1, _BLOCK // max(1, self._plain[0].size))
        for i in range(0, flat.size, step):
            p[i : i + step], m[i : i + step], q[i : i + step] = self._block(flat[i : i + step])
        at = self._beside_nodes(w.ravel())
        if at.size:
            other = self.finer.resolvent(flat[at])
            below = -np.pi * flat[at].real * self.density_law(flat[at].real).value
            p[at], m[at], q[at] = other.p.real + 1j * below, other.m.real + 1j * below, other.q
        return Resolvent(p.reshape(w.shape), m.reshape(w.shape), q.reshape(w.shape))

    def stieltjes(self, z: Any) -> Complex:
        z = np.asarray(z, dtype=complex)
        return np.asarray(self.resolvent(z).p / z)

    def stieltjes_derivative(self, z: Any) -> Complex:
        return self.stieltjes_with_derivative(z)[1]

    def stieltjes_with_derivative(self, z: Any) -> tuple[Complex, Complex]:
        z = np.asarray(z, dtype=complex)
        r = self.resolvent(z)
        return np.asarray(r.p / z), np.asarray((r.q - r.p) / z / z)

    def stieltjes_error(self, z: Any) -> Array:
        """Rounding, the noise of the waves, and twice what a rule with every piece halved changes.

        Beside a node the terms of the plain sum are large, and are rounded as they are.
        """
        z = np.asarray(z, dtype=complex)
        out = rounding(self.stieltjes_with_derivative, z, abs(z))
        for wave in self.waves:
            out = out + wave.stieltjes_error(z)
        if self.rest is not None:
            out = out + 2.0 * abs(self.stieltjes(z) - self.finer.stieltjes(z))
            out = out + 8.0 * EPS * plain_sizes(z.ravel(), *self._plain).reshape(z.shape)
        return np.asarray(out)

    @cached_property
    def finer(self) -> GaussianSquare:
        """`refined`, kept with the law."""
        return self.refined()

    def moment_function(self, z: Any) -> Complex:
        return self.resolvent(z).m

    def moment_function_derivative(self, z: Any) -> Complex:
        return np.asarray(self.resolvent(z).q / np.asarray(z, dtype=complex))

    def mean_log(self, z: Any) -> Complex:
        return by_halves(self._mean_log, z)

    def mean_angle(self, z: Any) -> Array:
        """Im E log(z - t), the imaginary part of `mean_log`, for z of the closed upper half plane.

        At half the cost: pi (1 - cdf) on the axis, and all of it that a distribution needs.
        """
        w = np.asarray(np.asarray(z) + 0.0, dtype=complex)  # -0j is the axis from above
        return np.asarray(self._mean_log(w, plain_angles).imag)

    def density(self, x: Any) -> Array:
        """Density of the continuous part at real x: the sum over the roots of v^2 = x.

        Infinite at 0 where v passes or touches 0, like :math:`t^{-1/2}` or faster.
        """
        x = checks.real_array("x", x)
        value = self.density_law(x.ravel()).value.reshape(x.shape)
        return np.where((x == 0.0) & self._touches_zero, np.inf, value)

    def cdf(self, x: Any) -> Array:
        """P(t <= x)."""
        x = checks.real_array("x", x)
        return self.cdf_law(x.ravel()).value.reshape(x.shape)

    def density_error(self, x: Any) -> Array:
        x = checks.real_array("x", x)
        error = self.density_law(x.ravel(), EPS).error.reshape(x.shape)
        return np.where((x == 0.0) & self._touches_zero, np.inf, error)

    def cdf_error(self, x: Any) -> Array:
        x = checks.real_array("x", x)
        return self.cdf_law(x.ravel(), EPS).error.reshape(x.shape)

    def density_law(self, x: Array, relative: Array | float = 0.0) -> Law:
        """Density with its error at x (n,), where x is known to a relative error only."""
        value, error = np.zeros(x.size), np.zeros(x.size)
        if self.branches is not None:
            rest = self.branches.density(x, relative)
            value, error = rest.value, rest.error
        for wave in self.waves:
            own = wave.density(x, np.broadcast_to(relative, x.shape))
            value, error = value + own[0], error + own[1]
        return Law(value, error)

    def cdf_law(self, x: Array, relative: Array | float = 0.0) -> Law:
        """P(t <= x) with its error."""
        value = (self.place <= (x * (1.0 + 1e-14))[:, None]) @ self.mass
        error = np.full(x.size, 4.0 * EPS)
        if self.branches is not None:
            rest = self.branches.cdf(x, relative)
            value, error = value + rest.value, error + rest.error
        for wave in self.waves:
            own = wave.cdf(x, np.broadcast_to(relative, x.shape))
            value, error = value + own[0], error + own[1]
        return Law(value, error)

    @cached_property
    def branches(self) -> Branches | None:
        """The inverse branches without the waves, out to where the Gaussian leaves float64."""
        parts = [] if self.rest is None else [self.rest]
        for span in () if self.waves else self.far:
            # What does not follow v there knows the law within 1e-20 only.
            with np.errstate(all="ignore"), suppress(ConvergenceError):
                parts.append(cut(self.v, span, first_width=1.25 * np.sqrt(self.q)))
        if not parts:
            return None
        return Branches(joined(parts), self.q, self.factor, self.v, self.slope)

    def refined(self) -> GaussianSquare:
        """The same law with every piece cut in two, to see what the quadrature misses."""
        if self.pieces is None:
            return self
        pieces = halved(self.v, self.pieces, self.slope)
        atoms = (self.place, self.mass)
        functions = (self.v, self.slope)
        law = assemble(functions, self.q, atoms, pieces, self.factor, self.limits)
        return replace(law, far=self.far, breakpoints=self.breakpoints)

    # -------------------------------------------------------------------------------- inside

    def _gauss(self, h: Any) -> Any:
        return self.factor * np.exp(-h * h / (2.0 * self.q)) / np.sqrt(2.0 * np.pi * self.q)

    def _above(self, w: Complex) -> Complex:
        """Places of the pieces on the axis, moved by a rounding error: there a pole has a side."""
        if self.pieces is None:
            return w
        low, high = self._reach
        on = (w.imag == 0.0) & (w.real >= low) & (w.real <= high)
        return np.where(on, w.real + 1j * EPS * abs(w.real), w)

    def _beside_nodes(self, w: Complex) -> Integers:
        """Points on the axis next to a node of the rule: there another rule has to answer."""
        if self.pieces is None or not np.any(w.imag == 0.0):
            return np.empty(0, dtype=np.intp)
        t = self._sorted_nodes
        k = np.clip(np.searchsorted(t, w.real), 1, t.size - 1)
        apart = np.minimum(abs(w.real - t[k - 1]), abs(t[k] - w.real))
        low, high = self._reach
        on = (w.imag == 0.0) & (w.real >= low) & (w.real <= high)
        return np.nonzero(on & (apart <= _BESIDE * abs(w.real)))[0]

    @cached_property
    def _touches_zero(self) -> bool:
        """Whether v is 0 at a point; not where it dies out to infinity, or to underflow."""
        if self.pieces is None:
            return False
        p = self.pieces
        crosses = p.ends[:, 0] * p.ends[:, 1] < 0.0
        size = np.max(abs(p.ends), axis=1)
        touches = np.zeros(size.size, dtype=bool)
        for side in (-1.0, 1.0):  # it falls to 0 within a step that an exponential does not notice
            h = p.center + side * p.half
            beside = np.asarray(self.v(h - side * _STEP * p.half), dtype=np.float64)
            end = abs(p.ends[:, int(side > 0.0)])
            touches |= (end <= _TOUCHES * size) & (abs(beside) > 2.0 * end)
        # Smaller and farther pieces are known on the scale of the largest value.
        seen = (size > _RESOLVED * np.max(size)) & (
            abs(p.center) - p.half < _SEEN * np.sqrt(self.q)
        )
        return bool(np.any((crosses | touches) & seen & ~p.flat))

    @cached_property
    def _sorted_nodes(self) -> Array:
        return np.sort(self.t[: self.t.size - self.place.size])

    @cached_property
    def _reach(self) -> tuple[float, float]:
        """Smallest and largest value of t on the pieces."""
        assert self.pieces is not None
        e = self.pieces.ends
        low = np.where(e[:, 0] * e[:, 1] < 0.0, 0.0, np.min(e * e, axis=1))
        return float(low.min()), float(np.max(e * e))

    def _mean_log(self, w: Complex, sums: Sums = plain_logs) -> Complex:
        flat = self._above(w.ravel())
        out = np.empty(flat.size, dtype=complex)
        step = max(1, _BLOCK // max(1, self._plain[0].size))
        for i in range(0, flat.size, step):
            out[i : i + step] = self._log_block(flat[i : i + step], sums)
        at = self._beside_nodes(w.ravel())
        if at.size:
            above = np.pi * (1.0 - self.cdf_law(flat[at].real).value)
            out[at] = self.finer.mean_log(flat[at]).real + 1j * above
        return out.reshape(w.shape)

    def _block(self, w: Complex) -> tuple[Complex, Complex, Complex]:
        g, m, square = plain_sums(w, *self._plain)
        q = -w * square
        if self.finder is not None and self.finder.index.size:
            poles = find(self.finder, w)
            if poles.point.size:
                with np.errstate(all="ignore"):
                    dg, dg1 = self._pole_terms(poles, w.size)
                g = g + dg
                m = m + w * dg
                q = q + w * (dg + w * dg1)
        p = w * g
        for wave in self.waves:
            own = wave.transforms(w)
            p, m, q = p + own[0], m + own[1], q + own[2]
        return p, m, q

    @cached_property
    def _plain(self) -> tuple[Array, Array]:
        """The nodes of the rest and the atoms, without what stands for the waves."""
        n = 0 if self.rest is None else self.rest.value.size
        atoms = self.t.size - self.place.size
        keep = np.r_[0:n, atoms : self.t.size]
        return self.t[keep], self.weight[keep]

    def _pole_terms(self, poles: Poles, size: int) -> tuple[Complex, Complex]:
        """What the plain rule misses in G and dG/dw."""
        v1, v2, h, half = self._at(poles)
        # t = v^2: t' = 2 v v', t'' = 2 (v'^2 + v v'').
        t1 = 2.0 * poles.target * v1
        t2 = 2.0 * (v1 * v1 + poles.target * v2)
        density = self._gauss(h) * half
        error, slope = rule_error(poles)
        r = density / t1
        dr = (-h / self.q * half * density / t1 - density * t2 / t1**2) / t1
        return (
            scatter(poles.point, r * error, size),
            scatter(poles.point, dr * error + r * slope / t1, size),
        )

    def _at(self, poles: Poles) -> tuple[Complex, Complex, Complex, Array]:
        assert self.finder is not None and self.rest is not None
        f, k = self.finder, poles.row
        half = self.rest.half[f.index[k]]
        h = self.rest.center[f.index[k]] + half * poles.s
        basis = powers(poles.s, NODES)
        first, second = (np.sum(f.powers[i, k] * basis, axis=1) for i in (1, 2))
        return first, second, h, half

    def _log_block(self, w: Complex, sums: Sums) -> Complex:
        out = self._plain_log(w, sums)
        for wave in self.waves:
            out = out + wave.mean_log(w)
        return out

    def _plain_log(self, w: Complex, sums: Sums) -> Complex:
        out = sums(w, *self._plain)
        if self.finder is None or not self.finder.index.size:
            return out
        poles = find(self.finder, w)
        if poles.point.size == 0:
            return out
        pairs = np.unique(np.stack([poles.point, poles.row]), axis=1)
        assert self.rest is not None
        plain = self.t, self.weight
        terms = log_terms(w, poles, pairs, self.finder, self.rest, self._primitive, plain)
        return np.asarray(out + terms)

    @cached_property
    def _primitive(self) -> Array:
        assert self.rest is not None
        return primitive(self.rest, self._gauss(self.rest.h) * self.rest.half[:, None])


def assemble(
    functions: tuple[Function, Function | None],
    q: float,
    atoms: tuple[Array, Array],
    pieces: Pieces,
    factor: float,
    limits: tuple[float, float],
) -> GaussianSquare:
    """The law with its tables of nodes and poles."""
    waves, rest = fold(functions[0], pieces, q, factor)
    nodes = []
    if rest is not None:
        p = factor * np.exp(-(rest.h**2) / (2 * q)) / np.sqrt(2 * np.pi * q) * rest.weight
        nodes = [((rest.value**2).ravel(), p.ravel())]
    # What stands for the waves in plain sums; their transforms are closed forms.
    nodes += [*(wave.nodes for wave in waves), atoms]
    t, weight = (np.concatenate([x[i] for x in nodes]) for i in (0, 1))
    finder = None if rest is None else make_finder(rest)
    return GaussianSquare(
        q, *atoms, pieces, factor, limits, *functions, t, weight, finder, (), (), waves, rest
    )
