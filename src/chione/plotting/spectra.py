"""Pictures of the spectra of Jacobians: theory as a line, networks as histograms, atoms as bars."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chione.base import Array
from chione.plotting.spectrum_axis import Scale, SpectrumAxis, scientific, spectrum_axis
from chione.plotting.spectrum_bins import clusters, histogram
from chione.plotting.spectrum_parts import (
    Curve,
    Window,
    bands_of,
    closed,
    cut,
    edges_of,
    mass_along,
    padded,
    split,
    window,
)
from chione.plotting.spectrum_picture import Bar, SpectrumPicture, paint
from chione.plotting.style import BLUE, one_axes, style
from chione.simulation.spectra import SimulatedSpectrum
from chione.simulation.spectrum_comparison import snapped
from chione.theory.spectra.jacobian import JacobianSpectrum, SpectrumCurve
from chione.theory.spectra.jacobian_limits import LimitLaw

_POINTS = 400
_MORE = 200  # where the axis is, a linear one above all
_FAR = 1.5  # how many times longer an outlier may make the axis

__all__ = ["Scale", "draw_curve_of_spectrum", "draw_limit_law", "draw_simulated", "draw_spectrum",
           "limit_picture", "simulated_picture", "spectrum_figure", "spectrum_picture"]  # fmt: skip


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
        The theory, drawn as a line; its point masses are bars on an axis of their own.
    simulated : SimulatedSpectrum, optional
        Finite networks, drawn as a histogram of the values that are neither zeros nor rounding nor
        at a point mass; what is left out is counted in words.
    scale : {"log", "linear"}
        Density by log s over a logarithmic axis, or by s over a linear one, which ends at the
        edge of the law: outliers beyond it are named at its end. Where singular values leave the
        range of float64 the axis is one of decades; where they lie within 0.2 %, one of the
        distance from their middle.
    """
    with style():
        figure, ax = one_axes(5.8, 3.8)
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
    paint(ax, spectrum_picture(spectrum, simulated, scale=scale))


def spectrum_picture(
    spectrum: JacobianSpectrum,
    simulated: SimulatedSpectrum | None = None,
    *,
    scale: Scale = "log",
) -> SpectrumPicture:
    """What :func:`spectrum_figure` shows, as data."""
    linear = scale == "linear"
    support = [(0.5 * a, 0.5 * b) for a, b in spectrum.solver.support]
    atoms = [(0.5 * a, m) for a, m in spectrum.solver.atoms]
    log_s, density, mass = _continuous(spectrum, atoms)
    points = split(log_s, density, support)
    bands = _of(points, support)
    at = [a for a, _ in atoms]
    w = window(log_s, mass, support, also=at, linear=linear, density=density)
    w, near, far = _with_outliers(w, [0.5 * o.log_lambda for o in spectrum.outliers], linear)
    w = padded(w, points, at, linear=linear) if support else w
    zero = -np.inf in at or _has_zeros(simulated)
    axis = spectrum_axis(scale, w.low, w.high, zero=zero)
    curves = [
        cut(closed(_finer(spectrum, axis, p, band), band), axis.low)
        for p, band in zip(points, bands, strict=True)
    ]
    notes = _beyond(w) + _crowded(axis, log_s, mass)
    if not support:
        notes.append("all singular values are equal or 0: the law has no density")
    if far:
        notes.append(
            f"outlier along the input at s = ${scientific(far[-1], 3)}$, right of the axis"
        )
    bins, floor, seen = None, -np.inf, [np.nan] * len(atoms)
    if simulated is not None:
        if _has_zeros(simulated) and -np.inf not in at:
            atoms = [(-np.inf, np.nan), *atoms]  # the networks alone have zeros
        total = simulated.log_singular_values.shape[0] * simulated.output_width
        own, floor, seen = _sampled(simulated, atoms, spectrum.depth)
        bins = histogram(axis, own, total, support, floor)
        notes += _lost(simulated, axis)
        beyond = int(np.count_nonzero(own > axis.high))
        if beyond:
            notes.append(f"networks: {beyond} of {total} values lie right of the axis")
    return SpectrumPicture(
        axis, tuple(curves), tuple(Bar(a, m, s) for (a, m), s in zip(atoms, seen, strict=True)),
        bins, floor, tuple(near), _title(spectrum), tuple(notes),
    )  # fmt: skip


