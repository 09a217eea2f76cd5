"""Dropout of units and of whole branches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

from chione.base import checks
from chione.networks.layer import AbstractLayer, Shape, probability

SHARES = ("independent", "positions", "all", "path")


@final
@dataclass(frozen=True)
class Dropout(AbstractLayer, word="dropout"):
    r"""Entries are kept with probability p and divided by it, else set to zero.

    Parameters
    ----------
    keep : float
        The probability p of keeping, above 0 and at most 1.
    share : {"independent", "positions", "all", "path"}
        Which entries share a mask. ``independent``: none. ``positions``: all positions of one
        input (channel by channel). ``all``: all inputs and positions. ``path``: all channels and
        positions of one input (DropPath, stochastic depth).
    """

    keep: float
    share: Literal["independent", "positions", "all", "path"] = "independent"

    def __post_init__(self) -> None:
        checks.one_of("share", self.share, SHARES)
        self._set(keep=probability("keep", self.keep))

    def after(self, shape: Shape, place: str) -> Shape:
        """Nothing changes."""
        return shape
