"""A number that knows its error and its status."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chione.base.status import Status

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A value, a bound on its error, and what can be said of it.

    Parameters
    ----------
    value : float or ndarray
        The computed quantity. Where it does not exist the entry is NaN and the status says why.
    error : float or ndarray
        Estimated absolute error, of the shape of `value`.
    status : Status or ndarray of int
        One :class:`Status` for each element.
    """

    value: Any
    error: Any
    status: Any = Status.OK

    def __float__(self) -> float:
        return float(self.value)

    @property
    def ok(self) -> bool:
        """Whether every element has a value within its stated error."""
        return bool(np.all(np.asarray(self.status) == Status.OK))

    def to_dict(self) -> dict[str, Any]:
        """The estimate as plain JSON types: ``value`` and ``error`` are null where not finite."""
        if np.ndim(self.value):
            return {
                "value": [_plain(v) for v in np.ravel(self.value)],
                "error": [_plain(v) for v in np.ravel(self.error)],
                "status": [Status(int(s)).word for s in np.ravel(self.status)],
                "shape": list(np.shape(self.value)),
            }
        status = Status(int(self.status))
        return {"value": _plain(self.value), "error": _plain(self.error), "status": status.word}


def missing(status: Status) -> Estimate:
    """An estimate without a value: NaN, with the status that says why."""
    return Estimate(float("nan"), float("nan"), status)


def _plain(x: Any) -> float | None:
    x = float(x)
    return x if np.isfinite(x) else None
