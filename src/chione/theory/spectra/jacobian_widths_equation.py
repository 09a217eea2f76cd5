r"""The equation of the Jacobian's spectrum at different widths per layer.

With :math:`a_l = N_L / N_l`, :math:`x_l = a_l x` and w(x) the inverse of :math:`M = E[t/(w - t)]`,
freeness of the rectangular factors gives, for :math:`x = z G(z) - 1` of :math:`J J^T`,

.. math::
    \text{Gaussian} \quad z &= \frac{1 + x_0}{x_0} \prod_{l=1}^{L} \sigma_w^2\, x_{l-1}\, w(x_l) \\
    \text{orthogonal} \quad z &= \frac{1 + x_0}{x_0} \prod_{l=1}^{L}
        \frac{\sigma_w^2\, x_{l-1}\, w(x_l)}{1 + \min(a_{l-1}, a_l)\, x}

Orthogonal weights are isometries, or co-isometries where the layer is narrower than the one before
it, scaled so that :math:`E W_{ij}^2 = \sigma_w^2 / N_{l-1}`: then :math:`W^T W` is
:math:`\sigma_w^2 N_l / N_{l-1}` times the identity where the layer is wider, and :math:`\sigma_w^2`
times a free projection of trace :math:`N_l / N_{l-1}` where it is narrower, whose
:math:`1/S = (N_l / N_{l-1} + x) / (1 + x)`.

All factors are functions of x and of one w for each distinct width. The roots with every w in the
upper half plane, logarithms of w principal, those of x and 1 + b x with arguments in [-pi, 0], are
the physical ones.

References
----------
.. [1] J. A. Mingo, R. Speicher, Free Probability and Random Matrices, Springer 2017, chapter 3.
.. [2] J. Pennington, S. S. Schoenholz, S. Ganguli, The emergence of spectral universality in deep
   networks, AISTATS 2018, arXiv:1802.09979.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from chione.base import EPS, Array
from chione.freeprob.measures import Booleans, Complex
from chione.freeprob.squares import GaussianSquare

_STEPS = 30  # of Newton's method; from the starts in use it takes two or three
_SMALL = 1e-8  # step, relative to the angle, after which the next one is below rounding
_HAIR = 1e-5  # of an angle
_PATIENCE = 7  # steps after which a residual that rounding keeps up is taken as it is
_LOOSE = 1e-5  # and shown in the error
_NOISE = 16.0 * EPS  # residual of log z, per unit of its terms, that is rounding
_TIE = 1e-14  # relative difference of widths that are equal but for the rounding of ratios
_FAR = 1e3  # |w| in units of the largest t from which the plain sum needs no poles


@dataclass(frozen=True)
class Point:
    """An evaluation at log w of each distinct width.

    Parameters
    ----------
    x : ndarray of complex, shape (m,)
        M of the spectrum, from the narrowest layer's w.
    p : ndarray of complex, shape (m,)
        1 + x.
    log_z : ndarray of complex, shape (m,)
        On the branch of the upper half plane, corrected to first order for `residual`.
    slope : ndarray of complex, shape (m,)
        dlog z / dx.
    residual : ndarray of complex, shape (m, G)
        Steps in log w that would bring every M(w_g) to a_g x.
    rate : ndarray of complex, shape (m, G)
        dlog w_g / dx.
    log_one : ndarray of complex, shape (m, J)
        Logarithms of the factors 1 + b x.
    terms : ndarray, shape (m,)
        Sum of the sizes of the terms of log z: what its rounding is proportional to.
    """

    x: Complex
    p: Complex
    log_z: Complex
    slope: Complex
    residual: Complex
    rate: Complex
    log_one: Complex
    terms: Array


@dataclass(frozen=True)
class WidthsEquation:
    """The equation of one network.

    Parameters
    ----------
    law : GaussianSquare
        Law of t.
    log_gain : float
        log sigma_w^2.
    ratios : tuple of float
        Widths of the input and the L layers, relative to the last layer.
    gaussian : bool
        Gaussian weights; else orthogonal ones.
    slack : float
        Relative error of t.
    """

    law: GaussianSquare
    log_gain: float
    ratios: tuple[float, ...]
    gaussian: bool = True
    slack: float = 0.0

    @property
    def depth(self) -> int:
        """Number L of layers."""
        return len(self.ratios) - 1

    @cached_property
    def groups(self) -> tuple[Array, Array]:
        """Distinct a = N_L / N_l of the layers, rising, and how many layers have each."""
        a, n = np.unique(1.0 / np.array(self.ratios[1:]), return_counts=True)
        return a, n.astype(np.float64)

    @cached_property
    def factors(self) -> tuple[Array, Array]:
        """Distinct b of the factors 1 + b x, and their exponents."""
        a = 1.0 / np.array(self.ratios)
        places, powers = [a[:1]], [np.ones(1)]
        if not self.gaussian:
            places.append(np.minimum(a[:-1], a[1:]))
            powers.append(-np.ones(self.depth))
        b, index = np.unique(np.concatenate(places), return_inverse=True)
        e = np.bincount(index, np.concatenate(powers), b.size)
        return b[e != 0.0], e[e != 0.0]

    @cached_property
    def constant(self) -> float:
        """What log z holds beside logarithms of x, w and 1 + b x."""
        logs = np.log(np.array(self.ratios))
        return float(self.depth * self.log_gain - np.sum(logs[:-1]) + logs[0])

    @cached_property
    def alive(self) -> float:
        """Share of units whose t is not zero."""
        return 1.0 - sum(m for a, m in self.law.atoms if a == 0.0)

    @cached_property
    def _living(self) -> GaussianSquare:
        """The law without the mass of its atom at zero: E_{t>0} w/(w - t) is right at small w."""
        zero = self.law.place == 0.0
        if not np.any(zero):
            return self.law
        weight = self.law.weight.copy()
        weight[weight.size - zero.size :][zero] = 0.0  # atoms stand last
        return replace(self.law, mass=np.where(zero, 0.0, self.law.mass), weight=weight)

    @cached_property
    def rank(self) -> float:
        """Share of eigenvalues that are not zero."""
        return min(1.0, self.ratios[0], self.alive * min(self.ratios[1:]))

    def atom_place(self, t: float) -> float:
        """Log lambda where every layer has its t at this atom (orthogonal weights)."""
        grown = np.maximum(np.log(self.ratios[1:]) - np.log(self.ratios[:-1]), 0.0)
        return float(self.depth * (self.log_gain + np.log(t)) + grown.sum())

    @cached_property
    def atoms(self) -> tuple[tuple[float, float], ...]:
        r"""Pairs (log lambda, mass), -inf for zero.

        For orthogonal weights an atom of t at a, of mass p, leaves an atom where the subspaces of
        all layers intersect, of mass :math:`r_0 - \sum_l (r_{l-1} - r_l)_+ - (1 - p) \sum_l r_l`
        where that is positive, with the widths r relative to the last one.
        """
        out = [(-np.inf, 1.0 - self.rank)] if self.rank < 1.0 else []
        if not self.gaussian:
            r = np.array(self.ratios)
            k, steps = int(np.argmin(r)), np.diff(r)  # seen from the narrowest layer: no rounding
            lost = float(np.maximum(steps[:k], 0.0).sum() - np.minimum(steps[k:], 0.0).sum())
            for a, p in self.law.atoms:
                flat = (1.0 - p) * float(r[1:].sum())
                mass = float(r[k]) - lost - flat
                if a > 0.0 and mass > 8.0 * EPS * (float(r[k]) + lost + flat):
                    out.append((self.atom_place(a), mass))
        return tuple(sorted(out))

    @property
    def narrowest_layer(self) -> bool:
        """Whether a layer, and not the input alone, bounds the rank."""
        return self.alive * min(self.ratios[1:]) <= self.ratios[0] * (1.0 + _TIE)

    # ---------------------------------------------------------------------------- evaluation

    def at(self, log_w: Complex) -> Point:
        """Log z and its slope at log w, shape (m, G), of the distinct widths."""
        a, n = self.groups
        b, e = self.factors
        r = self._living.resolvent(np.exp(log_w))
        x = r.m[:, -1] / a[-1]
        one = 1.0 + x[:, None] * b
        if self.narrowest_layer:  # there 1 + x / rank vanishes with w, and this sum is right
            one[:, abs(b * self.rank - 1.0) < _TIE] = r.p[:, -1:] / self.alive
        tied = self.narrowest_layer and abs(self.rank - 1.0) < _TIE
        p = r.p[:, -1] / self.alive if tied else 1.0 + x
        with np.errstate(divide="ignore", invalid="ignore"):
            rate = a / r.q
            residual = (a * x[:, None] - r.m) / r.q
            residual[:, -1] = 0.0  # by the choice of x, where rounding would count by 1/Q
            log_x, log_one = lower_log(x), lower_log(one)
            near = x[:, None] * b
            small = 0.5 * np.log1p(near.real * (2.0 + near.real) + near.imag**2)
            log_one.real = np.where(abs(near) < 0.5, small, log_one.real)
            log_z = self.constant + (self.depth - 1) * log_x + log_w @ n + log_one @ e
            slope = (self.depth - 1) / x + (b / one) @ e + rate @ n
        terms = abs(self.constant) + (self.depth - 1) * abs(log_x) + abs(log_w) @ n
        terms = terms + abs(log_one) @ abs(e) + 4.0
        return Point(x, p, log_z + residual @ n, slope, residual, rate, log_one, terms)

    def mean_log(self, log_z: Complex, log_w: Complex, y: Point) -> Complex:
        r"""U = E log(z - lambda) at a solution, from dU = (1 + x) dlog z.

        .. math::
            U = \log z + (L - 1) x + \sum_g \frac{n_g}{a_g} E \log(1 - t / w_g)
                + \sum_j e_j \Bigl(x - \frac{\log(1 + b_j x)}{b_j}\Bigr)
        """
        a, n = self.groups
        b, e = self.factors
        t, weight = self.law.nodes
        w = np.exp(log_w)
        logs = np.empty(w.shape, dtype=complex)
        far = abs(w) > _FAR * t.max()
        if np.any(far):
            s = -t / w[far][:, None]
            real = 0.5 * np.log1p(s.real * (2.0 + s.real) + s.imag**2)
            logs[far] = (real + 1j * np.arctan2(s.imag, 1.0 + s.real)) @ weight
        logs[~far] = self.law.mean_log(w[~far]) - log_w[~far]
        u = log_z + (self.depth - 1) * y.x + logs @ (n / a)
        return np.asarray(u + (y.x[:, None] - y.log_one / b) @ e)

    def solve(
        self, log_z: Complex, log_w: Complex, *, rough: float = 0.0
    ) -> tuple[Complex, Booleans]:
        """Newton's method in all log w at once, and where it converged: to steps of `rough`."""
        log_w = np.array(log_w, dtype=complex)
        target = np.asarray(log_z, dtype=complex)
        good = np.zeros(log_w.shape[0], dtype=bool)
        active = np.arange(log_w.shape[0])
        with np.errstate(all="ignore"):
            for k in range(_STEPS):
                here = log_w[active]
                y = self.at(here)
                miss = target[active] - y.log_z
                step = y.residual + y.rate * (miss / y.slope)[:, None]
                size = abs(step).max(axis=1)
                hold = np.minimum(1.0, 0.7 / size)
                # Steps stay inside the strip 0 < Im log w < pi; by hairs they are cut at its sides.
                room = np.where(step.imag < 0.0, here.imag, np.pi - here.imag)
                long = abs(step.imag) > _HAIR
                share = np.where(long, 0.8 * room / abs(step.imag), 1.0).min(axis=1)
                hold = np.minimum(hold, share)
                new = here + step * hold[:, None]
                new.imag = np.clip(new.imag, 0.2 * here.imag, np.pi)
                log_w[active] = new
                angle = np.clip(here[:, -1].imag, _HAIR, 1.0)
                noise = (abs(miss) <= _NOISE * y.terms) & (abs(y.residual).max(axis=1) < _SMALL)
                small = _SMALL if k < _PATIENCE else _LOOSE  # rounding may keep steps above
                ended = ((size <= np.maximum(small * angle, rough)) & (hold == 1.0)) | noise
                bad = ~np.isfinite(size)
                good[active[ended & ~bad]] = True
                active = active[~(ended | bad)]
                if active.size == 0:
                    break
        return log_w, good


def lower_log(x: Any) -> Complex:
    """Logarithm with the argument in [-pi, 0]: of numbers in the closed lower half plane."""
    x = np.asarray(x, dtype=complex)
    with np.errstate(divide="ignore"):
        log = np.log(x)
    log.imag = np.where(log.imag > 0.5 * np.pi, -np.pi, log.imag)
    return np.asarray(log)
