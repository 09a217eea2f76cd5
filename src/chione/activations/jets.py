"""Second-order jets: run a user's NumPy function once and read off two derivatives.

A jet carries (f, f', f'') of a function of one variable, point by point. It answers to NumPy's own
protocols (NEP 13 and 18), so a plain ``lambda x: x * np.tanh(x)`` needs no change. Whatever the
rules do not cover raises ``TypeError``; a caller can then fall back, and nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from chione.activations.jet_rules import BINARY, LOCALLY_CONSTANT, PLAIN, UNARY, sinc
from chione.base import Array


@dataclass(eq=False)
class Jet(np.lib.mixins.NDArrayOperatorsMixin):
    """Value, first and second derivative at the same points.

    Parameters
    ----------
    value : ndarray
        The values.
    first, second : ndarray or None
        Arrays of the same shape; None where the derivative is zero everywhere.
    order : {1, 2}
        The highest derivative that is followed; `second` stays None where it is 1.
    """

    value: Array
    first: Array | None
    second: Array | None
    order: int = 2

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the points."""
        return self.value.shape

    @property
    def ndim(self) -> int:
        """Number of axes of the points."""
        return self.value.ndim

    @property
    def size(self) -> int:
        """Number of points."""
        return self.value.size

    @property
    def dtype(self) -> np.dtype[np.float64]:
        """Always float64."""
        return self.value.dtype

    def copy(self) -> Jet:
        """An independent copy."""
        return Jet(self.value.copy(), _copy(self.first), _copy(self.second), self.order)

    def derivative(self, order: int) -> Array:
        """The value (`order` 0) or a derivative (1, 2) as an array."""
        out = (self.value, self.first, self.second)[order]
        return np.zeros_like(self.value) if out is None else out

    def astype(self, dtype: Any, copy: bool = True) -> Jet:
        """A copy; only float64 is possible."""
        if np.dtype(dtype) != np.float64:
            raise TypeError("a jet is float64 only")
        return self.copy()

    def clip(self, low: Any, high: Any) -> Jet:
        """As ``np.clip``."""
        return _clip(self, low, high)

    def __len__(self) -> int:
        return len(self.value)

    def __getitem__(self, key: Any) -> Jet:
        first, second = (None if x is None else x[key] for x in (self.first, self.second))
        return Jet(self.value[key], first, second, self.order)

    def __setitem__(self, key: Any, other: Any) -> None:
        other = lift(other)
        self.order = min(self.order, other.order)
        self.value[key] = other.value
        self.first, self.second = (self.derivative(1), self.derivative(2))
        self.first[key] = other.derivative(1)
        self.second[key] = other.derivative(2)

    def compose(self, f0: Array, f1: Array, f2: Array) -> Jet:
        """The outer function (f0, f1, f2 at the inner value) after this jet: the chain rule."""
        first = self.first
        if first is None:
            return Jet(f0, None, None, self.order)
        if np.all(first == 1.0) and self.second is None:  # the variable itself
            # a rule may hand out one array twice, as that of exp: each is written to by itself
            f1 = f1.copy() if f1 is f0 else f1
            return Jet(f0, f1, f2.copy() if self.order == 2 else None, self.order)
        second = None
        if self.order == 2:
            second = _sum(_times(f2, first * first), _times(f1, self.second))
        return Jet(f0, _times(f1, first), second, self.order)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        out = kwargs.pop("out", None)
        if method != "__call__" or kwargs:
            raise TypeError(f"no derivative rule for {ufunc.__name__}.{method} with options")
        result = _apply(ufunc, inputs)
        if out is None:
            return result
        (target,) = out
        if not isinstance(target, Jet) or not isinstance(result, Jet):
            raise TypeError("a jet cannot be written into a plain array")
        target.value, target.order = result.value, result.order
        target.first, target.second = result.first, result.second
        return target

    def __array_function__(
        self, func: Callable[..., Any], types: Any, args: Any, kwargs: dict[str, Any]
    ) -> Any:
        if func not in _FUNCTIONS:
            raise TypeError(f"no derivative rule for {getattr(func, '__name__', func)}")
        return _FUNCTIONS[func](*args, **kwargs)


def variable(z: Array, order: int = 2) -> Jet:
    """The independent variable: slope one, curvature zero; derivatives up to `order`."""
    z = np.array(z, dtype=np.float64)
    return Jet(z, np.ones_like(z), None, order)


def lift(x: Any) -> Jet:
    """`x` as a jet; a plain number or array is a constant."""
    if isinstance(x, Jet):
        return x
    value = np.asarray(x)
    if value.dtype.kind not in "fiub":
        raise TypeError(f"a jet cannot be mixed with entries of type {value.dtype}")
    return Jet(value.astype(np.float64), None, None)


def _apply(ufunc: np.ufunc, inputs: tuple[Any, ...]) -> Any:
    name = ufunc.__name__
    if name in PLAIN:
        return ufunc(*[x.value if isinstance(x, Jet) else x for x in inputs])
    if name in LOCALLY_CONSTANT:
        return lift(ufunc(*[lift(x).value for x in inputs]))
    if name in UNARY and len(inputs) == 1:
        (x,) = (lift(x) for x in inputs)
        return x.compose(*UNARY[name](x.value))
    if name in BINARY and len(inputs) == 2:
        a, b = (lift(x) for x in inputs)
        if name == "power" and b.first is None and b.second is None:
            return a.compose(*_constant_power(a.value, b.value))
        return _binary(BINARY[name](a.value, b.value), a, b)
    raise TypeError(f"no derivative rule for {name}")


