"""Pennington et al. 2018: table 1 and figures 2, 3 and 4, spectra of Jacobians."""

from __future__ import annotations

from typing import Any

import numpy as np

from chione.activations import activation
from chione.base import Array
from chione.gallery.drawing import WHOLE, finish, name_marks
from chione.gallery.drawing import theory as line
from chione.gallery.entry import Check, Entry, Reproduction, Variable, worst
from chione.networks import MLP
from chione.plotting import COLOURS, MARKERS, look, new_figure, style
from chione.simulation.spectra import SimulatedSpectrum, simulate_spectrum
from chione.simulation.spectrum_comparison import SpectrumComparison, snapped
from chione.theory.spectra.jacobian import JacobianSpectrum, jacobian_spectrum
from chione.theory.spectra.jacobian_isometry import q_star_for_variance
from chione.theory.spectra.jacobian_limits import LimitLaw, distance_to_limit

_ROWS = ("linear", "relu", "hardtanh", "erf_scaled")
_FORMULAS = (r"$1 / (z - 1)$", r"$1 / (2 (z - 1))$",
             r"$\mathrm{erf}(1 / \sqrt{2 q^*})\, / (z - 1)$",
             r"$\dfrac{1}{\sqrt{\pi q^*}\, z}\,\Phi(\dfrac{1}{z}, \dfrac{1}{2}, "
             r"\dfrac{1 + \pi q^*}{\pi q^*})$")  # fmt: skip
_LAWS = ("gaussian", "orthogonal")
_PANELS = (("linear", "gaussian", 1.0), ("relu", "orthogonal", 1.0),
           ("hardtanh", "orthogonal", 0.5), ("erf_scaled", "orthogonal", 0.2))  # fmt: skip
_TOGETHER = 8  # sampled values a bin: their counts scatter less than those of independent ones
_SMOOTHED = "0.5*(x + sqrt(x**2 + 0.25))"


def table_1(quick: bool) -> Reproduction:
    """Moments of D^2, critical weights and variance of the spectrum."""
    q, depth = 0.4, 16
    mu = np.array([[_mean_power(name, q, k) for k in (1, 2)] for name in _ROWS])
    spectra = [[jacobian_spectrum(name, depth=depth, q_star=q, weights=law) for law in _LAWS]
               for name in _ROWS]  # fmt: skip
    w2 = np.array([row[0].sigma_w ** 2 for row in spectra])
    variance = np.array([[s.variance for s in row] for row in spectra])
    printed_mu, printed_variance = _printed(q, depth)
    moment = np.array([_moment_function(name, 2.0, q) for name in _ROWS])
    with style():
        figure = new_figure(9.6, 2.3)
        ax = figure.add_subplot()
        ax.axis("off")
        cells = [[_ROWS[i], _FORMULAS[i], f"{moment[i]:.6f}", f"{mu[i, 0]:.6f}", f"{mu[i, 1]:.6f}",
                  f"{w2[i]:.6f}", f"{variance[i, 0]:.5f}", f"{variance[i, 1]:.5f}"]
                 for i in range(4)]  # fmt: skip
        words = ("", "$M_{D^2}(z)$", "$M_{D^2}(2)$", r"$\mu_1$", r"$\mu_2$", r"$\sigma_w^2$",
                 r"$\sigma^2_{JJ^T}$, Gaussian", r"$\sigma^2_{JJ^T}$, orthogonal")  # fmt: skip
        wide = (0.10, 0.24, 0.10, 0.09, 0.09, 0.09, 0.14, 0.15)
        grid = ax.table(cells, colLabels=words, colWidths=wide, bbox=WHOLE,
                        edges="horizontal", cellLoc="left", colLoc="left")  # fmt: skip
        grid.auto_set_font_size(False)
        grid.set_fontsize(8.5)
        ax.set_title(rf"Properties of four activations at $q^* = {q}$, depth {depth}")
    data = {
        "activation": Variable(("activation",), np.array(_ROWS), "activation"),
        "mu": Variable(("activation", "k"), mu, "mean powers of phi'^2, k = 1, 2"),
        "moment_function": Variable(("activation",), moment, "M of phi'^2 at z = 2"),
        "sigma_w_squared": Variable(("activation",), w2, "critical weight variance"),
        "law": Variable(("law",), np.array(_LAWS), "law of the weights"),
        "variance": Variable(("activation", "law"), variance, "variance of the spectrum of JJ^T"),
    }
    checks = (
        worst("mu_k against the formulas of the table", mu, printed_mu, 1e-13),
        worst("sigma_w^2 = 1 / mu_1", w2, 1.0 / printed_mu[:, 0], 1e-12),
        worst("variance of JJ^T against the table", variance, printed_variance, 1e-9),
        worst("M of phi'^2 at z = 2 against the formulas", moment,
              [*printed_mu[:3, 0], _lerch(2.0, q)], 1e-13),
        Check("M of the error function at z = 2, q* = 1: Lerch's series",
              _moment_function("erf_scaled", 2.0, 1.0), _lerch(2.0, 1.0), 1e-13),
    )  # fmt: skip
    return Reproduction(figure, data, checks)


