"""What `analyze` returns: theory, measurement, verdict and advice for one network."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chione.base import AbstractResult, result
from chione.diagnosis.findings import Findings
from chione.diagnosis.picture import AnalysisPicture, picture_of
from chione.diagnosis.report import as_dict, as_html, as_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@result
class Analysis(AbstractResult, Findings):
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

    picture: AnalysisPicture | None = None

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
