"""Affine layers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, final

from chione.base import checks
from chione.networks.layer import WIDTH, AbstractLayer, Shape, width_or_none
from chione.networks.matrix import WEIGHT_LAWS, Weights

DENSE_FORMS = ("plain", "weight_norm", "spectral_norm")


@final
@dataclass(frozen=True)
class Dense(AbstractLayer, word="dense"):
    r"""Affine layer :math:`h = W x + b`, the same at every position.

    .. math:: E\,W_{ij}^2 = \sigma_w^2 / n_{in}, \qquad b_i \sim N(0, \sigma_b^2)

    Parameters
    ----------
    sigma_w, sigma_b : float
        Standard deviations as above, zero or above.
    out : int, optional
        Number of outputs; that of the inputs by default.
    weights : {"gaussian", "orthogonal", "uniform", "truncated", "delta"}
        Law of the weights; all have the same second moment. ``orthogonal``: Haar, for unequal
        widths a scaled isometry or co-isometry. ``truncated``: Gaussian cut at two standard
        deviations and rescaled. ``delta``: one entry in each row, of random sign and place.
    form : {"plain", "weight_norm", "spectral_norm"}
        ``weight_norm``: rows scaled to the norm sigma_w. ``spectral_norm``: sigma_w W divided by
        the largest singular value of W.
    """

    sigma_w: float = 1.0
    sigma_b: float = 0.0
    out: int | None = field(default=None, metadata=WIDTH)
    weights: Weights = "gaussian"
    form: Literal["plain", "weight_norm", "spectral_norm"] = "plain"

    def __post_init__(self) -> None:
        checks.one_of("weights", self.weights, WEIGHT_LAWS)
        checks.one_of("form", self.form, DENSE_FORMS)
        self._set(
            sigma_w=checks.non_negative("sigma_w", self.sigma_w),
            sigma_b=checks.non_negative("sigma_b", self.sigma_b),
            out=width_or_none("out", self.out),
        )

    def after(self, shape: Shape, place: str) -> Shape:
        """`out` channels at the same positions."""
        return Shape(self.out or shape.width, shape.grid)
