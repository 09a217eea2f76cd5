"""RReLU in training: each unit of each pass has a slope of its own."""

from __future__ import annotations

import math

from atlas.words import number

LOW, HIGH = 1.0 / 8.0, 1.0 / 3.0  # torch.nn.RReLU's defaults


def slope_moments() -> tuple[float, float]:
    """Mean and mean square of a slope that is uniform between the two."""
    return (LOW + HIGH) / 2.0, (HIGH**3 - LOW**3) / (3.0 * (HIGH - LOW))


def training_sigma() -> float:
    """The critical sigma_w in training, where E phi'^2 = (1 + E a^2) / 2."""
    return math.sqrt(2.0 / (1.0 + slope_moments()[1]))


def sentence() -> str:
    """What a reader of the page should know."""
    mean, square = slope_moments()
    loss = (square - mean**2) / (1.0 + square)
    return (
        "In training each unit draws a slope between 1/8 and 1/3; in evaluation it has their "
        f"mean, {number(mean)}, and that is what this page shows. In training the mean square of "
        f"the slopes, {number(square)}, takes the place of the mean's square, so sigma_w = "
        f"{number(training_sigma(), 9)} is critical there. Two passes of the same input differ: "
        f"their correlation after one layer is {number(1.0 - loss)}."
    )
