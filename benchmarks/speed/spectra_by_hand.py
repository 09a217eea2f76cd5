"""Spectra as papers write them down: equations in the upper half plane, fixed points, sampling.

Used as peers with the points and steps of an afternoon, and as references with many.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Transform = Callable[[Array], tuple[Array, Array]]


# ---- Jacobians: Pennington, Schoenholz, Ganguli 2018 ----------------------------------------


def squared_slopes(slope: Callable[[Array], Array], q: float, n: int) -> tuple[Array, Array]:
    """Nodes t = phi'(h)^2 and weights; n Gauss-Hermite nodes, or panels of 16 where n is 0."""
    if n:
        z, w = np.polynomial.hermite_e.hermegauss(n)
        w = w / w.sum()
    else:
        x, v = np.polynomial.legendre.leggauss(16)
        edges = np.linspace(-9.0, 9.0, 1441)
        half = 0.5 * np.diff(edges)[:, None]
        z = (edges[:-1, None] + half * (1.0 + x)).ravel()
        w = (half * v).ravel() * np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)
    return slope(np.sqrt(q) * z) ** 2, w


def master_density(
    t: Array, p: Array, sigma_w: float, depth: int, lam: Array, steps: int, tolerance: float
) -> Array:
    r"""Density of Gaussian networks at points of a band.

    .. math:: \log z = L \log(\sigma_w^2 w) + (L-1) \log M(w) + \log(1 + M(w)),
       \quad M(w) = E \frac{t}{w - t}

    by Newton in w from z = lam + 20 i max(lam) down to the real axis, :math:`M = z G(z) - 1`.
    """
    mu = float(p @ t)
    gain = sigma_w**2
    top = 20.0 * float(np.max(lam))
    w = (lam + 1j * top) / (gain**depth * mu ** (depth - 1))
    heights = [*np.geomspace(top, 1e-9 * top, steps), 0.0]
    for y in heights:
        z = lam + 1j * y
        for _ in range(60):
            kernel = 1.0 / (w[:, None] - t)
            m, dm = kernel @ (p * t), -(kernel * kernel) @ (p * t)
            log_z = depth * np.log(gain * w) + (depth - 1) * np.log(m) + np.log(1.0 + m)
            miss = log_z - np.log(z)
            miss = miss.real + 1j * ((miss.imag + np.pi) % (2.0 * np.pi) - np.pi)
            step = miss / (depth / w + (depth - 1) * dm / m + dm / (1.0 + m))
            step *= np.minimum(1.0, 0.5 * w.imag / np.maximum(step.imag, 1e-300))
            w = w - step
            if np.max(abs(step) / abs(w)) < tolerance:
                break
    m = (1.0 / (w[:, None] - t)) @ (p * t)
    return np.asarray(np.maximum(-m.imag, 0.0) / (np.pi * lam))


# ---- free sums ------------------------------------------------------------------------------


def cauchy(places: Array) -> Transform:
    """G(z) of equal masses at places, and its derivative."""

    def transform(z: Array) -> tuple[Array, Array]:
        kernel = 1.0 / (z[:, None] - places)
        return kernel.mean(axis=1), -(kernel * kernel).mean(axis=1)

    return transform


def sum_by_fixed_point(a: Transform, b: Transform, x: Array, height: float, most: int) -> Array:
    r"""Density of the free sum at x + i height by iterating the subordination [1].

    .. math:: \omega \leftarrow z + H_b(z + H_a(\omega)), \quad H(w) = 1/G(w) - w

    References
    ----------
    .. [1] S. Belinschi, H. Bercovici, J. Anal. Math. 101, 2007.
    """
    omega = x + 1j * height
    active = np.arange(x.size)
    for _ in range(most):
        z, old = x[active] + 1j * height, omega[active]
        second = z + 1.0 / a(old)[0] - old
        new = z + 1.0 / b(second)[0] - second
        omega[active] = new
        active = active[abs(new - old) > 1e-8 * (1.0 + abs(old))]
        if active.size == 0:
            break
    return np.asarray(-a(omega)[0].imag / np.pi)


def sum_by_newton(a: Transform, b: Transform, x: Array, steps: int = 400) -> Array:
    """The same on the real axis by Newton, continued from far above: the reference."""
    top = 40.0 * float(np.max(abs(x)) + 1.0)
    omega = x + 1j * top
    for y in [*np.geomspace(top, 1e-12, steps), 0.0]:
        z = x + 1j * y
        for _ in range(50):
            ga, da = a(omega)
            gb, db = b(z + 1.0 / ga - omega)
            step = (ga - gb) / (da - db * (-da / ga**2 - 1.0))
            step *= np.minimum(1.0, 0.5 * omega.imag / np.maximum(abs(step.imag), 1e-300))
            omega = omega - step
            if np.max(abs(step)) < 1e-14 * top:
                break
    return np.asarray(-a(omega)[0].imag / np.pi)


# ---- closed forms ---------------------------------------------------------------------------


def product_of_wisharts(ratio: float, x: Array) -> Array:
    """Density of the free product of two Marchenko-Pastur laws of mean 1: a cubic."""
    out = []
    for value in x:
        # z m = (1 + m) (1 + c m)^2, m = z G(z) - 1
        cubic = np.polymul([1.0, 1.0], np.polymul([ratio, 1.0], [ratio, 1.0]))
        cubic[-2] -= value
        out.append(max(float(np.max(-np.roots(cubic).imag)), 0.0) / (np.pi * value))
    return np.array(out)


def coins(n: int, x: Array) -> Array:
    """Density of the free sum of n coins of +-1 (Kesten 1959)."""
    inside = np.maximum(4.0 * (n - 1) - x * x, 0.0)
    return np.asarray(n * np.sqrt(inside) / (2.0 * np.pi * (n * n - x * x)))


# ---- sampling -------------------------------------------------------------------------------


def haar(n: int, rng: np.random.Generator) -> Array:
    """An orthogonal matrix."""
    q, r = np.linalg.qr(rng.standard_normal((n, n)))
    return np.asarray(q * np.sign(np.diag(r)))


def sampled_sum(a: Array, b: Array, rng: np.random.Generator) -> Array:
    """Eigenvalues of A + U B U^T."""
    u = haar(a.size, rng)
    return np.linalg.eigvalsh(np.diag(a) + (u * b) @ u.T)


def sampled_product(ratio: float, n: int, rng: np.random.Generator) -> Array:
    """Eigenvalues of a product of two Wishart matrices of mean 1, of size n."""
    m = round(n / ratio)
    x = rng.standard_normal((n, m)) / np.sqrt(m)
    root = rng.standard_normal((n, m)) / np.sqrt(m)
    return np.linalg.svd(root.T @ x, compute_uv=False)[:n] ** 2


def far(found: Array, exact: Array) -> float:
    """Largest error over the largest value."""
    return float(np.max(abs(np.asarray(found) - exact)) / np.max(abs(exact)))
