"""Activations written by hand whose Gaussian expectations are known in closed form, to 40 digits.

Nothing of chione is used here: each family is a NumPy function and formulas in mpmath. With
h1, h2 Gaussian of variances q1, q2 and covariance s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import mpmath as mp
import numpy as np
from scipy import special

mp.mp.dps = 40
Number = mp.mpf


@dataclass(frozen=True)
class Member:
    """One function with its exact kernel E f(h1) f(h2) and that of its derivative."""

    label: str
    f: Callable[[np.ndarray], np.ndarray]
    kernel: Callable[[Number, Number, Number], Number]
    derivative_kernel: Callable[[Number, Number, Number], Number] | None
    rounding: float = 0.0  # of the differences of values, relative: no error can be below

    def square(self, q: Number) -> Number:
        return self.kernel(q, q, q)

    def derivative_square(self, q: Number) -> Number:
        return self.derivative_kernel(q, q, q)

    def slope(self, q: Number) -> Number:
        """d/dq of E f^2, by a central difference with 80 digits to spare."""
        with mp.workdps(90):
            step = mp.mpf(q) * mp.mpf(10) ** -30
            return (self.square(q + step) - self.square(q - step)) / (2 * step)


def erf(a: float, b: float) -> Member:
    A, B = mp.mpf(a), mp.mpf(b)

    def kernel(q1, q2, s):
        d = mp.sqrt((1 + 2 * B**2 * q1) * (1 + 2 * B**2 * q2))
        return A**2 * 2 / mp.pi * mp.asin(2 * B**2 * s / d)

    def slopes(q1, q2, s):
        d = (1 + 2 * B**2 * q1) * (1 + 2 * B**2 * q2) - 4 * B**4 * s**2
        return 4 * A**2 * B**2 / mp.pi / mp.sqrt(d)

    return Member(f"{a:.3g} erf({b:.3g} x)", lambda x: a * special.erf(b * x), kernel, slopes)


def sine(a: float, b: float, p: float) -> Member:
    A, B, P = mp.mpf(a), mp.mpf(b), mp.mpf(p)

    def both(sign):
        def kernel(q1, q2, s):
            near = mp.exp(-(B**2) * (q1 + q2 - 2 * s) / 2)
            far = mp.exp(-(B**2) * (q1 + q2 + 2 * s) / 2)
            return A**2 / 2 * (near - sign * mp.cos(2 * P) * far)

        return kernel

    cosine = both(-1)
    return Member(
        f"{a:.3g} sin({b:.3g} x + {p:.3g})",
        lambda x: a * np.sin(b * x + p),
        both(1),
        lambda q1, q2, s: B**2 * cosine(q1, q2, s),
    )


def bump(a: float, b: float) -> Member:
    A, B = mp.mpf(a), mp.mpf(b)

    def det(q1, q2, s):
        return (1 + B**2 * q1) * (1 + B**2 * q2) - B**4 * s**2

    def slopes(q1, q2, s):
        # E b^4 h1 h2 exp(...) = b^4 s / det^(3/2), with the covariance under the tilted Gaussian
        return A**2 * B**4 * s / det(q1, q2, s) ** mp.mpf("1.5")

    return Member(
        f"{a:.3g} exp(-({b:.3g} x)^2/2)",
        lambda x: a * np.exp(-0.5 * (b * x) ** 2),
        lambda q1, q2, s: A**2 / mp.sqrt(det(q1, q2, s)),
        slopes,
    )


def leaky(up: float, down: float) -> Member:
    U, D = mp.mpf(up), mp.mpf(down)

    def angle(q1, q2, s):
        root = mp.sqrt(q1 * q2)
        c = s / root
        return root, c, mp.acos(max(mp.mpf(-1), min(mp.mpf(1), c)))

    def kernel(q1, q2, s):
        root, c, theta = angle(q1, q2, s)
        plus = root / (2 * mp.pi) * (mp.sqrt(max(0, 1 - c**2)) + (mp.pi - theta) * c)
        minus = root / (2 * mp.pi) * (mp.sqrt(max(0, 1 - c**2)) - theta * c)
        return (U**2 + D**2) * plus - 2 * U * D * minus

    def slopes(q1, q2, s):
        theta = angle(q1, q2, s)[2]
        return (U**2 + D**2) * (mp.pi - theta) / (2 * mp.pi) + U * D * theta / mp.pi

    return Member(
        f"where(x > 0, {up:.3g} x, {down:.3g} x)",
        lambda x: np.where(x > 0, up * x, down * x),
        kernel,
        slopes,
    )


def quadratic(a: float, b: float, c: float) -> Member:
    A, B, C = mp.mpf(a), mp.mpf(b), mp.mpf(c)
    return Member(
        f"{a:.3g} + {b:.3g} x + {c:.3g} x^2",
        lambda x: a + b * x + c * x * x,
        lambda q1, q2, s: A**2 + A * C * (q1 + q2) + B**2 * s + C**2 * (q1 * q2 + 2 * s**2),
        lambda q1, q2, s: B**2 + 4 * C**2 * s,
    )


def jump(a: float, b: float) -> Member:
    A, B = mp.mpf(a), mp.mpf(b)
    rounding = 2.0**-52 * abs(b / a)
    if rounding > 0.1:  # little or nothing of the step is left: what the floats hold is the truth
        A = (mp.mpf(b + a) - mp.mpf(b - a)) / 2

    def kernel(q1, q2, s):
        c = s / mp.sqrt(q1 * q2)
        return A**2 * 2 / mp.pi * mp.asin(max(mp.mpf(-1), min(mp.mpf(1), c))) + B**2

    def step(x):
        return a * np.sign(x) + b

    return Member(f"{a:.3g} sign(x) + {b:.3g}", step, kernel, None, rounding)


def draw(rng: np.random.Generator) -> Member:
    """A member of a random family, values and arguments scaled by 1e-8 to 1e8."""

    def scale(k: float = 8.0) -> float:
        return float(10.0 ** (k * rng.uniform(-1.0, 1.0) * rng.uniform()))

    def signed() -> float:
        return scale() * float(rng.choice([-1.0, 1.0]))

    kind = int(rng.integers(6))
    if kind == 0:
        return erf(signed(), scale())
    if kind == 1:
        return sine(signed(), scale(1.0), float(rng.uniform(-3.0, 3.0)))
    if kind == 2:
        return bump(signed(), scale(2.0))
    if kind == 3:
        return leaky(signed(), signed())
    if kind == 4:
        size = scale()
        return quadratic(*(size * float(x) for x in rng.standard_normal(3)))
    return jump(signed(), signed())