def _mean_power(name: str, q: float, k: int) -> float:
    """E phi'^2k through chione's own expectations."""
    from chione.gaussian import expectation

    act = activation(name)
    found = expectation(lambda h: act.derivative(h) ** (2 * k), q, breakpoints=act.kinks)
    return float(found.value)


def _printed(q: float, depth: int) -> tuple[Array, Array]:
    """The formulas of the table."""
    from scipy.special import erf

    hard = float(erf(1.0 / np.sqrt(2.0 * q)))
    mu = np.array([[1.0, 1.0], [0.5, 0.5], [hard, hard],
                   [(1.0 + np.pi * k * q) ** -0.5 for k in (1, 2)]])  # fmt: skip
    bare = np.array([1.0, 2.0, 1.0 / hard, (1.0 + np.pi * q) / np.sqrt(1.0 + 2.0 * np.pi * q)])
    return mu, depth * (bare[:, None] - 1.0 - np.array([-1.0, 0.0]))


def _moment_function(name: str, z: float, q: float) -> float:
    """M(z) = E t / (z - t), t = phi'^2, at q* = q."""
    from chione.gaussian import expectation

    act = activation(name)

    def ratio(h: Array) -> Array:
        t = act.derivative(h) ** 2
        return np.asarray(t / (z - t))

    return float(expectation(ratio, q, breakpoints=act.kinks).value)


def _lerch(z: float, q: float) -> float:
    """The entry of the table: 1 / (sqrt(p) z) * sum_n z^-n / sqrt(n + (1 + p) / p), p = pi q*."""
    n, p = np.arange(200.0), np.pi * q
    return float(np.sum(z**-n / np.sqrt(n + (1.0 + p) / p)) / (np.sqrt(p) * z))


# ---- figure 2 ------------------------------------------------------------------------------


def figure_2(quick: bool) -> Reproduction:
    """Deep spectra at criticality."""
    depths = np.array([2, 8, 32, 128])
    width, points = (200, 80) if quick else (1000, 300)
    curves = [[jacobian_spectrum(a, depth=int(d), q_star=q, weights=law) for d in depths]
              for a, law, q in _PANELS]  # fmt: skip
    runs = [[_sampled(s, width, seed=i) for s in row] for i, row in enumerate(curves)]
    shape = (len(_PANELS), depths.size, points)
    x, y = np.full(shape, np.nan), np.full(shape, np.nan)
    for i, row in enumerate(curves):
        for j, s in enumerate(row):
            c = s.curve(points)
            keep = slice(0, min(points, c.log_lambda.size))
            x[i, j, keep] = c.singular_value[keep]
            y[i, j, keep] = c.singular_value_density[keep]
    found = [r.compare(s) for a, b in zip(curves, runs, strict=True)
             for s, r in zip(a, b, strict=True)]  # fmt: skip
    with style():
        figure = new_figure(9.0, 7.0)
        axes = figure.subplots(2, 2).ravel()
        for i, (name, law, q) in enumerate(_PANELS):
            _draw_spectra(axes[i], x[i], y[i], runs[i], curves[i], depths)
            at = f", $q^* = {q}$" if i > 1 else ""
            finish(axes[i], f"{name}, {law}{at}", "singular value $s$", "density")
    samples = np.array([[np.sort(r.singular_values.ravel()) for r in row] for row in runs])
    data = {
        "panel": Variable(("panel",), np.array([f"{a} {w}" for a, w, _ in _PANELS]), "panel"),
        "depth": Variable(("depth",), depths, "number of layers"),
        "singular_value": Variable(("panel", "depth", "point"), x, "singular value, theory"),
        "density": Variable(("panel", "depth", "point"), y, "density, theory"),
        "simulated": Variable(("panel", "depth", "value"), samples, "simulated singular values"),
    }
    mean = np.array([[s.mean for s in row] for row in curves])
    checks = (
        worst("mean squared singular value is 1 at criticality", mean, 1.0, 1e-10),
        _near("distribution of the samples above rounding, largest distance", found),
    )
    return Reproduction(figure, data, checks)


