r"""Gaussian moments of an activation: the numbers from which all of mean-field theory is made.

With :math:`h \sim N(0, q)`:

.. math:: E\,\phi(h), \quad E\,\phi(h)^2, \quad E\,\phi'(h)^2, \quad E\,\phi(h)^4, \quad
   \frac{d}{dq} E\,\phi(h)^2
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chione.activations import AbstractActivation, activation
from chione.activations import ActivationLike as ActivationLike  # some rooms read it here
from chione.base import EPS, Array, Estimate, Status, checks
from chione.gaussian import Integrator, Table
from chione.gaussian.features import Features, features_of
from chione.theory.moments.methods import CLOSED_ERROR as CLOSED_ERROR  # some rooms read these here
from chione.theory.moments.methods import METHODS as METHODS
from chione.theory.moments.methods import choose, is_auto, looked_up, unwrap
from chione.theory.moments.methods import closed_error as closed_error
from chione.theory.moments.roots import Root, roots_of

_SHARP = 3e-14  # relative error of a slope at which the other form is not asked for
_LOST = (Status.INFINITE, Status.OVERFLOW)
_SLOPE_ENOUGH = 1e-8  # relative error of a slope beyond which phi'' from fits is asked as well


class Moments:
    """All moments of one activation, with the nodes and tables that were built for them."""

    def __init__(self, phi: AbstractActivation) -> None:
        self.phi = phi

    @cached_property
    def jumps(self) -> tuple[tuple[float, float], ...]:
        """Places and sizes of the discontinuities.

        Steps below 1e-8 of what the function changes nearby are left out: frameworks switch to an
        asymptotic form with such a step (torch's softplus at 20), and its point mass means nothing.
        """
        out = []
        for k in self.phi.kinks:
            size = self.phi.jump(0, k)
            beside = self.phi.value(np.array([k - 1.0, k + 1.0])) - self.phi.one_sided(0, k)
            if abs(size) > 1e-8 * float(np.abs(beside).max()):
                out.append((k, size))
        return tuple(out)

    @property
    def has_jumps(self) -> bool:
        """Whether the activation itself is discontinuous."""
        return bool(self.jumps)

    @cached_property
    def roots(self) -> tuple[Root, ...]:
        """Kinks beside which phi' grows without bound, one for each side."""
        return () if self.phi.known else roots_of(self.phi)

    @property
    def is_steep(self) -> bool:
        """Whether phi' grows so fast beside a kink that E phi'^2 diverges."""
        return any(r.is_steep for r in self.roots)

    @property
    def slope_is_infinite(self) -> bool:
        """Whether E phi'^2 is infinite at every q, by a jump or by the slope at a kink."""
        return self.has_jumps or self.is_steep

    def why_infinite(self) -> str:
        """What makes E phi'^2 infinite, in words."""
        if self.has_jumps:
            return "the activation jumps"
        if self.is_steep:
            return "the slope of the activation is infinite at a kink"
        return "the mean square slope is infinite"

    @cached_property
    def features(self) -> Features | None:
        """Where a user's own function may be narrower than nodes would show."""
        return features_of(self.phi.value, self.phi.kinks)

    @cached_property
    def _mean(self) -> Integrator:
        return Integrator(self.phi.value, self.phi.kinks, features=self.features)

    @cached_property
    def _square(self) -> Integrator:
        return Integrator(self.phi.value, self.phi.kinks, power=2, features=self.features)

    @cached_property
    def _fourth(self) -> Integrator:
        return Integrator(self.phi.value, self.phi.kinks, power=4, features=self.features)

    @cached_property
    def _derivative_square(self) -> Integrator:
        error = self.phi.derivative_error
        return Integrator(
            self.phi.derivative,
            self.phi.kinks,
            power=2,
            relative_error=error,
            features=self.features,
        )

    @cached_property
    def _curvature(self) -> Integrator:
        def g(h: Array) -> Array:
            phi = self.phi
            return phi.derivative(h) ** 2 + phi.value(h) * phi.second_derivative(h)

        error = self.phi.derivative_error
        return Integrator(g, self.phi.kinks, relative_error=error, features=self.features)

    @cached_property
    def _once(self) -> Integrator:
        def g(h: Array) -> Array:
            return h * self.phi.value(h) * self.phi.derivative(h)

        error = self.phi.derivative_error
        return Integrator(g, self.phi.kinks, relative_error=error, features=self.features)

    @cached_property
    def _stein(self) -> Integrator:
        def g(h: Array) -> Array:
            return h * self.phi.value(h)

        return Integrator(g, self.phi.kinks, power=2, features=self.features)

    def mean(self, q: Any, method: str = "auto") -> Estimate:
        """E phi."""
        if is_auto(method) and self.phi.closed_forms.mean is None:
            return looked_up(lambda: self.mean_table, self._mean_of, q)
        return self._mean_of(q, method)

    def square(self, q: Any, method: str = "auto") -> Estimate:
        """E phi^2."""
        if is_auto(method) and self.phi.closed_forms.mean_square is None:
            return looked_up(lambda: self.square_table, self._square_of, q)
        return self._square_of(q, method)

    def fourth(self, q: Any) -> Estimate:
        """E phi^4."""
        return looked_up(lambda: self.fourth_table, self._fourth_of, q)

    def derivative_square(self, q: Any, method: str = "auto") -> Estimate:
        """E phi'^2; infinite where phi jumps, since phi' then holds a point mass, and at a root."""
        if self.slope_is_infinite:
            return _all_missing(q, Status.INFINITE)
        if is_auto(method) and self.phi.closed_forms.derivative_mean_square is None:
            return looked_up(lambda: self.derivative_table, self._derivative_square_of, q)
        return self._derivative_square_of(q, method)

    def derivative_square_beside(self, q: Any) -> Estimate:
        """E phi'^2 of the slopes beside jumps, where phi has any."""
        return self._derivative_square_of(q)

    def slope(self, q: Any, method: str = "auto") -> Estimate:
        """d/dq of E phi^2."""
        if is_auto(method) and self.phi.closed_forms.length_slope is None:
            return looked_up(lambda: self.slope_table, self._slope_of, q)
        return self._slope_of(q, method)

    def _mean_of(self, q: Any, method: str = "auto") -> Estimate:
        return self._noisy(choose(self.phi.closed_forms.mean, self._mean, q, method), q, 0, 1)

    def _square_of(self, q: Any, method: str = "auto") -> Estimate:
        closed = self.phi.closed_forms.mean_square
        return self._noisy(choose(closed, self._square, q, method), q, 0, 2)

    def _fourth_of(self, q: Any) -> Estimate:
        return self._noisy(self._fourth(q), q, 0, 4)

    def _derivative_square_of(self, q: Any, method: str = "auto") -> Estimate:
        closed = self.phi.closed_forms.derivative_mean_square
        found = self._noisy(choose(closed, self._derivative_square, q, method), q, 1, 2)
        for root in self.roots:
            if (
                root.kink != 0.0 and not root.is_steep
            ):  # next to zero floating-point numbers lie as close as one likes
                found = Estimate(found.value, found.error + root.unseen(q), found.status)
        return found

    def _noisy(self, e: Estimate, q: Any, order: int, power: int) -> Estimate:
        r"""What the noise :math:`\delta` of a user's formula adds to the error of E f^p.

        By Hölder's inequality at most :math:`p\,(E |f|^p)^{1 - 1/p}\,(E \delta^2)^{1/2}`, the
        noise being nearly of one size where it matters.
        """
        noise = self.phi.noise(order, np.asarray(q, dtype=np.float64))
        if not np.any(noise):
            return e
        added = power * np.abs(e.value) ** (1.0 - 1.0 / power) * noise
        return unwrap(Estimate(e.value, e.error + added, e.status))

    def _slope_of(self, q: Any, method: str = "auto") -> Estimate:
        closed = self.phi.closed_forms.length_slope
        if (is_auto(method) and closed is not None) or method == "closed":
            return choose(closed, self._slope, q, method)
        return self._slope(checks.real_array("q", q))

    def _slope(self, q: Any) -> Estimate:
        r"""The better of :math:`E (\phi^2)'' / 2` and :math:`E\,h (\phi^2)' / 2q`.

        The density obeys the heat equation, so :math:`d/dq\,E\phi^2 = E (\phi^2)'' / 2`, and one
        integration by parts gives the second form. A jump D of :math:`(\phi^2)'` at k adds
        :math:`D\,p(k) / 2` to the first, a jump D of :math:`\phi^2` adds
        :math:`D\,(k / q)\,p(k) / 2` to both.
        """
        q = np.asarray(q, dtype=np.float64)
        if np.any(q == 0.0) and any(m[0] == 0.0 and (m[1] or m[2]) for m in self._masses):
            return _all_missing(q, Status.UNDEFINED)
        if q.size and np.all(q >= self._square.infinite_from):
            return _all_missing(q, Status.INFINITE)  # what is infinite has no slope
        if np.any(q == 0.0):
            return unwrap(self._with_masses(self._bent(q), q, 0))
        once = self._once(q)
        once = Estimate(once.value / q, once.error / q + EPS * np.abs(once.value / q), once.status)
        best = self._with_masses(once, q, 1)
        fitted = self.phi.derivative_error > 0.0
        if fitted:
            best = _better(best, self._stein_slope(q))
        rough = best.status == Status.INEXACT
        if np.any(rough) and not fitted and np.max(q) > 1.0:
            # each derivative makes more of an oscillation, so that the form without one is best
            best = _better(best, self._stein_slope(q))
        # phi'' costs a third integral, and from fits hundreds of values a point
        enough = np.asarray(best.error) <= (_SLOPE_ENOUGH if fitted else _SHARP) * np.abs(
            best.value
        )
        lost = np.isin(best.status, _LOST)
        if (
            lost.any() and not fitted
        ):  # h phi phi' overflows at far lengths, where the rest need not
            lost &= np.isin(self._square(q).status, _LOST)
        open_ = np.atleast_1d(~(enough | lost | (rough & (q > 1.0) & ~np.asarray(fitted))))
        if not open_.any():
            return unwrap(self._noisy_slope(best, q))
        if not open_.all():  # so only where the others fail
            return self._noisy_slope(self._with_curvature(best, q, open_), q)
        # where phi saturates the terms of the first form cancel; where phi(0) != 0 and q is small,
        # those of the second
        best = _better(self._with_masses(self._bent(q), q, 0), best)
        return unwrap(self._noisy_slope(best, q))

    def _bent(self, q: Array) -> Estimate:
        r"""E (phi'^2 + phi phi''), and the rounding of a sum whose two parts may cancel."""
        e = self._curvature(q)
        steep = np.nan_to_num(np.abs(self._derivative_square(q).value), posinf=0.0)
        size = steep + np.abs(e.value - steep)
        return Estimate(e.value, e.error + 4.0 * EPS * size, e.status)

    def _with_curvature(self, best: Estimate, q: Array, where: NDArray[np.bool_]) -> Estimate:
        """`best`, replaced at the places `where` by the first form if that is better."""
        there = q[where]
        first = self._with_masses(self._bent(there), there, 0)
        better = _better(first, best[where])
        value, error, status = (np.array(x) for x in (best.value, best.error, best.status))
        value[where], error[where], status[where] = better.value, better.error, better.status
        return Estimate(value, error, status)

    def _noisy_slope(self, e: Estimate, q: Array) -> Estimate:
        """What the noise of a user's formula adds to the error of E (phi'^2 + phi phi'')."""
        value, slope, bend = (self.phi.noise(order, q) for order in (0, 1, 2))
        if not (np.any(value) or np.any(slope) or np.any(bend)):
            return e
        size = np.sqrt(np.abs(self._square(q).value))
        steep = np.sqrt(np.abs(self._derivative_square(q).value))
        # by parts, E phi'' delta is of the size of E phi' delta h / q
        added = 2.0 * steep * slope + size * bend + steep * value / np.sqrt(q)
        return Estimate(e.value, e.error + added, e.status)

    def _with_masses(self, main: Estimate, q: Array, stein: int) -> Estimate:
        """Add what point masses of (phi^2)'' (`stein` 0) or of (phi^2)' (`stein` 1) contribute."""
        value, error = np.array(main.value), np.array(main.error)
        with np.errstate(all="ignore"):
            for k, jump_square, jump_slope, blur_square, blur_slope in self._masses:
                density = np.where(q > 0.0, np.exp(-0.5 * k * k / q) / np.sqrt(2 * np.pi * q), 0.0)
                term = 0.5 * density * jump_square * np.where(q > 0.0, k / q, 0.0)
                if stein == 0:
                    term = term + 0.5 * density * jump_slope
                value = value + term
                blur = 0.5 * density * blur_square * np.where(q > 0.0, np.abs(k) / q, 0.0)
                if stein == 0:
                    blur = blur + 0.5 * density * blur_slope
                moved = self.phi.kink_error(k) * np.where(q > 0.0, np.abs(k) / q, 0.0)
                error = error + blur + moved * np.abs(term)
                error = error + (8.0 + np.where(q > 0.0, k * k / q, 0.0)) * EPS * np.abs(term)
        return Estimate(value, error, main.status)

    def _stein_slope(self, q: Array) -> Estimate:
        """Stein's form, which needs no derivative: (E h^2 phi^2 / q - E phi^2) / 2 q."""
        a, b = self._stein(q), self._square(q)
        value = (a.value / q - b.value) / (2.0 * q)
        error = (a.error / q + b.error) / (2.0 * q) + 4.0 * EPS * np.abs(value)
        return Estimate(value, error, np.maximum(a.status, b.status))

    @cached_property
    def _masses(self) -> list[tuple[float, float, float, float, float]]:
        """Place of each kink, jumps of phi^2 and of (phi^2)' there, and the errors of both."""
        out = []
        for k in self.phi.kinks:
            v, d = np.array(self.phi.one_sided(0, k)), np.array(self.phi.one_sided(1, k))
            square, slope = v[1] ** 2 - v[0] ** 2, 2.0 * (v[1] * d[1] - v[0] * d[0])
            scale = 8.0 * EPS * max(1.0, np.abs(v).max() ** 2, np.abs(v * d).max())
            square = square if abs(square) > scale else 0.0
            slope = slope if abs(slope) > scale else 0.0
            e0, e1 = (self.phi.one_sided_error(order, k) for order in (0, 1))
            blur_square = 2.0 * e0 * float(np.abs(v).sum())
            blur_slope = 2.0 * float(e1 * np.abs(v).sum() + e0 * np.abs(d).sum())
            if square or slope:
                out.append((k, float(square), float(slope), blur_square, blur_slope))
        return out

    @cached_property
    def mean_table(self) -> Table:
        """E phi compiled in q."""
        return Table(self._mean_of)

    @cached_property
    def square_table(self) -> Table:
        """E phi^2 compiled in q."""
        return Table(self._square_of)

    @cached_property
    def fourth_table(self) -> Table:
        """E phi^4 compiled in q."""
        return Table(self._fourth_of)

    @cached_property
    def derivative_table(self) -> Table:
        """E phi'^2 compiled in q."""
        return Table(self._derivative_square_of)

    @cached_property
    def slope_table(self) -> Table:
        """d/dq E phi^2 compiled in q."""
        return Table(self._slope_of)


@lru_cache(maxsize=128)
def _moments(phi: AbstractActivation) -> Moments:
    return Moments(phi)


def moments(phi: ActivationLike) -> Moments:
    """The moments of an activation, kept for the next call with an equal one."""
    return _moments(activation(phi))


def mean(phi: ActivationLike, q: Any, *, method: str = "auto") -> Estimate:
    r"""Mean of the activation, :math:`E\,\phi(\sqrt q z)`; arguments as :func:`second_moment`."""
    return moments(phi).mean(q, method)


def second_moment(phi: ActivationLike, q: Any, *, method: str = "auto") -> Estimate:
    r"""Mean square of the activation of a Gaussian of variance q.

    .. math:: E\,\phi(\sqrt q\,z)^2

    Parameters
    ----------
    phi : activation
        Anything :func:`chione.activation` accepts.
    q : float or array_like
        Variances, zero or above.
    method : {"auto", "closed", "quadrature"}
        ``auto`` takes the closed form where one is known.

    Returns
    -------
    Estimate
        Of the shape of `q`.

    Raises
    ------
    ValueError
        If q is negative or not finite, or no closed form is known and one was asked for.
    """
    return moments(phi).square(q, method)


def fourth_moment(phi: ActivationLike, q: Any) -> Estimate:
    r"""Fourth moment of the activation, :math:`E\,\phi(\sqrt q z)^4`."""
    return moments(phi).fourth(q)


def derivative_second_moment(phi: ActivationLike, q: Any, *, method: str = "auto") -> Estimate:
    r"""Mean square slope, :math:`E\,\phi'(\sqrt q z)^2`; arguments as :func:`second_moment`.

    Infinite (status ``INFINITE``) where the activation jumps, or rises like a root from a kink.
    """
    return moments(phi).derivative_square(q, method)


def length_slope(phi: ActivationLike, q: Any, *, method: str = "auto") -> Estimate:
    r"""Slope :math:`\frac{d}{dq} E\,\phi(\sqrt q z)^2`, which is chi_parallel at sigma_w = 1.

    Equal to :math:`E[\phi'^2 + \phi\phi'']` where phi is smooth; point masses of the second
    derivative at kinks are included.
    """
    return moments(phi).slope(q, method)


def jump_error(phi: AbstractActivation, at: float) -> float:
    """Error of the size of a jump: both sides are rounded, however little they differ."""
    left, right = phi.one_sided(0, at)
    return 2.0 * EPS * (abs(left) + abs(right)) + 2.0 * phi.one_sided_error(0, at)


def _better(a: Estimate, b: Estimate) -> Estimate:
    """Element by element the estimate with the smaller error; one with a value, if there is one."""
    one, two = (np.nan_to_num(np.asarray(e.error), nan=np.inf) for e in (a, b))
    first = ~(two < one)
    first &= np.isfinite(a.value) | ~np.isfinite(b.value)
    return Estimate(
        np.where(first, a.value, b.value),
        np.where(first, a.error, b.error),
        np.where(first, a.status, b.status).astype(np.int8),
    )


def _all_missing(q: Any, status: Status) -> Estimate:
    nan = np.full(np.shape(q), np.nan)
    return unwrap(Estimate(nan, nan, np.full(np.shape(q), status, dtype=np.int8)))
