r"""Which :math:`\sigma_w`, :math:`\sigma_b` and which length an activation wants, by theory.

The rule is that of :func:`chione.gain`, for a network whose first layer brings any input to the
length that is wanted; an activation is not changed here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from chione.activations import AbstractActivation
from chione.theory.depth.advice_rule import USUAL_WIDTH, recommended_weights
from chione.theory.depth.candidates import Setting
from chione.theory.depth.initialization import advise
from chione.theory.depth.weighing import Start


@dataclass(frozen=True)
class Recipe:
    r"""The initialisation of the layers around one activation.

    Parameters
    ----------
    activation : str
        Its name.
    sigma_w, sigma_b : float
        Between layers that this activation separates; NaN if nothing can be recommended.
    length : float
        Mean square that the first pre-activations should have.
    target : str
        "critical" (chi_parallel = chi_perp = 1), "edge" (chi_perp = 1 only) or "none".
    sentence : str
        Why, for a reader.
    """

    activation: str
    sigma_w: float
    sigma_b: float
    length: float
    target: str
    sentence: str

    @property
    def exists(self) -> bool:
        """Whether there is a recommendation."""
        return self.target != "none"


_WAVES = 1.0  # mean square that waves start with at least
_STABLE = 0.9  # chi_parallel below which lengths return by themselves within a few layers


@lru_cache(maxsize=256)
def recipe(
    phi: AbstractActivation,
    depth: int,
    width: int = USUAL_WIDTH,
    weights: str = "auto",
    *,
    scaled: bool = True,
) -> Recipe:
    """The recommendation for `depth` layers of `width` units, with the length to start at.

    It is meant for a first layer that is `scaled` to that length, or for layers that are all equal.
    """
    law = recommended_weights(depth, width) if weights == "auto" else weights
    # waves are meant to be no straight lines: a picture is learned from their frequencies
    shortest = _WAVES if scaled and phi.name in ("sin", "cos") else 0.0
    setting = Setting(depth, width, Start(weights=law), scaled, shortest)
    best = advise(phi, setting, change=False)
    if not best.exists:
        return Recipe(phi.name, math.nan, math.nan, 1.0, "none", best.sentence)
    length = (best.first_layer * best.sigma_w) ** 2 + best.sigma_b**2
    stable = best.kind != "critical" and best.chi_parallel.value < _STABLE
    target = "edge" if stable else "critical"
    return Recipe(phi.name, best.sigma_w, best.sigma_b, length, target, best.sentence)
