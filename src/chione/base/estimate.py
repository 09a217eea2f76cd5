"""A number that knows its error and its status, and keeps both through arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from chione.base.plain import plain
from chione.base.status import Status

Array = NDArray[np.float64]
EPS = float(np.finfo(np.float64).eps)
"""Distance from 1 to the next float64, 2.2e-16; the rounding of one operation is half of it."""

_TINY = 5e-324  # what the rounding of a denormal can be


def _has_nan(x: Any) -> bool:
    a = np.asarray(x)
    return a.dtype.kind in "fc" and bool(np.isnan(a).any())


@dataclass(frozen=True, eq=False, repr=False)
class Estimate:
    r"""A value, a bound on its error, and what can be said of it.

    Parameters
    ----------
    value : float, complex or ndarray
        The computed quantity; complex where it is a transform of a law. Where it does not exist
        the entry is NaN and the status says why; a NaN that comes with status ``OK`` gets
        ``NOT_COMPUTED``.
    error : float or ndarray
        Bound on the absolute error, of the shape of `value`.
    status : Status or ndarray of int
        One :class:`Status` for each element.

    Notes
    -----
    ``+ - * /``, powers and :meth:`sqrt`, :meth:`log`, :meth:`exp`, :meth:`abs` carry the errors
    along as bounds, as if nothing were known of how they hang together, and add the rounding of
    the operation itself:

    .. math:: \delta(a b) = |a|\,\delta b + |b|\,\delta a + \delta a\,\delta b + \epsilon |a b|,
       \qquad \delta(a / b) = \frac{\delta a + |a / b|\,\delta b}{|b| - \delta b} + \epsilon |a / b|

    Plain numbers take part as exact ones. Of two statuses the later one in :class:`Status`
    stays. Where two errors are correlated, as in ``a - a``, the bound is larger than need be;
    such formulas carry a bound of their own.

    Examples
    --------
    >>> a = Estimate(2.0, 1e-9)
    >>> print(3 * a + 1)
    7 +- 3e-09
    >>> (1 / (a - 2)).error
    inf
    """

    value: Any
    error: Any
    status: Any = Status.OK

    __array_ufunc__: ClassVar[None] = None  # array * estimate is ours to answer

    def __post_init__(self) -> None:
        # a missing number never calls itself OK, whichever formula it came out of
        if isinstance(self.value, float) and isinstance(self.error, float):
            if self.value == self.value and self.error == self.error:
                return
        elif not (_has_nan(self.value) or _has_nan(self.error)):
            return
        self._own_up()

    def _own_up(self) -> None:
        """Give NaN with status OK the status NOT_COMPUTED, an unknown error of a value inf."""
        value, error = np.asarray(self.value), np.asarray(self.error)
        status = np.broadcast_to(np.asarray(self.status), value.shape)
        mute = np.isnan(value) & (status == Status.OK)
        loose = np.broadcast_to(~np.isnan(value) & np.isnan(error), value.shape)
        if mute.any():
            told = np.where(mute, np.int8(Status.NOT_COMPUTED), status).astype(np.int8)
            object.__setattr__(self, "status", told if value.ndim else Status(int(told)))
        if loose.any():
            bound = np.where(loose, np.inf, error)
            object.__setattr__(self, "error", bound if value.ndim else float(bound))

    # ---- making ------------------------------------------------------------------------------

    @staticmethod
    def exact(x: Any) -> Estimate:
        """A number, or an array of them, that is known exactly."""
        if np.ndim(x) == 0:
            return Estimate(_number(x), 0.0)
        x = _numbers(x)
        return Estimate(x, np.zeros(x.shape), np.zeros(x.shape, dtype=np.int8))

    @staticmethod
    def stack(parts: Sequence[Estimate]) -> Estimate:
        """Estimates of one shape along a new first axis."""
        return Estimate(
            _numbers([p.value for p in parts]),
            np.array([p.error for p in parts], dtype=np.float64),
            np.array([np.broadcast_to(np.asarray(p.status), p.shape) for p in parts], np.int8),
        )

    # ---- reading -----------------------------------------------------------------------------

    def __float__(self) -> float:
        return float(self.value)

    def __getitem__(self, key: Any) -> Estimate:
        """The elements that `key` picks out of arrays."""
        status = np.broadcast_to(np.asarray(self.status), np.shape(self.value))[key]
        return _made(np.asarray(self.value)[key], np.asarray(self.error)[key], status)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the value."""
        return np.shape(self.value)

    @property
    def ok(self) -> bool:
        """Whether every element has a value within its stated error."""
        return bool(np.all(np.asarray(self.status) == Status.OK))

    def to_dict(self) -> dict[str, Any]:
        """The estimate as plain JSON types: ``value`` and ``error`` are null where not finite.

        A complex value is a pair ``[real, imaginary]``.
        """
        if np.ndim(self.value):
            status = np.broadcast_to(np.asarray(self.status), np.shape(self.value))
            return {
                "value": plain(np.ravel(self.value)),
                "error": plain(np.ravel(self.error)),
                "status": [Status(int(s)).word for s in np.ravel(status)],
                "shape": list(np.shape(self.value)),
            }
        word = Status(int(self.status)).word
        return {
            "value": plain(_number(self.value)),
            "error": plain(float(self.error)),
            "status": word,
        }

    def __eq__(self, other: object) -> bool:
        """Same shape and same numbers, a missing value equal to a missing one."""
        if not isinstance(other, Estimate):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        # adding 0 turns -0 into 0, so that numbers that compare equal have equal bytes
        value, error = (_numbers(a) + 0.0 for a in (self.value, self.error))
        value, error = (np.where(np.isnan(a), np.nan, a) for a in (value, error))
        status = np.broadcast_to(np.asarray(self.status, dtype=np.int64), value.shape)
        return value.shape, value.tobytes(), error.tobytes(), status.tobytes()

    def __repr__(self) -> str:
        if np.ndim(self.value) == 0:
            status = Status(int(self.status))
            word = "" if status == Status.OK else f", {status.word}"
            return f"Estimate({_number(self.value)!r}, error={float(self.error):.1e}{word})"
        error = np.asarray(self.error)
        known = error[np.isfinite(error)]
        largest = f"{known.max():.1e}" if known.size else "unknown"
        bad = int(np.sum(np.asarray(self.status) != Status.OK))
        words = "" if not bad else f", {bad} not ok"
        return f"<Estimate: shape {np.shape(self.value)}, largest error {largest}{words}>"

    def __str__(self) -> str:
        return format(self)

    def __format__(self, spec: str) -> str:
        """The value with as many digits as are known and its error; `spec` formats the value."""
        if np.ndim(self.value):
            return repr(self)
        value, error = _number(self.value), float(self.error)
        if value != value:
            return Status(int(self.status)).word.replace("_", " ")
        if spec:
            return format(value, spec)
        digits = 15
        if error > 0.0 and math.isfinite(error) and value != 0.0:
            known = math.floor(math.log10(abs(value))) - math.floor(math.log10(error)) + 1
            digits = min(17, max(known, 1))
        if isinstance(value, complex):
            text = f"{value:.{digits if error else 17}g}"
            return f"{text} +- {error:.0e}" if error else f"{text} (exact)"
        return f"{value:.{digits}g} +- {error:.0e}" if error else f"{value:.17g} (exact)"

    # ---- arithmetic --------------------------------------------------------------------------

    def __add__(self, other: Any) -> Estimate:
        a, b = self, _estimate(other)
        return _combined(a, b, np.add(a.value, b.value), np.add(a.error, b.error))

    def __sub__(self, other: Any) -> Estimate:
        a, b = self, _estimate(other)
        return _combined(a, b, np.subtract(a.value, b.value), np.add(a.error, b.error))

    def __mul__(self, other: Any) -> Estimate:
        a, b = self, _estimate(other)
        with np.errstate(all="ignore"):
            error = np.abs(a.value) * b.error + np.abs(b.value) * a.error + a.error * b.error
            return _combined(a, b, np.multiply(a.value, b.value), error)

    def __truediv__(self, other: Any) -> Estimate:
        a, b = self, _estimate(other)
        with np.errstate(all="ignore"):
            value = np.divide(a.value, b.value)
            room = np.abs(b.value) - b.error  # how near to zero the divisor may be
            error = np.where(room > 0.0, (a.error + np.abs(value) * b.error) / room, np.inf)
            return _combined(a, b, value, error)

    def __pow__(self, power: float) -> Estimate:
        """A power with an exact exponent; of a value that may be negative only whole ones."""
        _real_only(self, "powers")
        p = float(power)
        if p == 0.0:
            return self * 0.0 + 1.0
        with np.errstate(all="ignore"):
            size = np.abs(self.value)
            value = np.power(self.value, p)
            # the derivative is monotone in |x|, so its largest size is at one end of the interval
            ends = [np.power(np.maximum(size + s * self.error, 0.0), p - 1.0) for s in (-1.0, 1.0)]
            slope = abs(p) * np.maximum(ends[0], ends[1])
            error = np.where(np.equal(self.error, 0.0), 0.0, slope * self.error)
            return _combined(self, self, value, error + abs(p) * EPS * np.abs(value))

    def __neg__(self) -> Estimate:
        return Estimate(-self.value, self.error, self.status)

    def __radd__(self, other: Any) -> Estimate:
        return self.__add__(other)

    def __rsub__(self, other: Any) -> Estimate:
        return self.__neg__().__add__(other)

    def __rmul__(self, other: Any) -> Estimate:
        return self.__mul__(other)

    def __rtruediv__(self, other: Any) -> Estimate:
        return _estimate(other).__truediv__(self)

    def sqrt(self) -> Estimate:
        """The root of a value that is not negative."""
        _real_only(self, "sqrt")
        with np.errstate(all="ignore"):
            value = np.sqrt(self.value)
            # (x - r^2) / (sqrt x + r) with the lower end of the interval for r
            low = np.sqrt(np.maximum(np.asarray(self.value) - self.error, 0.0))
            error = np.where(np.equal(self.error, 0.0), 0.0, self.error / (value + low))
            return _combined(self, self, value, error)

    def log(self) -> Estimate:
        """The natural logarithm of a positive value."""
        _real_only(self, "log")
        with np.errstate(all="ignore"):
            value = np.log(self.value)
            room = np.asarray(self.value) - self.error
            error = np.where(room > 0.0, self.error / room, np.inf)
            return _combined(self, self, value, error + EPS)

    def exp(self) -> Estimate:
        """The exponential."""
        _real_only(self, "exp")
        with np.errstate(all="ignore"):
            value = np.exp(self.value)
            return _combined(self, self, value, value * np.expm1(self.error) + EPS * value)

    def abs(self) -> Estimate:
        """The absolute value."""
        return Estimate(np.abs(self.value), self.error, self.status)


