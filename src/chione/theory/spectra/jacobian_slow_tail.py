r"""Tails in which log t spreads over hundreds: the derivative dies out like exp(-|h|) or faster.

Where the density f of :math:`\ell = \log t` varies slowly, the kernel of P is a step in it
(Sommerfeld): with F the distribution function of log t,

.. math::
    P \approx F(\ell), \quad M \approx F(\ell) - 1, \quad
    \mathrm{cdf} = F(\ell), \qquad \ell = \log |w|,

.. math::
    \log \lambda = L (\log \sigma_w^2 + \ell) + (L - 1) \log (1 - F) + \{\log F,\; -(L - 1) \log F\}

for Gaussian and orthogonal weights, up to terms of the order :math:`f^2` and f'. F itself is a
Gaussian probability: that of the h beyond which :math:`\phi'(h)^2 < e^\ell`. Nothing leaves the
range of float64 but phi' itself, which is continued as :math:`\log |\phi'|` in powers of h and in
log h.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.special import ndtr

from chione.base import Array
from chione.freeprob.squares import GaussianSquare
from chione.theory.spectra.jacobian_equation import MasterEquation

_POINTS = 2000  # of each side's table
_LITTLE = 1e-9  # mass in the tail that is worth a table, and known well enough to check it
_USUAL = 6.0  # standard deviations within which the table is dense
_REACH = 38.0  # standard deviations: the range of Gaussian probabilities in float64
_SEEN = 1e-290  # |phi'| below which it is continued instead of computed
_FIT = 1e-7  # largest misfit of log |phi'| in a continuation, relative to its size
_STEEP = 2.0  # change of log t per standard deviation beyond which a tail counts as slow


@dataclass(frozen=True)
class SlowTail:
    """Log lambda and cdf (the atom at 0 not included) along the tail, from below."""

    log_lambda: Array
    cdf: Array
    error: float

    def grid(self, n: int) -> Array:
        """N places, even in the mass but for the last thousandth."""
        share = np.linspace(1e-3, 1.0, n) * self.cdf[-1]
        return np.unique(np.interp(share, self.cdf, self.log_lambda))

    def values(self, x: Array) -> tuple[Array, Array, Array]:
        """Density, cdf and their relative error at log lambda = x."""
        with np.errstate(under="ignore"):
            f = PchipInterpolator(self.log_lambda, np.log(self.cdf), extrapolate=False)
            cdf = np.exp(f(x))
            return cdf * f.derivative()(x), cdf, np.full(x.size, self.error)


def slow_tail(eq: MasterEquation, log_r: float, log_lambda: float, cdf: float) -> SlowTail | None:
    """The tail below the radius and the known point (log lambda, cdf) of the curve, if slow."""
    law, sides = eq.law, []
    if law.pieces is None or any(a == 0.0 for a, _ in law.atoms) or cdf < _LITTLE:
        return None
    low = float(np.min(law.pieces.center - law.pieces.half))
    high = float(np.max(law.pieces.center + law.pieces.half))
    for sign, end in ((-1.0, low), (1.0, high)):
        if sign * end > 0.0:
            side = _side(law, sign, log_r)
            sides += [side] if side is not None else []
    if not sides:
        return None
    grid = np.unique(np.concatenate([s[0] for s in sides]))
    grid = grid[(grid >= max(s[0][0] for s in sides)) & (grid <= log_r)]
    if grid.size < 16:
        return None
    f = law.factor * np.sum([ndtr(PchipInterpolator(*s)(grid)) for s in sides], axis=0)
    grid, f = grid[f > 0.0], f[f > 0.0]
    L, rest = eq.depth, np.log1p(-f) * (eq.depth - 1)
    x = L * (eq.log_gain + grid) + rest + (np.log(f) if eq.gaussian else -(L - 1) * np.log(f))
    keep = x > np.concatenate([[-np.inf], np.maximum.accumulate(x)[:-1]])
    x, f = x[keep], f[keep]
    if x.size < 16 or not x[0] < log_lambda <= x[-1] + 50.0 * L:
        return None
    out = SlowTail(x, f, 0.0)
    density, met, _ = out.values(np.array([min(log_lambda, x[-1])]))
    # What Sommerfeld's series leaves out, and what is seen to be left where the curve is known.
    power = L * np.diff(np.log(f)) / np.diff(x)  # d log F / d log t
    left_out = 2.0 * np.pi**2 * float(np.max(power[-power.size // 2 :])) ** 2
    shift = density[0] * max(log_lambda - x[-1], 0.0)
    error = 2.0 * abs((met[0] + shift) / cdf - 1.0) + left_out
    return SlowTail(x, f, error) if error < 0.1 else None


def _side(law: GaussianSquare, sign: float, log_r: float) -> tuple[Array, Array] | None:
    """Pairs (log t, -|h| / sqrt q) from far out inwards, as long as log t rises and stays below."""
    root = np.sqrt(law.q)
    z = np.linspace(0.0, _REACH, 100 * _POINTS)[1:]
    with np.errstate(all="ignore"):
        v = abs(np.asarray(law.v(sign * root * z), dtype=np.float64))
        log_t = 2.0 * np.log(v)
    seen = np.isfinite(log_t) & (v > _SEEN)
    # From outside in: the last stretch of z on which log t falls.
    inner = np.nonzero(seen & (log_t > log_r))[0]
    first = int(inner[-1]) + 1 if inner.size else 0
    tail = np.nonzero(seen[first:])[0]
    if tail.size < 32:
        return None
    last = first + int(tail[-1]) + 1
    if not np.all(seen[first:last]) or np.any(np.diff(log_t[first:last]) >= 0.0):
        return None
    z_in, l_in = z[first:last], log_t[first:last]
    if (l_in[0] - l_in[-1]) < _STEEP * (z_in[-1] - z_in[0]):
        return None
    z_all, l_all = z_in, l_in
    if last < z.size:
        further = _continued(z_in, l_in)
        if further is not None:
            out = z[last:]
            z_all, l_all = np.append(z_in, out), np.append(l_in, further(out))
    dense = np.linspace(z_all[0], min(_USUAL, z_all[-1]), 3 * _POINTS // 4)
    places = np.append(dense, np.linspace(dense[-1], z_all[-1], _POINTS // 4))
    pick = np.unique(np.searchsorted(z_all, places).clip(0, z_all.size - 1))
    order = pick[::-1]
    rising = np.append(True, np.diff(l_all[order]) > 0.0)
    return l_all[order][rising], -z_all[order][rising]


def _continued(z: Array, log_t: Array) -> Callable[[Array], Array] | None:
    """Log t beyond the range of phi', fitted on the far half and checked on the near one."""
    size = float(z[-1])

    def basis(y: Array) -> Array:
        u = y / size
        powers = [np.log(u), *(u**k for k in (0.0, 1.0, 2.0, 3.0, -1.0, -2.0, -4.0))]
        return np.stack(powers, axis=1)

    far, near = z > 0.5 * (z[0] + size), z > z[0] + 0.25 * (size - z[0])
    fit = np.linalg.lstsq(basis(z[far]), log_t[far], rcond=None)[0]
    misfit = np.max(abs(basis(z[near]) @ fit - log_t[near]))
    if misfit > _FIT * float(abs(log_t).max()):
        return None
    return lambda y: np.asarray(basis(y) @ fit)
