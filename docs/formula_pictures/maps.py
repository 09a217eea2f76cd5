"""Pictures of one layer: expectations, maps, Hermite coefficients, norm stability."""

import numpy as np

import chione as ch
from chione.plotting.style import BLACK, BLUE, COLOURS, GREY, VERMILLION
from formula_pictures.drawing import diagonal, dots, finish, line, panels


def expectations():
    """What a Gauss-Hermite rule looks at, and what it misses."""
    figure, (left, right) = panels()
    nodes, weights = np.polynomial.hermite_e.hermegauss(25)
    h = np.linspace(-18, 18, 1201)
    left.plot(h, np.tanh(h) ** 2, color=BLACK, label=r"$\tanh^2 h$")
    for i, q in enumerate((1.0, 25.0)):
        density = np.exp(-(h**2) / (2 * q))
        line(left, h, density, i, f"Gaussian, $q = {q:g}$", lw=1.2)
    seen = 5.0 * nodes[np.abs(5.0 * nodes) < 18]
    left.plot(seen, np.tanh(seen) ** 2, "o", ms=3.5, color=VERMILLION, label="25 nodes at $q = 25$")
    left.set_ylim(-0.04, 1.62)
    finish(left, "The rule looks past the bend", "$h$", "height", legend="upper left")
    q = np.geomspace(1e-2, 1e3, 41)
    exact = ch.second_moment("tanh", q)
    rough = np.array([weights @ np.tanh(np.sqrt(x) * nodes) ** 2 for x in q]) / np.sqrt(2 * np.pi)
    line(right, q, np.abs(rough / exact.value - 1) + 1e-16, 1, "Gauss-Hermite, 25 nodes")
    line(right, q, exact.error / exact.value, 0, "chione: bound on its error")
    right.set(xscale="log", yscale="log", ylim=(1e-17, 10))
    finish(right, r"Error of $E\,\tanh^2$", "$q$", "relative error", legend="center right")
    return figure


def lengths():
    """Length maps of tanh, a path of iteration, and lengths over depth."""
    figure, (left, right) = panels()
    q = np.linspace(0, 3, 121)
    for i, w in enumerate((1.0, 1.5, 2.0)):
        line(
            left, q, ch.length_map("tanh", q, sigma_w=w, sigma_b=0.3).value, i, rf"$\sigma_w = {w}$"
        )
        star = ch.fixed_points("tanh", sigma_w=w, sigma_b=0.3).points[-1].q.value
        left.plot([star], [star], "o", color=COLOURS[i], ms=5)
    diagonal(left, 3.0)
    at, path = 2.7, [(2.7, 0.0)]
    for _ in range(8):
        new = ch.length_map("tanh", at, sigma_w=1.5, sigma_b=0.3).value
        path += [(at, new), (new, new)]
        at = new
    left.plot(*zip(*path, strict=True), color=GREY, lw=1.0, label=r"path at $\sigma_w = 1.5$")
    finish(left, "Map of tanh, $\\sigma_b = 0.3$", "$q^l$", "$q^{l+1}$", legend="upper left")
    layers = np.arange(1, 13)
    for i, q0 in enumerate((0.02, 0.3, 10.0)):
        curve = ch.trajectory("tanh", 1.5, 0.3, depth=12, q0=q0)
        line(right, layers, curve.q, i, f"input of mean square {q0:g}")
        net = ch.MLP(ch.activation("tanh"), 1.5, 0.3, depth=12, width=1000)
        rows = ch.correlated_inputs(1000, [[q0]])
        run = ch.simulate(net, rows, n_networks=5, seed=i, observe=("lengths",))
        dots(right, layers, run.mean["lengths"][:, 0], run.stderr["lengths"][:, 0], i)
    right.set_yscale("log")
    finish(right, "Lines: theory. Dots: width 1000", "layer $l$", "$q^l$")
    return figure


def correlations():
    """Correlation maps of tanh, and the distance of two inputs in the three phases."""
    figure, (left, right) = panels()
    c = np.linspace(0, 1, 101)
    line_at = ch.critical_line("tanh", q=0.8)
    critical, bias = line_at.sigma_w.item(), line_at.sigma_b.item()
    layers = np.arange(1, 61)
    for i, (w, word) in enumerate(((1.0, "ordered"), (critical, "critical"), (2.2, "chaotic"))):
        m = ch.mean_field("tanh", w, bias)
        values = ch.correlation_map("tanh", c, q=m.q_star.value, sigma_w=w, sigma_b=bias).value
        line(left, c, values, i, rf"$\sigma_w = {w:.2f}$, {word}")
        star = 1.0 if word != "chaotic" else m.c_star.value
        left.plot([star], [star], "o", color=COLOURS[i], ms=5, clip_on=False)
        curve = ch.trajectory("tanh", w, bias, depth=60, q0=m.q_star.value, c0=0.2)
        line(right, layers, curve.one_minus_c, i, word)
    diagonal(left, 1.0)
    finish(
        left, rf"Map of tanh, $\sigma_b = {bias:.2f}$", "$c^l$", "$c^{l+1}$", legend="lower right"
    )
    right.set(yscale="log", ylim=(1e-11, 3))
    finish(right, "Distance of two inputs", "layer $l$", "$1 - c^l$", legend="lower left")
    return figure