def _sampled(s: JacobianSpectrum, width: int, seed: int) -> SimulatedSpectrum:
    # with q* given D is drawn directly: biases play no part (some q* would need sigma_b^2 < 0)
    net = MLP(s.activation, s.sigma_w, 0.0, s.depth, width, s.weights)
    return simulate_spectrum(net, q_star=s.q_star, n_networks=1, seed=seed)


def _near(claim: str, found: list[SpectrumComparison]) -> Check:
    """Distances of distribution functions beside three times what the width explains."""
    return worst(claim, [c.distance for c in found], 0.0, [3.0 * c.expected for c in found])


def _heights(run: SimulatedSpectrum, s: JacobianSpectrum, least: float) -> tuple[Array, Array]:
    """Middles and densities of bins of equally many singular values, no zeros or point masses.

    Bins of equal width would hold one value or none in the tail: a floor of points that belongs to
    the counting and not to the law.

    Parameters
    ----------
    run, s : SimulatedSpectrum, JacobianSpectrum
        Sampled values, and the law whose point masses are left out.
    least : float
        Width of the narrowest bin; values that lie closer share one.
    """
    places = np.array([a for a, _ in s.solver.atoms])
    log = snapped(2.0 * run.log_singular_values, run.errors, places, s.depth)
    own = np.sort(np.exp(0.5 * log[np.isfinite(log) & ~np.isin(log, places)]))
    edges = [0.0 if own.size == 0 or own[0] < least else float(own[0])]
    seen = 0
    while seen + _TOGETHER <= own.size:
        edges.append(max(float(own[seen + _TOGETHER - 1]), edges[-1] + least))
        seen = int(np.searchsorted(own, edges[-1], side="right"))
    bins = np.array(edges)
    count = np.histogram(own, bins)[0] if bins.size > 1 else np.empty(0)
    return 0.5 * (bins[1:] + bins[:-1]), count / (log.size * np.diff(bins))


def _masses(laws: list[JacobianSpectrum]) -> list[str]:
    """Point masses of a panel in words: those of all depths together, others by their depth."""
    sets = [{(float(f"{np.exp(0.5 * a):.3g}"), float(f"{m:.2g}")) for a, m in s.solver.atoms}
            for s in laws]  # fmt: skip
    shared = set.intersection(*sets)
    words = [f"point mass {m:g} at {at:g}" for at, m in sorted(shared)]
    for s, own in zip(laws, sets, strict=True):
        words += [f"L = {s.depth}: {m:g} at {at:g}" for at, m in sorted(own - shared)]
    return words


def _draw_spectra(
    ax: Any, x: Array, y: Array, runs: list[SimulatedSpectrum], laws: list[JacobianSpectrum],
    depths: Array,
) -> None:  # fmt: skip
    right = min(8.0, 1.2 * float(np.nanmax(x)))
    for j, depth in enumerate(depths):
        middle, height = _heights(runs[j], laws[j], right / 60.0)
        ax.plot(middle, height, MARKERS[j], ms=3.2, mfc="white", color=COLOURS[j])
        drawn = (y[j] > 1e-4) & (y[j] < 1e3)
        line(ax, x[j][drawn], y[j][drawn], j, f"L = {depth}")
        for place, _ in laws[j].solver.atoms:
            if place > -np.inf:  # up to an arrow: it stands for a point mass
                ax.plot(np.exp(0.5 * place) * np.ones(2), [2e-3, 25.0], **look(j))
                ax.plot(np.exp(0.5 * place), 25.0, "^", ms=6, color=COLOURS[j], clip_on=False)
    name_marks(ax, "one network each")
    if _masses(laws):
        ax.plot([], [], " ", label="\n".join(_masses(laws)))
    ax.set_yscale("log")
    ax.set(xlim=(0, right), ylim=(2e-3, 30))


# ---- figure 3 ------------------------------------------------------------------------------


