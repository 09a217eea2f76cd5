"""Pictures of the spectra of Jacobians, theory as a line, networks as histograms."""

from __future__ import annotations

from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chione.base import Array
from chione.plotting.style import BLACK, BLUE, SKY, VERMILLION, one_axes, style
from chione.simulation.spectra import SimulatedSpectrum
from chione.theory.spectra.jacobian import JacobianSpectrum, SpectrumCurve
from chione.theory.spectra.jacobian_limits import LimitLaw

Scale = Literal["log", "linear"]
_BINS = 60
_DECADES = 12.0  # logarithms below the edge that a linear axis draws
_FAR = 1.5  # how far beyond the edge an outlier may stretch a linear axis
_LARGEST_LOG = 650.0  # exp(700) overflows; the axis needs some room
_SHOWN = 1e-3  # share of the mass at the lower end that a picture leaves out


def spectrum_figure(
    spectrum: JacobianSpectrum,
    simulated: SimulatedSpectrum | None = None,
    *,
    scale: Scale = "log",
) -> Figure:
    r"""Density of the singular values with its edges, point masses and outliers.

    Parameters
    ----------
    spectrum : JacobianSpectrum
        The theory, drawn as a line.
    simulated : SimulatedSpectrum, optional
        Finite networks, drawn as a histogram.
    scale : {"log", "linear"}
        Density by log s over a logarithmic axis, or by s over a linear one, which ends at the
        edge of the law: outliers beyond it are named at its end.

    Raises
    ------
    ValueError
        Where the singular values leave the range of float64.
    """
    with style():
        figure, ax = one_axes(5.6, 3.8)
        draw_spectrum(ax, spectrum, simulated, scale=scale)
    return figure


def draw_spectrum(
    ax: Axes,
    spectrum: JacobianSpectrum,
    simulated: SimulatedSpectrum | None = None,
    *,
    scale: Scale = "log",
) -> None:
    """Draw what :func:`spectrum_figure` shows."""
    c = spectrum.curve()
    _check_range(spectrum, c.log_lambda, c.cdf)
    if simulated is not None:
        _histogram(ax, spectrum, simulated, scale)
    if c.log_lambda.size:
        y = 0.5 * c.log_lambda
        density = 2.0 * c.density_of_log
        if scale == "linear":
            near = y > y[-1] - _DECADES  # what is closer to zero lies on the axis
            y, density = y[near], density[near] * np.exp(-y[near])
        ax.plot(np.exp(y), density, color=BLUE, zorder=3, label="infinite width")
    _marks(ax, spectrum, scale)
    name = "log s" if scale == "log" else "s"
    ax.set_xlabel("singular value s of the Jacobian")
    ax.set_ylabel(f"density of {name}")
    ax.set_title(_title(spectrum))
    if scale == "log":
        ax.set_xscale("log")
    if c.log_lambda.size:
        ax.set_ylim(0.0, 1.15 * _highest(y, density, scale))
    _limits(ax, spectrum, c.log_lambda, c.cdf)
    if ax.get_legend_handles_labels()[0]:
        ax.legend()


def draw_curve_of_spectrum(ax: Axes, curve: SpectrumCurve, field: str = "density_of_log") -> None:
    """The continuous part of a spectrum from its stored points, shaded by its errors."""
    s = np.exp(0.5 * np.clip(curve.log_lambda, -600.0, 600.0))
    value, error = {
        "density_of_log": (2.0 * curve.density_of_log, 2.0 * curve.density_error),
        "cdf": (curve.cdf, curve.cdf_error),
    }[field]
    ax.plot(s, value, color=BLUE)
    ax.fill_between(s, value - error, value + error, color=BLUE, alpha=0.2, lw=0)
    low = curve.cdf[0] + _SHOWN * (1.0 - curve.cdf[0]) if curve.cdf.size else 0.0
    shown = s[(curve.cdf > low) & (curve.cdf < 1.0 - 1e-6)]
    ax.set_xscale("log")
    if shown.size:
        ax.set_xlim(0.95 * shown[0], 1.05 * shown[-1])
    ax.set_ylim(bottom=0.0)
    ax.set_xlabel("singular value s of the Jacobian")
    ax.set_ylabel("density of log s" if field == "density_of_log" else "share below s")


def draw_limit_law(ax: Axes, law: LimitLaw) -> None:
    """Density of a limit law with its point masses."""
    low, high = law.support
    x = low + (high - low) * np.sin(np.linspace(0.0, np.pi / 2, 402)[1:-1]) ** 2
    ax.plot(x, law.density(x).value, color=BLUE)
    for place, mass in law.atoms:
        ax.axvline(place, color=VERMILLION, lw=1.2)
        ax.annotate(f" mass {mass:.3g}", (place, 0.9), xycoords=("data", "axes fraction"),
                    color=VERMILLION, fontsize=8)  # fmt: skip
    top = float(np.quantile(law.density(x).value, 0.98))
    ax.set_ylim(0.0, 1.2 * top)
    ax.set_xlabel(r"squared singular value $\lambda$")
    ax.set_ylabel("density")
    ax.set_title(f"{law.kind} limit, variance {law.variance:g}")


