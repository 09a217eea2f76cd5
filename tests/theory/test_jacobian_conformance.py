"""One suite for every activation, both ensembles, every depth.

The reference shares no code with the library: plain composite Gauss-Legendre sums in h, the master
equation in the variable x = zG - 1 with an inner root for w, and a bounded minimiser for edges.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar

import chione as ch
from chione.activations import catalogue
from chione.theory.spectra.jacobian import jacobian_spectrum

ALL_DEPTHS = (1, 2, 3, 8, 32, 128, 1024, 8192)
EVERY_DEPTH = pytest.mark.parametrize(
    "depths",
    [(1, 3, 1024), pytest.param(ALL_DEPTHS, marks=pytest.mark.slow)],
    ids=["three depths", "all depths"],
)
JUMPING = ("step", "sign", "hardshrink")
NAMES = sorted(n for n in catalogue() if n not in JUMPING)
PIECEWISE = (
    "relu",
    "linear",
    "leaky_relu",
    "prelu",
    "abs",
    "relu6",
    "hardtanh",
    "shifted_relu",
    "hardsigmoid",
    "softshrink",
    "elu",
    "celu",
    "selu",
    "squared_relu",
)
# Every activation runs in the slow suite; a few of each kind always.
ALWAYS = ("tanh", "erf", "gelu", "relu", "hardtanh", "elu", "softplus", "hardswish", "sin")
SUITE = [n if n in ALWAYS else pytest.param(n, marks=pytest.mark.slow) for n in NAMES]
Q = 0.7


@lru_cache(maxsize=4)
def reference_law(name):
    """Values t and weights on 16-node panels of width sigma/32, graded to kinks and zeros."""
    phi = ch.activation(name)
    reach = 22.0 * np.sqrt(Q) if name in ("exp", "cubic", "quadratic") else 11.0 * np.sqrt(Q)
    step = np.sqrt(Q) / (150.0 if name == "siren" else 32.0)
    x, w = np.polynomial.legendre.leggauss(16)
    grid = np.linspace(-reach, reach, 20001)
    v = phi.derivative(grid)
    zeros = grid[:-1][v[:-1] * v[1:] < 0.0] + (grid[1] - grid[0]) * 0.5
    zeros = (
        [
            brentq(lambda u: float(phi.derivative(np.array([u]))[0]), z - 2e-3, z + 2e-3)
            for z in zeros
            if name not in PIECEWISE
        ]
        if name != "siren"
        else []
    )
    centres = np.concatenate([[0.0], phi.kinks, zeros])
    graded = step * 2.0 ** -np.arange(25.0)
    points = np.concatenate(
        [[-reach, reach], *[c + graded for c in centres], *[c - graded for c in centres], centres]
    )
    points = np.unique(points[abs(points) <= reach])
    h, p = [], []
    for a, b in pairwise(points):
        edges = np.linspace(a, b, int(np.ceil((b - a) / step)) + 1)
        half = 0.5 * np.diff(edges)[:, None]
        h.append((0.5 * (edges[1:] + edges[:-1])[:, None] + half * x).ravel())
        p.append((half * w).ravel())
    h, p = np.concatenate(h), np.concatenate(p)
    return phi.derivative(h) ** 2, p * np.exp(-h * h / (2 * Q)) / np.sqrt(2 * np.pi * Q)


def log_z(t, p, log_w, gain, depth, gaussian):
    """Through the S-transforms: z = (1 + x) / x / S, S = S_t^L S_W^L, x = E t / (w - t)."""
    w = np.exp(log_w)
    x = np.sum(p * t / (w - t))
    one_plus_x = np.sum(p * w / (w - t))
    log_ratio = np.log(one_plus_x) - np.log(x)  # (1 + x) / x
    log_s_t = log_ratio - log_w
    log_s_w = -gain - (np.log(one_plus_x) if gaussian else 0.0)
    return log_ratio - depth * (log_s_t + log_s_w), x


def reference_density(t, p, target, start, gain, depth, gaussian):
    """Secant iteration for log z = target; lambda rho = -Im x / pi."""
    a, b = start * (1.0 + 1e-4j), start
    fa, fb = (log_z(t, p, u, gain, depth, gaussian)[0] - target for u in (a, b))
    for _ in range(60):
        if fb == fa:
            break
        a, b, fa = b, b - fb * (b - a) / (fb - fa), fb
        fb = log_z(t, p, b, gain, depth, gaussian)[0] - target
        if abs(b - a) < 1e-14:
            break
    return -log_z(t, p, b, gain, depth, gaussian)[1].imag / np.pi, abs(fb)


@EVERY_DEPTH
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("name", SUITE)
def test_density_meets_a_separate_solution_of_the_master_equation(name, weights, depths):
    t, p = reference_law(name)
    gain = -np.log(np.sum(p * t))
    for depth in depths:
        s = jacobian_spectrum(name, q_star=Q, depth=depth, weights=weights)
        if not s.log_support or (depth == 1 and weights == "orthogonal"):
            continue
        y = np.concatenate([c.log_lambda[60:-12:42] for c in s.solver.curves])[:4]
        roots = np.concatenate([c.log_w[60:-12:42] for c in s.solver.curves])[:4]
        found = s.density_of_log(y + 1e-3)
        for k in range(y.size):
            if abs(roots[k].imag) < 0.1:  # the plain sums of the reference fail near the axis
                continue
            ref, miss = reference_density(
                t, p, y[k] + 1e-3, roots[k], gain, depth, weights == "gaussian"
            )
            assert miss < 1e-9 * depth
            assert abs(found.value[k] - ref) <= 1e-7 * ref
            assert found.error[k] <= 1e-7 * ref


@pytest.mark.parametrize(
    "depths",
    [(1, 32), pytest.param((3, 8192), marks=pytest.mark.slow)],
    ids=["one and 32 layers", "3 and 8192 layers"],
)
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("name", ["tanh", "erf", "gelu", "sin", "hardtanh", "elu", "mish"])
def test_mass_and_moments_of_the_density_agree_with_the_exact_ones(name, weights, depths):
    for depth in depths:
        s = jacobian_spectrum(name, q_star=Q, depth=depth, weights=weights)
        scaled, log_m1 = s.solver.scaled_moments(4)
        atoms = s.solver.atoms
        mass = sum(m for _, m in atoms)
        moment = np.array(
            [sum(m * np.exp(k * (a - log_m1)) for a, m in atoms) for k in range(1, 5)], float
        )
        for y, f, jac in substituted(s):
            mass += np.sum(f * jac)
            moment += [np.sum(f * jac * np.exp(k * (y - log_m1))) for k in range(1, 5)]
        assert abs(mass - 1.0) <= 1e-6
        if np.isfinite(s.law.limits[1]):  # of unbounded laws the far tail is not followed
            assert np.all(abs(moment / scaled - 1.0) <= 1e-6)
        t, p = reference_law(name)
        m1, m2 = np.sum(p * t), np.sum(p * t * t)
        excess = m2 / m1**2 - 1.0 + (1.0 if weights == "gaussian" else 0.0)
        assert abs((scaled[1] - 1.0) - depth * excess) <= 1e-11 * depth * (1.0 + excess)


def substituted(s):
    """Nodes log lambda, density, and weights: Gauss-Legendre in the radius of the root w."""
    x, w = np.polynomial.legendre.leggauss(12)
    if s.depth == 1 and s.weights == "orthogonal":
        return one_layer(s)
    out = []
    for band in s.solver.bands:
        lo, hi = band.reach
        # log r = lo + (hi - lo) (3 u^2 - 2 u^3) on panels that crowd at both ends
        edges = np.concatenate([[0.0], np.geomspace(1e-6, 0.1, 14), np.linspace(0.1, 0.5, 24)[1:]])
        edges = np.concatenate([edges, 1.0 - edges[-2::-1]])
        half = 0.5 * np.diff(edges)[:, None]
        u = 0.5 * (edges[1:] + edges[:-1])[:, None] + half * x
        left = u < 0.5
        d = np.minimum(u, 1.0 - u)
        log_r = np.where(left, lo + (hi - lo) * 2.0 * d * d, hi - (hi - lo) * 2.0 * d * d)
        theta = s.solver.equation.angle(log_r.ravel())
        ok = np.isfinite(theta)
        y = s.solver.equation.at(log_r.ravel() + 1j * np.where(ok, theta, 1.0))
        # dlog lambda / dlog r = |dlog z / dlog w|^2 / Re(dlog z / dlog w) along Im log z = 0
        with np.errstate(divide="ignore", invalid="ignore"):  # where no root was found
            slope = abs(y.slope) ** 2 / y.slope.real
            smooth = (4.0 * d * (hi - lo)).ravel() * slope * -y.p.imag / np.pi
        ok &= np.isfinite(smooth)  # nor where the slope is rounding alone
        # Within 1e-12 of a hard end no root is found; the product is smooth in u up to there.
        nodes = np.arange(ok.size)
        smooth = np.interp(nodes, nodes[ok], smooth[ok])
        log_lambda = np.interp(nodes, nodes[ok], y.log_z.real[ok])
        out.append((log_lambda, smooth, (half * w).ravel()))
    return out


def one_layer(s):
    if not s.log_support:
        return []
    t, p = reference_law(s.activation.name)
    keep = np.ones(t.size, dtype=bool)
    for a, _ in s.law.atoms:
        keep &= abs(t - a) > 1e-13 * max(a, 1e-3)
    t, p = t[keep & (t > 0)], p[keep & (t > 0)]
    return [(np.log(t) + 2 * np.log(s.sigma_w), np.ones(t.size), p)]


@EVERY_DEPTH
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("name", ["tanh", "erf", "gelu", "elu", "relu", "hardswish", "softplus"])
def test_upper_edge_is_the_minimum_of_z_beyond_the_law_of_t(name, weights, depths):
    t, p = reference_law(name)
    gain = -np.log(np.sum(p * t))
    for depth in depths:
        s = jacobian_spectrum(name, q_star=Q, depth=depth, weights=weights)
        if (
            not s.log_support
            or not getattr(s.solver, "bands", ())
            or not s.solver.bands[-1].hard[1]
        ):
            continue
        top = s.law.limits[1]

        def f(u, depth=depth, top=top):
            log_w = np.log(top) + np.log1p(np.exp(u))
            return log_z(t, p, log_w + 0j, gain, depth, weights == "gaussian")[0].real

        grid = np.linspace(-12.0, 12.0, 400)
        k = int(np.argmin([f(u) for u in grid]))
        best = minimize_scalar(f, bracket=(grid[k - 1], grid[k], grid[k + 1]), tol=1e-12)
        assert abs(s.log_support[-1][1] - best.fun) <= 1e-10 * max(1.0, depth * 1e-2)


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("name", ["tanh", "gelu", "softplus", "hardtanh", "elu"])
def test_distribution_function_is_the_integral_of_the_density(name, weights):
    for depth in (2, 8, 1024):
        s = jacobian_spectrum(name, q_star=Q, depth=depth, weights=weights)
        y = s.log_quantile(np.array([0.35, 0.45])).value
        c = s.cdf(np.exp(y)) if depth < 1024 else None
        nodes, gauss = np.polynomial.legendre.leggauss(40)
        half = 0.5 * (y[1] - y[0])
        area = half * (gauss @ s.density_of_log(0.5 * (y[0] + y[1]) + half * nodes).value)
        values = s.solver.values(y).cdf
        assert abs(values[1] - values[0] - area) <= 1e-9
        if c is not None:
            assert np.allclose(c.value, [0.35, 0.45], atol=1e-10)
