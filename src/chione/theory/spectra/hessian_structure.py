"""The structures of a model Hessian by name, and the parts that each is made of."""

from __future__ import annotations

from typing import Literal

from chione.theory.spectra.hessian_h0 import ProductWishart, Wishart
from chione.theory.spectra.hessian_h1 import Blocks, Wigner
from chione.theory.spectra.hessian_parts import AbstractPart

Structure = Literal["wigner", "relu", "linear", "product"]
STRUCTURES: tuple[Structure, ...] = ("wigner", "relu", "linear", "product")
ACTIVE = {"relu": 0.5, "linear": 1.0}
"""Share of the data at which a hidden unit is active, of the structures with blocks."""


def first_part(ratio: float, structure: Structure) -> AbstractPart:
    """H0 of a structure."""
    return ProductWishart(ratio) if structure == "product" else Wishart(ratio)


def second_part(ratio: float, energy: float, structure: Structure) -> AbstractPart:
    """H1 of a structure."""
    active = ACTIVE.get(structure)
    return Wigner(energy) if active is None else Blocks(ratio, energy, active)


def parts(ratio: float, energy: float, structure: Structure) -> tuple[AbstractPart, ...]:
    """H0 and, at an energy above 0, H1."""
    first = first_part(ratio, structure)
    return (first,) if energy == 0.0 else (first, second_part(ratio, energy, structure))
