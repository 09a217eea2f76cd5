"""One door to the pictures: `plot(result)` for any result, a whole figure or one panel of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial, singledispatch
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chione.base import AbstractResult, NoPictureError
from chione.freeprob.curve import MeasureCurve
from chione.gaussian import HermiteExpansion
from chione.networks import Network
from chione.plotting import points, series
from chione.plotting.depth import draw_depth
from chione.plotting.diagram import FIELD_WORDS, draw_diagram
from chione.plotting.geometry import (
    draw_curve,
    draw_kurtosis,
    draw_mmd,
    draw_quantity,
    geometry_figure,
)
from chione.plotting.hessian import (
    draw_critical,
    draw_hessian,
    draw_hessian_curve,
    draw_index,
    draw_network_hessian,
)
from chione.plotting.kernels import draw_kernel
from chione.plotting.measures import draw_measure
from chione.plotting.network import network_picture
from chione.plotting.panels import Panel, Picture, assemble
from chione.plotting.phases import depth_curves, diagram_picture, draw_line, draw_slope, line_of
from chione.plotting.recommendation import recommendation_picture
from chione.plotting.simulation import draw_observable, simulation_figure
from chione.plotting.spectra import (
    draw_curve_of_spectrum,
    draw_limit_law,
    draw_simulated,
    draw_spectrum,
)
from chione.plotting.transformers import draw_regions, draw_transformer_field
from chione.simulation import CurveGeometry, GaussianLimit, SimulationResult
from chione.simulation.hessian import NetworkHessian
from chione.simulation.spectra import SimulatedSpectrum
from chione.theory import (
    BackwardPass,
    Basins,
    Criticality,
    CriticalLine,
    DeepRun,
    FiniteWidth,
    FixedPoints,
    KernelLayers,
    KernelMatrix,
    MeanField,
    MetricCovariance,
    NormStability,
    PhaseDiagram,
    Recommendation,
    Trajectory,
)
from chione.theory.depth.transformer_phase import FIELDS as TRANSFORMER_FIELDS
from chione.theory.depth.transformer_phase import TransformerPhase
from chione.theory.layers.network_theory import NetworkTheory, network_theory
from chione.theory.spectra.hessian import HessianCurve, HessianSpectrum
from chione.theory.spectra.jacobian import JacobianSpectrum, SpectrumCurve
from chione.theory.spectra.jacobian_limits import LimitLaw


def plot(result: Any, *, ax: Axes | None = None, field: str | None = None) -> Figure:
    """Draw a result.

    Parameters
    ----------
    result : AbstractResult
        What a function of chione returned, or :func:`chione.load`; or a network, whose q, c and
        gradient are drawn place by place.
    ax : matplotlib Axes, optional
        Where to draw, in the style that it has: the panel of `field`, by default the first one.
    field : str, optional
        Which quantity, where a result has several, as in ``plot(diagram, field="xi_c")``.

    Returns
    -------
    matplotlib.figure.Figure
        Shown by a notebook; :func:`chione.plotting.save` writes it.

    Raises
    ------
    NoPictureError
        If there is no picture for this kind of object; a TypeError.
    SpecError
        If the result has no such field; the message lists those it has.
    """
    if isinstance(result, AbstractResult):
        figure = result.plot(ax=ax, field=field)
        if isinstance(figure, Figure):
            return figure
    return draw(result, ax=ax, field=field)


def draw(result: Any, *, ax: Axes | None = None, field: str | None = None) -> Figure:
    """The picture of a result of theory or simulation; those of upper floors draw themselves."""
    return assemble(picture_of(result), ax=ax, field=field)


@singledispatch
def picture_of(result: Any) -> Picture:
    """The panels of a result.

    Raises
    ------
    NoPictureError
        If there is no picture for this kind of object.
    """
    raise NoPictureError(
        f"there is no picture for a {type(result).__name__}; plot() takes results of chione, "
        "such as those of phase_diagram, critical_line, trajectory, analyze or simulate."
    )


# ---- theory ----------------------------------------------------------------------------------


@picture_of.register
def _(found: MeanField) -> Picture:
    return Picture(
        {
            "decays": Panel(lambda ax: points.draw_decays(ax, found), (5.2, 3.6)),
            "fixed_points": Panel(
                lambda ax: points.draw_fixed_points(ax, found.fixed_points), (5.2, 3.6)
            ),
        },
        columns=2,
    )


@picture_of.register
def _(found: FixedPoints) -> Picture:
    return Picture({"points": Panel(lambda ax: points.draw_fixed_points(ax, found), (5.6, 2.6))})


@picture_of.register
def _(found: Criticality) -> Picture:
    return Picture({"points": Panel(lambda ax: points.draw_criticality(ax, found), (5.6, 2.6))})


@picture_of.register
def _(found: NormStability) -> Picture:
    return Picture({"points": Panel(lambda ax: points.draw_norm_stability(ax, found), (4.8, 3.6))})


@picture_of.register
def _(found: Basins) -> Picture:
    return Picture({"target": Panel(lambda ax: points.draw_basins(ax, found), (5.0, 3.6))})


@picture_of.register
def _(diagram: PhaseDiagram) -> Picture:
    def drawn(ax: Axes, name: str) -> None:
        figure = ax.get_figure(root=True)
        levels = () if name == "q_star" else None  # q* has the names of the phases instead
        if figure is not None:
            draw_diagram(figure, ax, diagram_picture(diagram, line_of(diagram), name, levels))
        ax.set_title(f"Phase diagram of {diagram.activation.name}")

    return Picture(
        {name: Panel(partial(drawn, name=name), (5.6, 4.0)) for name in FIELD_WORDS},
        shown=("q_star",),
    )


@picture_of.register
def _(found: TransformerPhase) -> Picture:
    def panel(name: str) -> Panel:
        return Panel(lambda ax: draw_transformer_field(ax, found, name), (5.6, 4.0))

    return Picture(
        {
            "region": Panel(lambda ax: draw_regions(ax, found), (6.2, 4.2)),
            **{name: panel(name) for name in TRANSFORMER_FIELDS},
        },
        shown=("region",),
    )


@picture_of.register
def _(best: Recommendation) -> Picture:
    return recommendation_picture(best)


@picture_of.register
def _(line: CriticalLine) -> Picture:
    return Picture(
        {
            "sigma_b": Panel(lambda ax: draw_line(ax, line), (5.0, 3.8)),
            "chi_parallel": Panel(lambda ax: draw_slope(ax, line), (5.0, 3.8)),
        },
        shown=("sigma_b",),
    )


@picture_of.register
def _(curves: Trajectory) -> Picture:
    return Picture(
        {
            name: Panel(partial(draw_depth, curve=curve), (3.7, 3.1))
            for name, curve in depth_curves(curves).items()
        },
        shown=("q", "c", "gradient"),
    )


def _layers(found: Any, names: Mapping[str, str]) -> Picture:
    columns = 2 if len(names) == 4 else 3
    return Picture(
        {
            name: Panel(partial(series.draw_layers, x=getattr(found, name), words=words))
            for name, words in names.items()
        },
        columns=columns,
    )


@picture_of.register
def _(found: KernelLayers) -> Picture:
    return _layers(found, {"nngp": "kernel of the output $K$", "ntk": r"tangent kernel $\Theta$"})


@picture_of.register
def _(found: KernelMatrix) -> Picture:
    return Picture(
        {
            "nngp": Panel(lambda ax: draw_kernel(ax, found.nngp, "NNGP kernel $K$"), (4.4, 3.6)),
            "ntk": Panel(
                lambda ax: draw_kernel(ax, found.ntk, r"tangent kernel $\Theta$"), (4.4, 3.6)
            ),
        }
    )


@picture_of.register
def _(found: BackwardPass) -> Picture:
    return _layers(
        found,
        {
            "metric": "mean products of $h$",
            "errors": r"mean products of $\delta$",
            "weight_gradients": r"products of $\partial L/\partial W$",
            "bias_gradients": r"products of $\partial L/\partial b$",
        },
    )


@picture_of.register
def _(found: FiniteWidth) -> Picture:
    return _layers(
        found,
        {
            "length": "mean square $K^l$",
            "vertex": "four-point vertex $V^l$",
            "mean_correction": "first correction $G_1^l$",
        },
    )


@picture_of.register
def _(found: MetricCovariance) -> Picture:
    return _layers(found, {"metric": "metric $K_{ab}$", "vertex": "vertex $V_{abcd}$"})


@picture_of.register
def _(run: DeepRun) -> Picture:
    return Picture(
        {
            "q": Panel(lambda ax: series.draw_deep(ax, run.layer, run.q, "length $q^l$")),
            "log_gradient": Panel(
                lambda ax: series.draw_deep(
                    ax, run.layer, run.log_gradient, "log of the gradient", log=False
                )
            ),
        }
    )


@picture_of.register
def _(found: HermiteExpansion) -> Picture:
    return Picture(
        {
            "coefficients": Panel(lambda ax: series.draw_stems(ax, found)),
            "power": Panel(lambda ax: series.draw_power(ax, found)),
        }
    )


@picture_of.register
def _(spectrum: JacobianSpectrum) -> Picture:
    return Picture(
        {
            "log": Panel(lambda ax: draw_spectrum(ax, spectrum), (5.6, 3.8)),
            "linear": Panel(lambda ax: draw_spectrum(ax, spectrum, scale="linear"), (5.6, 3.8)),
        },
        shown=("log",),
    )


@picture_of.register
def _(curve: SpectrumCurve) -> Picture:
    return Picture(
        {
            name: Panel(partial(draw_curve_of_spectrum, curve=curve, field=name), (5.0, 3.6))
            for name in ("density_of_log", "cdf")
        },
        shown=("density_of_log",),
    )


@picture_of.register
def _(curve: MeasureCurve) -> Picture:
    return Picture({"density": Panel(partial(draw_measure, curve=curve), (5.6, 3.8))})


@picture_of.register
def _(law: LimitLaw) -> Picture:
    return Picture({"density": Panel(lambda ax: draw_limit_law(ax, law), (5.0, 3.6))})


@picture_of.register
def _(spectrum: HessianSpectrum) -> Picture:
    ratio, energy, structure = spectrum.ratio, spectrum.energy, spectrum.structure
    share = float(spectrum.negative_fraction.value)
    return Picture(
        {
            "density": Panel(lambda ax: draw_hessian(ax, spectrum), (5.8, 3.8)),
            "index": Panel(
                lambda ax: draw_index(ax, (ratio,), structure=structure, at=(energy, share)),
                (5.6, 3.8),
            ),
            "critical_energy": Panel(
                lambda ax: draw_critical(ax, (structure,), at=(ratio, energy)), (5.4, 3.8)
            ),
        },
        shown=("density",),
    )


@picture_of.register
def _(curve: HessianCurve) -> Picture:
    return Picture(
        {
            name: Panel(partial(draw_hessian_curve, curve=curve, field=name), (5.0, 3.6))
            for name in ("density", "cdf")
        },
        shown=("density",),
    )


@picture_of.register
def _(network: Network) -> Picture:
    return network_picture(network_theory(network))


@picture_of.register
def _(theory: NetworkTheory) -> Picture:
    return network_picture(theory)


# ---- simulation ------------------------------------------------------------------------------


@picture_of.register
def _(result: SimulationResult) -> Picture:
    return simulation_picture(result)


def simulation_picture(
    result: SimulationResult, theory: Mapping[str, Any] | None = None
) -> Picture:
    """A panel for each observable of a simulation, with lines of theory where there are some."""
    known = theory or {}
    return Picture(
        {
            name: Panel(
                partial(draw_observable, result=result, name=name, theory=known.get(name)),
                (4.8, 3.6),
            )
            for name in result.mean
        },
        whole=lambda: simulation_figure(result, theory),
    )


@picture_of.register
def _(curve: CurveGeometry) -> Picture:
    last = len(curve.components) - 1
    panels = {
        name: Panel(partial(draw_quantity, curve=curve, name=name, theory=None))
        for name in curve.mean
    }
    share = float(curve.explained[last, :2].sum())
    panels["curve"] = Panel(lambda ax: draw_curve(ax, curve.components[last], share))
    return Picture(panels, whole=lambda: geometry_figure(curve))


@picture_of.register
def _(limit: GaussianLimit) -> Picture:
    return Picture(
        {
            "kurtosis": Panel(lambda ax: draw_kurtosis(ax, limit), (3.8, 3.2)),
            "mmd2": Panel(lambda ax: draw_mmd(ax, limit), (3.8, 3.2)),
        }
    )


@picture_of.register
def _(simulated: SimulatedSpectrum) -> Picture:
    return Picture({"singular_values": Panel(lambda ax: draw_simulated(ax, simulated), (5.2, 3.6))})


@picture_of.register
def _(hessian: NetworkHessian) -> Picture:
    return Picture({"eigenvalues": Panel(lambda ax: draw_network_hessian(ax, hessian), (5.2, 3.6))})