def draw_curve_of_spectrum(ax: Axes, curve: SpectrumCurve, field: str = "density_of_log") -> None:
    """The continuous part of a spectrum from its stored points, shaded by its errors."""
    x = 0.5 * curve.log_lambda
    density, error = 2.0 * curve.density_of_log, 2.0 * curve.density_error
    bands = bands_of(x, density, curve.cdf)
    points = [
        Curve(x[(x >= a) & (x <= b)], density[(x >= a) & (x <= b)]) for a, b in bands
    ]  # fmt: skip
    if not points:
        spectrum_axis("log", -1.0, 1.0, zero=False).apply(ax)
        ax.text(0.5, 0.5, "point masses alone: there is no density", ha="center",
                transform=ax.transAxes)  # fmt: skip
        return
    log_v, mass = mass_along(points)
    w = padded(window(log_v, mass, bands), points, linear=False)
    axis = spectrum_axis("log", w.low, w.high, zero=False)
    whole = [cut(closed(p, edges_of(p)), axis.low) for p in points]
    paint(ax, SpectrumPicture(axis, tuple(whole), notes=tuple(_beyond(w))))
    if field == "cdf":
        for line in list(ax.lines):
            line.remove()
        ax.plot(axis.place(x), curve.cdf, color=BLUE)
        density, error = curve.cdf, curve.cdf_error
        ax.set_ylim(0.0, 1.02)
        ax.set_ylabel("share at or below $s$")
    shape = axis.density(x, density) if field != "cdf" else density
    spread = axis.density(x, error) if field != "cdf" else error
    for a, b in bands:
        own = (x >= a) & (x <= b)
        ax.fill_between(axis.place(x[own]), (shape - spread)[own], (shape + spread)[own],
                        color=BLUE, alpha=0.2, lw=0)  # fmt: skip


def draw_limit_law(ax: Axes, law: LimitLaw) -> None:
    """Density of a limit law with its point masses."""
    paint(ax, limit_picture(law))


def limit_picture(law: LimitLaw) -> SpectrumPicture:
    """What :func:`draw_limit_law` shows, as data."""
    low, high = law.support
    t = np.linspace(0.0, np.pi, 602)[1:-1]
    x = low + (high - low) * np.sin(0.5 * t) ** 2
    band = (float(np.log(low)) if low > 0.0 else -np.inf, float(np.log(high)))
    with np.errstate(divide="ignore"):
        points = Curve(np.log(x), x * law.density(x).value)
    atoms = [(float(np.log(a)), m) for a, m in law.atoms]
    log_v, mass = mass_along([points])
    w = padded(
        window(log_v, mass, [band], also=[a for a, _ in atoms], linear=True), [points], linear=True
    )
    axis = spectrum_axis(
        "linear", w.low, w.high, zero=False, symbol=r"\lambda",
        words=r"squared singular value $\lambda$",
    )  # fmt: skip
    return SpectrumPicture(
        axis, (closed(points, band),), tuple(Bar(a, m) for a, m in atoms),
        title=f"{law.kind} limit, variance {law.variance:g}", line="limit law",
    )  # fmt: skip


def draw_simulated(ax: Axes, simulated: SimulatedSpectrum) -> None:
    """Histogram of the singular values of sampled networks by their logarithm."""
    paint(ax, simulated_picture(simulated))


def simulated_picture(simulated: SimulatedSpectrum) -> SpectrumPicture:
    """What :func:`draw_simulated` shows, as data: values that come again and again are bars."""
    count, k = simulated.log_singular_values.shape
    total = count * simulated.output_width
    log, known = simulated.log_singular_values, ~simulated.lost
    zeros = np.count_nonzero(np.isneginf(log) & known) + total - log.size
    real = known & np.isfinite(log)
    own, slack = log[real], simulated.errors[real]
    equal = clusters(own, slack)
    for place, _ in equal:
        far = abs(own - place) > np.clip(4.0 * slack, 1e-12, 1e-6)
        own, slack = own[far], slack[far]
    bars = [Bar(p, np.nan, n / total) for p, n in equal]
    if zeros:
        bars.insert(0, Bar(-np.inf, np.nan, zeros / total))
    own = np.sort(own)
    support = [(float(own[0]), float(own[-1]))] if own.size > 1 else []
    mass = (np.arange(own.size) + 1.0) / total
    w = window(own, mass, support, also=[p for p, _ in equal] or [*own[:1]])
    w = padded(w, [Curve(own, own)], linear=False) if support else w
    axis = spectrum_axis("log", w.low, w.high, zero=bool(zeros))
    floor = 0.5 * simulated.log_floor
    notes = _beyond(w) + _lost(simulated, axis)
    if not own.size:
        notes.append(
            "all singular values are equal or 0" if equal else "all singular values are 0"
        )  # fmt: skip
    return SpectrumPicture(
        axis, (), tuple(bars), histogram(axis, own, total, support, floor), floor,
        title=f"{count} network{'s' * (count > 1)}, {k} singular value{'s' * (k > 1)} each",
        notes=tuple(notes),
    )  # fmt: skip


# ---- parts ---------------------------------------------------------------------------------------


