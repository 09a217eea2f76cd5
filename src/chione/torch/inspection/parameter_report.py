"""What is known of one parameter: its size, its gradient, and why it gets none."""

from __future__ import annotations

import math

import torch

from chione.base import AbstractResult, result
from chione.torch.capture.statistics import mean_square

REACHED, WAITS = "gets a gradient", "waits"


@result
class ParameterReport(AbstractResult):
    r"""One parameter of a model.

    Parameters
    ----------
    name : str
        As in ``named_parameters``; of tied parameters the first name.
    shape : tuple of int
    weight : float
        Root mean square of its entries.
    gradient : float
        Root mean square of the gradient (of the loss, or of one random projection of the output)
        with respect to it; NaN where none arrives, or it is frozen.
    reached : float
        Share of its entries whose gradient is not zero.
    status : str
        "gets a gradient"; "waits" (its gradient is zero now, and comes once others have moved);
        "frozen" (``requires_grad`` is False); "unused" (in this forward pass); "no effect" (nothing
        that is looked at depends on it); "cut" (a way leads from it to the output, but gradients
        cannot take it); "stuck" (its gradient is zero, and stays so).
    cause : str
        Why it gets none, in a word: "detached", "no_grad", "reentrant checkpoint", "no derivative",
        "derivative zero", "zero product", "dead units", "unknown"; empty otherwise.
    reason : str
        The same in a sentence.
    place : str or None
        The layer where the gradient is lost.
    steps : int
        Steps of training after which it gets one, where it waits.
    """

    name: str
    shape: tuple[int, ...]
    weight: float
    gradient: float
    reached: float
    status: str
    cause: str = ""
    reason: str = ""
    place: str | None = None
    steps: int = 0

    @property
    def trainable(self) -> bool:
        """Whether the optimiser may change it."""
        return self.status != "frozen"

    @property
    def numel(self) -> int:
        """Number of entries."""
        return math.prod(self.shape)


def root_mean_square(tensor: torch.Tensor) -> float:
    """Of the entries, in float64; complex ones by their moduli."""
    x = tensor.detach()
    x = torch.view_as_real(x.resolve_conj()) if x.is_complex() else x
    if x.numel() == 0 or not x.is_floating_point():
        return math.nan
    return math.sqrt(float(mean_square(x)) * x.numel() / tensor.numel())


def reached(gradient: torch.Tensor) -> float:
    """Share of the entries that are not zero."""
    dense = gradient.coalesce().values() if gradient.is_sparse else gradient
    return float(torch.count_nonzero(dense)) / max(gradient.numel(), 1)
