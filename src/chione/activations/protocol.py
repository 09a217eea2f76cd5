"""What chione asks of an activation: a formula, two derivatives, the places where they break."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from chione.base import EPS, Array

Derivatives: TypeAlias = Callable[[Array, int], Array]
"""A function of (points, order 1 or 2): the derivative there."""


@dataclass(frozen=True)
class ClosedForms:
    r"""Gaussian expectations of an activation that are known in closed form.

    Each entry is a function of arrays that broadcast, or None where no closed form is known. With
    :math:`h \sim N(0, q)` and :math:`(h_1, h_2)` Gaussian of variances `q1`, `q2`, correlation `c`:

    Parameters
    ----------
    mean : callable, optional
        :math:`q \mapsto E\,\phi(h)`.
    mean_square : callable, optional
        :math:`q \mapsto E\,\phi(h)^2`.
    derivative_mean_square : callable, optional
        :math:`q \mapsto E\,\phi'(h)^2`.
    length_slope : callable, optional
        :math:`q \mapsto \tfrac{d}{dq} E\,\phi(h)^2`, which is chi_parallel at sigma_w = 1.
    kernel : callable, optional
        :math:`(q_1, q_2, c) \mapsto E\,\phi(h_1)\phi(h_2)`.
    derivative_kernel : callable, optional
        :math:`(q_1, q_2, c) \mapsto E\,\phi'(h_1)\phi'(h_2)`.
    difference : callable, optional
        :math:`(q_1, q_2, q_1 - q_2, 1 - c) \mapsto E\,[\phi(h_1) - \phi(h_2)]^2` for c >= 0,
        without cancellation where the two inputs nearly agree.
    total : callable, optional
        :math:`(q_1, q_2, q_1 - q_2, 1 + c) \mapsto E\,[\phi(h_1) + \phi(h_2)]^2` for c <= 0,
        likewise where they are nearly opposite.
    near_slope : callable, optional
        :math:`(q_1, q_2, 1 - c, 1 + c) \mapsto E\,\phi'(h_1)\phi'(h_2)`: `derivative_kernel`
        where ``1 - |c|`` is known better than c.
    positive_kernel : bool
        Whether `kernel` and `derivative_kernel` are products of positive terms, which keep their
        digits however small they are beside the lengths.
    source : str
        Where the formulas stand, or how they were derived.
    """

    mean: Callable[[Array], Array] | None = None
    mean_square: Callable[[Array], Array] | None = None
    derivative_mean_square: Callable[[Array], Array] | None = None
    length_slope: Callable[[Array], Array] | None = None
    kernel: Callable[[Array, Array, Array], Array] | None = None
    derivative_kernel: Callable[[Array, Array, Array], Array] | None = None
    difference: Callable[[Array, Array, Array, Array], Array] | None = None
    total: Callable[[Array, Array, Array, Array], Array] | None = None
    near_slope: Callable[[Array, Array, Array, Array], Array] | None = None
    positive_kernel: bool = False
    source: str = ""


class AbstractActivation(ABC):
    """A function of one real variable, applied to each unit.

    Final subclasses are frozen dataclasses, so that equal activations compare and hash equal.
    All methods take and return float64 arrays of one shape. Derivatives hold almost everywhere:
    the point masses that sit on a kink or a jump are *not* in them (see :meth:`jump`).
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """The name that `chione.activation` accepts, with parameters where they differ."""

    @property
    def kinks(self) -> tuple[float, ...]:
        """Sorted places where the value or one of the first three derivatives jumps."""
        return ()

    @abstractmethod
    def value(self, z: Array) -> Array:
        """The activation itself."""

    @abstractmethod
    def derivative(self, z: Array) -> Array:
        """First derivative, almost everywhere."""

    @abstractmethod
    def second_derivative(self, z: Array) -> Array:
        """Second derivative, almost everywhere."""

    @property
    def closed_forms(self) -> ClosedForms:
        """Expectations known in closed form; none unless a subclass says so."""
        return ClosedForms()

    @property
    def formula(self) -> str:
        """The formula in one line of plain text."""
        return ""

    @property
    def source(self) -> str:
        """Where the activation was introduced, or whose definition this is."""
        return ""

    @property
    def derivative_error(self) -> float:
        """Bound on the error of the derivatives relative to their largest size nearby.

        Zero for formulas known exactly; a positive number where the derivative was found by
        interpolation. It enters every error estimate that uses a derivative.
        """
        return 0.0

    @property
    def known(self) -> bool:
        """Whether the formula is known not to hide features narrower than nodes would show."""
        return True

    def noise(self, order: int, q: Array, mean: float = 0.0) -> Array:
        """Root mean square error of the value (`order` 0) or of a derivative under N(mean, q).

        Zero for formulas that keep their digits; a user's own may cancel, and the fits that stand
        for it there know it to so much only. It enters every error estimate.
        """
        return np.zeros(np.shape(q))

    def as_written(self, z: Array) -> Array:
        """The value as its formula gives it, with the rounding of terms that cancel there."""
        return self.value(z)

    def one_sided(self, order: int, at: float) -> tuple[float, float]:
        """Limits of the value (`order` 0), or of a derivative (1, 2), left and right of `at`."""
        f = (self.value, self.derivative, self.second_derivative)[order]
        left, right = f(np.array(sides(at)))
        return float(left), float(right)

    def one_sided_error(self, order: int, at: float) -> float:
        """Bound on the error of each of the limits beyond rounding; zero for exact formulas."""
        return 0.0

    def kink_error(self, at: float) -> float:
        """Bound on the error of the place of a kink; zero for exact formulas."""
        return 0.0

    def jump(self, order: int, at: float) -> float:
        """Jump of the value (`order` 0), or of a derivative (1, 2), from left to right of `at`."""
        left, right = self.one_sided(order, at)
        # the two points are a few ulps apart, over which a continuous function moves as little
        scale = max(abs(left), abs(right), abs(at) if order == 0 else 0.0, 1e-280)
        step = right - left
        blur = 64.0 * EPS * scale + 2.0 * self.one_sided_error(order, at)
        return step if abs(step) > blur else 0.0

    def __call__(self, z: Array) -> Array:
        """The value, for use as a plain function."""
        return self.value(np.asarray(z, dtype=np.float64))

    def __str__(self) -> str:
        return self.name


def sides(at: float) -> tuple[float, float]:
    """The nearest points left and right of `at` (1e-300 at zero: denormals misbehave)."""
    if at == 0.0:
        return -1e-300, 1e-300
    return float(np.nextafter(at, -np.inf)), float(np.nextafter(at, np.inf))


ActivationLike: TypeAlias = str | AbstractActivation | Callable[[Any], Any]
"""What :func:`chione.activation` takes: a name, a formula, a function or torch module, or one."""
