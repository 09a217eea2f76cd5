"""What a measure is, in words: names that the operators compose."""

from __future__ import annotations

from enum import IntEnum
from functools import singledispatch
from typing import Protocol

import numpy as np

from chione.freeprob.classical import Arcsine, FreePoisson, Semicircle
from chione.freeprob.convolution import FreeProduct, FreeSum
from chione.freeprob.dilation import Dilated
from chione.freeprob.measures import AbstractMeasure
from chione.freeprob.moment_law import MomentLaw
from chione.freeprob.point_masses import PointMasses
from chione.freeprob.squares import GaussianSquare
from chione.freeprob.uniform import Uniform

_FEW = 4  # atoms that are named one by one


class Rank(IntEnum):
    """How tightly the outermost sign of a name binds."""

    SUM = 0
    PRODUCT = 1
    POWER = 2
    NAME = 3


class Named(Protocol):
    """What has a name and the rank of its outermost sign."""

    @property
    def name(self) -> str:
        """The name."""

    @property
    def rank(self) -> Rank:
        """Its rank."""


def bracketed(x: Named, rank: Rank) -> str:
    """The name, in brackets where its outermost sign binds less than `rank`."""
    return x.name if x.rank >= rank else f"({x.name})"


def join(names: list[tuple[str, Rank]], sign: str, rank: Rank) -> tuple[str, Rank]:
    """Names joined by a sign of that rank."""
    return sign.join(n if r >= rank else f"({n})" for n, r in names), rank


@singledispatch
def name_of(law: AbstractMeasure) -> tuple[str, Rank]:
    """Name of a law, and the rank of its outermost sign."""
    return f"law of {type(law).__name__}", Rank.NAME


@name_of.register
def _(law: Semicircle) -> tuple[str, Rank]:
    name = f"semicircle({law.variance_:g})"
    return (name, Rank.NAME) if law.center == 0.0 else (f"{name} + {law.center:g}", Rank.SUM)


@name_of.register
def _(law: FreePoisson) -> tuple[str, Rank]:
    return f"free_poisson({law.rate:g}, {law.jump:g})", Rank.NAME


@name_of.register
def _(law: Arcsine) -> tuple[str, Rank]:
    return f"arcsine({law.radius:g})", Rank.NAME


@name_of.register
def _(law: Uniform) -> tuple[str, Rank]:
    return f"uniform({law.low:g}, {law.high:g})", Rank.NAME


@name_of.register
def _(law: GaussianSquare) -> tuple[str, Rank]:
    return f"gaussian_square(q = {law.q:g})", Rank.NAME


@name_of.register
def _(law: MomentLaw) -> tuple[str, Rank]:
    low, high = law.hull
    where = f" on [{low:g}, {high:g}]" if np.isfinite([low, high]).all() else ""
    return f"from_moments({law.known.size} moments{where})", Rank.NAME


@name_of.register
def _(law: PointMasses) -> tuple[str, Rank]:
    n = law.place.size
    if n == 1:
        return f"point_mass({law.places[0]:g})", Rank.NAME
    if n > _FEW:
        return f"empirical({n} atoms)", Rank.NAME
    atoms = ", ".join(f"{a:g}" for a in law.places)
    equal = np.ptp(law.mass) <= 1e-12
    masses = "" if equal else f", weights=[{', '.join(f'{m:g}' for m in law.masses)}]"
    return f"empirical([{atoms}]{masses})", Rank.NAME


@name_of.register
def _(law: Dilated) -> tuple[str, Rank]:
    base, rank = name_of(law.base)
    if law.factor != 1.0:
        inner = base if rank >= Rank.PRODUCT else f"({base})"
        base, rank = f"{law.factor:g} * {inner}", Rank.PRODUCT
    if law.offset == 0.0:
        return base, rank
    return f"{base} {'+' if law.offset > 0.0 else '-'} {abs(law.offset):g}", Rank.SUM


@name_of.register
def _(law: FreeSum) -> tuple[str, Rank]:
    return join(_counted(law.parts, law.times, "^"), " + ", Rank.SUM)


@name_of.register
def _(law: FreeProduct) -> tuple[str, Rank]:
    return join(_counted(law.parts, law.times, "**"), " * ", Rank.PRODUCT)


def _counted(
    parts: tuple[AbstractMeasure, ...], times: tuple[float, ...], sign: str
) -> list[tuple[str, Rank]]:
    """Names of the parts, with the power sign where one occurs more or less than once."""
    out = []
    for law, n in zip(parts, times, strict=True):
        name, rank = name_of(law)
        if n != 1.0:
            name, rank = f"{name if rank == Rank.NAME else f'({name})'} {sign} {n:g}", Rank.POWER
        out.append((name, rank))
    return out
