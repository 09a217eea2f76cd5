r"""A recursion carried through any number of layers, without a loop over them.

Where one layer changes the state y little, the layers are samples of a smooth curve y(l). Its slope
follows from a few iterates of the layer, by Newton's series of forward differences,

.. math:: \frac{dy}{dl} = \Delta y - \tfrac12 \Delta^2 y + \tfrac13 \Delta^3 y - \dots

and is integrated in :math:`\log l`, in which a power law is a straight line. Beyond 1e6 layers,
where rounding hides the change of a single layer, each part of y goes on by the power of l that its
slope has followed in the last decade.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from chione.base import EPS, Array, ConvergenceError

_ORDER = 5  # differences; after 2000 layers the next one is below 1e-15 of the slope
_STILL = 64.0 * EPS  # change in one layer that is rounding
_SUMMABLE = 1e6  # layers through which the slope is integrated
_RELATIVE, _ABSOLUTE = 1e-7, 1e-7
_LINEAR = 1e-6  # second difference over the first: after 2000 layers of a power law 5e-4
_LARGEST = math.log(1e300)
_CALLS = 3000  # of the slope; a power law takes some hundred
_INTEGER = 1e-3  # from an integer power; what is further away has a logarithm in it

Layer = Callable[[Array], Array]


def carry(layer: Layer, state: Array, first: int, last: int) -> tuple[Array, Array]:
    """The state after layer `last`, from that after layer `first`; see :func:`carry_through`."""
    if last <= first:
        return state, np.zeros_like(state)
    states, errors = carry_through(layer, state, first, [last])
    return states[0], errors[0]


def carry_through(
    layer: Layer, state: Array, first: int, lasts: Sequence[int]
) -> tuple[Array, Array]:
    """The states after some layers, from that after layer `first`.

    Parameters
    ----------
    layer : callable
        State (k,) -> what the next layer adds to it. The parts are logarithms, so that changes of
        rounding size mean nothing; the first one drives the others.
    state : ndarray, shape (k,)
        State after layer `first`, which must be late enough for slow changes alone: 1000 or more.
    first : int
        Number of that layer.
    lasts : sequence of int
        Later layers, in rising order; they may be larger than any float64.

    Returns
    -------
    states, errors : ndarray, shape (n, k)
        The errors are those of the integration, not of the layer.

    Raises
    ------
    ConvergenceError
        If the integration fails.
    """
    logs = [min(math.log(last), _LARGEST) for last in lasts]
    steady = _steady(layer, state)

    def moved(l: float, z: Array) -> Array:
        """What is added a layer beyond the steady part."""
        out = rate(layer, state + steady * (l - first) + z) - steady
        return np.where(np.abs(out) <= _STILL * (1.0 + np.abs(steady)), 0.0, out)

    start, stop = math.log(first), min(math.log(max(_SUMMABLE, float(first))), logs[-1])
    decade = max(start, stop - math.log(10.0))
    held = sorted({decade, stop, *(log for log in logs if log < stop)})
    way = {log: np.zeros_like(state) for log in held}
    if stop > start and np.any(moved(float(first), way[stop])):
        way = dict(zip(held, _integrate(moved, way[stop], start, stop, held), strict=True))
    states, errors = [], []
    for log in logs:
        z = way[min(log, stop)]
        error = np.where(z == 0.0, 0.0, 20.0 * (_ABSOLUTE + _RELATIVE * np.abs(z)))
        total = state + steady * (math.exp(log) - first) + z
        if log > stop:
            rates = moved(math.exp(decade), way[decade]), moved(math.exp(stop), z)
            rest, doubt = _beyond(*rates, decade, stop, log)
            total, error = total + rest, error + doubt
        states.append(total)
        errors.append(error)
    return np.array(states), np.array(errors)


def _steady(layer: Layer, state: Array) -> Array:
    """What every further layer adds, where the first part rests or all grow evenly."""
    now = layer(state)
    bend = np.abs(layer(state + now) - now)
    rests = abs(float(now[0])) <= _STILL or bend[0] <= 16.0 * EPS * abs(float(now[0]))
    even = rests & (bend <= _LINEAR * np.abs(now)) & (np.abs(now) > _STILL)
    return np.where(even, now, 0.0)


def _integrate(
    moved: Callable[[float, Array], Array], z: Array, start: float, stop: float, held: list[float]
) -> Array:
    """The way at the logarithms that are to be `held`, (n, k)."""
    from scipy.integrate import solve_ivp  # loaded by the few questions that need it

    calls = 0

    def slope(t: float, y: Array) -> Array:
        nonlocal calls
        calls += 1
        if calls > _CALLS:
            raise ConvergenceError("The layers far from the input change too irregularly.")
        return np.asarray(math.exp(t) * moved(math.exp(t), y))

    with np.errstate(over="ignore"):  # the first step is doubled where nothing changes
        solution = solve_ivp(
            slope,
            (start, stop),
            z,
            method="Radau",
            rtol=_RELATIVE,
            atol=_ABSOLUTE,
            t_eval=held,
        )
    if not solution.success or not np.all(np.isfinite(solution.y)):
        raise ConvergenceError("The layers far from the input could not be integrated.")
    return np.asarray(solution.y.T)


def rate(layer: Layer, y: Array) -> Array:
    """Dy / dl by forward differences; zero where a layer changes nothing but rounding."""
    steps = []
    for _ in range(_ORDER):
        steps.append(layer(y))
        y = y + steps[-1]
    differences = np.stack(steps)
    out, first = np.zeros_like(y), differences[0]
    for k in range(1, _ORDER + 1):
        out += differences[0] * (-1.0) ** (k + 1) / k
        differences = np.diff(differences, axis=0)
    return np.where(np.abs(first) <= _STILL, 0.0, out)


def _beyond(
    before: Array, now: Array, decade: float, stop: float, log: float
) -> tuple[Array, Array]:
    """Integral of rates that go on by the powers of l they followed, and its doubt."""
    with np.errstate(all="ignore"):
        power = np.log(np.abs(now / before)) / (stop - decade)
    power = np.nan_to_num(power, nan=-2.0, posinf=0.0, neginf=-2.0)
    size, span = now * math.exp(stop), log - stop
    whole = np.round(power)
    off = np.abs(power - whole)
    constant = size * math.expm1(min(span, _LARGEST))
    # a power -1 that is not quite one is 1 / (l log l), as where phi is straight next to zero
    falling = size * np.where(off <= _INTEGER, span, stop * math.log(log / stop))
    summed = size / np.maximum(-whole - 1.0, 1.0)
    rest = np.where(whole >= 0.0, constant, np.where(whole == -1.0, falling, summed))
    return rest, np.abs(rest) * np.where(off <= _INTEGER, 1e-4 + off, 0.1)
