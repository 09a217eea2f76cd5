"""A user's own function as an activation: validated once, derivatives and kinks found."""

# ruff: noqa: D102  (the methods are documented once, in AbstractActivation)

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from itertools import pairwise
from typing import Any, Literal, final

import numpy as np

from chione.activations import chebyshev, jets
from chione.activations.clean import Clean
from chione.activations.kinks import REACH, Kink, KinkSearch, find_kinks
from chione.activations.limits import Limits, limits
from chione.activations.poles import refuse_what_no_integral_follows
from chione.activations.protocol import AbstractActivation, Derivatives, sides
from chione.activations.units import Units, natural_units
from chione.base import EPS, Array, SpecError

Method = Literal["given", "autograd", "jets", "interpolation"]

INTERPOLATION_ERROR = 1e-8  # of phi'' from fits; phi' is better by three digits
SLOPE_TOLERANCE = 1e-9
CURVATURE_TOLERANCE = 1e-6
MOST_NOISE = 5e-9  # of the values: what computes in single precision has more
# Nearer to zero exp(x) - 1 is zero in float64, so that min(0, exp(x) - 1) is a tie there and the
# slope is taken from the wrong side.
TIE = 4.5e-16
WIDEST = 4.0  # half the width of the widest fit tried for a derivative


@final
@dataclass(frozen=True, eq=False)
class Custom(AbstractActivation):
    """An activation made from a function.

    Made by :func:`chione.activations.from_callable` or
    :func:`chione.activations.from_expression`.

    Parameters
    ----------
    label : str
        The name.
    f : callable
        (n,) -> (n,), float64; in natural units, as is all that follows.
    derivatives : callable or None
        (points (n,), order) -> derivative (n,).
    highest : {0, 1, 2}
        Up to which order `derivatives` can be asked; the next ones are interpolated.
    method : {"given", "autograd", "jets", "interpolation"}
        Where the derivatives come from.
    search : KinkSearch
        What was found about kinks.
    origin : object
        What the user handed in, if that alone is enough to make the activation again.
    door : callable or None
        What makes it again from `origin`.
    units : Units
        The natural units of the argument and of the values.
    """

    label: str
    f: Callable[[Array], Array] = field(repr=False)
    derivatives: Derivatives | None = field(repr=False)
    highest: int
    method: Method
    search: KinkSearch = field(repr=False)
    origin: Any = field(default=None, repr=False)
    door: Callable[[Any], Any] | None = field(default=None, repr=False)
    units: Units = field(default=Units(), repr=False)

    def __reduce__(self) -> str | tuple[Any, ...]:
        if self.origin is None or self.door is None:
            return super().__reduce__()
        return self.door, (self.origin,)

    @property
    def name(self) -> str:
        return self.label

    @property
    def kinks(self) -> tuple[float, ...]:
        return tuple(self.units.argument * k for k in self._places)

    @property
    def _places(self) -> tuple[float, ...]:
        return tuple(k.at for k in self.search.kinks)

    @property
    def piecewise_smooth(self) -> bool:
        """Whether the function is smooth between its kinks, as far as the search can tell."""
        return self.search.smooth

    @property
    def formula(self) -> str:
        return self.label

    @property
    def source(self) -> str:
        return "the user's own"

    @property
    def derivative_error(self) -> float:
        if self.highest < 2:
            return INTERPOLATION_ERROR if self.search.smooth else float("inf")
        return 0.0

    @cached_property
    def _clean(self) -> Clean:
        def values(x: Array) -> Array:  # a copy: f may write into its argument
            return np.asarray(self.f(x.copy()), dtype=np.float64)

        orders = () if self.derivatives is None else (1, 2)[: self.highest]
        return Clean((values, *(self._given(order) for order in orders)), self._places)

    def _given(self, order: int) -> Callable[[Array], Array]:
        derivatives = self.derivatives
        assert derivatives is not None

        def slope(x: Array) -> Array:
            return np.array(derivatives(x, order), dtype=np.float64)

        @lru_cache(maxsize=1)  # asked when the order is: a framework may not know the second
        def is_smooth_beside_zero() -> bool:
            s = slope(np.array([-2.0 * TIE, -TIE, TIE, 2.0 * TIE]))
            return bool(np.all(np.abs(s[[0, 2]] - s[[1, 3]]) <= 1e-9 * np.abs(s[[1, 2]])))

        def away(x: Array) -> Array:
            near = (x != 0.0) & (np.abs(x) < TIE)
            if np.any(near) and is_smooth_beside_zero():
                x = np.where(near, np.copysign(TIE, x), x)
            return slope(x)

        return away

    def value(self, z: Array) -> Array:
        return self._scaled(0, z)

    def as_written(self, z: Array) -> Array:
        with np.errstate(all="ignore"):
            flat = np.array(z, dtype=np.float64).ravel() / self.units.argument
            return np.asarray(self.f(flat) * self.units.value).reshape(np.shape(z))

    def derivative(self, z: Array) -> Array:
        return self._scaled(1, z)

    def second_derivative(self, z: Array) -> Array:
        return self._scaled(2, z)

    def _scaled(self, order: int, z: Array) -> Array:
        units = self.units
        flat = np.array(z, dtype=np.float64).ravel()
        if units.argument != 1.0:
            with np.errstate(over="ignore", under="ignore"):
                flat = flat / units.argument
        out, factor = self.natural(order, flat), units.factor(order)
        if factor != 1.0:
            with np.errstate(over="ignore", under="ignore"):
                out = out * factor
        return out.reshape(np.shape(z))

    @property
    def known(self) -> bool:
        return False

    def noise(self, order: int, q: Array, mean: float = 0.0) -> Array:
        if order > self.highest:
            return np.zeros(np.shape(q))  # derivative_error holds for what is interpolated
        s = self.units.argument
        with np.errstate(over="ignore", under="ignore"):
            inside = self._clean.noise(order, q / s / s, mean / s)
            return np.asarray(inside * self.units.factor(order))

    def one_sided(self, order: int, at: float) -> tuple[float, float]:
        found, factor = self._limits(order, at), self.units.factor(order)
        return found.left * factor, found.right * factor

    def one_sided_error(self, order: int, at: float) -> float:
        return self._limits(order, at).error * self.units.factor(order)

    def kink_error(self, at: float) -> float:
        s = self.units.argument
        return max((k.error * s for k in self.search.kinks if k.at == at / s), default=0.0)

    def _limits(self, order: int, at: float) -> Limits:
        return limits_at(self, order, at / self.units.argument)

    def natural(self, order: int, x: Array) -> Array:
        """Value or derivative at x (n,), both in natural units."""
        if order == 0:
            return self._clean(0, x)
        if self.derivatives is None or self.highest == 0:
            return interpolated(self.f, self._places, x, order)
        if order > self.highest:
            return interpolated(_slope(self.derivatives), self._places, x, 1)
        out = self._clean(order, x)
        broken = np.isnan(out)  # infinite is the slope of a cube root at 0: that is no accident
        if np.any(broken):
            # a huge value is no accident of the formula: its derivative does overflow
            where = np.flatnonzero(broken)[np.abs(self._clean(0, x[broken])) < 1e150]
            out[where] = interpolated(self.f, self._places, x[where], order)
        return out


