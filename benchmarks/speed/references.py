"""Values that all ways are held against; they share no code with any of them.

Expectations are integrated over panels that end at the kinks, and two Gaussian variables one inside
the other, the inner panels cut anew for each outer node.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np

from benchmarks.speed.formulas import Formula

Array = np.ndarray[Any, np.dtype[Any]]
_REACH = 10.0  # standard deviations
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)


def single(f: Callable[[Any], Any], q: float, kinks: tuple[float, ...] = ()) -> float:
    r""":math:`E\\,f(u)`, u of variance q."""
    kinks = tuple(k / np.sqrt(q) for k in kinks)
    finer = [s * 0.25 / 2**k for k in range(10) for s in (-1.0, 1.0)]  # towards a narrow peak at 0
    z, w = _panels(np.array([*kinks, *finer])[None])
    return float(np.sum(w * f(np.sqrt(q) * z)))


def double(
    f: Callable[[Any], Any], q1: float, q2: float, c: float, kinks: tuple[float, ...] = ()
) -> float:
    r""":math:`E\\,f(u_1) f(u_2)` of two variables of variances q1, q2 and correlation c."""
    rest = np.sqrt(max(0.0, 1.0 - c * c))
    if rest < 1e-7:
        cuts = tuple(kinks) if q1 == q2 and c > 0 else tuple(sorted({*kinks, *(-k for k in kinks)}))
        edges = [k / np.sqrt(q) for k in cuts for q in {q1, q2}]
        z, w = _panels(np.array(edges)[None])
        return float(np.sum(w * f(np.sqrt(q1) * z) * f(np.sign(c) * np.sqrt(q2) * z)))
    z1, w1 = _panels(np.array([k / np.sqrt(q1) for k in kinks])[None])
    z1, w1 = z1[0], w1[0]
    edges = [(k / np.sqrt(q2) - c * z1) / rest for k in kinks]
    z2, w2 = _panels(np.stack(edges, axis=1) if edges else np.empty((z1.size, 0)))
    inner = np.sum(w2 * f(np.sqrt(q2) * (c * z1[:, None] + rest * z2)), axis=1)
    return float(np.sum(w1 * f(np.sqrt(q1) * z1) * inner))


def _panels(cuts: Array) -> tuple[Array, Array]:
    """Nodes and weights (times the density) of panels of half a unit, cut further; by rows."""
    regular = np.arange(-_REACH, _REACH + 0.25, 0.5)
    rows = np.broadcast_to(regular, (cuts.shape[0], regular.size))
    edges = np.sort(np.concatenate([rows, np.clip(cuts, -_REACH, _REACH)], axis=1), axis=1)
    half = 0.5 * np.diff(edges)[..., None]
    z = edges[:, :-1, None] + half * (1.0 + _NODES)
    w = half * _WEIGHTS * np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)
    return z.reshape(len(cuts), -1), w.reshape(len(cuts), -1)


def deep_kernels(
    formula: Formula, x: Array, sigma_w: float, sigma_b: float, depth: int
) -> tuple[Array, Array]:
    """NNGP and tangent kernel of the rows of `x`, each pair of layers by `double`."""
    n, w2, b2 = len(x), sigma_w**2, sigma_b**2
    k = b2 + w2 * x @ x.T / x.shape[1]
    theta = k.copy()
    for _ in range(depth - 1):
        value, slope = np.empty((n, n)), np.empty((n, n))
        for i in range(n):
            for j in range(i, n):
                c = min(1.0, k[i, j] / np.sqrt(k[i, i] * k[j, j])) if i != j else 1.0
                pair = (k[i, i], k[j, j], c)
                value[i, j] = value[j, i] = double(formula.value, *pair, formula.kinks)
                slope[i, j] = slope[j, i] = double(formula.slope, *pair, formula.kinks)
        k = b2 + w2 * value
        theta = k + w2 * slope * theta
    return k, theta


def relu_kernels(x: Array, sigma_w: float, sigma_b: float, depth: int) -> tuple[Array, Array]:
    """The same of relu in closed form, with thirty digits."""
    with mpmath.workdps(30):
        w2, b2 = mpmath.mpf(sigma_w) ** 2, mpmath.mpf(sigma_b) ** 2
        rows = [[mpmath.mpf(float(v)) for v in row] for row in x]
        n = len(rows)
        k = [[b2 + w2 * mpmath.fdot(a, b) / len(a) for b in rows] for a in rows]
        theta = [list(row) for row in k]
        for _ in range(depth - 1):
            new, tangent = [[mpmath.mpf(0)] * n for _ in rows], [[mpmath.mpf(0)] * n for _ in rows]
            for i in range(n):
                for j in range(n):
                    scale = mpmath.sqrt(k[i][i] * k[j][j])
                    c = k[i][j] / scale if i != j else mpmath.mpf(1)
                    angle = mpmath.acos(c)
                    arc = mpmath.sin(angle) + (mpmath.pi - angle) * c
                    new[i][j] = b2 + w2 * scale * arc / (2 * mpmath.pi)
                    slope = w2 * (mpmath.pi - angle) / (2 * mpmath.pi)
                    tangent[i][j] = new[i][j] + slope * theta[i][j]
            k, theta = new, tangent
        return tuple(np.array([[float(v) for v in row] for row in m]) for m in (k, theta))  # type: ignore[return-value]


def matrix_error(found: Array, exact: Array) -> float:
    r"""Largest difference of a kernel, an entry relative to :math:`\sqrt{K_{ii} K_{jj}}`."""
    size = np.sqrt(np.diag(exact))
    return float(np.max(np.abs(found - exact) / np.outer(size, size)))


def relative(found: Any, exact: Any) -> float:
    """Largest relative difference."""
    found, exact = np.asarray(found, dtype=float), np.asarray(exact, dtype=float)
    return float(np.max(np.abs(found - exact) / np.abs(exact)))
