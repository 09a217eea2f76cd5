"""What every comparison of a simulation with theory can be asked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np

from chione.base import Array

FAMILY_ERROR = 1e-3  # chance of a false alarm over all comparisons of one run (Bonferroni)


class Compared(ABC):
    """Chances of deviations by name, and what follows from them."""

    p_value: Mapping[str, Array]

    @property
    def n_comparisons(self) -> int:
        """Number of values that could be compared."""
        return int(sum(np.isfinite(p).sum() for p in self.p_value.values()))

    @property
    def threshold(self) -> float:
        """Chance below which a single value contradicts the theory."""
        return FAMILY_ERROR / max(self.n_comparisons, 1)

    @property
    @abstractmethod
    def contradictions(self) -> tuple[str, ...]:
        """One sentence for each quantity that contradicts the theory."""

    @property
    def agrees(self) -> bool:
        """Whether nothing contradicts the theory; ask `n_comparisons` how much that says."""
        return not self.contradictions
