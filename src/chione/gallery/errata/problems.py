"""Slips of the problem set."""

from __future__ import annotations

import numpy as np
from scipy.integrate import quad
from scipy.stats import norm

from chione.gallery.errata.lectures import _slope_at_one
from chione.gallery.errata.slip import Evidence, Slip
from chione.gallery.plain import average, settled_length

SOURCE = "Problem set 1: signal propagation"
_W, _B = 1.3, 0.3


def _listing_length() -> Evidence:
    def as_printed(x: float, q: float) -> float:
        return float(np.tanh(x * np.sqrt(q)) * 2 * np.sqrt(2 * np.pi) * np.exp(-0.5 * x * x))

    def corrected(x: float, q: float) -> float:
        return float(np.tanh(x * np.sqrt(q)) ** 2 * np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi))

    ends = []
    for f in (as_printed, corrected):
        q = 0.7
        for _ in range(80):
            q = _W**2 * quad(f, -np.inf, np.inf, args=(q,))[0] + _B**2
        ends.append(float(q))
    return Evidence(ends[0], ends[1], settled_length(np.tanh, _W, _B), 1e-7)


def _listing_chi() -> Evidence:
    q = settled_length(np.tanh, _W, _B)

    def mean(power: int) -> float:
        def f(x: float) -> float:
            return float(np.cosh(x * np.sqrt(q)) ** -power * norm.pdf(x))

        return float(_W**2 * quad(f, -30, 30)[0])

    return Evidence(mean(2), mean(4), _W**2 * average(lambda h: np.cosh(h) ** -4.0, q), 1e-8)


def _trace() -> Evidence:
    q = settled_length(np.tanh, _W, _B)
    rng, n = np.random.default_rng(9), 1500
    w = rng.standard_normal((n, n)) * _W / np.sqrt(n)
    d = np.cosh(np.sqrt(q) * rng.standard_normal(n)) ** -2.0
    chi = _W**2 * average(lambda h: np.cosh(h) ** -4.0, q)
    printed = float(np.sum(d * np.diag(w)) / n)
    return Evidence(printed, chi, float(np.sum((w * d) ** 2) / n), 0.03)


def _concavity() -> Evidence:
    """Soft threshold at 1: V is convex at small q."""

    def closed(q: float) -> float:
        a = 1.0 / np.sqrt(q)
        return float(2.0 * ((q + 1.0) * norm.sf(a) - np.sqrt(q) * norm.pdf(a)))

    def integral(q: float) -> float:
        def f(z: float) -> float:
            return float((np.sqrt(q) * z - 1.0) ** 2 * norm.pdf(z))

        a = 1.0 / np.sqrt(q)
        return float(2.0 * quad(f, a, a + 12.0, epsabs=1e-14)[0])

    right, check = (v(0.2) - 0.5 * (v(0.1) + v(0.3)) for v in (closed, integral))
    return Evidence(0.0, right, check, 1e-10)


SLIPS = (
    Slip(SOURCE, "3(e), listing", "code",
         "`tanh(...) * 2` in place of the square, and a factor sqrt(2 pi) in place of its inverse",
         "`tanh(...)**2` and `exp(-x*x/2) / sqrt(2*pi)`",
         r"$q^*$ of tanh at (1.3, 0.3)", _listing_length),
    Slip(SOURCE, "5(d), listing", "code", "`1/np.cosh(x*sqrt(q))**2`",
         r"`**4`, since $\phi'^2 = \mathrm{sech}^4$: the ordered phase was called chaotic",
         r"$\chi$ of tanh at (1.3, 0.3)", _listing_chi),
    Slip(SOURCE, "5(b)", "mathematics",
         r"$\chi = \sigma_w^2 \int \phi'(\sqrt{q^*}\rho) D\rho$",
         r"$\sigma_w^2 \int \phi'(\sqrt{q^*}\rho)^2 D\rho$",
         "slope of the correlation map at 1, tanh (1.3, 0.3)", _slope_at_one),
    Slip(SOURCE, "5(b)", "mathematics", r"$\frac1N \mathrm{tr}(J^T J) = \frac1N \mathrm{tr}(DW)$",
         r"$\frac1N \mathrm{tr}(D W^T W D)$",
         "the trace, tanh (1.3, 0.3), on a sampled layer", _trace),
    Slip(SOURCE, "3(c), optional", "mathematics",
         r"monotone $\phi$ with $\phi(0)=0$ has a concave length map",
         "false: soft threshold has a convex part (so no proof exists)",
         r"$V(0.2) - \frac12(V(0.1) + V(0.3))$, which a concave map keeps at or above 0",
         _concavity),
)  # fmt: skip