def figure_3(quick: bool) -> Reproduction:
    """Distribution of phi'(h)."""
    names = ("relu", "hardtanh", "erf_scaled", _SMOOTHED)
    lengths = np.array([0.1, 0.5, 2.0, 8.0])
    h = np.linspace(-6.0, 6.0, 241)
    slope = np.linspace(0.0, 1.02, 205)
    acts = [activation(n) for n in names]
    value = np.array([a(h) for a in acts])
    below = np.array([[[_share_below(a, float(q), float(t)) for t in slope] for q in lengths]
                      for a in acts])  # fmt: skip
    with style():
        figure = new_figure(11.0, 5.4)
        axes = figure.subplots(2, 4)
        for k, name in enumerate(("ReLU", "hard tanh", "erf", "smoothed ReLU")):
            axes[0, k].plot(h, value[k], color="#1a1a1a")
            for i, q in enumerate(lengths):
                line(axes[0, k], h, np.exp(-h * h / (2 * q)) / np.sqrt(2 * np.pi * q), i,
                     rf"$q^* = {q:g}$")  # fmt: skip
                line(axes[1, k], slope, below[k, i], i)
            axes[0, k].set_ylim(-1.3, 2.2)
            finish(axes[0, k], name, "pre-activation $h$", r"$\phi(h)$; density of $h$",
                   "upper left" if k == 0 else None)  # fmt: skip
            finish(axes[1, k], "", r"slope $s$", r"$P(\phi'(h) \leq s)$", None)
    data = {
        "activation": Variable(("activation",), np.array(names), "activation"),
        "h": Variable(("h",), h, "pre-activation"),
        "value": Variable(("activation", "h"), value, "phi(h)"),
        "q_star": Variable(("q_star",), lengths, "variance of h"),
        "slope": Variable(("slope",), slope, "s"),
        "share": Variable(("activation", "q_star", "slope"), below, "P(phi' <= s)"),
    }
    at = int(np.argmin(abs(slope - 0.5)))
    rng = np.random.default_rng(3)
    z = rng.standard_normal(200_000)
    seen = np.array([[np.mean(a.derivative(np.sqrt(q) * z) <= slope[at]) for q in lengths]
                     for a in acts])  # fmt: skip
    spread = np.sqrt(below[:, :, at] * (1 - below[:, :, at]) / z.size) + 1e-12
    checks = (
        worst("shares below one half, by counting samples", seen, below[:, :, at], 5.0 * spread),
        worst("ReLU: the share does not depend on q*", below[0, :, at], 0.5, 1e-12),
    )
    return Reproduction(figure, data, checks)


def _share_below(act: Any, q: float, s: float) -> float:
    """P(phi'(h) <= s): the mass of the cells of z = h / sqrt(q) in which phi' is below."""
    from scipy.special import ndtr

    edges = np.linspace(-12.0, 12.0, 4001)
    middle = 0.5 * (edges[1:] + edges[:-1])
    mass = np.diff(ndtr(edges))
    inside = act.derivative(np.sqrt(q) * middle) <= s
    return float(np.sum(mass[inside]))


# ---- figure 4 ------------------------------------------------------------------------------


