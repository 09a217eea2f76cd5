r"""Expectations of functions of one Gaussian variable, with an error estimate.

.. math:: E\,g(\sqrt q\,z)^p = \int g(h)^p \frac{e^{-h^2/2q}}{\sqrt{2\pi q}}\,dh
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chione.base import EPS, Array, Estimate, Status, checks, missing
from chione.gaussian.compiled import ROOM, Compiled, Reduced, missed_features
from chione.gaussian.features import Features
from chione.gaussian.growth import Growth, growth
from chione.gaussian.panels import binade_of, binade_variances, build_rule
from chione.gaussian.proven import proven, proven_nodes
from chione.gaussian.tables import Table

_ROOT_2PI = math.sqrt(2.0 * math.pi)
_DEEP = 8.0  # standard deviations
_POLE = 1e9  # gap over width, of a feature that holds all of the mass: no needle, a pole
_MATTERS = 1e-9  # relative; features that may have been missed and hold less are in the error
_MANY = 1024  # variances from which on a table of them is tried
_LOOSE = 2e-14  # error that a bound on rounding may state where panels that adapt state less
_REFERENCES = 3  # variances of a binade at which a rule is tried
_BLOCK = 1 << 20  # weights held at a time (8 MB)


class Integrator:
    r"""Expectations :math:`E\,g(\sqrt q z)^p` of one function at any variance q.

    Nodes and values of g are found once for each binade of :math:`\sqrt q` and kept, so a further
    q costs one exponential for each of some hundred nodes. They are those of
    :mod:`chione.gaussian.proven`, else of :mod:`chione.gaussian.panels`.

    Parameters
    ----------
    g : callable
        Vectorised function, float64 array (n,) -> (n,).
    breakpoints : tuple of float
        Places where g or a derivative of it jumps.
    power : int
        The power p; writing it here instead of into g avoids overflow of g^p.
    relative_error : float
        Known relative error of g itself (e.g. of an interpolated derivative).
    features : Features, optional
        Where g may be narrower than any nodes would show. Without it g is taken for a function
        that is known: as smooth as its nodes say, and zero where it is zero at all of them.
    """

    def __init__(
        self,
        g: Callable[[Array], Array],
        breakpoints: tuple[float, ...] = (),
        *,
        power: int = 1,
        relative_error: float = 0.0,
        features: Features | None = None,
    ) -> None:
        self.g = g
        self.breakpoints = checks.places("breakpoints", breakpoints)
        self.power = power
        self.relative_error = relative_error
        self.features = features
        self._rules: dict[int, Compiled] = {}
        self._reduced: Integrator | None = None  # made where values are nearly too large
        self._tame = False  # whether g is known to grow no faster than an exponential
        self._settles = True  # whether the fixed rule has held wherever it was tried

    def __call__(self, q: Any) -> Estimate:
        """Expectation at each variance.

        Parameters
        ----------
        q : float or array_like
            Variances, zero or above.

        Returns
        -------
        Estimate
            Value, absolute error and status, each of the shape of `q`.

        Raises
        ------
        ValueError
            If a variance is negative or not finite, or if g returns NaN.
        """
        if type(q) is not float:
            q = checks.real_array("q", q)
            if q.ndim:
                return self._array(q)
            q = float(q)
        return self._scalar(q)

    def _scalar(self, q: float) -> Estimate:
        if not 0.0 < q < np.inf:
            return self._at_zero(q)
        rule = self._rule(q)
        if (
            rule.wg is not None
            and rule.positive
            and not rule.deep
            and q < 0.999 * self.infinite_from
        ):
            # the common case without the bookkeeping of arrays: twice as fast
            narrower = rule.sigma / math.sqrt(q)
            # sigma is a power of two: sigma / q * sigma is rounded once, narrower^2 three times
            exponent = rule.exponent * (rule.sigma / q * rule.sigma)
            number = float(np.exp(exponent) @ rule.wg) * narrower / _ROOT_2PI
            if 1e-290 < number < math.inf and rule.status in (Status.OK, Status.INEXACT):
                relative = rule.relative + self.power * self.relative_error
                return Estimate(number, relative * number, rule.status)
        value, error, status = self._evaluate(rule, np.array([q]))
        if rule.status == Status.OVERFLOW:  # the far end of the binade may be to blame
            value, error, status = self._evaluate(self._compile(np.array([q])), np.array([q]))
        found = Estimate(float(value[0]), float(error[0]), Status(int(status[0])))
        if found.status == Status.OVERFLOW and self.power == 1 and not isinstance(self.g, Reduced):
            return self._of_large_values(q, found)
        return found

    def _of_large_values(self, q: float, found: Estimate) -> Estimate:
        """The expectation where sums of values overflow, but it does not, as of hypot(x, 1e308)."""
        if self._reduced is None:
            small = Reduced(self.g)
            self._reduced = Integrator(
                small,
                self.breakpoints,
                relative_error=self.relative_error,
                features=None if self.features is None else Features(small, self.breakpoints),
            )
        small_one = self._reduced(q)
        value, error = (
            math.ldexp(x, ROOM) if abs(x) < math.ldexp(1.0, 1024 - ROOM) else math.inf
            for x in (float(small_one.value), float(small_one.error))
        )
        known = math.isfinite(value) and math.isfinite(error)
        return Estimate(value, error, small_one.status) if known else found

    def _array(self, q: Array) -> Estimate:
        flat = q.ravel()
        value, error = np.empty_like(flat), np.empty_like(flat)
        status = np.zeros(flat.shape, dtype=np.int8)
        singly = ~((flat > 0.0) & (flat < np.inf))
        binades = binade_of(np.where(singly, 1.0, flat))
        for b in np.unique(binades[~singly]):
            where = np.flatnonzero((binades == b) & ~singly)
            rule = self._rule(float(flat[where[0]]))
            value[where], error[where], status[where] = self._evaluate(rule, flat[where])
            singly[where] = rule.status == Status.OVERFLOW
        for i in np.flatnonzero(singly):
            one = self._scalar(float(flat[i]))
            value[i], error[i], status[i] = one.value, one.error, one.status
        return Estimate(value.reshape(q.shape), error.reshape(q.shape), status.reshape(q.shape))

    def _evaluate(self, rule: Compiled, q: Array) -> tuple[Array, Array, NDArray[np.int8]]:
        value, size = self._sums(rule, q)
        error = (rule.relative + self.power * self.relative_error) * size
        # every term below the smallest normal number is rounded to a multiple of 5e-324
        faint = size < 1e-290
        error = np.where(faint, error + rule.unseen + (1 + rule.w.size) * 5e-324, error)
        status = np.full(q.shape, rule.status, dtype=np.int8)
        status[faint & (size > 0.0) & (error > 1e-9 * size)] = Status.INEXACT
        status[~np.isfinite(value)] = Status.OVERFLOW
        status[q >= self.infinite_from * (1.0 - 1e-9)] = Status.INFINITE
        lost = (status == Status.OVERFLOW) | (status == Status.INFINITE)
        value[lost] = error[lost] = np.nan
        return value, error, status

    def _at_zero(self, q: float) -> Estimate:
        """No variance: the mean of the two sides of 0, which is the limit q -> 0."""
        if q != 0.0:
            raise ValueError(f"q must be a variance, 0 or above, but it is {q!r}.")
        with np.errstate(over="ignore", invalid="ignore"):
            sides = self.g(np.array([-1e-300, 1e-300])) ** self.power
            value = float(np.sum(0.5 * sides))
        if not math.isfinite(value):
            return missing(Status.OVERFLOW)
        return Estimate(value, 4 * EPS * abs(value) + abs(value) * self.relative_error, Status.OK)

    @cached_property
    def infinite_from(self) -> float:
        """Smallest variance at which the expectation is infinite; ``inf`` where it never is."""
        if self._tame:
            return math.inf
        return min(side.infinite_from(self.power) for side in self._growth)

    @cached_property
    def _growth(self) -> tuple[Growth, Growth]:
        return growth(self.g, -1), growth(self.g, 1)

    def _rule(self, q: float) -> Compiled:
        binade = (math.frexp(q)[1] - 1) // 2  # floor of half the binary logarithm
        if binade not in self._rules:
            self._rules[binade] = self._compile(binade_variances(q))
        return self._rules[binade]

    def adaptive(self) -> Integrator:
        """Itself, without a try at the fixed rule."""
        self._settles = False
        return self

    def _proven(self, sigma: float) -> Compiled | None:
        """The fixed rule, where disks show that it is enough."""
        nodes = proven_nodes(self.g, sigma, self.breakpoints, self.power)
        if nodes is None:
            self._settles = False
            return None
        if nodes.relative > _LOOSE:
            return None
        self._tame = True
        with np.errstate(over="ignore", under="ignore"):
            wg = nodes.weight * nodes.values**self.power
        return Compiled(
            sigma,
            -0.5 * nodes.u**2,
            nodes.weight,
            nodes.values,
            wg,
            bool(np.all(wg >= 0.0)),
            nodes.relative,
            Status.OK,
            0.0,
            False,
        )

    def _compile(self, q_ref: Array) -> Compiled:
        if self._settles and len(q_ref) == _REFERENCES:
            settled = self._proven(float(np.sqrt(q_ref[0])))
            if settled is not None:
                return settled
        limits = (-self._growth[0].limit, self._growth[1].limit)
        sigma = float(np.sqrt(q_ref[0]))  # the unit, or widths of 1e-150 would underflow
        found = None if self.features is None else self.features.at(sigma)
        edges = None if found is None else found.edges
        rule = build_rule(self.g, self.breakpoints, self.power, q_ref, limits, extra_edges=edges)
        with np.errstate(over="ignore", under="ignore"):
            wg = rule.w / sigma * rule.g[0] ** self.power
        status = Status.OK if rule.truncation[0] < 1e-9 else Status.INEXACT
        status = Status.INFINITE if np.isinf(rule.truncation[0]) else status
        missed = 0.0
        if found is not None and (found.silent or found.lucky) and status != Status.INFINITE:
            missed = missed_features(found, rule.h, np.abs(rule.w * rule.g[0] ** self.power), q_ref)
            if found.silent or missed > _MATTERS:  # else it is the rounding noise of a formula
                status = Status.RESOLUTION
            if missed > _POLE:
                status = Status.INFINITE
        return Compiled(
            sigma,
            -0.5 * (rule.h / sigma) ** 2,
            rule.w / sigma,
            rule.g[0],
            wg if np.all(np.isfinite(wg)) else None,
            bool(np.all(wg >= 0.0)),
            float(rule.truncation[0] + rule.rounding[0] + missed),
            Status.OVERFLOW if rule.cut[0] else status,
            # a bump of height 1 that fills the widest gap between the probes
            found.gap / sigma if found is not None and found.silent else 0.0,
            bool(rule.h.size and np.abs(rule.h).min() > _DEEP * sigma),
        )

    @np.errstate(over="ignore", under="ignore", invalid="ignore")
    def _sums(self, rule: Compiled, q: Array) -> tuple[Array, Array]:
        """E g^p and E |g|^p at variances of one binade, in blocks of bounded memory."""
        n = max(1, _BLOCK // max(1, rule.w.size))
        value, size = np.empty_like(q), np.empty_like(q)
        for start in range(0, len(q), n):
            narrower = (rule.sigma / np.sqrt(q[start : start + n]))[:, None]
            ratio = rule.sigma / q[start : start + n] * rule.sigma
            exponent = rule.exponent * ratio[:, None]
            if rule.wg is not None:
                terms = np.exp(exponent)
                v = terms @ rule.wg
                s = v if rule.positive else terms @ np.abs(rule.wg)
            else:
                terms = (rule.g * np.exp(exponent / self.power)) ** self.power
                v, s = terms @ rule.w, np.abs(terms) @ rule.w
            norm = narrower[:, 0] / np.sqrt(2.0 * np.pi)
            if rule.deep:  # all nodes share the rounding of the ratio, in an exponent of hundreds
                norm = norm * (1.0 + self._rounded(rule, q[start : start + n], ratio, terms))
            value[start : start + n], size[start : start + n] = v * norm, np.abs(s) * norm
        return value, size

    @staticmethod
    def _rounded(rule: Compiled, q: Array, ratio: Array, terms: Array) -> Array:
        r"""What rounding :math:`\sigma^2 / q` took from the logarithm of the integral."""
        sigma = np.longdouble(rule.sigma)
        low = np.asarray(sigma / q * sigma - ratio, dtype=np.float64)
        weights = np.abs(terms * (rule.w if rule.wg is None else rule.wg))
        total = weights.sum(1)
        return np.where(
            total > 0.0, low * (weights @ rule.exponent) / np.where(total > 0.0, total, 1.0), 0.0
        )


def expectation(
    g: Callable[[Array], Array],
    q: Any,
    *,
    breakpoints: tuple[float, ...] = (),
    power: int = 1,
) -> Estimate:
    r"""Expectation of g(h)^p for a centred Gaussian h of variance q.

    .. math:: E\,g(\sqrt q\,z)^p, \qquad z \sim N(0, 1)

    Parameters
    ----------
    g : callable
        Vectorised function, float64 array (n,) -> (n,).
    q : float or array_like
        Variances, zero or above.
    breakpoints : tuple of float
        Places where g or a derivative of it jumps. A forgotten one costs accuracy or time, which
        the error estimate shows.
    power : int
        The power p.

    Returns
    -------
    Estimate
        Value, absolute error and status, each of the shape of `q`; status ``INFINITE`` where the
        integrand outgrows the Gaussian, ``OVERFLOW`` where float64 cannot hold it, ``RESOLUTION``
        where g holds features that sampling cannot be sure to find, or is zero wherever it was
        sampled.

    Raises
    ------
    ValueError
        If `q` is negative or not finite, or if g returns NaN.

    Notes
    -----
    For one q, g is first read: where it is made of NumPy's elementary functions, a fixed
    Gauss-Legendre rule is tried whose error is proven (:mod:`chione.gaussian.proven`); it costs
    some 50 us. Where it does not settle the integral, the rule is composite Gauss-Legendre in h on
    panels graded around 0 and the breakpoints and bisected until each panel agrees with its
    halves. Use :class:`Integrator` for many calls with one g.

    In the second case g is probed besides, at some 50,000 irregular places within 16 standard
    deviations. A feature whose foot is wider than 1/1000 of its distance from 0, or of the standard
    deviation where that is larger, is found. One that is narrower cannot be told from nothing by
    any rule that samples g: if g is smooth elsewhere it may be missed, with an error that does not
    hold it. Pass its place as a breakpoint.

    Examples
    --------
    >>> import numpy as np
    >>> res = expectation(np.tanh, 1.0, power=2)
    >>> round(res.value, 12), res.error < 1e-14
    (0.394294490398, True)
    """
    power, places = checks.integer("power", power), checks.places("breakpoints", breakpoints)
    checks.real_function("g", g)
    every = Integrator(g, places, power=power, features=Features(g, places))
    if isinstance(q, (float, int)) and 0.0 < q < np.inf:
        found = proven(g, float(q), places, power)
        return every.adaptive()(q) if found is None else found
    q = checks.real_array("q", q)
    return every(q) if q.size < _MANY else Table(every).estimate(q)


def gaussian_nodes(
    q: float,
    *,
    functions: tuple[Callable[[Array], Array], ...] = (),
    breakpoints: tuple[float, ...] = (),
) -> tuple[Array, Array]:
    r"""Nodes h and probabilities p that represent N(0, q) and resolve the given functions.

    Parameters
    ----------
    q : float
        Variance, above zero.
    functions : tuple of callable
        Vectorised functions that the nodes have to resolve.
    breakpoints : tuple of float
        Where one of them, or a derivative, jumps; no node stands on a breakpoint.

    Returns
    -------
    h, p : ndarray, shape (K,)
        Increasing nodes, and weights that sum to 1.
    """
    q, breakpoints = checks.positive("q", q), checks.places("breakpoints", breakpoints)
    for f in functions:
        checks.real_function("functions", f)

    def stacked(h: Array) -> Array:
        return np.stack([np.ones_like(h), *(f(h) for f in functions)])

    rule = build_rule(stacked, breakpoints, 1, np.array([q]))
    p = rule.w * np.exp(-0.5 * rule.h**2 / q)
    return rule.h, p / p.sum()
