r"""p-values of the usual laws, with estimated parameters or with given ones.

Each is a chance under the law, so that a level of 1e-3 means 1e-3: checked on draws in the tests.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import special, stats

from chione.base import Array

_FEWEST = 8  # entries of which a shape can be told at all


def anderson_darling_p(x: Array) -> float:
    """Chance of an Anderson-Darling statistic as large for normal x, mean and spread unknown.

    References
    ----------
    .. [1] R. B. D'Agostino and M. A. Stephens, Goodness-of-Fit Techniques (1986), table 4.9.
    """
    n = x.size
    std = x.std(ddof=1) if n > 1 else 0.0
    if n < _FEWEST or std == 0.0:
        return 1.0
    z = np.sort((x - x.mean()) / std)
    odd = 2.0 * np.arange(1, n + 1) - 1.0
    a = -n - float(np.mean(odd * (special.log_ndtr(z) + special.log_ndtr(-z[::-1]))))
    a *= 1.0 + 0.75 / n + 2.25 / n**2
    if a >= 0.6:  # [1]; the square turns up again far out, where the slope is kept
        far = max(a - 13.0, 0.0)
        a = min(a, 13.0)
        return float(math.exp(1.2937 - 5.709 * a + 0.0186 * a**2 - 5.0 * far))
    if a >= 0.34:
        return float(math.exp(0.9177 - 4.279 * a - 1.38 * a**2))
    if a >= 0.2:
        return float(1.0 - math.exp(-8.318 + 42.796 * a - 59.938 * a**2))
    return float(1.0 - math.exp(-13.436 + 101.14 * a - 223.73 * a**2))


def largest_too_small_p(largest: float, n: int) -> float:
    r"""Chance that the largest of n normal |z| is below `largest`: :math:`(2 \Phi(c) - 1)^n`."""
    inside = 1.0 - 2.0 * special.ndtr(-largest)
    return float(math.exp(n * math.log(inside))) if inside > 0.0 else 0.0


def largest_too_large_p(largest: float, n: int) -> float:
    """Chance that the largest of n |z| is above `largest`, in population standard deviations.

    References
    ----------
    .. [1] F. E. Grubbs, Ann. Math. Stat. 21 (1950) 27: the maximum through Student's law.
    """
    if n < 3:
        return 1.0
    square = largest**2 * (n - 1.0) / n  # in units of the sample's variance, as in [1]
    room = (n - 1.0) ** 2 - n * square
    if room <= 0.0:
        return 0.0
    t = math.sqrt(n * (n - 2.0) * square / room)
    return float(min(1.0, 2.0 * n * stats.t.sf(t, n - 2)))


def normal_p(x: Array, largest: float, n: int) -> float:
    """Of a normal law with unknown mean and spread.

    Parameters
    ----------
    x : Array
        A sample of the entries.
    largest : float
        The largest distance from the mean among all entries, in standard deviations.
    n : int
        Number of all entries.
    """
    parts = [anderson_darling_p(x), largest_too_large_p(largest, n)]
    if n >= 50:  # below, the estimated spread follows the largest entry
        parts.append(largest_too_small_p(largest, n))
    return min(1.0, len(parts) * min(parts))


def uniform_p(x: Array, low: float, high: float) -> float:
    """Of a uniform law with unknown ends: between the ends found, the rest is uniform."""
    inner = x[(x > low) & (x < high)]
    if inner.size < _FEWEST - 2 or high <= low:
        return 1.0
    return float(stats.kstest((inner - low) / (high - low), "uniform").pvalue)


def kolmogorov_p(u: Array) -> float:
    """Of uniform numbers in (0, 1)."""
    return float(stats.kstest(u, "uniform").pvalue)


# ---- a normal law that is cut on both sides at the same distance -----------------------------


def shrink(cut: float) -> float:
    r"""Spread of a normal law cut at +-`cut` of its own sigma: sqrt(1 - 2 c phi(c) / (2 Phi - 1)).

    For small c it is c / sqrt(3), the uniform law.
    """
    if math.isinf(cut):
        return 1.0
    if cut < 0.05:
        return cut / math.sqrt(3.0)
    density = math.exp(-0.5 * cut * cut) / math.sqrt(2.0 * math.pi)
    return math.sqrt(1.0 - 2.0 * cut * density / special.erf(cut / math.sqrt(2.0)))


def cut_from_ratio(ratio: float) -> float:
    """The cut c, in sigma, at which half the range over the spread is `ratio`: c / shrink(c)."""
    low, high = 0.05, 40.0
    if ratio <= low / shrink(low):
        return 0.0
    if ratio >= high:
        return math.inf
    for _ in range(60):
        mid = 0.5 * (low + high)
        low, high = (mid, high) if mid / shrink(mid) < ratio else (low, mid)
    return 0.5 * (low + high)


def cut_normal_cdf(z: Array, cut: float) -> Array:
    """Distribution function of z in units of the uncut sigma, from -`cut` to `cut`."""
    inside = special.erf(cut / math.sqrt(2.0))
    out = (special.ndtr(z) - special.ndtr(-cut)) / inside
    return np.asarray(np.clip(out, 0.0, 1.0))


def truncated_p(x: Array, centre: float, half: float, std: float) -> tuple[float, float]:
    """p-value and cut of a normal law cut at `centre` +- `half`; conservative (one parameter fit).

    Returns
    -------
    tuple of float
        The p-value, and the cut in units of the uncut sigma.
    """
    cut = cut_from_ratio(half / std) if std > 0.0 else 0.0
    if not 0.3 <= cut <= 6.0:  # below, nobody can tell it from uniform; above, from normal
        return 0.0, cut
    inner = x[np.abs(x - centre) < half]
    return kolmogorov_p(cut_normal_cdf((inner - centre) * cut / half, cut)), cut


# ---- rows of different spread ----------------------------------------------------------------


def uneven_p(squares: Array, per_row: int, kurtosis: float) -> tuple[float, int]:
    r"""Whether mean squares drift or jump along an axis, and where.

    The walk of their deviations is a Brownian bridge where all rows have one law:

    .. math:: S_k = \sum_{i \le k} \frac{s_i - \bar s}{\bar s}
       \sqrt{\frac{m}{(\kappa - 1) R}}, \qquad \max_k |S_k| \sim \text{Kolmogorov}

    Parameters
    ----------
    squares : Array, shape (R,)
        Mean squares of the rows.
    per_row : int
        Entries m of a row.
    kurtosis : float
        Of the entries within a row.

    Returns
    -------
    tuple of (float, int)
        The p-value and the first row behind the largest step.
    """
    n = squares.size
    mean = squares.mean() if n else 0.0
    if n < 2 or mean <= 0.0:
        return 1.0, 0
    noise = math.sqrt(max(kurtosis - 1.0, 0.1) / per_row)
    walk = np.cumsum(squares / mean - 1.0) / (noise * math.sqrt(n))
    at = int(np.argmax(np.abs(walk[:-1])))
    return float(special.kolmogorov(abs(walk[at]))), at + 1