def phases():
    """Lines of equal susceptibility of tanh, and depth scales across the critical line."""
    figure, (left, right) = panels()
    w, b = np.linspace(0.5, 2.5, 41), np.linspace(0.0, 1.3, 31)
    found = ch.phase_diagram("tanh", sigma_w=w, sigma_b=b)
    chi = found.chi_perp if found.chi_perp.shape == (31, 41) else found.chi_perp.T
    levels = left.contour(
        w, b, chi, levels=(0.25, 0.5, 0.75, 1.25, 1.5), colors=GREY, linewidths=0.9
    )
    left.clabel(levels, fmt="%g", fontsize=7)
    line_at = ch.critical_line("tanh", q=np.geomspace(1e-4, 4.2, 60))
    line(left, line_at.sigma_w, line_at.sigma_b, 0, "critical, from $q$ alone", lw=2.4)
    left.set(xlim=(0.5, 2.5), ylim=(0, 1.3))
    for x, y, word in ((1.32, 0.75, "order"), (2.0, 0.12, "chaos")):
        left.text(x, y, word, fontweight="bold", bbox={"fc": "white", "ec": "none", "pad": 1})
    finish(left, r"$\chi_\perp$ of tanh", r"$\sigma_w$", r"$\sigma_b$", legend="upper left")
    w = np.linspace(0.6, 2.6, 161)
    cut = ch.phase_diagram("tanh", sigma_w=w, sigma_b=[0.3])
    line(right, w, cut.xi_c.ravel(), 0, r"$\xi_c$, correlations")
    line(right, w, cut.xi_q.ravel(), 1, r"$\xi_q$, lengths")
    right.set(yscale="log", ylim=(0.3, 300))
    finish(
        right, r"Depth scales at $\sigma_b = 0.3$", r"$\sigma_w$", "layers", legend="upper right"
    )
    return figure


def hermite():
    """Decay of Hermite coefficients: an entire function, a pole, a kink, a jump."""
    figure, (left, right) = panels()
    for i, (name, word) in enumerate(
        (("sin", "entire"), ("tanh", "poles"), ("relu", "a kink"), ("sign", "a jump"))
    ):
        phi = ch.activation(name)
        found = ch.hermite_expansion(phi, 1.0, 60, breakpoints=phi.kinks)
        k = np.arange(60)
        keep = np.abs(found.coefficients) > np.maximum(found.error, 1e-14)
        left.plot(
            k[keep], found.coefficients[keep] ** 2, "osD^"[i], ms=3, color=COLOURS[i],
            label=f"{name}: {word}",
        )  # fmt: skip
    left.set(yscale="log", ylim=(1e-24, 3))
    finish(left, "Share of degree $k$ at $q = 1$", "$k$", "$c_k^2$", legend="lower right")
    phi = ch.activation("relu")
    found = ch.hermite_expansion(phi, 1.0, 200, breakpoints=phi.kinks)
    terms = np.arange(3, 200, 2)
    for i, c in enumerate((1.0, 0.9, 0.5)):
        exact = ch.kernel(phi, 1.0, 1.0, c).value
        sums = np.cumsum(found.coefficients**2 * c ** np.arange(200))
        missed = exact - sums[terms - 1]
        keep = missed > 1e-13
        line(right, terms[keep], missed[keep], i, f"$c = {c:g}$")
    right.set(xscale="log", yscale="log", ylim=(1e-13, 1e-1))
    finish(right, "What $n$ terms miss, ReLU", "$n$", "missing", legend="lower left")
    return figure


def norm_stability():
    """Paths of (mean, variance) under SELU, and the slope of the second moment."""
    figure, (left, right) = panels()
    phi = ch.activation("selu")
    for mean in (-0.8, -0.4, -0.1, -0.02, 0.02, 0.1, 0.4, 0.8):
        path = [(mean, 1.0 if abs(mean) < 0.2 else 0.5)]
        for _ in range(40):
            path.append(moments(phi, *path[-1]))
        colour = BLUE if mean < 0 else VERMILLION
        left.plot(*zip(*path, strict=True), ".-", ms=4, lw=0.8, color=colour)
    left.plot([0], [1], "s", color=BLACK, ms=6)
    left.set(xlim=(-1.0, 1.0), ylim=(0.4, 1.6))
    finish(
        left, "SELU: mean and variance together", r"mean $\mu$", r"variance $\sigma^2$", legend=None
    )
    q = np.linspace(0.02, 2.5, 60)
    for i, name in enumerate(("selu", "tanh", "leaky_relu(0.1)", "x**2")):
        phi = ch.activation(name)
        scale = ch.second_moment(phi, 1.0).value
        line(right, q, ch.second_moment(phi, q).value / scale, i, name)
    right.plot(q, q, color=GREY, lw=0.8, zorder=0)
    right.set(xlim=(0, 2.5), ylim=(0, 2.5))
    finish(right, r"Second moment alone, $E\phi^2 = 1$ at $q = 1$", "$q^l$", "$q^{l+1}$")
    return figure


def moments(phi, mean, variance):
    """E and Var of phi(X), X of that mean and variance, by plain sums over a fine grid."""
    z = np.linspace(-10, 10, 4001)
    weight = np.exp(-z * z / 2)
    weight /= weight.sum()
    values = phi(mean + np.sqrt(variance) * z)
    first = float(weight @ values)
    return first, float(weight @ values**2) - first**2


PICTURES = {
    draw.__name__.replace("_", "-"): draw
    for draw in (expectations, lengths, correlations, phases, hermite, norm_stability)
}
