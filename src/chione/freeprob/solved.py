"""Solutions of a subordination system at many points."""

from __future__ import annotations

from dataclasses import dataclass

from chione.base import Array
from chione.freeprob.measures import Booleans, Complex, Integers


@dataclass(frozen=True)
class Solved:
    """Subordination functions u, shape (k, N), the common f, df/dzeta and the residual in zeta."""

    u: Complex
    f: Complex
    slope: Complex
    residual: Array
    ok: Booleans

    def put(self, index: Integers, other: Solved) -> None:
        """Overwrite the columns `index`."""
        self.u[:, index], self.f[index], self.slope[index] = other.u, other.f, other.slope
        self.residual[index], self.ok[index] = other.residual, other.ok

    def take(self, index: Integers | Booleans) -> Solved:
        """The columns `index`."""
        return Solved(
            self.u[:, index],
            self.f[index],
            self.slope[index],
            self.residual[index],
            self.ok[index],
        )
