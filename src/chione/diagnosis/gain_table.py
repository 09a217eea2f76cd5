"""Edge-of-chaos initialisations beside `calculate_gain`, for one activation or for all."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from chione.activations import AbstractActivation, ActivationLike, activation, catalogue
from chione.base import AbstractResult, checks, cost, result, text_table
from chione.diagnosis.numbers import power_text, value_text
from chione.theory import Recommendation, gain
from chione.theory.depth.advice_rule import USUAL_WIDTH, recommended_weights
from chione.theory.depth.candidates import Setting
from chione.theory.depth.initialization import advise
from chione.theory.depth.weighing import Start

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@result
class GainRow(AbstractResult):
    """One activation: the recommended sigmas, PyTorch's gain, and what either does to gradients.

    Parameters
    ----------
    activation : str
        Its name.
    recommended : Recommendation
        The recommended initialisation, or why there is none.
    calculate_gain : Recommendation or None
        ``torch.nn.init.calculate_gain`` as sigma_w, in the same terms; None where it raises.
    """

    activation: str
    recommended: Recommendation
    calculate_gain: Recommendation | None

    def _parts(self) -> dict[str, Any]:
        rule = self.calculate_gain
        return {
            "activation": self.activation,
            "recommended": self.recommended.to_dict(),
            "calculate_gain": None if rule is None else rule.to_dict(),
        }

    def cells(self) -> tuple[str, ...]:
        """The line of the table as text."""
        best, rule = self.recommended, self.calculate_gain
        ours = ("none", "", best.kind, "", "", "")
        if best.exists:
            ours = (
                f"{best.sigma_w:.6g}",
                f"{best.sigma_b:.6g}",
                best.name if best.name == "affine change" else best.kind,
                value_text(best.chi_parallel, 5),
                value_text(best.chi_perp, 5),
                power_text(best.log10_gradient),
            )
        theirs = ("raises", "")
        if rule is not None:
            theirs = (f"{rule.sigma_w:.6g}", power_text(rule.log10_gradient))
        return (self.activation, *ours, *theirs)


@result
class GainTable(AbstractResult):
    """Rows for several activations at one depth; prints as a table.

    Parameters
    ----------
    rows : tuple of GainRow
        One for each activation.
    depth : int
        Number of layers L over which gradients are followed.
    """

    rows: tuple[GainRow, ...]
    depth: int

    def _parts(self) -> dict[str, Any]:
        return {"depth": self.depth, "rows": [row.to_dict() for row in self.rows]}

    def __repr__(self) -> str:
        head = (
            "activation",
            "sigma_w",
            "sigma_b",
            "kind",
            "chi_parallel",
            "chi_perp",
            f"gradient / {self.depth}",
            "calculate_gain",
            f"gradient / {self.depth}",
        )
        return text_table(head, [row.cells() for row in self.rows])

    def __str__(self) -> str:
        return repr(self)

    def plot(self, *, ax: Any = None, field: str | None = None) -> Figure:
        """Decades of the gradient by both rules; of one activation, what was weighed for it."""
        if len(self.rows) == 1:
            from chione.plotting.plot import draw  # matplotlib takes 0.3 s to load

            return draw(self.rows[0].recommended, ax=ax, field=field)
        from chione.plotting.panels import assemble
        from chione.plotting.recommendation import gain_table_picture

        def decades(found: Recommendation | None) -> float:
            return math.nan if found is None or not found.exists else found.log10_gradient

        best = [row.recommended for row in self.rows]
        picture = gain_table_picture(
            [row.activation for row in self.rows],
            np.array([decades(found) for found in best]),
            np.array([decades(row.calculate_gain) for row in self.rows]),
            np.array([found.name == "affine change" for found in best]),
            self.depth,
        )
        return assemble(picture, ax=ax, field=field)


@cost.ends
def gain_table(
    phi: ActivationLike | None = None, *, depth: int = 50, width: int | None = None
) -> GainTable:
    r"""Tabulate sigmas on the edge of chaos and what they do, beside ``calculate_gain``.

    The gradient is followed layer by layer from an input of mean square 1:

    .. math:: \prod_{l=1}^{L} \sigma_w^2 E\,\phi'(\sqrt{q^l} z)^2

    Parameters
    ----------
    phi : activation, str or callable, optional
        One activation; all of the catalogue by default.
    depth : int
        Number of layers L.
    width : int, optional
        Units of a layer, see :func:`chione.gain`.

    Returns
    -------
    GainTable

    Raises
    ------
    SpecError, ValueError, TypeError
        If `phi`, `depth` or `width` cannot be understood.
    """
    depth = checks.integer("depth", depth)
    chosen = tuple(catalogue().values()) if phi is None else (activation(phi),)
    return GainTable(
        tuple(_row(act, depth, width, alone=len(chosen) == 1) for act in chosen), depth
    )


def _row(act: AbstractActivation, depth: int, width: int | None, *, alone: bool) -> GainRow:
    if alone:
        best = gain(act, depth=depth, width=width)
    else:  # of the schemes only the one that the table shows
        units = USUAL_WIDTH if width is None else checks.integer("width", width)
        start = Start(weights=recommended_weights(depth, units))
        setting = Setting(depth, units, start)
        best = advise(act, setting, change=True, beside=("calculate_gain",))
    rule = next((other for other in best.alternatives if other.name == "calculate_gain"), None)
    return GainRow(act.name, best, rule)
