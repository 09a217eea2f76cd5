"""The two charts in which subordination is one equation: z for sums, log z for products."""

# ruff: noqa: D102  (the methods are documented once, in AbstractChart)

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np

from chione.base import Array
from chione.freeprob.classical import FreePoisson
from chione.freeprob.measures import AbstractMeasure, Complex
from chione.freeprob.point_masses import PointMasses
from chione.freeprob.squares import GaussianSquare

_START = 8.0  # height of the first guess, in units of the size of the problem


class AbstractChart(ABC):
    r"""Coordinates u, zeta, f in which :math:`\sum_i n_i u_i = \zeta + (n - 1) f`.

    In both charts :math:`f_i(u_i) = f`, and every :math:`f_i - u_i` maps the strip below `top` to
    numbers of non-negative imaginary part.
    """

    top: float

    @abstractmethod
    def pair(self, law: AbstractMeasure, u: Complex) -> tuple[Complex, Complex]:
        """F and df/du of one law."""

    @abstractmethod
    def point(self, u: Complex) -> Complex:
        """The argument omega of the law."""

    @abstractmethod
    def error(self, law: AbstractMeasure, u: Complex) -> Array:
        """The error of f that the error of the law at u stands for."""

    @abstractmethod
    def start(self, law: AbstractMeasure) -> tuple[float, float]:
        """(c, s): f is about u - c far out, and s is the size of the law around c."""

    @abstractmethod
    def grain(self, law: AbstractMeasure) -> float:
        """Size of u below which its rounding no longer shrinks with it."""

    @abstractmethod
    def height(self, zeta: Complex, size: float) -> Array:
        """How far above zeta to begin."""


@dataclass(frozen=True)
class SumChart(AbstractChart):
    r"""Sums: u = omega, zeta = z, :math:`f = 1/G`."""

    top: float = np.inf

    def pair(self, law: AbstractMeasure, u: Complex) -> tuple[Complex, Complex]:
        g, slope = law.stieltjes_with_derivative(u)
        f = 1.0 / g
        return f, -slope * f * f

    def point(self, u: Complex) -> Complex:
        return u

    def error(self, law: AbstractMeasure, u: Complex) -> Array:
        return np.asarray(law.stieltjes_error(u) / abs(law.stieltjes(u)) ** 2)

    def start(self, law: AbstractMeasure) -> tuple[float, float]:
        return law.mean, float(np.sqrt(law.variance))

    def grain(self, law: AbstractMeasure) -> float:
        return self.start(law)[1]

    def height(self, zeta: Complex, size: float) -> Array:
        return np.asarray(_START * (size + abs(zeta.real)))


@dataclass(frozen=True)
class ProductChart(AbstractChart):
    r"""Products: u = log omega, zeta = log z, :math:`f = \log((1 + M)/M)`."""

    top: float = np.pi

    def pair(self, law: AbstractMeasure, u: Complex) -> tuple[Complex, Complex]:
        p, m, q = moment_resolvent(law, upper_exp(u))
        f = np.log(p / m)
        return f.real + 1j * abs(f.imag), -q / (p * m)

    def point(self, u: Complex) -> Complex:
        return upper_exp(u)

    def error(self, law: AbstractMeasure, u: Complex) -> Array:
        w = upper_exp(u)
        p, m, _ = moment_resolvent(law, w)
        return np.asarray(law.stieltjes_error(w) * abs(w) / abs(p * m))

    def start(self, law: AbstractMeasure) -> tuple[float, float]:
        m = law.moments(2)
        return float(np.log(m[0])), float(np.sqrt(np.log(max(m[1] / m[0] ** 2, 1.0))))

    def grain(self, law: AbstractMeasure) -> float:
        return 1.0  # the exponential of u is right to a unit

    def height(self, zeta: Complex, size: float) -> Array:
        return np.asarray(np.pi - zeta.imag)


def upper_exp(u: Complex) -> Complex:
    """Exponential of a number of the strip 0 <= Im u <= pi, real on both its edges."""
    size, angle = np.exp(u.real), u.imag
    edge = (angle == 0.0) | (angle == np.pi)
    return np.asarray(size * np.cos(angle) + 1j * np.where(edge, 0.0, size * np.sin(angle)))


def upper_log(w: Complex) -> Complex:
    """Logarithm of a number of the closed upper half plane, Im in [0, pi]."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(abs(w)) + 1j * np.arctan2(abs(w.imag), w.real))


@singledispatch
def moment_resolvent(law: AbstractMeasure, z: Any) -> tuple[Complex, Complex, Complex]:
    r"""P = z G, M = P - 1 and z dM/dz of a law at z, without cancellation where a law can."""
    z = np.asarray(z, dtype=complex)
    g, slope = law.stieltjes_with_derivative(z)
    p = z * g
    return p, p - 1.0, p + z * z * slope


@moment_resolvent.register
def _(law: GaussianSquare, z: Any) -> tuple[Complex, Complex, Complex]:
    r = law.resolvent(z)
    return r.p, r.m, r.q


@moment_resolvent.register
def _(law: PointMasses, z: Any) -> tuple[Complex, Complex, Complex]:
    z = np.asarray(z, dtype=complex)
    # an atom at 0 adds its mass to P and nothing to M; its own inverse could overflow
    keep = law.place != 0.0
    a, m = law.place[keep], law.mass[keep]
    inverse = 1.0 / (z[..., None] - a)
    zero = float(np.sum(law.mass[~keep]))
    square = (inverse * inverse) @ (m * a)
    return zero + z * (inverse @ m), inverse @ (m * a), -z * square


@moment_resolvent.register
def _(law: FreePoisson, z: Any) -> tuple[Complex, Complex, Complex]:
    # a M^2 + (a + a c - z) M + a c = 0, of its two roots the small one at infinity
    z = np.asarray(z, dtype=complex)
    a, c = law.jump, law.rate
    lo, hi = law.edges
    root = np.sqrt(z - lo + 0j) * np.sqrt(z - hi + 0j)
    away = z - a * (1.0 + c)
    plus, minus = away + root, away - root
    m = np.where(abs(plus) >= abs(minus), 2.0 * a * c / plus, minus / (2.0 * a))
    g = law.stieltjes(z)
    return z * g, m, -z * m / root
