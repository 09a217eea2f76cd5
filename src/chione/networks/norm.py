"""Normalisation layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

from chione.base import checks
from chione.networks.layer import AbstractLayer, Shape, ShapeError, count

NORMS = ("layer", "rms", "group", "batch")


@final
@dataclass(frozen=True)
class Norm(AbstractLayer, word="norm"):
    r"""Normalisation, then a gain and a bias for each channel.

    .. math:: y = g\,\frac{x - \langle x \rangle}{\sqrt{\langle (x - \langle x \rangle)^2 \rangle
       + \epsilon}} + b, \qquad b_i \sim N(0, \text{bias}^2)

    Parameters
    ----------
    form : {"layer", "rms", "group", "batch"}
        What the mean runs over. ``layer``: the channels at one position. ``rms``: likewise, and
        the mean is not subtracted. ``group``: the channels of a group and all positions.
        ``batch``: all inputs and positions, channel by channel (training mode).
    gain : float
        The factor g, the same for all channels.
    bias : float
        Standard deviation of the bias, zero or above.
    eps : float
        Added to the variance, zero or above.
    groups : int
        Number of groups of channels, for ``group``.
    """

    form: Literal["layer", "rms", "group", "batch"] = "layer"
    gain: float = 1.0
    bias: float = 0.0
    eps: float = 0.0
    groups: int = 1

    def __post_init__(self) -> None:
        checks.one_of("form", self.form, NORMS)
        self._set(
            gain=checks.finite("gain", self.gain),
            bias=checks.non_negative("bias", self.bias),
            eps=checks.non_negative("eps", self.eps),
            groups=count("groups", self.groups),
        )
        if self.groups > 1 and self.form != "group":
            raise ValueError(
                f"groups belongs to form='group', but form is {self.form!r}; leave groups at 1."
            )

    def after(self, shape: Shape, place: str) -> Shape:
        """Nothing changes; the groups must divide the channels."""
        if shape.width % self.groups:
            raise ShapeError(
                f"{place}: {self.groups} groups do not divide {shape.width} channels; "
                f"choose a divisor."
            )
        return shape
