r"""Moments of softmax weights of exchangeable Gaussian scores, for any number of tokens.

.. math:: w_s = \frac{e^{u_s}}{\sum_r e^{u_r}}, \qquad (u_s, u'_s) \sim N\!\left(0,
   \begin{pmatrix} v_1 & \rho\sqrt{v_1 v_2} \\ & v_2 \end{pmatrix}\right)

independent over tokens s = 1, ..., T (a part of the scores that all tokens share cancels). With
:math:`1 / Z^k = \int l^{k-1} e^{-l Z} dl / \Gamma(k)` every moment is an integral over one
variable :math:`y = \log l`, or two, of expectations over one token:

.. math:: E \sum_s w_s^2 = T \int a_2\, a_0^{T-1}\,dy, \qquad
   E \sum_s w_s w'_s = T_1 \iint a_{11}\, a_{00}^{T_1 - 1} a_{01}^{T_2 - T_1}\,dy\,dy'

.. math:: a_{jk}(y, y') = E\,E_1^j e^{-E_1} E_2^k e^{-E_2}, \qquad
   E_1 = e^{y + u}, \; E_2 = e^{y' + u'}

and likewise for the others (the second row sees :math:`T_2 \ge T_1` tokens). Given the shared part
of u and u' the two factors are independent, so :math:`a_{jk}` on a grid is a product of two small
matrices. All integrands are analytic in a strip, so that trapezoidal rules converge
exponentially; the cost does not depend on T. Errors are those of the rule of twice the step,
raised to a power below that of the theory (two).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from chione.base import EPS, Array
from chione.theory.moments.attention_lines import REACH, Line, line, shared_step, token, trapezoid

_MOST = 1 << 30  # products of one grid; more, and the steps grow
_FINER = 0.5  # factor on the step for single rows
_FLOOR = 2e-13  # relative, of sums over smooth grids
_CLOSE = 0.05  # variance of a difference of scores below which distances are integrals of slopes
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(3)


class RowMoments(NamedTuple):
    r"""Moments of one row and their errors.

    Parameters
    ----------
    square, cube, squared : float
        :math:`E \sum w^2`, :math:`E \sum w^3` and :math:`E (\sum w^2)^2`.
    slope : float
        :math:`E \operatorname{tr} D^2 = E \sum w^2 - 2 E \sum w^3 + E (\sum w^2)^2` with
        :math:`D = \operatorname{diag}(w) - w w^T`.
    errors : tuple of float
        Bounds on the absolute errors of the four.
    """

    square: float
    cube: float
    squared: float
    slope: float
    errors: tuple[float, float, float, float]


class PairMoments(NamedTuple):
    r"""Moments of two rows and their errors, one entry for each pair of numbers of tokens.

    Parameters
    ----------
    overlap : ndarray
        :math:`E \sum w w'`.
    slope : ndarray
        :math:`E \operatorname{tr} D D' = E [\sum w w' - \sum w^2 w' - \sum w w'^2
        + (\sum w w')^2]`, sums over the tokens that both see.
    overlap_error, slope_error : ndarray
        Bounds on their absolute errors.
    """

    overlap: Array
    slope: Array
    overlap_error: Array
    slope_error: Array


@lru_cache(maxsize=4096)
def row_moments(v: float, tokens: int) -> RowMoments:
    """Moments of a row of weights.

    Parameters
    ----------
    v : float
        Variance of the part of a score that is not shared by all tokens, from 0.
    tokens : int
        How many tokens are seen.
    """
    if tokens == 1:
        return RowMoments(1.0, 1.0, 1.0, 0.0, (0.0,) * 4)
    at = line(math.sqrt(v), math.sqrt(v), (tokens, tokens), _FINER)  # one line costs little
    rare, a1, a2, a3, a4 = token(at.y, math.sqrt(v), 4)
    log = _log_rest(rare)
    power = np.exp((tokens - 1) * log)
    terms = tokens * np.stack(
        [
            a1 * power,
            a2 * power,
            a3 * power / 2.0,
            (a4 * power + (tokens - 1) * a2**2 * np.exp((tokens - 2) * log)) / 6.0,
        ]
    )
    fine, coarse = terms @ at.weights, terms[:, ::2] @ (2.0 * at.weights[::2])
    errors = list(_errors(fine, coarse, v, power=0.2)[1:])
    square, cube, squared = (float(x) for x in fine[1:])
    errors = [float(e + abs(fine[0] - 1.0) * x) for e, x in zip(errors, fine[1:], strict=True)]
    slope = square - 2.0 * cube + squared
    # all three differ from those of uniform weights by what differs between tokens
    total = errors[0] + 2.0 * errors[1] + errors[2] + EPS * square
    return RowMoments(square, cube, squared, slope, (*errors, total))


def pair_moments(
    v1: float, v2: float, rho: float, first: tuple[int, ...], second: tuple[int, ...]
) -> PairMoments:
    """Moments of two rows of weights.

    Parameters
    ----------
    v1, v2 : float
        Variances of the parts of the scores that are not shared by all tokens, from 0.
    rho : float
        Correlation of both at one token, from -1 to 1.
    first, second : tuple of int
        Numbers of tokens that the rows see, pair by pair; the smaller number is a part of the
        greater.
    """
    key = [(a, b) if a <= b else (-b, -a) for a, b in zip(first, second, strict=True)]
    out = np.empty((4, len(key)))
    for flipped in (False, True):
        at = [i for i, (a, _) in enumerate(key) if (a < 0) == flipped]
        if at:
            pairs = tuple((abs(key[i][0]), abs(key[i][1])) for i in at)
            if flipped:
                pairs = tuple((b, a) for b, a in pairs)
            sides = (v2, v1) if flipped else (v1, v2)
            out[:, at] = _pairs(*sides, rho, tuple((min(p), max(p)) for p in pairs))
    return PairMoments(*out)


@lru_cache(maxsize=4096)
def head_size_correction(v: float, tokens: int, size: int) -> float:
    r"""Relative change of :math:`S = E \sum w^2` in heads of d channels, to first order.

    .. math:: \frac{\Delta S}{S} = \frac{v^2}{d}\,\frac{S''(v)}{S}

    since given the query a row of scores is Gaussian with the variance v times a mean of d squares
    of N(0, 1), whose variance is 2 / d. Keys that move together with the weights add a change of
    the same order to what goes through queries and keys. Measured with sampled heads, times d:

    ====  ===  =====================  ============================
    v     T    here                   gradient (iid cotangents)
    ====  ===  =====================  ============================
    0.8   6    -0.10                  -0.15
    5.2   6    -0.33                  -0.40
    0.8   16   0.02                   0.1
    6.6   16   -0.47                  -0.54
    0.8   64   0.31                   0.6
    ====  ===  =====================  ============================

    for d = 16, 32 and 64 alike (4 is beyond the first order), so 2 % at d = 32 at most.
    """
    if v <= 0.0 or tokens == 1:
        return 0.0
    low, middle, high = (row_moments(x * v, tokens).square for x in (0.95, 1.0, 1.05))
    return (low - 2.0 * middle + high) / (0.05**2 * middle * size)


@lru_cache(maxsize=4096)
def weight_distance(v: float, gap: float, tokens: int) -> tuple[float, float]:
    r""":math:`E \sum (w - w')^2` of two rows of one variance, and a bound on its error.

    .. math:: E \sum (w - w')^2 = 2 \int_{v - g/2}^v E \operatorname{tr} D D'\,dc

    by Price's theorem, for a small variance g of the difference of scores, with relative accuracy
    however small it is.

    Parameters
    ----------
    v : float
        Variance of a score, without the shared part.
    gap : float
        Variance of the difference of both scores of a token.
    tokens : int
        How many tokens are seen.
    """
    if gap == 0.0 or tokens == 1:
        return 0.0, 0.0
    if gap > _CLOSE * min(1.0, v):
        rho = max(1.0 - gap / (2.0 * v), -1.0)
        row, pair = row_moments(v, tokens), pair_moments(v, v, rho, (tokens,), (tokens,))
        error = 2.0 * (row.errors[0] + float(pair.overlap_error[0])) + 4.0 * EPS * row.square
        return max(2.0 * (row.square - float(pair.overlap[0])), 0.0), error
    inside = v - gap / 4.0 * (1.0 - _NODES)
    slopes = [pair_moments(v, v, min(c / v, 1.0), (tokens,), (tokens,)) for c in inside]
    value = gap / 2.0 * sum(w * float(x.slope[0]) for w, x in zip(_WEIGHTS, slopes, strict=True))
    error = (
        gap / 2.0 * sum(w * float(x.slope_error[0]) for w, x in zip(_WEIGHTS, slopes, strict=True))
    )
    return value, error + value * (min(1.0, gap) ** 6 + 4.0 * EPS)


# ---- two rows -----------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _pairs(v1: float, v2: float, rho: float, tokens: tuple[tuple[int, int], ...]) -> Array:
    """Overlap, slope and their errors (4, pairs), for T1 <= T2."""
    out = np.empty((4, len(tokens)))
    single = np.array([a == 1 for a, _ in tokens])
    for i, (_, b) in enumerate(tokens):
        out[:, i] = 1.0 / b, 0.0, EPS / b, 0.0  # the only token of the first row
    if single.all():
        return out
    counts = np.array([pair for pair in tokens if pair[0] > 1], dtype=np.float64).T
    grids = _grids(v1, v2, rho, counts)
    fine = _sums(grids, counts, (1, 1))
    if grids.resolved:  # then the rule over z is right by its construction
        errors = _errors(fine, _sums(grids, counts, (2, 1)), max(v1, v2))
    else:
        errors = np.abs(fine - _sums(grids, counts, (2, 2))) + _FLOOR * np.abs(fine)
    slope = fine[0] - fine[1] - fine[2] + fine[3]
    slope_error = errors.sum(axis=0) + EPS * fine[0]
    out[:, ~single] = fine[0], slope, errors[0], slope_error
    return out


class _Grids(NamedTuple):
    """Lines in y and y', and one-token moments over them and over the shared part z."""

    first: Line
    second: Line
    z_weights: Array
    one: list[Array]  # (y, z): complement of a_0, a_1, a_2
    two: list[Array]
    resolved: bool


def _grids(v1: float, v2: float, rho: float, counts: Array) -> _Grids:
    r"""With :math:`u = \sqrt{v_1}(\sqrt{|\rho|} z + \sqrt{1 - |\rho|} x)`, and u' likewise."""
    own = [math.sqrt(v * (1.0 - abs(rho))) for v in (v1, v2)]
    shared = [math.sqrt(v * abs(rho)) for v in (v1, v2)]
    coarser = 1.0
    while True:
        lines = [
            line(math.sqrt(v), s, (int(t.min()), int(t.max())), coarser)
            for v, s, t in zip((v1, v2), own, counts, strict=True)
        ]
        z, z_weights = _shared(lines, own, shared, rho >= 0.0, coarser)
        work = len(lines[0].y) * len(lines[1].y) * len(z)
        if work <= _MOST:
            break
        coarser *= 1.05 * (work / _MOST) ** (1.0 / 3.0)
    one = token(lines[0].y[:, None] + shared[0] * z, own[0], 2)
    sign = 1.0 if rho >= 0.0 else -1.0
    alike = v1 == v2 and sign > 0.0 and np.array_equal(lines[0].y, lines[1].y)
    two = one if alike else token(lines[1].y[:, None] + sign * shared[1] * z, own[1], 2)
    return _Grids(lines[0], lines[1], z_weights, one, two, coarser == 1.0)


def _shared(
    lines: list[Line], own: list[float], shared: list[float], alike: bool, coarser: float
) -> tuple[Array, Array]:
    """Nodes and weights in z; e^{2 u}, e^{2 u'} tilt it until the exponentials cut them off."""
    tilt = [
        min(2.0 * s, max(0.0, -float(x.y[0])) / s) if s > 0.0 else 0.0
        for x, s in zip(lines, shared, strict=True)
    ]
    up, down = (sum(tilt), 0.0) if alike else (tilt[0], tilt[1])
    return trapezoid(REACH + down, REACH + up, coarser * shared_step(own, shared))


def _sums(grids: _Grids, counts: Array, every: tuple[int, int]) -> Array:
    """Sums of w w', w^2 w', w w'^2 and the square of the first, on some nodes in y and z."""
    e, f = every
    wz = f * grids.z_weights[::f]
    one, two = ([a[::e, ::f] for a in side] for side in (grids.one, grids.two))
    scaled = [a * wz for a in one]
    rare2 = two[0] @ wz
    rare = scaled[0].sum(axis=1)[:, None] + rare2 - scaled[0] @ two[0].T
    a11, a21, a12, a22 = (scaled[j] @ two[k].T for j, k in ((1, 1), (2, 1), (1, 2), (2, 2)))
    log, log2 = _log_rest(rare), _log_rest(rare2)
    w1, w2 = (e * at.weights[::e] for at in (grids.first, grids.second))
    out = np.empty((4, counts.shape[1]))
    square = a11 * a11
    for i, (t1, t2) in enumerate(counts.T):
        fewer = np.exp((t1 - 2.0) * log + (t2 - t1) * log2)
        power = fewer * (1.0 - rare)
        integrands = (
            a11 * power,
            a21 * power,
            a12 * power,
            a22 * power + (t1 - 1.0) * square * fewer,
        )
        out[:, i] = [t1 * (w1 @ x @ w2) for x in integrands]
    return out


def _log_rest(rare: Array) -> Array:
    """log(1 - x), where x may have been rounded to one."""
    return np.asarray(np.log1p(-np.minimum(rare, 1.0 - EPS)))


def _errors(fine: Array, coarse: Array, v: float, power: float = 0.7) -> Array:
    """Bounds on the errors of the fine sums, from what twice the step changes.

    Twice the step squares the error where the grid resolves all; beyond a variance of 9 narrow
    strips are resolved late, and less is claimed.
    """
    floor, power = (_FLOOR, power) if v <= 9.0 else (50.0 * _FLOOR, 0.2)
    size = np.abs(fine) + 1e-300
    change = np.minimum(np.abs(fine - coarse) / size, 1.0)
    return np.asarray(size * (floor + change * np.minimum(1.0, 10.0 * change**power)))
