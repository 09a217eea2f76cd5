"""A formula such as sin(x)/x, which is 0/0 at zero and has a limit there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from chione.activations import chebyshev
from chione.base import Array

WIDTH = 0.25  # of the fits on both sides


def filled(f: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """`f` with the mean of its two limits in the place of a NaN at zero.

    `f` itself where it has a value at zero, or no limits (x log|x| is left to its author).
    """
    zero = np.zeros(1)
    try:
        with np.errstate(all="ignore"):
            if not np.isnan(np.asarray(f(zero.copy()), dtype=np.float64)).all():
                return f
            subject = chebyshev.subject(f)
            fits = chebyshev.fit(subject, np.array([-WIDTH, 0.0]), np.array([0.0, WIDTH]))
    except Exception:  # whatever is wrong with f, validation finds words for it
        return f
    # the nodes next to zero may carry the noise of 0/0: a limit to half the digits will do
    tails = np.max(np.abs(fits.coefficients[:, -4:]), axis=1)
    sizes = np.max(np.abs(fits.coefficients), axis=1)
    if not np.all(fits.finite & (tails <= 1e-8 * sizes)):
        return f
    limits = chebyshev.evaluate(fits, np.array([0, 1]), np.zeros(2), 0)
    value = float(np.mean(limits))

    def whole(x: Array) -> Array:
        hole = x == 0.0  # before f, which may write into its argument
        y = np.asarray(f(x))
        return np.where(hole & np.isnan(y), value, y)

    return whole
