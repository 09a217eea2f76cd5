r"""E phi^2 of piecewise polynomials and of some smooth functions to 40 digits, in mpmath.

Moments over an interval by parts: with :math:`I_k = \int_a^b x^k p(x)\,dx` and p the density of
N(0, q), :math:`I_k = (k - 1) q I_{k-2} - q\,[x^{k-1} p(x)]_a^b`.
"""

from collections.abc import Callable

import mpmath as mp

Pieces = list[tuple[mp.mpf, mp.mpf, list[mp.mpf]]]  # from, to, coefficients by rising power


def interval_moments(a, b, q, n):
    s = mp.sqrt(q)

    def density(x):
        return mp.mpf(0) if mp.isinf(x) else mp.npdf(x / s) / s

    def boundary(x, k):
        return mp.mpf(0) if mp.isinf(x) else x**k * density(x)

    def tail(x):
        return mp.erfc(x / s / mp.sqrt(2)) / 2

    # the difference of tails on the side where they are small: nothing cancels there
    mass = (
        tail(a) - tail(b) if a >= 0 else tail(-b) - tail(-a) if b <= 0 else 1 - tail(-a) - tail(b)
    )
    out = [mass, q * (density(a) - density(b))]
    for k in range(2, n + 1):
        out.append((k - 1) * q * out[k - 2] - q * (boundary(b, k - 1) - boundary(a, k - 1)))
    return out


def piecewise_square(pieces: Pieces) -> Callable[[mp.mpf], mp.mpf]:
    def square(q):
        total = mp.mpf(0)
        for a, b, p in pieces:
            c = [mp.mpf(0)] * (2 * len(p) - 1)
            for i, x in enumerate(p):
                for j, y in enumerate(p):
                    c[i + j] += x * y
            m = interval_moments(a, b, q, len(c) - 1)
            total += sum(x * y for x, y in zip(c, m[: len(c)], strict=True))
        return total

    return square


INF, ONE, SIX = mp.inf, mp.mpf(1), mp.mpf(6)
PIECES: dict[str, Pieces] = {
    "relu6": [(mp.mpf(0), SIX, [0, ONE]), (SIX, INF, [SIX])],
    "hardtanh": [(-INF, -ONE, [-ONE]), (-ONE, ONE, [0, ONE]), (ONE, INF, [ONE])],
    "softshrink": [(-INF, -ONE / 2, [ONE / 2, ONE]), (ONE / 2, INF, [-ONE / 2, ONE])],
    "hardshrink": [(-INF, -ONE / 2, [0, ONE]), (ONE / 2, INF, [0, ONE])],
    "hardswish": [(-3 * ONE, 3 * ONE, [0, ONE / 2, ONE / SIX]), (3 * ONE, INF, [0, ONE])],
    "hardsigmoid": [(-3 * ONE, 3 * ONE, [ONE / 2, ONE / SIX]), (3 * ONE, INF, [ONE])],
    "squared_relu": [(mp.mpf(0), INF, [0, 0, ONE])],
}
CLOSED: dict[str, Callable[[mp.mpf], mp.mpf]] = {
    "erf": lambda q: 2 / mp.pi * mp.asin(2 * q / (1 + 2 * q)),
    "sin": lambda q: -mp.expm1(-2 * q) / 2,
    "cos": lambda q: (1 + mp.exp(-2 * q)) / 2,
    "exp(-x*x/2)": lambda q: 1 / mp.sqrt(1 + 2 * q),
    "relu": lambda q: q / 2,
    **{name: piecewise_square(pieces) for name, pieces in PIECES.items()},
}


def root_near(square, w2, b2, start):
    """Root of w2 E phi^2 + b2 = q next to `start`, by Newton's method on log q."""
    q = mp.mpf(start)
    for _ in range(200):
        h = q * mp.mpf(10) ** (-mp.mp.dps // 3)
        f = w2 * square(q) + b2 - q
        slope = w2 * (square(q + h) - square(q - h)) / (2 * h) - 1
        step = -f / slope
        step = max(min(step, q / 4), -q / 4)
        q += step
        if abs(step) < q * mp.mpf(10) ** (-mp.mp.dps // 2):
            return q
    raise ValueError("no root near the start")