def _binary(rule: Any, a: Jet, b: Jet) -> Jet:
    """A function of two jets from its value and its five partial derivatives."""
    f, fa, fb, faa, fab, fbb = rule
    order, shape = min(a.order, b.order), np.shape(f)
    first = _sum(_times(fa, a.first), _times(fb, b.first))
    second = None
    if order == 2:
        second = _sum(_times(fa, a.second), _times(fb, b.second))
        for partial, x, y in ((faa, a, a), (2.0 * fab, a, b), (fbb, b, b)):
            if _is_zero(partial):
                continue
            if x.first is not None and y.first is not None:
                second = _sum(second, _times(partial, x.first * y.first))
    taken = (a.first, b.first, a.second, b.second)
    return Jet(f, _own(first, shape, taken), _own(second, shape, taken), order)


def _own(x: Array | None, shape: tuple[int, ...], taken: tuple[Array | None, ...]) -> Array | None:
    """`x` in full shape, as an array that no other jet writes to."""
    if x is None or x.shape != shape:
        return None if x is None else np.broadcast_to(x, shape).copy()
    return x.copy() if any(x is other for other in taken) else x


def _times(partial: Any, factor: Array | None) -> Array | None:
    """Product in which a factor of exactly zero wins over an infinite or undefined partial."""
    if factor is None or _is_zero(partial):
        return None
    if type(partial) is float and partial == 1.0:  # of a sum: nothing to multiply
        return factor
    out: Array = np.asarray(partial) * factor
    if not np.all(np.isfinite(out)):
        out = np.where(factor == 0.0, 0.0, out)
    return out


def _is_zero(partial: Any) -> bool:
    """Whether a rule says that this partial derivative is zero everywhere."""
    return type(partial) is float and partial == 0.0


def _sum(a: Array | None, b: Array | None) -> Array | None:
    if a is None or b is None:
        return b if a is None else a
    return np.asarray(a + b)


def _copy(x: Array | None) -> Array | None:
    return None if x is None else x.copy()


def _constant_power(a: Array, n: Array) -> tuple[Array, Array, Array]:
    if n.ndim == 0 and float(n) in (2.0, 3.0):  # what people write: no logarithm needed
        square = a * a
        if float(n) == 2.0:
            return square, 2.0 * a, np.full_like(a, 2.0)
        return square * a, 3.0 * square, 6.0 * a
    first = np.where(n == 0.0, 0.0, n * np.power(a, n - 1.0))
    steep = n * (n - 1.0)
    return np.power(a, n), first, np.where(steep == 0.0, 0.0, steep * np.power(a, n - 2.0))


def _where(condition: Any, a: Any, b: Any) -> Jet:
    mask = condition.value != 0.0 if isinstance(condition, Jet) else condition
    a, b = lift(a), lift(b)
    order = min(a.order, b.order)
    first = _chosen(mask, a.first, b.first)
    second = _chosen(mask, a.second, b.second) if order == 2 else None
    return Jet(np.where(mask, a.value, b.value), first, second, order)


def _chosen(mask: Any, a: Array | None, b: Array | None) -> Array | None:
    if a is None and b is None:
        return None
    return np.where(mask, 0.0 if a is None else a, 0.0 if b is None else b)


def _rounded(x: Any, decimals: int = 0) -> Jet:
    return lift(np.round(lift(x).value, decimals))


def _clip(argument: Any, a_min: Any = None, a_max: Any = None) -> Jet:
    x = lift(argument)
    if a_min is not None:
        x = _where(x.value > lift(a_min).value, x, a_min)
    if a_max is not None:
        x = _where(x.value < lift(a_max).value, x, a_max)
    return x


def _select(condlist: Any, choicelist: Any, default: Any = 0) -> Jet:
    out = lift(default)
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        out = _where(condition, choice, out)
    return out


def _piecewise(x: Any, condlist: Any, funclist: Any) -> Jet:
    x = lift(x)
    conditions = [np.asarray(c, dtype=bool) for c in condlist]
    pieces = list(funclist)
    otherwise = pieces.pop() if len(pieces) == len(conditions) + 1 else 0.0
    out = lift(np.zeros(x.shape))
    rest = np.ones(x.shape, dtype=bool)
    for condition, piece in zip(conditions, pieces, strict=True):
        out[condition] = piece(x[condition]) if callable(piece) else piece
        rest &= ~condition
    out[rest] = otherwise(x[rest]) if callable(otherwise) else otherwise
    return out


def _polyval(p: Any, x: Any) -> Jet:
    out: Any = lift(0.0)
    for coefficient in p:
        out = out * x + coefficient
    return Jet(out.value, out.first, out.second, out.order)


_FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.where: _where,
    np.clip: _clip,
    np.select: _select,
    np.piecewise: _piecewise,
    np.polyval: _polyval,
    np.sinc: lambda x: lift(x).compose(*sinc(lift(x).value)),
    np.zeros_like: lambda x: lift(np.zeros(lift(x).shape)),
    np.ones_like: lambda x: lift(np.ones(lift(x).shape)),
    np.full_like: lambda x, fill: lift(np.full(lift(x).shape, fill)),
    np.copy: lambda x: lift(x).copy(),
    np.round: _rounded,
    np.around: _rounded,
    np.fix: lambda x: lift(np.fix(lift(x).value)),
    np.shape: lambda x: x.shape,
}