def draw_simulated(ax: Axes, simulated: SimulatedSpectrum) -> None:
    """Histogram of the singular values of sampled networks by their logarithm."""
    log = simulated.log_singular_values[simulated.resolved & (simulated.log_singular_values > -700)]
    if not log.size:
        ax.text(0.5, 0.5, "all singular values are 0", ha="center", transform=ax.transAxes)
        return
    low = float(np.quantile(log, _SHOWN))
    log = np.clip(log, -300.0, 300.0)
    edges = np.linspace(low, log.max(), _BINS + 1)
    counts, _ = np.histogram(log, edges)
    total = simulated.log_singular_values.size * (edges[1] - edges[0])
    ax.stairs(counts / total, np.exp(edges), fill=True, color=SKY, alpha=0.6)
    ax.set_xscale("log")
    ax.set_xlabel("singular value s of the Jacobian")
    ax.set_ylabel("density of log s")
    count, k = simulated.log_singular_values.shape
    ax.set_title(f"{count} networks, {k} values each")


def _highest(log_s: Array, density: Array, scale: Scale) -> float:
    """Top of the axis: a density by s can rise without end towards s = 0."""
    shown = density if scale == "log" else density[log_s > log_s[-1] - 3.5]
    return float(np.max(shown))


def _histogram(
    ax: Axes, spectrum: JacobianSpectrum, simulated: SimulatedSpectrum, scale: Scale
) -> None:
    log = simulated.log_eigenvalues
    total = log.size
    low = float(spectrum.log_quantile(np.array([_low_share(spectrum)])).value[0])
    log = 0.5 * log[log > low - 1.0]
    if log.size == 0:
        return
    values = np.exp(log)
    edges = (
        np.exp(np.linspace(log.min(), log.max(), _BINS + 1))
        if scale == "log"
        else np.linspace(0.0, values.max(), _BINS + 1)
    )
    counts, _ = np.histogram(values, edges)
    width = np.diff(np.log(edges)) if scale == "log" else np.diff(edges)
    ax.stairs(
        counts / (total * width), edges, fill=True, color=SKY, alpha=0.6, label="sampled networks"
    )


def _marks(ax: Axes, spectrum: JacobianSpectrum, scale: Scale) -> None:
    for place, mass in spectrum.atoms:
        if place > 0.0:
            ax.axvline(np.sqrt(place), color=VERMILLION, lw=1.2)
            ax.annotate(
                f" mass {mass:.3g}",
                (np.sqrt(place), 0.95),
                color=VERMILLION,
                xycoords=("data", "axes fraction"),
                fontsize=8,
                va="top",
            )
        else:
            ax.annotate(
                f"mass {mass:.3g} at 0",
                (0.02, 0.95),
                xycoords="axes fraction",
                color=VERMILLION,
                fontsize=8,
                va="top",
            )
    places = [o.singular_value for o in spectrum.outliers]
    far = [x for x in places if scale == "linear" and x > _FAR * spectrum.edges[1] ** 0.5]
    places = [x for x in places if x not in far]
    if far:
        ax.annotate(
            f"outlier along the input at {far[-1]:.3g} →",
            (0.99, 0.02),
            xycoords="axes fraction",
            fontsize=8,
            ha="right",
        )
    if places:
        ax.plot(
            places,
            [0.0] * len(places),
            marker="v",
            ls="none",
            color=BLACK,
            clip_on=False,
            zorder=5,
            label="outlier along the input",
        )


def _check_range(spectrum: JacobianSpectrum, log_lambda: Array, cdf: Array) -> None:
    """Refuse a picture whose axis would leave the range of float64."""
    shown = log_lambda[cdf > _low_share(spectrum)]
    ends = [*shown[:1], *shown[-1:], *(o.log_lambda for o in spectrum.outliers)]
    if ends and (0.5 * min(ends) < -_LARGEST_LOG or 0.5 * max(ends) > _LARGEST_LOG):
        raise ValueError(
            f"singular values between e^{0.5 * min(ends):.4g} and e^{0.5 * max(ends):.4g} leave "
            "the range of an axis; draw a smaller depth, or take the data with --out or curve()."
        )


def _low_share(spectrum: JacobianSpectrum) -> float:
    return 1.0 - spectrum.rank_fraction * (1.0 - _SHOWN)


def _limits(ax: Axes, spectrum: JacobianSpectrum, log_lambda: Array, cdf: Array) -> None:
    """Leave out the far tails, which a logarithmic axis would stretch without end."""
    shown = log_lambda[(cdf > _low_share(spectrum)) & (cdf < 1.0 - 1e-6)]
    places = [np.log(a) for a, _ in spectrum.atoms if a > 0.0]
    linear = ax.get_xscale() != "log"
    edge = float(log_lambda[-1]) if log_lambda.size else np.inf
    reach = edge + 2.0 * np.log(_FAR) if linear else np.inf
    places += [o.log_lambda for o in spectrum.outliers if o.log_lambda <= reach]
    places += [*shown[:1], *shown[-1:]]
    if places:
        low, high = 0.5 * min(places), 0.5 * max(places)
        pad = 0.05 if linear else 0.03 * (high - low) + 0.05
        left = 0.0 if linear else np.exp(low - pad)
        ax.set_xlim(left, np.exp(high + pad))


def _title(spectrum: JacobianSpectrum) -> str:
    weights = "orthogonal" if spectrum.weights == "orthogonal" else "Gaussian"
    return (
        f"{spectrum.activation.name}, {weights}, L = {spectrum.depth}, q* = {spectrum.q_star:.4g}"
    )