def missing(status: Status) -> Estimate:
    """An estimate without a value: NaN, with the status that says why."""
    return Estimate(float("nan"), float("nan"), status)


def _number(x: Any) -> float | complex:
    """One number as Python's own, complex where it is."""
    return complex(x) if np.iscomplexobj(x) else float(x)


def _numbers(x: Any) -> NDArray[Any]:
    a = np.asarray(x)
    return a.astype(np.complex128 if a.dtype.kind == "c" else np.float64)


def _real_only(x: Estimate, operation: str) -> None:
    if np.iscomplexobj(x.value):
        raise TypeError(
            f"{operation} of an Estimate needs real values, but they are complex; "
            "take .value.real or .value.imag first."
        )


def _estimate(x: Any) -> Estimate:
    return x if isinstance(x, Estimate) else Estimate.exact(x)


def _combined(a: Estimate, b: Estimate, value: Any, error: Any) -> Estimate:
    """Result of an operation on `a` and `b`: its rounding joins the error, the statuses meet."""
    unit = 4.0 * EPS if np.iscomplexobj(value) else EPS  # a complex product has several roundings
    rounding = unit * np.abs(value) + np.where(np.equal(value, 0.0), 0.0, _TINY)
    error = np.where(np.isnan(error) & np.isfinite(value), np.inf, error)  # 0 times an infinite one
    error = (1.0 + 8.0 * EPS) * error + rounding  # the bound is computed with rounding, too
    return _made(value, error, np.maximum(a.status, b.status))


def _made(value: Any, error: Any, status: Any) -> Estimate:
    """Plain numbers where nothing has an axis, arrays where something has."""
    if np.ndim(value) == 0:
        return Estimate(_number(value), float(error), Status(int(status)))
    status = np.broadcast_to(np.asarray(status, dtype=np.int8), np.shape(value))
    return Estimate(value, np.broadcast_to(error, np.shape(value)), status)
