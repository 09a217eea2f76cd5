"""Laws of a quantity at large depth that are no plain decay, for blocks that repeat."""

from __future__ import annotations

from typing import final

from chione.base import AbstractResult, Estimate, result

POWER, LOGARITHM, STRETCHED = "power", "power of the logarithm", "exponential of a power"


@final
@result
class BlockLaw(AbstractResult):
    r"""Leading law of a quantity after many blocks l.

    Parameters
    ----------
    quantity : str
        What it is of, such as "q", "1 - c" or "P_l / P_L".
    form : {"power", "power of the logarithm", "exponential of a power"}
        :math:`A\,l^p`, :math:`A\,(\log l)^p` or :math:`\exp(A\,l^p)`.
    exponent : Estimate
        p.
    amplitude : Estimate
        A; missing where it depends on what enters.
    sentence : str
        The law in words.
    """

    quantity: str
    form: str
    exponent: Estimate
    amplitude: Estimate
    sentence: str


def power_law(
    quantity: str, exponent: float | Estimate, amplitude: Estimate, form: str = POWER
) -> BlockLaw:
    """A law with its sentence."""
    p = exponent if isinstance(exponent, Estimate) else Estimate.exact(exponent)
    base = "(log l)" if form == LOGARITHM else "l"
    shape = base if p.value == 1.0 else f"{base}^{p.value:.5g}"
    size = f"{amplitude.value:.6g} " if amplitude.value == amplitude.value else ""
    right = f"exp({size}{shape})" if form == STRETCHED else f"{size}{shape}"
    return BlockLaw(quantity, form, p, amplitude, f"{quantity} ~ {right} at large depth l")