def figure_4(quick: bool) -> Reproduction:
    """Two limiting universality classes."""
    s = 0.25
    names = ("hardtanh", "shifted_relu", "erf_scaled", _SMOOTHED)
    kinds = ("bernoulli", "bernoulli", "smooth", "smooth")
    depths = np.array([4, 16, 64, 256])
    deepest = np.array([4, 16, 64, 256, 1024, 8192])
    spectra = [[_at_variance(n, int(d), s) for d in deepest] for n in names]
    limits = [LimitLaw(k, s) for k in kinds]  # type: ignore[arg-type]  # a tuple of the two words
    gap = np.array([[distance_to_limit(x, limit, points=100) for x in row]
                    for row, limit in zip(spectra, limits, strict=True)])  # fmt: skip
    runs = [_sampled(row[1], 200 if quick else 1000, seed=4) for row in spectra]
    with style():
        figure = new_figure(9.0, 7.0)
        axes = figure.subplots(2, 2).ravel()
        titles = ("hard tanh", "shifted ReLU", "erf", "smoothed ReLU")
        for k, row in enumerate(spectra):
            low, high = limits[k].support
            x = np.linspace(low + 1e-3, high - 1e-6, 400)
            rho = np.asarray(limits[k].density(x).value)
            axes[k].plot(np.sqrt(x), 2 * np.sqrt(x) * rho, color="#1a1a1a", lw=2.6, label="limit")
            for j, d in enumerate(depths):
                c = row[j].curve(80 if quick else 250)
                line(axes[k], c.singular_value, c.singular_value_density, j, f"L = {d}")
            _draw_histogram(axes[k], runs[k], row[1])
            for place, mass in limits[k].atoms:
                at = float(np.sqrt(place))
                axes[k].plot([at, at], [0.0, 0.94], color="#1a1a1a", lw=2.6)
                axes[k].plot(at, 0.94, "^", ms=8, color="#1a1a1a")
                words = [f"point mass {mass:g}"]
                words += [f"L = {x.depth}: {_at_top(x):.4f}" for x in row[:2]]
                words += [f"sampled: {_counted(runs[k], row[1]):.4f}"]
                axes[k].annotate("\n".join(words), (at, 0.2), (7, 0), textcoords="offset points",
                                 va="center", fontsize=8)  # fmt: skip
            axes[k].set(xlim=(0, 2), ylim=(0, 1.0 if k < 2 else 1.8))
            finish(axes[k], titles[k], "singular value $s$", "density")
    data = {
        "activation": Variable(("activation",), np.array(names), "activation"),
        "depth": Variable(("depth",), deepest, "number of layers"),
        "distance": Variable(("activation", "depth"), gap, "distance to the limit"),
        "simulated": Variable(
            ("activation", "value"),
            np.array([np.sort(r.singular_values.ravel()) for r in runs]),
            "singular values of one network of 16 layers",
        ),
    }
    rate = np.log(gap[:, -1] / gap[:, -2]) / np.log(deepest[-1] / deepest[-2])
    variance = np.array([[x.variance for x in row] for row in spectra])
    found = [r.compare(row[1]) for row, r in zip(spectra, runs, strict=True)]
    checks = (
        _near("samples of 16 layers, largest distance of distributions", found),
        worst("every spectrum has variance 1/4", variance, s, 1e-8),
        worst("distance to the limit falls like 1/L, erf like 1/sqrt(L)", rate,
              [-1.0, -1.0, -0.5, -1.0], 0.03),
    )  # fmt: skip
    return Reproduction(figure, data, checks)


def _draw_histogram(ax: Any, run: SimulatedSpectrum, s: JacobianSpectrum) -> None:
    middle, height = _heights(run, s, 0.02)
    ax.plot(middle, height, MARKERS[1], ms=4, mfc="white", color=COLOURS[1],
            label=f"one network, L = {s.depth}")  # fmt: skip


def _at_top(s: JacobianSpectrum) -> float:
    """The mass of the point mass above 0."""
    return float(sum(m for place, m in s.solver.atoms if place > -np.inf))


def _counted(run: SimulatedSpectrum, s: JacobianSpectrum) -> float:
    """The share of sampled values that lie on it, but for rounding."""
    places = np.array([a for a, _ in s.solver.atoms])
    log = snapped(2.0 * run.log_singular_values, run.errors, places, s.depth)
    return float(np.isin(log, places[np.isfinite(places)]).mean())


def _at_variance(name: str, depth: int, s: float) -> JacobianSpectrum:
    q = float(q_star_for_variance(name, depth, s).q_star)
    return jacobian_spectrum(name, depth=depth, q_star=q, weights="orthogonal")


ENTRIES = (
    Entry("jacobian-table-1", "Pennington et al. 2018, table 1; lecture 8 of C6.5",
          "Moments of phi'^2 and the variance of the Jacobian's spectrum",
          "At criticality the variance grows in proportion to the depth; orthogonal weights take "
          "away exactly L. The formulas of the table are right as printed.",
          table_1),
    Entry("jacobian-figure-2", "Pennington et al. 2018, figure 2; lecture 8 of C6.5",
          "Deep Jacobian spectra at criticality",
          "Lines are the master equation, points singular values of one finite network without "
          "zeros and point masses. Linear "
          "Gaussian and orthogonal ReLU networks spread ever wider with depth; hard tanh and erf "
          "at small q* stay together longer.",
          figure_2),
    Entry("jacobian-figure-3", "Pennington et al. 2018, figure 3; lecture 8 of C6.5",
          "Distribution of phi'(h) at four lengths",
          "Top: activations and the densities of h. Bottom: distribution functions of phi'. That "
          "of ReLU does not depend on q*, so its spectrum cannot be tamed; the others can.",
          figure_3),
    Entry("jacobian-figure-4", "Pennington et al. 2018, figure 4; lecture 8 of C6.5",
          "Two universality classes of Jacobian spectra",
          "Orthogonal networks whose q* falls with depth so that the variance stays at 1/4. Hard "
          "tanh and shifted ReLU approach one limit (black, with an atom), erf and smoothed ReLU "
          "another; erf is the slowest. Squares: one network of 16 layers.",
          figure_4),
)  # fmt: skip
