r"""The end of a Hermite series that a kink at zero leaves, summed to infinity.

Behind N terms the coefficients are those of the kink's powers alone, which at zero are smooth
functions of n for even and for odd n,

.. math:: p_n = \varphi(0) \sum_m \Delta_m q^{m/2} (-1)^{\lfloor m/2 \rfloor}\,
   h(n - 1 - m) \sqrt{\frac{(n-1-m)!}{n!}}, \qquad
   h(k)^2 = \frac{k!}{2^k\,(k/2)!^2}

over m of the other parity. :math:`\sum_{n \ge N} p_n p'_n c^n` is then an integral in n, with the
corrections of Euler and Maclaurin at N. With :math:`t = N / n` the product is
:math:`n^{-5/2} G(t)`, a polynomial G to rounding, and

.. math:: I_l = \int_0^1 s^{2l} e^{-x/s^2} ds, \quad I_0 = e^{-x} - \sqrt{\pi x}\,
   \mathrm{erfc} \sqrt x, \quad (2l + 1) I_l = e^{-x} - 2x\,I_{l-1}, \quad x = -N \log |c|

Nothing is subtracted, however long the inputs and however near each other they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx

from chione.base import Array
from chione.base import chebyshev as kit

Index = NDArray[np.intp]

_STEP = 2.0  # of n
_DEGREES = 8  # of G: N is far beyond q, so that it bends little
_T = 0.5 + 0.5 * kit.nodes(_DEGREES)
# node values -> powers of t, (power, node)
_TO_POWERS: Array = np.asarray(
    np.linalg.inv(np.vander(_T, _DEGREES, increasing=True)), dtype=np.float64
)


@dataclass(frozen=True)
class KinkTail:
    """The tail from the N-th term on, N even; phi itself does not jump.

    Parameters
    ----------
    jumps : ndarray, shape (order + 1,)
        Jumps of phi and its derivatives at zero.
    start : int
        N.
    """

    jumps: Array
    start: int

    def rows(self, q: Array) -> Array:
        """Coefficients at the nodes in n, for even and for odd n, (2, nodes + 3, len(q))."""
        return np.stack([self._row(q, parity) for parity in (0, 1)])

    def _places(self, parity: int) -> Array:
        """Nodes in n, then the first n of a parity between its two neighbours."""
        first = float(self.start + parity)
        return np.concatenate([first / _T, first + _STEP * np.array([-1.0, 0.0, 1.0])])

    def _row(self, q: Array, parity: int) -> Array:
        n = self._places(parity)
        root = np.sqrt(q)
        out = np.zeros((len(n), len(q)))
        falling = np.ones_like(n)  # n! / (n - 1 - m)!
        for m, jump in enumerate(self.jumps.tolist()):
            falling = falling * (n - m)
            if m % 2 == parity or jump == 0.0:
                continue
            sign = -1.0 if (m // 2) % 2 else 1.0
            out += np.multiply.outer(
                sign * jump * _central(n - 1.0 - m) / np.sqrt(falling), root**m
            )
        out[:_DEGREES] *= n[:_DEGREES, None] ** 1.25
        return np.asarray(out / np.sqrt(2.0 * np.pi), dtype=np.float64)

    def sums(
        self, one: Array, two: Array, i: Index, j: Index, log_c: Array, sign: Array
    ) -> tuple[Array, Array]:
        """The tail of K and of dK/dc for pairs of columns of two sides, (k,)."""
        value, slope = np.zeros(len(log_c)), np.zeros(len(log_c))
        for parity in (0, 1):
            if not (one[parity].any() and two[parity].any()):
                continue
            first = float(self.start + parity)
            g = [one[parity, k].take(i) * two[parity, k].take(j) for k in range(_DEGREES + 3)]
            integrals = _integrals(-first * log_c, _DEGREES + 1)
            total, steep = np.zeros(len(log_c)), np.zeros(len(log_c))
            for power in range(_DEGREES):
                factor = sum(_TO_POWERS[power, k] * g[k] for k in range(_DEGREES))
                total += factor * integrals[power + 1]
                steep += factor * integrals[power]
            total *= 2.0 / _STEP * first**-1.5
            steep *= 2.0 / _STEP * first**-0.5
            there = self._places(parity)[_DEGREES:]
            at = [x * np.exp(n * log_c) for x, n in zip(g[_DEGREES:], there, strict=True)]
            total += _corrections(at)
            steep += _corrections([x * n for x, n in zip(at, there, strict=True)])
            value += total * (sign if parity else 1.0)
            slope += steep * np.exp(-log_c) * (1.0 if parity else sign)
        return value, slope


def _integrals(x: Array, n: int) -> list[Array]:
    """I_0 .. I_(n-1)."""
    decay = np.exp(-x)
    out = [decay * (1.0 - np.sqrt(np.pi * x) * erfcx(np.sqrt(x)))]
    for k in range(1, n):
        out.append((decay - 2.0 * x * out[-1]) / (2.0 * k + 1.0))
    return out


def _corrections(at: list[Array]) -> Array:
    """What Euler and Maclaurin add to half the integral, from G one step before, at, behind N."""
    before, here, behind = at
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.log(np.abs(behind / before)) / (2.0 * _STEP)
        bend = np.log(np.abs(behind * before / here / here)) / _STEP**2
    rate, bend = (np.where(np.isfinite(v), v, 0.0) for v in (rate, bend))
    third = rate**3 + 3.0 * rate * bend
    series = 0.5 - _STEP / 12.0 * rate + _STEP**3 / 720.0 * third - _STEP**5 / 30240.0 * rate**5
    return np.asarray(here * series)


def _central(k: Array) -> Array:
    """h(k) for k from about 100 on, by Stirling's series of the central binomial coefficient."""
    j = 1.0 / k
    series = 1.0 - j / 4.0 + j**2 / 32.0 + 5.0 * j**3 / 128.0 - 21.0 * j**4 / 2048.0
    return np.asarray(np.sqrt(np.sqrt(2.0 / (np.pi * k)) * series))
