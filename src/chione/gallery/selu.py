"""Chapter on stability (source of figure 6.1): SELU, its Hermite expansion, its stability."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.integrate import quad

from chione import theory
from chione.activations import activation
from chione.base import Array
from chione.gallery import plain
from chione.gallery.drawing import finish
from chione.gallery.drawing import theory as line
from chione.gallery.entry import Check, Entry, Reproduction, Variable, worst
from chione.gaussian.hermite import hermite_expansion, hermite_functions
from chione.plotting import COLOURS, new_figure, style


def figure(quick: bool) -> Reproduction:
    """SELU, its coefficients, and both notions of stability."""
    selu = activation("selu")
    n = 24
    c = hermite_expansion(selu, 1.0, n, breakpoints=selu.kinks).coefficients
    x = np.linspace(-4.0, 4.0, 321)
    psi = hermite_functions(x, n) * np.exp(0.25 * x * x)  # he_k(x)
    orders = np.array([2, 4, 8])
    partial = np.array([c[: k + 1] @ psi[: k + 1] for k in orders])
    q = np.linspace(0.0, 3.0, 121)
    image = np.asarray(theory.second_moment(selu, q).value)
    orbit = _orbit(0.01, 200)
    with style():
        picture = new_figure(9.0, 7.0)
        axes = picture.subplots(2, 2)
        axes[0, 0].plot(x, selu(x), color="#1a1a1a", lw=2.4, label="SELU")
        for i, k in enumerate(orders):
            line(axes[0, 0], x, partial[i], i, f"up to order {k}")
        axes[0, 0].set_ylim(-3, 5)
        finish(axes[0, 0], "SELU and its Hermite expansion", "$x$", r"$\phi(x)$", "upper left")
        axes[0, 1].bar(np.arange(n), c, color=COLOURS[0])
        finish(axes[0, 1], "Hermite coefficients", "order $k$", "$c_k$ (orthonormal)", None)
        axes[1, 0].plot(q, q, color="#8a8a8a", lw=1.0, ls=(0, (4, 2)))
        line(axes[1, 0], q, image, 0, r"$E\,\phi(\sqrt{q} z)^2$")
        axes[1, 0].plot(1.0, 1.0, "o", color="#1a1a1a")
        finish(axes[1, 0], "Second moment: slope 0.78 at 1, stable", "mean square $q$",
               "in the next layer")  # fmt: skip
        axes[1, 1].plot(orbit[:, 0], color=COLOURS[0], label=r"mean $\mu$")
        axes[1, 1].plot(orbit[:, 1], color=COLOURS[1], ls="--", label=r"variance $\sigma^2$")
        axes[1, 1].set_yscale("log")
        finish(axes[1, 1], "Mean and variance from (0.01, 1): a saddle", "layer $l$", "value")
    data = {
        "order": Variable(("k",), np.arange(n), "order"),
        "coefficient": Variable(("k",), c, "coefficient in orthonormal Hermite polynomials"),
        "x": Variable(("x",), x, "argument"),
        "value": Variable(("x",), selu(x), "SELU"),
        "partial_order": Variable(("partial",), orders, "largest order of the partial sums"),
        "partial_sum": Variable(("partial", "x"), partial, "partial sums"),
        "q": Variable(("q",), q, "mean square"),
        "image": Variable(("q",), image, "E phi^2"),
        "orbit": Variable(("layer", "moment"), orbit, "mean and variance, layer by layer"),
    }
    return Reproduction(picture, data, _checks(c))


def _orbit(mean: float, layers: int) -> Array:
    rows = [(mean, 1.0)]
    for _ in range(layers):
        image = theory.norm_map("selu", rows[-1][0], rows[-1][1])
        rows.append((float(image.mean.value[0]), float(image.variance.value[0])))
    return np.array(rows)


def _checks(c: Array) -> tuple[Check, ...]:
    alpha, scale = 1.6732632423543772, 1.0507009873554805

    def selu(h: float) -> float:
        return scale * (h if h > 0 else alpha * float(np.expm1(h)))

    def mean(f: Callable[[float], float]) -> float:
        def weighted(z: float) -> float:
            return float(f(z)) * float(np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi))

        return float(quad(weighted, -12, 0, epsabs=1e-13)[0] + quad(weighted, 0, 12)[0])

    k3 = mean(lambda z: selu(z) * (z**3 - 3 * z) / np.sqrt(6.0))
    slope = 0.5 * (mean(lambda z: selu(z) ** 2 * z * z) - 1.0)
    found = theory.norm_stability("selu")
    at_one = min(found.points, key=lambda p: abs(float(p.variance.value) - 1.0)
                 + abs(float(p.mean.value)))  # fmt: skip
    small = _orbit(1e-7, 80)
    e1, e2 = mean(lambda z: scale * (1 if z > 0 else alpha * np.exp(z))), slope
    # Stein's lemma: E phi'' = E (z^2 - 1) phi; 2 E phi phi' = E z phi^2
    cross = 0.5 * mean(lambda z: (z * z - 1) * selu(z)), mean(lambda z: z * selu(z) ** 2)
    eigenvalues = np.linalg.eigvals(np.array([[e1, cross[0]], [cross[1], e2]]))
    return (
        Check("coefficient of order 3, by adaptive quadrature", float(c[3]), k3, 1e-9),
        Check("slope of the length map at 1: (E x^2 phi^2 - 1) / 2",
              float(theory.length_slope("selu", 1.0).value), slope, 1e-9),
        Check("eigenvalue of the map of mean and variance",
              float(np.max(at_one.eigenvalues.real)), float(np.max(eigenvalues.real)), 1e-8),
        Check("a mean of 1e-7 grows by that eigenvalue a layer", small[80, 0] / small[79, 0],
              float(np.max(eigenvalues.real)), 1e-4),
    )  # fmt: skip


_CENTRED = ("linear", "selu", "tanh", "erf", "sin", "hardtanh", "relu", "gelu")


def tradeoff(quick: bool) -> Reproduction:
    """Decorrelation forward against growth backward, for centred and scaled activations."""
    found = [theory.tradeoff(name) for name in _CENTRED]
    forward = np.array([float(t.decorrelation.value) for t in found])
    backward = np.array([float(t.gradient.value) for t in found])
    with style():
        picture = new_figure(5.4, 4.4)
        ax = picture.add_subplot()
        ax.axhline(1.0, color="#8a8a8a", lw=0.9, ls=":")
        ax.plot(forward, backward, "o", color=COLOURS[0])
        for name, x, y in zip(_CENTRED, forward, backward, strict=True):
            ax.annotate(name, (x, y), xytext=(6, 3), textcoords="offset points", fontsize=8)
        finish(ax, "Forward decorrelation, backward growth",
               r"factor on small correlations $\kappa'(0) = c_1^2$",
               r"factor on the mean square gradient $\kappa'(1)$", None)  # fmt: skip
    data = {
        "activation": Variable(("activation",), np.array(_CENTRED), "centred and scaled at q = 1"),
        "decorrelation": Variable(("activation",), forward, "factor on small correlations"),
        "gradient": Variable(("activation",), backward, "factor on the mean square gradient"),
    }
    tanh, sin, relu = (_CENTRED.index(n) for n in ("tanh", "sin", "relu"))
    size = plain.average(lambda h: np.tanh(h) ** 2, 1.0)
    checks = (
        Check("tanh forward, by plain sums", float(forward[tanh]),
              plain.average(lambda h: h * np.tanh(h), 1.0) ** 2 / size, 1e-10),
        Check("tanh backward, by plain sums", float(backward[tanh]),
              plain.average(lambda h: np.cosh(h) ** -4.0, 1.0) / size, 1e-10),
        Check("sin backward: coth 1", float(backward[sin]), 1.0 / np.tanh(1.0), 1e-12),
        Check("relu backward: pi / (pi - 1)", float(backward[relu]), np.pi / (np.pi - 1.0), 1e-12),
        worst("no activation is below 1 backward", np.minimum(backward, 1.0), 1.0, 1e-12),
    )  # fmt: skip
    return Reproduction(picture, data, checks)


ENTRIES = (
    Entry("selu-stability", "Chapter 6 on stability, figure 6.1",
          "SELU, its Hermite expansion and its stability",
          "The second moment alone is stable, with slope 0.7826 at 1. The map of mean and variance "
          "together is a saddle there: a mean of 0.01 grows. SELU needs weights of mean zero.",
          figure),
    Entry("forward-backward-balance", "Chapter 6 on stability, section 6.2 and remark 6.4",
          "Forward decorrelation against backward growth",
          "For centred activations of unit variance correlations shrink by c_1^2 and gradients "
          "grow by sum k c_k^2. The second is never below 1, and 1 for a linear activation only: "
          "gradients of nonlinear ones explode, they do not vanish.",
          tradeoff),
)  # fmt: skip
