"""The plan of an initialisation as data: per parameter a law, its size, and why."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from chione.torch.initialisation.changes import LayerChange
from chione.torch.initialisation.laws import Axes, Law


@dataclass(frozen=True)
class Entry:
    r"""One weight, with the bias that belongs to it.

    Parameters
    ----------
    parameter, bias : str or None
        Full names.
    name : str
        The layer as it ran.
    law : Law
        Of the entries; `law.scale` is their standard deviation before any correction.
    axes : Axes
        Which axis is what.
    sigma_w, sigma_b : float
        The same in units of the fan-in, and of the biases.
    bias_law : Law or None
        Of the bias, where it is not normal with `sigma_b`.
    length : float
        Mean square that the output should have; NaN where nothing is asked of it.
    activation : str or None
        What follows.
    role : str
        What the batch may correct: "chained" and "stable" (lengths and gradients), "into" (the
        length), "branch" (in units of the stream), "output" (downwards, by the loss), "free" (the
        length), "fixed" (nothing).
    stream : int
        The node that a branch is added to.
    share : float
        Mean square that a branch should have in units of its stream; of a table that is the output
        too the power of it that the output grows with.
    factor : float
        By which the batch has corrected the weights.
    reason : str
        Why.
    """

    parameter: str
    name: str
    law: Law
    axes: Axes
    sigma_w: float
    sigma_b: float = 0.0
    bias: str | None = None
    bias_law: Law | None = None
    length: float = math.nan
    activation: str | None = None
    role: str = "fixed"
    stream: int = -1
    share: float = math.nan
    factor: float = 1.0
    reason: str = ""

    def change(self) -> LayerChange:
        """For the reader."""
        constant = self.law.kind in ("constant", "zeros", "ones", "own", "keep")
        return LayerChange(
            name=self.name,
            parameter=self.parameter,
            law=str(self.law) if constant else self.law.kind,
            std=self.law.scale if constant else self.law.scale * self.factor,
            activation=self.activation,
            sigma_w=self.sigma_w * self.factor,
            sigma_b=self.sigma_b,
            length=self.length,
            factor=self.factor,
            reason=self.reason,
        )


@dataclass
class Plan:
    """All entries by parameter, in order of execution, and what is left alone."""

    entries: dict[str, Entry] = field(default_factory=dict)
    left: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sums: int = 0

    def leave(self, name: str, reason: str) -> None:
        """Note what is not touched, once."""
        if all(told != name for told, _ in self.left):
            self.left.append((name, reason))

    def note(self, sentence: str) -> None:
        """Note a sentence, once."""
        if sentence and sentence not in self.notes:
            self.notes.append(sentence)
