"""Norm stability in three panels: the activation, its Hermite coefficients, the field it makes."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from chione.activations import ActivationLike, activation
from chione.gaussian import hermite_expansion
from chione.plotting.style import BLACK, BLUE, GREY, VERMILLION, new_figure, style
from chione.theory import NormStability, norm_map, norm_stability

_TERMS = 12
_FARTHEST = 20.0  # fixed points beyond would leave nothing to see of the others


def stability_figure(
    phi: ActivationLike,
    *,
    means: tuple[float, float] | None = None,
    variances: tuple[float, float] | None = None,
    result: NormStability | None = None,
) -> Figure:
    """Draw activation, Hermite coefficients and the steps of the map of mean and variance.

    Parameters
    ----------
    phi : activation
        Anything :func:`chione.activation` accepts, without jumps.
    means, variances : tuple of float, optional
        Ranges of the third panel; by default (-1, 1) and (0.05, 3), and further to the fixed
        points beyond.
    result : NormStability, optional
        Fixed points computed before.
    """
    act = activation(phi)
    found = norm_stability(act) if result is None else result
    h = np.linspace(-4.0, 4.0, 401)
    coefficients = hermite_expansion(act.value, 1.0, _TERMS, breakpoints=act.kinks).coefficients
    means, variances = _around(found, means, variances)
    mu, nu = np.linspace(*means, 17), np.linspace(*variances, 15)
    images = [norm_map(act, mu, float(v)) for v in nu]
    step_mean = np.stack([i.mean.value for i in images]) - mu
    step_variance = np.stack([i.variance.value for i in images]) - nu[:, None]
    with style():
        figure = new_figure(10.2, 3.3)
        left, middle, right = figure.subplots(1, 3)
        left.plot(h, act.value(h), color=BLUE)
        left.axhline(0.0, color=GREY, lw=0.8)
        left.axvline(0.0, color=GREY, lw=0.8)
        left.set_xlabel("pre-activation $h$")
        left.set_ylabel(r"activation $\phi(h)$")
        left.set_title(act.name)
        middle.axhline(0.0, color=GREY, lw=0.8)
        middle.vlines(np.arange(_TERMS), 0.0, coefficients, color=BLUE)
        middle.plot(np.arange(_TERMS), coefficients, "o", ms=4.5, color=BLUE)
        middle.set_xlabel("order $n$")
        middle.set_ylabel(r"Hermite coefficient $c_n \sqrt{n!}$")
        middle.set_title(f"slope of the norm {found.second_moment_slope.value:.4f}")
        size = np.hypot(step_mean, step_variance)
        with np.errstate(invalid="ignore", divide="ignore"):
            u, v = (np.where(size > 0, s / size, 0.0) for s in (step_mean, step_variance))
        if np.any(np.isfinite(size)):
            heat = np.log10(np.maximum(size, 1e-6))
            arrows = right.quiver(mu, nu, u, v, heat, cmap="cividis", angles="xy", pivot="mid")
            bar = figure.colorbar(arrows, ax=right)
            bar.set_label(r"$\log_{10}$ size of the step")
        else:
            right.annotate("every step leaves the range of numbers", (0.5, 0.5), ha="center",
                           xycoords="axes fraction")  # fmt: skip
        for p in found.points:
            x, y = p.mean.value, p.variance.value
            if means[0] <= x <= means[1] and y <= variances[1]:
                attracts = p.stability == "attracts"
                face = BLACK if attracts else "white"
                (disc,) = right.plot(
                    x, y, "o" if attracts else "s", ms=7, mfc=face, mec=VERMILLION, mew=1.4,
                    ls="none", label=p.stability,
                )  # fmt: skip
                disc.set_clip_on(False)
        handles, words = right.get_legend_handles_labels()
        if handles:  # one entry for each kind, below the field, which fills the axes
            kinds = dict(zip(words, handles, strict=True))
            figure.legend(list(kinds.values()), list(kinds), loc="outside lower right", ncols=2,
                          title="fixed points", alignment="left")  # fmt: skip
        right.set_xlabel(r"mean $\mu$")
        right.set_ylabel(r"variance $\sigma^2$")
        right.set_title("one layer without weights")
        return figure


def _around(
    found: NormStability,
    means: tuple[float, float] | None,
    variances: tuple[float, float] | None,
) -> tuple[tuple[float, float], tuple[float, float]]:
    """The ranges asked for; by default no fixed point near the usual ones is cut off."""
    known = [(float(p.mean.value), float(p.variance.value)) for p in found.points]
    near = [(x, y) for x, y in known if abs(x) <= _FARTHEST and y <= _FARTHEST]
    if means is None:
        wide = max([1.0, *(1.15 * abs(x) for x, _ in near)])
        means = (-wide, wide)
    if variances is None:
        variances = (0.05, max([3.0, *(1.15 * y for _, y in near)]))
    return means, variances