@lru_cache(maxsize=1024)
def limits_at(phi: Custom, order: int, at: float) -> Limits:
    """Limits of the value or a derivative at one place, from fits of the highest known order.

    All in the natural units of `phi`.
    """
    highest = min(order, phi.highest)
    known = [k for k in phi.search.kinks if k.at == at]
    if not known:
        left, right = phi.natural(order, np.array(sides(at)))
        return Limits(float(left), float(right), 0.0)
    others = np.array([k.at - at for k in phi.search.kinks if k.at != at])
    room = (
        float(np.min(-others[others < 0.0], initial=np.inf)),
        float(np.min(others[others > 0.0], initial=np.inf)),
    )
    # a snapped place is exact, but only the search knows that: it is not asked again
    margin = 0.0 if known[0].error <= 4.0 * EPS * abs(at) else 2.0 * known[0].error
    found = limits(partial(phi.natural, highest), order - highest, at, room, margin)
    if order < known[0].order:  # continuous there: the two differ by rounding only
        middle = 0.5 * (found.left + found.right)
        return Limits(middle, middle, found.error)
    return found


def interpolated(
    f: Callable[[Array], Array], places: tuple[float, ...], x: Array, order: int
) -> Array:
    """Derivative of `order` at the points `x` (n,), from Chebyshev fits, none across a kink.

    Within the range of the kink search from panels made once, beyond it from panels made for
    each point.
    """
    out = np.empty_like(x)
    subject, table = _table(f, places)
    index = np.searchsorted(table.low, x, side="right") - 1
    index = np.clip(index, 0, len(table.low) - 1)
    known = (x >= table.low[index]) & (x <= table.high[index]) & table.resolved[index]
    if np.any(known):
        out[known] = chebyshev.evaluate(table, index[known], x[known], order)
    if not np.all(known):
        out[~known] = _one_by_one(subject, places, x[~known], order)
    return out


@lru_cache(maxsize=64)
def _slope(derivatives: Derivatives) -> Callable[[Array], Array]:
    """The first derivative alone: one function per activation, so that its table is kept."""
    return lambda x: derivatives(x, 1)


@lru_cache(maxsize=64)
def _table(
    f: Callable[[Array], Array], places: tuple[float, ...]
) -> tuple[chebyshev.Subject, chebyshev.Panels]:
    """Panels as wide as they can be, up to 8, between the kinks in [-64, 64]."""
    subject = chebyshev.subject(f)
    ends = [-REACH, *(k for k in places if abs(k) < REACH), REACH]
    edges = [np.linspace(a, b, max(2, int((b - a) / 8.0) + 1)) for a, b in pairwise(ends)]
    joined = np.unique(np.concatenate(edges))
    table = chebyshev.refine(subject, joined, narrowest=1e-3, most=20_000)
    if table is None:
        table = chebyshev.fit(subject, joined[:-1], joined[1:])
    return subject, replace(table, coefficients=chebyshev.without_noise(table))


