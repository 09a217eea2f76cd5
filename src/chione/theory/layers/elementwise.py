r"""Layers that act entry by entry without weights, as one function of one variable.

.. math:: x + b\,\phi(x), \qquad \phi(\psi(x)), \qquad x\,\phi(x)

A residual branch of activations alone is correlated with its shortcut; together they are one
activation, whose moments are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import final

import numpy as np

from chione.activations import AbstractActivation, Linear
from chione.base import Array
from chione.networks import AbstractLayer, Layers, Nonlinearity, Parallel, Residual, Scale


def function_of(layer: AbstractLayer) -> AbstractActivation | None:
    """The function that the layer applies to each entry; None if it does something else."""
    if isinstance(layer, Nonlinearity):
        return layer.activation
    if isinstance(layer, Scale):
        return Combination((Linear(),), (layer.factor,))
    if isinstance(layer, Residual):
        one, two = functions_of(layer.shortcut), functions_of(layer.branch)
        if one is None or two is None:
            return None
        return Combination((one, two), (layer.skip, layer.scale))
    if isinstance(layer, Parallel) and layer.combine != "concat":
        found = [functions_of(branch) for branch in layer.branches]
        known = tuple(f for f in found if f is not None)
        if len(known) < len(found):
            return None
        if layer.combine == "product":
            return reduce(Times, known)
        share = 1.0 / len(known) if layer.combine == "mean" else 1.0
        return Combination(known, (share,) * len(known))
    return None


def functions_of(layers: Layers) -> AbstractActivation | None:
    """The composition of layers; the identity if there are none."""
    out: AbstractActivation = Linear()
    for layer in layers:
        f = function_of(layer)
        if f is None:
            return None
        out = f if isinstance(out, Linear) else Composition(f, out)
    return out


@final
@dataclass(frozen=True)
class Combination(AbstractActivation):
    """A linear combination of functions."""

    terms: tuple[AbstractActivation, ...]
    factors: tuple[float, ...]

    @property
    def name(self) -> str:
        """The terms with their factors."""
        return " + ".join(f"{a:g} {f.name}" for a, f in zip(self.factors, self.terms, strict=True))

    @property
    def kinks(self) -> tuple[float, ...]:
        """Those of all terms."""
        return tuple(sorted({k for f in self.terms for k in f.kinks}))

    @property
    def derivative_error(self) -> float:
        """That of the worst term."""
        return max(f.derivative_error for f in self.terms)

    @property
    def known(self) -> bool:
        """Whether all terms are."""
        return all(f.known for f in self.terms)

    def noise(self, order: int, q: Array, mean: float = 0.0) -> Array:
        """Noise of all terms together."""
        pairs = zip(self.factors, self.terms, strict=True)
        return np.asarray(sum(abs(a) * f.noise(order, q, mean) for a, f in pairs))

    def value(self, z: Array) -> Array:
        """The sum of values."""
        pairs = zip(self.factors, self.terms, strict=True)
        return np.asarray(sum(a * f.value(z) for a, f in pairs))

    def derivative(self, z: Array) -> Array:
        """The sum of derivatives."""
        pairs = zip(self.factors, self.terms, strict=True)
        return np.asarray(sum(a * f.derivative(z) for a, f in pairs))

    def second_derivative(self, z: Array) -> Array:
        """The sum of second derivatives."""
        pairs = zip(self.factors, self.terms, strict=True)
        return np.asarray(sum(a * f.second_derivative(z) for a, f in pairs))


@final
@dataclass(frozen=True)
class Times(AbstractActivation):
    """A product of two functions."""

    one: AbstractActivation
    two: AbstractActivation

    @property
    def name(self) -> str:
        """The factors."""
        return f"({self.one.name}) * ({self.two.name})"

    @property
    def kinks(self) -> tuple[float, ...]:
        """Those of both."""
        return tuple(sorted({*self.one.kinks, *self.two.kinks}))

    @property
    def derivative_error(self) -> float:
        """That of the worse factor."""
        return max(self.one.derivative_error, self.two.derivative_error)

    @property
    def known(self) -> bool:
        """Whether both are."""
        return self.one.known and self.two.known

    def value(self, z: Array) -> Array:
        """The product of values."""
        return self.one.value(z) * self.two.value(z)

    def derivative(self, z: Array) -> Array:
        """By the product rule."""
        return self.one.derivative(z) * self.two.value(z) + self.one.value(z) * self.two.derivative(
            z
        )

    def second_derivative(self, z: Array) -> Array:
        """By the product rule, twice."""
        f, g = self.one, self.two
        return (
            f.second_derivative(z) * g.value(z)
            + 2.0 * f.derivative(z) * g.derivative(z)
            + f.value(z) * g.second_derivative(z)
        )


@final
@dataclass(frozen=True)
class Composition(AbstractActivation):
    """One function of another."""

    outer: AbstractActivation
    inner: AbstractActivation

    @property
    def name(self) -> str:
        """The outer one around the inner one."""
        return f"{self.outer.name}({self.inner.name})"

    @property
    def kinks(self) -> tuple[float, ...]:
        """Those of the inner one, and where it meets those of the outer one."""
        return tuple(sorted({*self.inner.kinks, *_crossings(self.inner, self.outer.kinks)}))

    @property
    def derivative_error(self) -> float:
        """Those of both."""
        return self.outer.derivative_error + self.inner.derivative_error

    @property
    def known(self) -> bool:
        """Whether both are."""
        return self.outer.known and self.inner.known

    def value(self, z: Array) -> Array:
        """Value of the value."""
        return self.outer.value(self.inner.value(z))

    def derivative(self, z: Array) -> Array:
        """By the chain rule."""
        return self.outer.derivative(self.inner.value(z)) * self.inner.derivative(z)

    def second_derivative(self, z: Array) -> Array:
        """By the chain rule, twice."""
        f, g = self.outer, self.inner
        at = g.value(z)
        return f.second_derivative(at) * g.derivative(z) ** 2 + f.derivative(
            at
        ) * g.second_derivative(z)


def _crossings(f: AbstractActivation, levels: tuple[float, ...]) -> list[float]:
    """Where f meets the levels: sign changes on a fine grid, halved to the last digit."""
    right = np.concatenate([np.geomspace(1e-6, 1.0, 400), np.linspace(1.0, 60.0, 4000)[1:]])
    grid = np.concatenate([-right[::-1], [0.0], right])
    out: list[float] = []
    for level in levels:
        y = np.sign(f.value(grid) - level)
        out += grid[y == 0.0].tolist() if np.sum(y == 0.0) < 8 else []
        for i in np.flatnonzero(y[:-1] * y[1:] < 0.0):
            low, high = float(grid[i]), float(grid[i + 1])
            for _ in range(80):
                middle = 0.5 * (low + high)
                if np.sign(f.value(np.array(middle)) - level) == y[i]:
                    low = middle
                else:
                    high = middle
            out.append(0.5 * (low + high))
    return out
