"""What `analyze` returns: theory, measurement, verdict and advice for one network."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from chione.base import AbstractResult, Array, Estimate, result
from chione.diagnosis.alternatives import Alternative
from chione.diagnosis.curve_errors import CurveErrors
from chione.diagnosis.measure import Measured, Slopes, depth_scale
from chione.diagnosis.phases import Phase
from chione.diagnosis.picture import AnalysisPicture, picture_of
from chione.diagnosis.report import as_dict, as_html, as_text
from chione.diagnosis.verdict import Verdict
from chione.networks import MLP
from chione.simulation import SimulationResult
from chione.theory import MeanField, Recommendation, Trajectory, Trust

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@result
class Analysis(AbstractResult):
    """Theory, measurement, verdict and advice for one network.

    Parameters
    ----------
    network : MLP
        The network: activation, sigmas, depth, width, law of the weights.
    theory : MeanField
        Fixed points, slopes and depth scales at infinite width.
    curves : Trajectory
        Lengths, correlations and gradient factors layer by layer at infinite width.
    errors : CurveErrors
        Bounds on the errors of these curves.
    gradient : Estimate
        Factor on the mean square gradient through all layers.
    log10_gradient, log10_error : float
        The same in decades, also where float64 cannot hold the factor, and the error of that.
    layer_log10_gradient : ndarray, shape (L,)
        Decades between the mean square gradient in layer l and at the read-out.
    survives : Estimate
        Layers through which a signal survives (six depth scales).
    survives_reason : str
        Why that has no value; empty where it has.
    phase : Phase
        The phase in the one word that headline, table and data have.
    verdict : Verdict
        The answer in words.
    recommendation : Recommendation
        What to use instead, or why nothing works.
    alternatives : tuple of Alternative
        This network, the recommended one, PyTorch's default and ``calculate_gain``.
    simulation : SimulationResult or None
        Finite networks layer by layer; their last row is a linear read-out.
    slopes : Slopes or None
        Slopes measured on finite networks put at the fixed point.
    finite_width : Trust or None
        How far infinite width holds at this width; None where lengths leave float64.
    chosen_here : bool
        Whether the sigmas are the recommended ones because none were given.
    picture : AnalysisPicture or None
        What the picture shows beyond the text, if it was asked for; see :meth:`with_picture`.
    """

    network: MLP
    theory: MeanField
    curves: Trajectory
    errors: CurveErrors
    gradient: Estimate
    log10_gradient: float
    log10_error: float
    layer_log10_gradient: Array
    survives: Estimate
    survives_reason: str
    phase: Phase
    verdict: Verdict
    recommendation: Recommendation
    alternatives: tuple[Alternative, ...]
    simulation: SimulationResult | None
    slopes: Slopes | None
    finite_width: Trust | None
    chosen_here: bool
    picture: AnalysisPicture | None = None

    @property
    def exists(self) -> bool:
        """Whether lengths settle anywhere, be it from other inputs than those of mean square 1."""
        return bool(np.isfinite(self.theory.q_star.value))

    def measured(self) -> dict[str, Measured]:
        """What the finite networks gave for each row of the table; only what was measured."""
        out: dict[str, Measured] = {}
        run, slopes, depth = self.simulation, self.slopes, self.network.depth
        if run is not None:
            last = depth - 1
            q = Measured(run.mean["lengths"][last, 0], run.stderr["lengths"][last, 0])
            c = Measured(run.mean["correlations"][last, 0], run.stderr["correlations"][last, 0])
            d = Measured(run.mean["gradients"][0, 0], run.stderr["gradients"][0, 0])
            out |= {"q_depth": q, "c_depth": c, "gradient": d}
            if _settled(self.curves.q[last], self.theory.q_star, q.stderr):
                out["q_star"] = q
            if _settled(self.curves.c[last], self.theory.c_star, c.stderr):
                out["c_star"] = c
            if d.value > 0.0 and np.isfinite(d.value):
                rate = d.value ** (1.0 / depth)
                out["gradient_per_layer"] = Measured(rate, rate * d.stderr / d.value / depth)
        if slopes is not None:
            out["chi_parallel"] = slopes.chi_parallel
            out["chi_perp"] = slopes.chi_perp
            out["xi_q"] = depth_scale(slopes.chi_parallel)
            out["xi_c"] = depth_scale(slopes.correlation_slope)
        return {name: m for name, m in out.items() if np.isfinite(m.value)}

    def to_text(self, *, width: int | None = None) -> str:
        """The page for a screen of `width` columns; by default as wide as it is, at most 98."""
        return as_text(self, width=width)

    def _parts(self) -> dict[str, Any]:
        """Everything as plain JSON types: each quantity with value, error and status.

        The data of the picture is apart: ``.picture.to_dict()``.
        """
        return as_dict(self)

    def with_picture(self) -> Analysis:
        """The same analysis with what the picture shows: both maps and the phase diagram.

        That is computed here, once, and kept in :attr:`picture`, which stands by itself: its
        ``to_dict`` can be saved, and ``from_dict`` draws it again without any computation.
        """
        return self if self.picture is not None else replace(self, picture=picture_of(self))

    def plot(self, *, ax: Any = None, field: str | None = None) -> Figure:
        """The page as one picture, by :meth:`with_picture` if there is none yet.

        With `ax` or `field` one of its panels. `chione.plotting.save` writes it.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw the one panel.
        field : {"gradient", "q", "c", "lengths", "correlations", "diagram"}, optional
            Which panel; the gradient if only `ax` is given.
        """
        picture = self.picture or picture_of(self)
        return picture.plot(ax=ax, field=field)

    def __repr__(self) -> str:
        return as_text(self)

    def __str__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)


def _settled(now: float, limit: Estimate, stderr: float) -> bool:
    """Whether the theory's curve is so close to its limit that a measurement cannot tell."""
    return bool(np.isfinite(limit.value) and abs(now - limit.value) <= 0.5 * stderr)
