"""What a user writes in an afternoon with NumPy and SciPy, and means to be quick."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import integrate, interpolate, optimize

Array = np.ndarray[Any, np.dtype[Any]]
Function = Callable[[Any], Any]


@lru_cache(maxsize=8)
def hermite(n: int) -> tuple[Array, Array]:
    """Nodes and weights of E f(z), z standard normal."""
    z, w = np.polynomial.hermite_e.hermegauss(n)
    return z, w / w.sum()


def moment(f: Function, q: Any, n: int = 100) -> Any:
    """E f(sqrt(q) z) of an array of q, by Gauss-Hermite."""
    z, w = hermite(n)
    return f(np.sqrt(q)[..., None] * z) @ w


def moment_in_blocks(f: Function, q: Array, n: int = 100, block: int = 4096) -> Array:
    """The same of many q, in pieces that fit the cache."""
    return np.concatenate([moment(f, q[i : i + block], n) for i in range(0, len(q), block)])


def quad(f: Function, q: float) -> float:
    """E f(sqrt(q) z), by scipy's adaptive rule; with infinite limits exp would overflow in f."""

    def integrand(z: float) -> float:
        return f(np.sqrt(q) * z) * np.exp(-0.5 * z * z)

    return integrate.quad(integrand, -10.0, 10.0)[0] / np.sqrt(2.0 * np.pi)


def kernel(f: Function, q1: Any, q2: Any, c: Array, n: int = 100) -> Array:
    """E f(u1) f(u2) for each correlation, on the n x n grid of Gauss-Hermite."""
    z, w = hermite(n)
    left = w * f(np.sqrt(q1) * z)
    return np.array([
        left @ f(np.sqrt(q2) * (rho * z[:, None] + np.sqrt(1.0 - rho * rho) * z)) @ w for rho in c
    ])  # fmt: skip


def arc_cosine(x: Array, sigma_w: float, sigma_b: float, depth: int) -> tuple[Array, Array]:
    """NNGP and tangent kernel of relu, whole matrices at a time."""
    w2, b2 = sigma_w**2, sigma_b**2
    k = b2 + w2 * x @ x.T / x.shape[1]
    theta = k.copy()
    for _ in range(depth - 1):
        norm = np.sqrt(np.diag(k))
        scale = np.outer(norm, norm)
        c = np.clip(k / scale, -1.0, 1.0)
        angle = np.arccos(c)
        k = b2 + w2 * scale * (np.sqrt(1.0 - c * c) + (np.pi - angle) * c) / (2.0 * np.pi)
        theta = k + w2 * (np.pi - angle) / (2.0 * np.pi) * theta
    return k, theta


def hermite_kernels(
    f: Function, df: Function, x: Array, sigma_w: float, sigma_b: float, depth: int, n: int = 20
) -> tuple[Array, Array]:
    """NNGP and tangent kernel of any function, rows of pairs at a time on an n x n grid."""
    z, w = hermite(n)
    z1, z2 = (g.ravel() for g in np.meshgrid(z, z, indexing="ij"))
    weights = np.outer(w, w).ravel()
    w2, b2 = sigma_w**2, sigma_b**2
    k = b2 + w2 * x @ x.T / x.shape[1]
    theta = k.copy()
    for _ in range(depth - 1):
        norm = np.sqrt(np.diag(k))
        value, slope = np.empty_like(k), np.empty_like(k)
        for i in range(len(x)):
            c = np.clip(k[i] / (norm[i] * norm), -1.0, 1.0)[:, None]
            u2 = norm[:, None] * (c * z1 + np.sqrt(1.0 - c * c) * z2)
            value[i] = f(u2) @ (weights * f(norm[i] * z1))
            slope[i] = df(u2) @ (weights * df(norm[i] * z1))
        k = b2 + w2 * value
        theta = k + w2 * slope * theta
    return k, theta


class SplineTable:
    """E f(sqrt(q) z) from a cubic spline in log q, filled by Gauss-Hermite."""

    def __init__(self, f: Function, low: float, high: float, count: int = 400) -> None:
        self.f, self.log_q, self.spline = f, np.linspace(np.log(low), np.log(high), count), None

    def prepare(self, _: int = 0) -> None:
        """Fill it."""
        values = moment(self.f, np.exp(self.log_q))
        self.spline = interpolate.CubicSpline(self.log_q, values)

    def __call__(self, q: Array) -> Array:
        return self.spline(np.log(q))


def student_cell(sigma_w: float, sigma_b: float) -> tuple[float, float]:
    """q* and chi of tanh by scipy's quad and fixed_point, as problem sets ask for it."""

    def length(q: Any) -> float:
        return sigma_w**2 * quad(lambda h: np.tanh(h) ** 2, float(q)) + sigma_b**2

    q = float(optimize.fixed_point(length, 0.7))
    return q, sigma_w**2 * quad(lambda h: np.cosh(h) ** -4, q)


def hermite_diagram(
    f: Function, df: Function, sigma_w: Array, sigma_b: Array, steps: int = 300, n: int = 50
) -> tuple[Array, Array]:
    """q* and chi, rows along sigma_b: the length map again and again on whole arrays."""
    w2, b2 = np.meshgrid(sigma_w**2, sigma_b**2)
    q = np.ones_like(w2)
    for _ in range(steps):
        new = w2 * moment(lambda h: f(h) ** 2, q, n) + b2
        if np.max(np.abs(new - q)) < 1e-12:
            break
        q = new
    return q, w2 * moment(lambda h: df(h) ** 2, q, n)