def _continuous(
    spectrum: JacobianSpectrum, atoms: Sequence[tuple[float, float]]
) -> tuple[Array, Array, Array]:
    """Log s, density by log s, and mass up to there without point masses."""
    c = spectrum.curve(_POINTS)
    good = np.isfinite(c.density_of_log) & np.isfinite(c.cdf)
    log_s, below = 0.5 * c.log_lambda[good], c.cdf[good]
    below = below - sum(m * (log_s >= a) for a, m in atoms)
    mass = np.maximum.accumulate(np.clip(below, 0.0, 1.0)) if below.size else below
    return log_s, 2.0 * c.density_of_log[good], mass


def _finer(
    spectrum: JacobianSpectrum, axis: SpectrumAxis, curve: Curve, band: tuple[float, float]
) -> Curve:
    """A curve with more points where the axis shows it, dense at both ends."""
    ends = max(band[0], axis.low), min(band[1], axis.high)
    low, high = (float(axis.position(np.array(e))) for e in ends)
    u = np.linspace(0.0, np.pi, _MORE + 2)[1:-1]
    at = axis.log_v(low + (high - low) * np.sin(0.5 * u) ** 2)
    at = at[(at > band[0]) & (at < band[1]) & np.isfinite(at)]
    density = 2.0 * spectrum.solver.values(2.0 * at).density
    x, y = np.concatenate([curve.log_v, at]), np.concatenate([curve.density, density])
    x, first = np.unique(x, return_index=True)
    good = np.isfinite(y[first])
    return Curve(x[good], y[first][good])


def _with_outliers(
    w: Window, places: Sequence[float], linear: bool
) -> tuple[Window, list[float], list[float]]:
    """The window with outliers that do not stretch it much, these, and the others."""
    reach = w.high + (np.log(_FAR) if linear else (_FAR - 1.0) * (w.high - w.low))
    near = [p for p in places if p <= reach]
    return w._replace(high=max([w.high, *near])), near, [p for p in places if p > reach]


def _of(
    points: Sequence[Curve], support: Sequence[tuple[float, float]]
) -> list[tuple[float, float]]:
    """The band in which each curve lies."""
    return [next(b for b in support if b[0] < p.log_v[0] < b[1]) for p in points]


def _has_zeros(simulated: SimulatedSpectrum | None) -> bool:
    if simulated is None:
        return False
    log = simulated.log_singular_values
    short = simulated.output_width > log.shape[1]
    return bool(short or np.any(np.isneginf(log) & ~simulated.lost))


def _sampled(
    simulated: SimulatedSpectrum, atoms: Sequence[tuple[float, float]], depth: int
) -> tuple[Array, float, list[float]]:
    """Values of the histogram, the floor of rounding, and the shares at point masses."""
    total = simulated.log_singular_values.shape[0] * simulated.output_width
    places = np.array([2.0 * a for a, _ in atoms])
    log = snapped(2.0 * simulated.log_singular_values, simulated.errors, places, depth)
    own = log[~simulated.lost]
    zeros = np.count_nonzero(np.isneginf(own)) + total - log.size
    seen = [
        (zeros if np.isinf(a) else float(np.count_nonzero(own == 2.0 * a))) / total
        for a, _ in atoms
    ]  # fmt: skip
    continuous = own[np.isfinite(own) & ~np.isin(own, places)]
    floor = 0.5 * simulated.log_floor
    return 0.5 * continuous[continuous > 2.0 * floor], floor, seen


def _lost(simulated: SimulatedSpectrum, axis: SpectrumAxis) -> list[str]:
    """How many values are rounding, in words."""
    n, all_of_them = int(simulated.lost.sum()), simulated.log_singular_values.size
    if n == 0:
        return []
    left, right = axis.ends
    floor = float(axis.position(np.array(0.5 * simulated.log_floor)))
    shaded = " (shaded)" if floor - left > 5e-3 * (right - left) else ""
    return [f"networks: {n} of {all_of_them} values are rounding{shaded} and are left out"]


def _beyond(w: Window) -> list[str]:
    """The shares of the mass that the axis leaves out, in words."""
    return [
        f"{_percent(share)} of the mass lies {side} of the axis"
        for share, side in ((w.left, "left"), (w.right, "right"))
        if share > 5e-4
    ]


def _crowded(axis: SpectrumAxis, log_v: Array, mass: Array) -> list[str]:
    """What a linear axis cannot show, in words."""
    if axis.kind != "linear" or not mass.size:
        return []
    near = float(axis.log_v(np.array(0.01 * axis.ends[1])))
    share = float(np.interp(near, log_v, mass, left=float(mass[0])))
    if share < 0.3 * mass[-1]:
        return []
    return [f"{_percent(share)} of the mass lies in the first 1 % of the axis: see it by log s"]


def _percent(share: float) -> str:
    return f"{100.0 * share:.0f} %" if share > 0.1 else f"{100.0 * share:.2g} %"


def _title(spectrum: JacobianSpectrum) -> str:
    weights = "orthogonal" if spectrum.weights == "orthogonal" else "Gaussian"
    return (
        f"{spectrum.activation.name}, {weights}, L = {spectrum.depth}, q* = {spectrum.q_star:.4g}"
    )
