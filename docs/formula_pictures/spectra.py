"""Pictures of eigenvalues: Jacobians, Hessians, free sums."""

import numpy as np

import chione as ch
from chione import freeprob as fp
from chione.plotting.style import COLOURS, GREY
from formula_pictures.drawing import finish, line, panels


def jacobian():
    """Densities of squared singular values at four depths, and their cumulative laws."""
    figure, axes = panels()
    for ax, weights in zip(axes, ("gaussian", "orthogonal"), strict=True):
        for i, depth in enumerate((1, 4, 16, 64)):
            law = ch.jacobian_spectrum("erf_scaled", depth=depth, q_star=0.05, weights=weights)
            x = np.linspace(-6, 3, 400)
            line(ax, x, law.cdf(10.0**x).value, i, f"depth {depth}")
        key = "upper left" if weights == "orthogonal" else None
        title, across = f"{weights.capitalize()} weights", r"$\log_{10} \lambda$"
        finish(ax, title, across, r"share below $\lambda$", legend=key)
    return figure


def hessian():
    """Densities of the model Hessian at three energies, and its index."""
    figure, (left, right) = panels()
    for i, energy in enumerate((0.0, 0.1, 0.5)):
        law = ch.hessian_spectrum(ratio=0.5, energy=energy)
        x = np.linspace(-2.5, 4.5, 400)
        line(left, x, law.density(x).value, i, rf"$\epsilon = {energy}$")
    left.axvline(0.0, color=GREY, lw=0.8, zorder=0)
    finish(left, r"$\phi = 0.5$ parameters per datum", "eigenvalue", "density")
    energy = np.linspace(0, 1, 60)
    for i, ratio in enumerate((0.25, 0.5, 1.0)):
        line(right, energy, ch.hessian_index(ratio, energy).value, i, rf"$\phi = {ratio}$")
        start = ch.critical_energy(ratio).value
        right.plot([start], [0], "o", color=COLOURS[i], ms=5)
    finish(right, "Share of negative eigenvalues", r"energy $\epsilon$", r"index $\alpha$")
    return figure


def free_probability():
    """A free sum and a free product, beside eigenvalues of random matrices."""
    figure, (left, right) = panels()
    rng, n = np.random.default_rng(0), 600
    signs, other = np.sign(np.arange(n) - n / 2 + 0.5), -np.log1p(-(np.arange(n) + 0.5) / n)
    q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    turned = (q * other) @ q.T
    root = np.sqrt(other)
    cases = (
        (left, "Free sum", np.diag(signs) + turned, lambda a, b: a + b, signs, (-2, 7)),
        (
            right,
            "Free product",
            root[:, None] * _wishart(rng, n) * root,
            lambda a, b: a * b,
            None,
            (0, 8),
        ),
    )
    for ax, title, matrix, combine, first, span in cases:
        one = fp.marchenko_pastur(1 / 3) if first is None else fp.empirical(first)
        law = combine(fp.empirical(other), one)
        x = np.linspace(*span, 400)
        ax.hist(np.linalg.eigvalsh(matrix), bins=60, range=span, density=True, color=COLOURS[5],
                label=f"one matrix, {n} eigenvalues")  # fmt: skip
        line(ax, x, law.density(x).value, 0, "theory")
        finish(ax, title, "eigenvalue", "density")
    return figure


def _wishart(rng, n):
    x = rng.standard_normal((n, 3 * n))
    return x @ x.T / (3 * n)


PICTURES = {draw.__name__.replace("_", "-"): draw for draw in (jacobian, hessian, free_probability)}
