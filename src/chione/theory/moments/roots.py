"""Kinks beside which the slope of an activation grows like a power, as that of a root does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from chione.activations import AbstractActivation
from chione.base import EPS, Array

_BESIDE = 2.0 ** -np.array([22.0, 25.0, 28.0])  # distances from a kink at which a slope is read
_STEEP = 0.5 - 1e-3
_MILD = 0.02  # a logarithm reads like a power of less than 0.06
_UNSEEN = 256.0 * EPS  # how far from a kink nodes are rounded too much to count


@dataclass(frozen=True)
class Root:
    r"""One side of a kink k, where :math:`|\phi'(h)| \approx a\,|h - k|^{-p}`."""

    kink: float
    power: float
    amplitude: float

    @property
    def is_steep(self) -> bool:
        r"""Whether :math:`\int \phi'^2` diverges: p is 1/2 or more."""
        return self.power > _STEEP

    def unseen(self, q: Any) -> Array:
        r"""What :math:`E\,\phi'^2` owes to the numbers next to the kink that rounding hides.

        .. math:: \frac{a^2 t^{1 - 2p}}{1 - 2p} \, \frac{e^{-k^2 / 2q}}{\sqrt{2 \pi q}}
        """
        t = _UNSEEN * max(1.0, abs(self.kink))
        rest = 1.0 - 2.0 * self.power
        with np.errstate(all="ignore"):
            density = np.exp(-0.5 * self.kink**2 / q) / np.sqrt(2.0 * np.pi * q)
        return np.asarray(
            self.amplitude**2 * t**rest / rest * np.where(np.asarray(q) > 0.0, density, 0.0)
        )


def roots_of(phi: AbstractActivation) -> tuple[Root, ...]:
    """The sides of the kinks of an activation at which its slope grows without bound."""
    found = []
    for kink in phi.kinks:
        steps = max(1.0, abs(kink)) * _BESIDE
        for side in (-1.0, 1.0):
            with np.errstate(all="ignore"):
                slope = np.abs(np.asarray(phi.derivative(kink + side * steps), dtype=np.float64))
                powers = -np.diff(np.log(slope)) / np.diff(np.log(steps))
            if np.all(powers > _MILD):  # NaN is none
                p = float(powers[-1])
                found.append(Root(kink, p, float(slope[-1] * steps[-1] ** p)))
    return tuple(found)