def _one_by_one(
    subject: chebyshev.Subject, places: tuple[float, ...], x: Array, order: int
) -> Array:
    """Each point gets panels of its own; the one whose noise and tail do least harm is used."""
    kinks = np.array([-np.inf, *places, np.inf])
    right = np.searchsorted(kinks, x, side="right")
    half = np.maximum(WIDEST, 0.25 * np.abs(x))
    best: Array = np.full(len(x), np.nan)
    lowest: Array = np.full(len(x), np.inf)
    for _ in range(16):
        low = np.maximum(x - half, kinks[right - 1])
        high = np.minimum(x + half, kinks[right])
        panels = chebyshev.fit(subject, low, high)
        tail = np.max(np.abs(panels.coefficients[:, -4:]), axis=1) + panels.noise
        estimate = tail / (high - low) ** order
        panels = replace(panels, coefficients=chebyshev.without_noise(panels))
        value = chebyshev.evaluate(panels, np.arange(len(x)), x, order)
        better = panels.finite & (estimate < lowest)
        best[better], lowest[better] = value[better], estimate[better]
        half = 0.5 * half
    return best


def jet_derivatives(f: Callable[[Any], Any]) -> Derivatives:
    """First and second derivative by running `f` on jets."""

    def derivatives(z: Array, order: int) -> Array:
        with np.errstate(all="ignore"):
            # a plain array comes from comparisons only
            out = jets.lift(f(jets.variable(z, max(order, 1))))
        return np.broadcast_to(out.derivative(order), np.shape(z))

    return derivatives


def assemble(
    label: str,
    f: Callable[[Array], Array],
    derivatives: Derivatives | None,
    method: Method,
    kinks: tuple[float, ...] | None = None,
    *,
    highest: int = 2,
    origin: Any = None,
    door: Callable[[Any], Any] | None = None,
) -> Custom:
    """An activation from a validated function; the derivatives are compared with its values.

    Raises
    ------
    SpecError
        If `f` has a pole, turns too fast for any integral, or contradicts the derivatives that
        were given or that autograd returned.
    """
    units = natural_units(f)
    f = units.inside(f)
    refuse_what_no_integral_follows(label, f, units.argument)
    derivatives = None if derivatives is None else units.derivatives(derivatives)
    search = _searched(f)
    if kinks is not None:
        places = [k / units.argument for k in kinks]
        declared = tuple(Kink(k, _order_at(search, k), 0.0) for k in places)
        search = KinkSearch(declared, search.smooth, search.panels)
    plain = Custom(label, f, None, 0, "interpolation", search, origin, door, units)
    if derivatives is None:
        return plain
    own = Custom(label, f, derivatives, highest, method, search, origin, door, units)
    if not search.smooth:
        return own
    wrong = _contradiction(own, plain, 1, SLOPE_TOLERANCE)
    if wrong is None:
        # a second derivative that a framework gets wrong is replaced, not refused
        bent = _contradiction(own, plain, 2, CURVATURE_TOLERANCE) is not None
        return replace(own, highest=1) if bent and method != "given" else own
    slightly = _contradiction(own, plain, 1, 1e-4) is None  # constants kept in single precision
    if method == "jets" or (slightly and method == "autograd"):
        return plain
    raise SpecError(
        f"The derivative of {label} ({method}) contradicts its values at "
        f"{wrong * units.argument:.6g}; "
        f"a straight-through gradient has no place here. Pass a function with its true derivative."
    )


def _order_at(search: KinkSearch, at: float) -> int:
    """First derivative that jumps at a declared kink, as far as the search saw it; else 0."""
    near = [k.order for k in search.kinks if abs(k.at - at) <= 1e-9 + 10.0 * k.error]
    return near[0] if near else 0


def _searched(f: Callable[[Array], Array]) -> KinkSearch:
    """The kinks of `f`; where its noise hides them, those of the steadied function."""
    search = find_kinks(f)
    if search.smooth:
        return search
    steadied = Clean((lambda x: f(x.copy()),), ()).steady(0)
    if steadied.relative_noise > MOST_NOISE:
        return search
    again = find_kinks(steadied)
    return again if again.smooth else search


def _contradiction(own: Custom, plain: Custom, order: int, tolerance: float) -> float | None:
    """A point, in natural units, where the derivative differs from that of the fits, or None."""
    x = np.concatenate([np.linspace(-9.7, 9.9, 57), np.linspace(-0.97, 1.03, 23)])
    kinks = np.array([k.at for k in own.search.kinks])
    if len(kinks):
        x = x[np.min(np.abs(x[:, None] - kinks), axis=1) > 0.05]
    try:
        a = own.natural(order, x)
    except Exception:  # a rule that is missing in the user's framework
        return float("nan") if not len(x) else float(x[0])
    b = plain.natural(order, x)
    usable = np.isfinite(b)
    value = np.abs(own.natural(0, x))  # the fits are noisy to rounding of the value itself
    size = np.abs(b) + value + min(1.0, float(np.max(value[usable], initial=0.0)))
    off = usable & ~(np.abs(a - b) <= tolerance * size)
    return float(x[off][0]) if np.any(off) else None
