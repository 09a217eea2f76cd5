r"""Disk arithmetic: what a function does between its nodes, read off from how it is written.

A panel of the real line with centre c and half width w is the middle of a disk :math:`|z - c| \le
2 w`. Every operation of a function f turns such a disk into numbers that bound it:

.. math:: |f(z) - f(c)| \le R, \qquad |\log f(z) - \log f(c)| \le L \quad (f \ne 0),

so f is analytic there, and how far a quadrature is off on the panel is known without trust in any
sample: neither a spike nor an oscillation can hide between the nodes. Beside them goes a bound on
the rounding of each value. What is not covered by a rule raises ``TypeError``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chione.base import Array

Book = list[tuple[Array, Array]]

# NumPy's functions and what they do to disks; filled by the files of the rules
RULES: dict[np.ufunc, Callable[..., Any]] = {}
FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {}

_LOGIC = (np.logical_and, np.logical_or, np.bitwise_and, np.bitwise_or)

# By Schwarz's lemma |f(x) - f(c)| <= R |x - c| / 2w: half of R on the panel itself
PANEL = 0.5
_NEAR = 4.0  # roundings within which a place may be on the wrong side of an edge


class Disk:
    """A function on P disks, and its values at their centres and at nodes.

    Parameters
    ----------
    value : ndarray, shape (P + K,)
        Values at the P centres and at K further places.
    radius : ndarray, shape (P,)
        R; infinite or NaN where nothing is known.
    noise : ndarray, shape (P + K,)
        Bound on the rounding of the values.
    book : list of (ndarray, ndarray)
        Where differences are noted whose sign changes inside of a panel: values at the K places,
        and their noise.
    log : ndarray, shape (P,), optional
        L, where it is known better than from R.
    """

    __slots__ = ("book", "log", "noise", "radius", "value")

    def __init__(
        self, value: Array, radius: Array, noise: Array, book: Book, log: Array | None = None
    ) -> None:
        self.value, self.radius, self.noise = value, radius, noise
        self.book, self.log = book, log

    @property
    def centre(self) -> Array:
        """Values at the centres."""
        return self.value[: self.radius.size]

    def logarithm(self) -> Array:
        """L; infinite where f may vanish."""
        if self.log is not None:
            return self.log
        share = self.radius / np.abs(self.centre)
        return np.where(share < 1.0, -np.log1p(-np.minimum(share, 1.0)), np.inf)

    def decided(self) -> NDArray[np.bool_]:
        """Panels on which a real function keeps its sign."""
        p = self.radius.size
        room = np.abs(self.centre) + _NEAR * self.noise[:p]
        known = np.asarray(PANEL * self.radius <= room)
        if self.log is not None:
            known |= np.isfinite(self.log)
        if not known.all():
            self.book.append((self.value[p:], self.noise[p:]))
        return known

    def clip(self, low: Any = None, high: Any = None) -> Any:
        """As ``np.clip``."""
        return FUNCTIONS[np.clip](self, low, high)

    def copy(self) -> Disk:
        """The same: disks are not written to."""
        return self

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or kwargs or ufunc not in RULES:
            raise TypeError(f"no disk rule for {ufunc.__name__}")
        return RULES[ufunc](*inputs)

    def __array_function__(
        self, func: Callable[..., Any], types: Any, args: Any, kwargs: dict[str, Any]
    ) -> Any:
        if func not in FUNCTIONS:
            raise TypeError(f"no disk rule for {getattr(func, '__name__', func)}")
        return FUNCTIONS[func](*args, **kwargs)

    def __add__(self, other: Any) -> Any:
        return RULES[np.add](self, other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return RULES[np.subtract](self, other)

    def __rsub__(self, other: Any) -> Any:
        return RULES[np.subtract](other, self)

    def __mul__(self, other: Any) -> Any:
        return RULES[np.multiply](self, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        return RULES[np.divide](self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return RULES[np.divide](other, self)

    def __pow__(self, other: Any) -> Any:
        return RULES[np.power](self, other)

    def __rpow__(self, other: Any) -> Any:
        return RULES[np.power](other, self)

    def __neg__(self) -> Any:
        return RULES[np.negative](self)

    def __pos__(self) -> Disk:
        return self

    def __abs__(self) -> Any:
        return RULES[np.absolute](self)

    def __gt__(self, other: Any) -> Any:
        return RULES[np.greater](self, other)

    def __ge__(self, other: Any) -> Any:
        return RULES[np.greater](self, other)

    def __lt__(self, other: Any) -> Any:
        return RULES[np.greater](other, self)

    def __le__(self, other: Any) -> Any:
        return RULES[np.greater](other, self)


class Choice:
    """A condition on P panels and at K nodes.

    Parameters
    ----------
    mask : ndarray of bool, shape (P + K,)
        Whether it holds.
    known : ndarray of bool, shape (P,)
        Panels that it holds on as at their centre.
    book : list
        As that of a :class:`Disk`.
    """

    __slots__ = ("book", "known", "mask")

    def __init__(self, mask: NDArray[np.bool_], known: NDArray[np.bool_], book: Book) -> None:
        self.mask, self.known, self.book = mask, known, book

    def disk(self) -> Disk:
        """One where it holds, zero elsewhere."""
        value = self.mask.astype(np.float64)
        radius = np.where(self.known, 0.0, np.inf)
        return Disk(value, radius, np.zeros_like(value), self.book)

    def astype(self, dtype: Any) -> Disk:
        """The numbers 0 and 1."""
        if np.dtype(dtype).kind not in "fiu":
            raise TypeError("no disk rule for this type")
        return self.disk()

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or kwargs:
            raise TypeError(f"no disk rule for {ufunc.__name__}")
        if ufunc in _LOGIC:
            a, b = inputs
            if not (isinstance(a, Choice) and isinstance(b, Choice)):
                raise TypeError("no disk rule for a condition and something else")
            return Choice(ufunc(a.mask, b.mask), a.known & b.known, a.book)
        if ufunc in (np.logical_not, np.invert):
            return ~self
        if ufunc not in RULES:
            raise TypeError(f"no disk rule for {ufunc.__name__}")
        return RULES[ufunc](*(x.disk() if isinstance(x, Choice) else x for x in inputs))

    __array_function__ = Disk.__array_function__

    def __and__(self, other: Choice) -> Choice:
        return Choice(self.mask & other.mask, self.known & other.known, self.book)

    def __or__(self, other: Choice) -> Choice:
        return Choice(self.mask | other.mask, self.known & other.known, self.book)

    def __invert__(self) -> Choice:
        return Choice(~self.mask, self.known, self.book)

    def __mul__(self, other: Any) -> Any:
        return RULES[np.multiply](self.disk(), other.disk() if isinstance(other, Choice) else other)

    __rmul__ = __mul__

    def __add__(self, other: Any) -> Any:
        return RULES[np.add](self.disk(), other.disk() if isinstance(other, Choice) else other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return RULES[np.subtract](self.disk(), other)

    def __rsub__(self, other: Any) -> Any:
        return RULES[np.subtract](other, self.disk())


def number(x: Any) -> float:
    """A constant of the function."""
    if type(x) is float or type(x) is int:
        return float(x)
    if isinstance(x, (np.ndarray, np.generic, int, float)) and np.ndim(x) == 0:
        return float(x)
    raise TypeError("no disk rule for this operand")


def lift(x: Any, like: Disk) -> Disk:
    """`x` as a disk; a constant has no radius."""
    if isinstance(x, Disk):
        return x
    if isinstance(x, Choice):
        return x.disk()
    value = np.full_like(like.value, number(x))
    nothing = np.zeros_like(like.radius)
    return Disk(value, nothing, np.zeros_like(value), like.book, nothing)
