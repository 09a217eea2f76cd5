"""The curve of the spectrum: triples (lambda, density, cdf) along the physical roots w."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.interpolate import PchipInterpolator

from chione.base import EPS, Array
from chione.freeprob.measures import Booleans, Complex
from chione.theory.spectra.jacobian_bands import Band
from chione.theory.spectra.jacobian_equation import MasterEquation, Point

_COARSE = 32  # points per band of the first pass, which only places the second
_BOTTOM, _TOP = (1e-3, 1e-2), (1.0 - 1e-2,)  # nearer to an edge the angle is lost in rounding
_SEEDS = np.linspace(-3.0, 3.0, 13)  # in standard deviations of a narrow bulk
_NARROW = 0.3  # of log lambda: a bulk below this deviation gets seeds
_JUMP = 0.06  # share of the mass between two points of the first pass that has them parted
_NOTHING = 1e-13  # mass below which nothing is seen of the lower tail in 1 - (1 - cdf)
_END = 5e-4  # the same at the ends of the band
_PARTS = np.array([0.25, 0.5, 0.75])
_NEARER = 0.25 ** np.arange(2.0, 6.0)
_ALL, _EIGHTH = 24, 8  # points up to which all are checked, and the step beyond
_LINEAR = 1e-3  # relative error up to which the first order is all there is
_MOST = 400  # points of the first pass
_ROUGH = 1e-3  # relative step of the angle that is enough for placing
_PASSES = 40  # of parting in four: 1e-16 of the widest reach takes 27


@dataclass(frozen=True)
class Errors:
    """Absolute errors of log z at a root, of P at given lambda, and of the cdf there."""

    log_z: Array
    p: Array
    cdf: Array


@dataclass(frozen=True)
class Curve:
    r"""Points along one band, from below.

    Parameters
    ----------
    log_w : ndarray of complex, shape (n,)
        The roots.
    log_lambda : ndarray, shape (n,)
        Natural logarithm of the squared singular value.
    density : ndarray, shape (n,)
        Density with respect to log lambda, :math:`\lambda \rho(\lambda)`.
    cdf : ndarray, shape (n,)
        Mass at or below lambda, atoms included.
    point : Point
        The values of the equation there.
    """

    log_w: Complex
    log_lambda: Array
    density: Array
    cdf: Array
    point: Point

    def start(self, x: Array, band: Band) -> tuple[Complex, Array, Array]:
        r"""Roots at log lambda = x to a few digits, and the radii between which they lie.

        Cubic Hermite between neighbours, the slope at the points being known, in the variable
        :math:`s = \sqrt{|x - e|}` towards a hard end e: there w is analytic in s, not in x.
        """
        grid, w, slope = self.log_lambda, self.log_w, self.point.slope
        ends = [
            (b, complex(r), np.inf + 0j)
            for b, r, hard in zip(band.log_lambda, band.log_r, band.hard, strict=True)
            if hard
        ]
        below = [e for e in ends if e[0] <= grid[0]]
        above = [e for e in ends if e[0] >= grid[-1]]
        grid, w, slope = (
            np.concatenate([[e[k] for e in below], v, [e[k] for e in above]])
            for k, v in enumerate((grid, w, slope))
        )
        j = np.clip(np.searchsorted(grid, x), 1, grid.size - 1)
        (a, b), (x0, x1), (w0, w1) = band.log_lambda, *((v[j - 1], v[j]) for v in (grid, w))
        upper = band.hard[1] & ~(band.hard[0] & (x - a < b - x))
        lower = band.hard[0] & ~upper
        with np.errstate(all="ignore"):
            s, s0, s1 = (
                np.where(upper, -np.sqrt(abs(b - y)), np.where(lower, np.sqrt(abs(y - a)), y))
                for y in (x, x0, x1)
            )
            d0, d1 = (
                np.where(upper | lower, 2.0 * abs(t), 1.0) / slope[i]
                for t, i in ((s0, j - 1), (s1, j))
            )
            h = s1 - s0
            chord = (w1 - w0) / h
            d0 = np.where(np.isinf(slope[j - 1]), 2.0 * chord - d1, d0)
            d1 = np.where(np.isinf(slope[j]), 2.0 * chord - d0, d1)
            u = (s - s0) / h
            cubic = w0 + u * h * (
                d0 + u * (3.0 * chord - 2.0 * d0 - d1 + u * (d0 + d1 - 2.0 * chord))
            )
            line = np.where(u < 0.0, w0 + (x - x0) / slope[j - 1], w1 + (x - x1) / slope[j])
            v = np.clip(u, 0.0, 1.0)
            angle = np.exp((1.0 - v) * np.log(w0.imag) + v * np.log(w1.imag))
        straight = (1.0 - v) * w0.real + v * w1.real + 1j * angle
        cubic = np.where((u < 0.0) | (u > 1.0), line, cubic)
        least = 0.3 * np.minimum(w0.imag, w1.imag)
        fair = (cubic.imag > least) & (cubic.imag < np.pi)
        low = np.where(u < 0.0, band.log_r[0], w0.real)
        high = np.where(u > 1.0, band.log_r[1], w1.real)
        low, high = np.where(u > 1.0, w1.real, low), np.where(u < 0.0, w0.real, high)
        out = np.where(fair, cubic, straight)
        out.imag = np.clip(out.imag, 1e-15, np.pi)
        return out, low, high

    def pick(self, keep: Booleans) -> Curve:
        """The points chosen by a mask."""
        y = self.point.pick(keep)
        return Curve(self.log_w[keep], self.log_lambda[keep], self.density[keep], self.cdf[keep], y)


def trace(eq: MasterEquation, band: Band, n: int) -> Curve:
    """N points along a band, dense where the mass is, near hard ends and in the tails alike."""
    level = levels(eq, band)
    log_r, theta, cdf = _first_pass(eq, band, level)
    if log_r.size < 4:
        log_w = log_r + 1j * theta
        return _rising(curve_at(eq, log_w, eq.at(log_w)))
    k = np.arange(log_r.size, dtype=np.float64)
    grid = _second_pass(k, cdf, n)
    fine = PchipInterpolator(k, log_r)(grid)
    if eq.law.pieces is None:  # an evaluation is cheaper than a better start
        start = np.exp(np.interp(grid, k, np.log(theta)))
    else:
        start = np.exp(PchipInterpolator(k, np.log(theta))(grid))
    log_w, y = eq.on_curve(fine, start)
    ok = np.isfinite(log_w.imag)
    curve = _rising(curve_at(eq, log_w[ok], y.pick(ok)))
    if np.isinf(band.log_r[0]):  # points at the level of rounding may be none of the curve
        seen = curve.cdf - level[0] > _NOTHING
        first = int(np.argmax(seen))
        if first > 0 and curve.log_lambda[first] - curve.log_lambda[first - 1] < 1.0:
            seen[first - 1] = True  # of a narrow bulk the point before it bounds it from below
        curve = curve.pick(seen) if seen.any() else curve
    return curve


def _first_pass(
    eq: MasterEquation, band: Band, level: tuple[float, float]
) -> tuple[Array, Array, Array]:
    """Radii, angles and cdf so near to each other that no step hides more than a share of the mass.

    A bulk of any width is found: its moments say where it lies, and a step in the distribution
    function is parted until it is resolved.
    """
    lo, hi = band.reach
    u = np.concatenate([_BOTTOM, np.linspace(0.0, 1.0, _COARSE + 2)[1:-1], _TOP])
    log_r = np.concatenate([lo + (hi - lo) * _map(u, band.hard), _seeds(eq)])
    log_r = np.unique(log_r[(log_r > lo) & (log_r < hi)])
    theta, cdf = _rough(eq, log_r, None)
    bottom, top = level
    for _ in range(_PASSES):
        ok = np.isfinite(theta)
        log_r, theta, cdf = log_r[ok], theta[ok], cdf[ok]
        ends = np.concatenate([[lo], log_r, [hi]])
        gap = np.diff(ends)
        step = np.diff(np.concatenate([[bottom], cdf, [top]])) / max(top - bottom, 1e-6)
        wide = step > _JUMP
        edge = np.concatenate([[True], cdf - bottom <= _NOTHING])
        edge[-1] = True
        wide |= edge & (step > _END)
        wide[0] &= np.isfinite(band.log_r[0])  # below a reach that was cut nothing can be followed
        at = np.nonzero(wide & (gap > 64.0 * EPS * np.maximum(1.0, abs(ends[1:]))))[0]
        if at.size == 0 or log_r.size > _MOST:
            break
        new = (ends[at, None] + gap[at, None] * _PARTS).ravel()
        if at[0] == 0:  # towards an end the mass falls like some power of the distance
            new = np.concatenate([new, lo + gap[0] * _NEARER])
        if at[-1] == gap.size - 1:
            new = np.concatenate([new, hi - gap[-1] * _NEARER])
        start = np.interp(new, ends, np.concatenate([[0.5], theta, [0.0]]))
        angle, more = _rough(eq, new, np.maximum(start, 1e-12))
        new, angle, more = _needed(new, angle, more, (bottom, top), 3 * at.size)
        log_r = np.concatenate([log_r, new])
        order = np.argsort(log_r)
        log_r, theta = log_r[order], np.concatenate([theta, angle])[order]
        cdf = np.concatenate([cdf, more])[order]
    return log_r, theta, cdf


def _needed(
    new: Array, angle: Array, cdf: Array, level: tuple[float, float], n: int
) -> tuple[Array, Array, Array]:
    """Without the points beyond the first n that lie nearer to an end than its mass asks for."""
    keep = np.ones(new.size, dtype=bool)
    for first in range(n, new.size, _NEARER.size):
        part = slice(first, first + _NEARER.size)
        rest = np.minimum(cdf[part] - level[0], level[1] - cdf[part])
        keep[first + 1 : part.stop] = rest[:-1] > _END * max(level[1] - level[0], 1e-6)
    return new[keep], angle[keep], cdf[keep]


def _rough(eq: MasterEquation, log_r: Array, start: Array | None) -> tuple[Array, Array]:
    """Angle and cdf at radii, right to a few digits."""
    log_w, y = eq.on_curve(log_r, start, _ROUGH)
    return log_w.imag, 1.0 - eq.above(log_w, y.m)


def levels(eq: MasterEquation, band: Band) -> tuple[float, float]:
    """The distribution function at both ends of a band, atoms there not included."""
    out = []
    for log_r, hard, side in zip(band.log_r, band.hard, (1.0, -1.0), strict=True):
        if np.isinf(log_r):
            zero = sum(m for a, m in eq.law.atoms if a == 0.0)
            out.append(zero if log_r < 0.0 else 1.0)
        else:  # a hard end lies off the support of t, where the real axis itself has the answer
            step = 0.0 if hard else side * 1e-13 + 1e-13j
            out.append(1.0 - float(eq.above(np.array([log_r + step]))[0]))
    return out[0], out[1]


def _seeds(eq: MasterEquation) -> Array:
    r"""Radii where the roots of a narrow bulk lie.

    Near one, free products are free sums of logarithms: variance L s^2, and
    :math:`w - \mu_1` of the size :math:`\sqrt{L} s`.
    """
    mu = float(eq.law.moments(1)[0])
    spread = np.sqrt(eq.depth * eq.law.mean_of((eq.law.nodes[0] / mu - 1.0) ** 2))
    if eq.gaussian or not 0.0 < spread < _NARROW:
        return np.empty(0)
    return np.asarray(np.log(mu) + spread * _SEEDS)


def _rising(curve: Curve) -> Curve:
    """Without the points at which rounding turns the order of log lambda or of the cdf."""
    x = curve.log_lambda
    rising = curve.pick(x > np.concatenate([[-np.inf], np.maximum.accumulate(x)[:-1]]))
    return replace(rising, cdf=np.maximum.accumulate(rising.cdf))


def curve_at(eq: MasterEquation, log_w: Complex, y: Point) -> Curve:
    """The curve at given roots and the values there."""
    cdf = np.clip(1.0 - eq.above(log_w, y.m), 0.0, 1.0)
    return Curve(log_w, y.log_z.real, np.maximum(-y.p.imag / np.pi, 0.0), cdf, y)


def _map(u: Array, hard: tuple[bool, bool]) -> Array:
    """[0, 1] to itself; dense at the top, where the mass is, and at a hard lower end.

    The angle grows like a square root at hard ends, so squares would do; cubes serve soft upper
    ends too, at which the mass can crowd.
    """
    top = (1.0 - u) ** 3
    return np.asarray(u**2 / (u**2 + top) if hard[0] else 1.0 - top)


def _second_pass(u: Array, cdf: Array, n: int) -> Array:
    """N places in u: half of the points by mass, the other half evenly along the first pass."""
    mass = cdf[-1] - cdf[0]
    share = np.maximum.accumulate((cdf - cdf[0]) / mass) if mass > 0.0 else u
    monitor = 0.5 * share + 0.5 * (u - u[0]) / (u[-1] - u[0])
    return np.asarray(np.interp(np.linspace(0.0, 1.0, n), monitor, u))


def errors(
    eq: MasterEquation,
    check: MasterEquation,
    log_w: Complex,
    y: Point,
    above: Array | None = None,
) -> Errors:
    r"""Estimated absolute errors at roots.

    The roots are put into the equation with every piece of the law cut in two, or every eighth of
    them where they are many, the larger of two neighbours, doubled, standing for those between.
    What changes, and the rounding of log z (L eps times its terms), is carried to P at fixed
    lambda:

    .. math:: \delta P + \frac{dP}{d \log w} \frac{-\delta \log z}{d \log z / d \log w}

    Where the equation's own mass above is known, it need not be found again.
    """
    order = np.argsort(log_w.real)
    some = order if order.size <= _ALL else order[::_EIGHTH]
    some = some if order.size == 0 or some[-1] == order[-1] else np.append(some, order[-1])
    c = check.at(log_w[some])
    own = eq.above(log_w[some], y.m[some]) if above is None else above[some]
    d_above = abs(own - check.above(log_w[some], c.m))
    found = np.stack([abs(c.log_z - y.log_z[some]), abs(c.p - y.p[some]), d_above])
    if some.size < log_w.size:
        k = np.clip(np.searchsorted(log_w.real[some], log_w.real), 1, some.size - 1)
        found = 2.0 * np.maximum(found[:, k - 1], found[:, k])
    else:
        found = found[:, np.argsort(order)]
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = 4.0 + abs(log_w) + abs(eq.log_gain) + abs(np.log(y.p)) + abs(np.log(y.m))
        zero = sum(m for a, m in eq.law.atoms if a == 0.0)
        rounding = 8.0 * EPS * eq.depth * terms
        d_log_z = found[0] + rounding + eq.slack * eq.depth
        p = found[1] + 8.0 * EPS * abs(y.p - zero) + EPS * zero + abs(y.p_slope / y.slope) * d_log_z
    cdf = found[2] + d_log_z * abs(y.p) / np.pi + 8.0 * EPS * eq.depth
    return Errors(d_log_z, p, cdf)


def curve_errors(
    eq: MasterEquation, check: MasterEquation, curve: Curve, band: Band
) -> tuple[Array, Array]:
    r"""Estimated absolute errors of the density by log lambda and of the cdf.

    Near an end where the density is no straight line over its own error the first order does not
    do: a density that falls like a root errs by at most twice that, one that rises like
    :math:`d^{-1/2}` in the distance d by :math:`1 / (1 - 2 r)` of it, r the relative error.
    """
    y = curve.point
    found = errors(eq, check, curve.log_w, y, 1.0 - curve.cdf)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = found.p / np.pi
        r = error / np.maximum(curve.density, 1e-300)
        slope = -(y.p_slope / y.slope).imag
        a, b = band.log_lambda
        towards = np.where(b - curve.log_lambda < curve.log_lambda - a, slope, -slope)
        rising = np.where(r < 0.5, 1.0 / (1.0 - 2.0 * r), np.inf)
        factor = np.where(r < _LINEAR, 1.0, np.where(towards > 0.0, rising, 2.0))
    return error * factor, np.minimum(found.cdf, 1.0)
