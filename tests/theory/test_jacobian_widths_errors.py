"""Stated errors at different widths against 40 digits, where a two-valued law is algebraic.

With t = u and v, M(w) = p u/(w - u) + (1 - p) v/(w - v) = m is a quadratic in w. Newton's method in
x alone, with all w from their quadratics, repeats the float64 solution in mpmath; the distribution
function comes from U = log z + int x dlog z, integrated in closed form.
"""

import mpmath as mp
import numpy as np
import pytest

from chione.theory.spectra.jacobian import jacobian_spectrum

CASES = [
    ("leaky_relu(0.1)", (800, 800, 1600), "gaussian"),
    ("leaky_relu(0.1)", (800, 800, 1600), "orthogonal"),
    ("leaky_relu(0.3)", (3, 2, 5, 1, 4), "gaussian"),
    ("leaky_relu(0.3)", (3, 2, 5, 1, 4), "orthogonal"),
    ("hardtanh", (2, 1, 3, 3), "gaussian"),
    ("hardtanh", (2, 3, 3, 1), "orthogonal"),
    ("relu", (1, 2, 2), "gaussian"),
    ("linear", (3, 2, 4), "orthogonal"),
]


def exact(s, log_lambda, log_w):
    """Density by log lambda and distribution function to 30 digits, from a float64 solution."""
    with mp.workdps(40):
        law = [(mp.mpf(t), mp.mpf(p)) for t, p in s.law.atoms]
        rest = mp.mpf(1) - sum(p for _, p in law[:-1])
        law[-1] = (law[-1][0], rest)
        widths = [mp.mpf(r) for r in s.widths]
        a = [1 / r for r in widths]
        L = s.depth
        gain = mp.mpf(2) * mp.log(mp.mpf(s.sigma_w))

        def inverse(m, near):
            alive = [(t, p) for t, p in law if t > 0]
            if len(alive) == 1:
                (t, p) = alive[0]
                return t + p * t / m
            (u, p), (v, q) = alive
            # m (w - u)(w - v) = p u (w - v) + q v (w - u)
            one, zero = -(m * (u + v) + p * u + q * v), m * u * v + (p + q) * u * v
            root = mp.sqrt(one * one - 4 * m * zero)
            return min(
                ((-one + root) / (2 * m), (-one - root) / (2 * m)), key=lambda w: abs(w - near)
            )

        groups, _ = s.solver.equation.groups
        start = {float(g): mp.exp(mp.mpc(w)) for g, w in zip(groups, log_w, strict=True)}

        def near(al):
            return start[min(start, key=lambda g: abs(g - float(al)))]

        def lower(z):
            value = mp.log(z)
            return value - 2j * mp.pi if value.imag > mp.pi / 2 else value

        def log_z(x):
            out = lower(1 + a[0] * x) - lower(a[0] * x)
            for l in range(1, L + 1):
                out += gain + lower(a[l - 1] * x) + mp.log(inverse(a[l] * x, near(a[l])))
                if s.weights == "orthogonal":
                    out -= lower(1 + min(a[l - 1], a[l]) * x)
            return out

        w = near(a[int(np.argmax([float(v) for v in a[1:]])) + 1])
        x = sum(p * t / (w - t) for t, p in law) / max(a[1:])
        y = mp.mpf(log_lambda)
        x = mp.findroot(lambda v: log_z(v) - y, x, tol=1e-32, maxsteps=60)
        # int x dlog z: every term on its own, from x = 0.
        u = y - lower(1 + a[0] * x) / a[0] + x - x
        for l in range(1, L + 1):
            w = inverse(a[l] * x, near(a[l]))
            u += x + sum(p * mp.log(w - t) for t, p in law) / a[l] - mp.log(w) / a[l]
            if s.weights == "orthogonal":
                b = min(a[l - 1], a[l])
                u -= x - lower(1 + b * x) / b
        return float(-x.imag / mp.pi), float(1 - u.imag / mp.pi)


@pytest.mark.parametrize(("name", "widths", "weights"), CASES)
def test_stated_errors_hold_at_40_digits(name, widths, weights):
    s = jacobian_spectrum(name, depth=len(widths) - 1, q_star=0.8, widths=widths, weights=weights)
    for (track, _), (low, high) in zip(s.solver.tracks, s.log_support, strict=True):
        bottom = low if np.isfinite(low) else high - 30.0
        places = np.array([1e-10, 1e-6, 0.01, 0.2, 0.5, 0.8, 0.99, 1.0 - 1e-6, 1.0 - 1e-10])
        y = bottom + (high - bottom) * places
        v = s.solver.values(y)
        log_w, good = s.solver.equation.solve(y.astype(complex), track.start(y))
        assert np.all(good)
        for k in range(y.size):
            density, cdf = exact(s, y[k], log_w[k])
            assert abs(v.density[k] - density) <= v.density_error[k]
            assert abs(v.cdf[k] - cdf) <= v.cdf_error[k]
            loose = 1e-8 if min(places[k], 1.0 - places[k]) < 1e-3 else 1e-12
            assert v.density_error[k] < loose  # next to an edge the slope is 1e5 densities
            assert v.cdf_error[k] < 1e-12
