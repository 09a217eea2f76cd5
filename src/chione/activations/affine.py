"""An activation under an affine change of its argument and its value."""

# ruff: noqa: D102  (the methods are documented once, in AbstractActivation)

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ParamSpec, final

from chione.activations.naming import spell
from chione.activations.protocol import AbstractActivation, ClosedForms
from chione.base import Array, checks

P = ParamSpec("P")


@final
@dataclass(frozen=True)
class Affine(AbstractActivation):
    r"""Scaled, shifted and offset activation.

    .. math:: x \mapsto a\, \phi(x + s) + b

    Parameters
    ----------
    activation : AbstractActivation
        The activation :math:`\phi` that is changed.
    scale, shift, offset : float
        The numbers a, s and b.
    """

    activation: AbstractActivation
    scale: float = 1.0
    shift: float = 0.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.activation, AbstractActivation):
            raise TypeError(
                f"Affine changes an activation, but it received {self.activation!r}; "
                f"make one with chione.activation(...) first."
            )
        for key in ("scale", "shift", "offset"):
            object.__setattr__(self, key, checks.finite(key, getattr(self, key)))

    @property
    def name(self) -> str:
        given = spell(
            "",
            [
                ("scale", self.scale, 1.0),
                ("shift", self.shift, 0.0),
                ("offset", self.offset, 0.0),
            ],
        )
        inner = self.activation.name
        return f"affine({inner}, {given[1:]}" if given else inner

    @property
    def kinks(self) -> tuple[float, ...]:
        return tuple(k - self.shift for k in self.activation.kinks)

    @property
    def formula(self) -> str:
        return f"{self.scale!r}*f(x + {self.shift!r}) + {self.offset!r}, f = {self.activation}"

    @property
    def source(self) -> str:
        return self.activation.source

    @property
    def derivative_error(self) -> float:
        return self.activation.derivative_error

    @property
    def closed_forms(self) -> ClosedForms:
        """Those of the inner activation, scaled; a shift or an offset leaves few of them."""
        inner, a, b = self.activation.closed_forms, self.scale, self.offset
        if self.shift != 0.0:
            return ClosedForms()
        derivatives = ClosedForms(
            derivative_mean_square=_times(a * a, inner.derivative_mean_square),
            derivative_kernel=_times(a * a, inner.derivative_kernel),
            near_slope=_times(a * a, inner.near_slope),
            difference=_times(a * a, inner.difference),
            positive_kernel=inner.positive_kernel,
            source=inner.source,
        )
        if b != 0.0:  # a sum of both signs may cancel, which quadrature reports and a formula not
            return derivatives
        return replace(
            derivatives,
            mean=_times(a, inner.mean),
            mean_square=_times(a * a, inner.mean_square),
            length_slope=_times(a * a, inner.length_slope),
            kernel=_times(a * a, inner.kernel),
            total=_times(a * a, inner.total),
        )

    @property
    def known(self) -> bool:
        # far from zero the width of the catalogue's functions is a narrow one
        return self.activation.known and self.shift == 0.0

    def noise(self, order: int, q: Array, mean: float = 0.0) -> Array:
        return abs(self.scale) * self.activation.noise(order, q, mean + self.shift)

    def one_sided(self, order: int, at: float) -> tuple[float, float]:
        left, right = self.activation.one_sided(order, self._inner(at))
        offset = self.offset if order == 0 else 0.0
        return self.scale * left + offset, self.scale * right + offset

    def one_sided_error(self, order: int, at: float) -> float:
        return abs(self.scale) * self.activation.one_sided_error(order, self._inner(at))

    def kink_error(self, at: float) -> float:
        return self.activation.kink_error(self._inner(at))

    def _inner(self, at: float) -> float:
        # a shifted kink is rounded, so the inner activation is asked at its own
        own = min(self.activation.kinks, key=lambda k: abs(k - self.shift - at), default=at)
        return own if abs(own - self.shift - at) <= 1e-12 * (1.0 + abs(own)) else at + self.shift

    def value(self, z: Array) -> Array:
        return self.scale * self.activation.value(z + self.shift) + self.offset

    def as_written(self, z: Array) -> Array:
        return self.scale * self.activation.as_written(z + self.shift) + self.offset

    def derivative(self, z: Array) -> Array:
        return self.scale * self.activation.derivative(z + self.shift)

    def second_derivative(self, z: Array) -> Array:
        return self.scale * self.activation.second_derivative(z + self.shift)


def _times(factor: float, form: Callable[P, Array] | None) -> Callable[P, Array] | None:
    if form is None:
        return None

    def scaled(*args: P.args, **kwargs: P.kwargs) -> Array:
        return factor * form(*args, **kwargs)

    return scaled
