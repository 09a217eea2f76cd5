r"""The rnn cell: second moments of all pairs of times, closed.

.. math:: K^u_{at,bs} = \sigma_w^2 K^h_{a,t-1;b,s-1} + \sigma_u^2 K^x_{at,bs} + 2 \sigma_b^2,
   \qquad K^h = E\,\phi(u)\phi(u'), \qquad R = E\,\phi'(u)\phi'(u')

.. math:: P^h_{at,bs} = P^{out}_{at,bs} + \sigma_w^2 P^u_{a,t+1;b,s+1}, \quad
   P^u = P^h \odot R, \quad P^x = \frac{n_{state}}{n_{in}} \sigma_u^2 P^u

.. math:: \Theta^u = K^u + \sigma_w^2 \Theta^h_{t-1,s-1} + \sigma_u^2 \Theta^x, \qquad
   \Theta^h = \Theta^u \odot R

Pairs of one lag follow each other; those whose earlier time is t are done together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chione.base import Array, ConvergenceError
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.orbits import Index, Orbits
from chione.theory.layers.population import Population
from chione.theory.layers.recipe import Leaf, Mapped
from chione.theory.layers.recurrent_sites import Gradients, Recurrence, States
from chione.theory.layers.rule import Walker
from chione.theory.layers.stream import Law, new_source
from chione.theory.moments.pair_moments import Moved, Prepared

Home = Callable[[Bounded], tuple[Gradients, Gradients]]


def through_pairs(given: Recurrence, walk: Walker) -> tuple[States, Home, Activated]:
    """Moments of all states, the way home of gradients, and the recipe of channels."""
    act = given.layer.activation
    if act not in walk.memo:
        walk.memo[act] = Prepared(act)
    pairs = _Pairs(given, walk.memo[act])
    with np.errstate(over="ignore", invalid="ignore"):
        pairs.lengths(walk.place)
        pairs.between_sites()
    law = Law(False, f"not Gaussian after the activation {act.name}")
    states = States(pairs.k, pairs.d, pairs.theta, pairs.mean, law, new_source())
    return states, pairs.home, Activated(pairs)


class Activated(Mapped):
    """Channels of the states, behind Gaussian pre-activations.

    Parameters
    ----------
    pairs : _Pairs
        The recursions.
    """

    def __init__(self, pairs: _Pairs) -> None:
        orbits = Orbits.apart_all(len(pairs.k.value))
        at = orbits.rows, orbits.columns
        leaf = Leaf(orbits, *(x.at(at) for x in (pairs.k_u, pairs.d_u, pairs.theta_u)))
        super().__init__(pairs.activation, leaf)
        self._pairs, self._orbits = pairs, orbits

    def home(self, crowd: Population, g: Array) -> tuple[Gradients, Gradients]:
        """P of all states and of what enters, for sampled gradients of the states, (M, n).

        What comes along the weights does not depend on the channels.
        """
        index = self._orbits.index
        (at_u,) = self.back(crowd, g)
        out, out_u = (crowd.second_moments(x, self._orbits).at(index) for x in (g, at_u))
        return self._pairs.home(out, out_u)


class _Pairs:
    """The recursions, on matrices over sites ``a * times + t``."""

    def __init__(self, given: Recurrence, prepared: Prepared) -> None:
        self._given, self._prepared = given, prepared
        n = given.inputs * given.times
        self.activation = given.layer.activation
        self.k, self.d, self.theta, self.slope = (_nothing((n, n)) for _ in range(4))
        self.k_u, self.d_u, self.theta_u = (_nothing((n, n)) for _ in range(3))
        self.mean, self._u = _nothing((n,)), _nothing((n,))

    def lengths(self, place: str) -> None:
        """Mean squares of all sites, step after step."""
        given, (sw2, su2, sb2) = self._given, self._given.gains
        before = Bounded.exact(np.diagonal(given.start))
        for t in range(given.times):
            at = np.arange(given.inputs) * given.times + t
            u = before.scaled(sw2).plus(given.k.at((at, at)).scaled(su2)).shifted(2.0 * sb2)
            if not np.all(np.isfinite(u.value)):
                raise ConvergenceError(
                    f"{place}: the mean squares of the state have no value in float64 after step "
                    f"{t + 1}; make sigma_w smaller."
                )
            found = self._prepared.at(np.maximum(u.value, 0.0), u.error, True).at
            before = Bounded(found.square, found.square_error)
            slope = Bounded(found.slope, found.slope_error)
            theta = u.plus(given.theta.at((at, at)).scaled(su2))
            if t:
                theta = theta.plus(self.theta.at((at - 1, at - 1)).scaled(sw2))
            _put(self._u, at, u)
            _put(self.mean, at, Bounded(found.mean, found.mean_error))
            for out, x in (
                (self.k, before),
                (self.slope, slope),
                (self.theta, _times(theta, slope)),
                (self.k_u, u),
                (self.theta_u, theta),
            ):
                _put(out, (at, at), x)

    def between_sites(self) -> None:
        """All pairs of different sites, by the earlier time of both."""
        given, (sw2, su2, sb2) = self._given, self._given.gains
        both = np.stack(self._u)
        lengths, of = np.unique(both, axis=1, return_inverse=True)
        of = of.reshape(-1)
        found = self._prepared.at(np.maximum(lengths[0], 0.0), lengths[1])
        for t in range(given.times):
            i, j, same_time = _pairs_from(given, t)
            if i.size == 0:
                continue
            k, d, theta = (x.at((i, j)).scaled(su2) for x in (given.k, given.d, given.theta))
            before_k, before_d, before_theta = self._before(i, j, t)
            k = k.plus(before_k.scaled(sw2)).shifted(2.0 * sb2)
            d = d.plus(before_d.scaled(sw2))
            theta = theta.plus(k).plus(before_theta.scaled(sw2))
            if not given.layer.tied:  # weights of different times are independent
                apart = self._u.at(i).plus(self._u.at(j))
                d = _where(same_time, d, apart)
                k, theta = (_where(same_time, x, _nothing((i.size,))) for x in (k, theta))
            one, two = np.minimum(of[i], of[j]), np.maximum(of[i], of[j])
            # equal pairs once: those of several inputs, and of times that have settled
            alike, back = np.unique(np.stack([one, two, *d]), axis=1, return_inverse=True)
            one, two = alike[:2].astype(np.intp)
            moved = found.pairs(one, two, *alike[2:])
            moved = Moved(*(x[back.reshape(-1)] for x in vars(moved).values()))
            slope = Bounded(moved.slope, moved.slope_error)
            for out, x in (
                (self.k, Bounded(moved.kernel, moved.kernel_error)),
                (self.d, Bounded(moved.distance, moved.distance_error)),
                (self.slope, slope),
                (self.theta, _times(theta, slope)),
                (self.k_u, k),
                (self.d_u, d),
                (self.theta_u, theta),
            ):
                _put(out, (i, j), x)
                _put(out, (j, i), x)

    def _before(self, i: Index, j: Index, t: int) -> tuple[Bounded, Bounded, Bounded]:
        """K, D and Theta of the states one step earlier."""
        if t:
            at = i - 1, j - 1
            return self.k.at(at), self.d.at(at), self.theta.at(at)
        times, start = self._given.times, self._given.start
        (a, _), (b, s) = np.divmod(i, times), np.divmod(j, times)
        q = np.diagonal(start)
        known = np.where(s == 0, start[a, b], 0.0)
        k = Bounded.exact(known)  # later states do not depend on the same channel of the initial
        later = self.k.at((j - 1, j - 1))
        ends = Bounded(np.where(s == 0, q[b], later.value), np.where(s == 0, 0.0, later.error))
        d = ends.shifted(q[a]).minus(k.scaled(2.0))
        return k, Bounded(np.maximum(d.value, 0.0), d.error), Bounded.exact(np.zeros(i.size))

    def home(self, out: Bounded, out_u: Bounded | None = None) -> tuple[Gradients, Gradients]:
        """P of all states and of what enters, from the gradient at the states that leave.

        `out_u` is what that makes of the gradient of the pre-activations; R times it by default.
        """
        given, (sw2, su2, _) = self._given, self._given.gains
        out_u = _times(out, self.slope) if out_u is None else out_u
        p = Bounded(out.value.copy(), out.error.copy())
        back = _nothing(p.value.shape)
        for t in reversed(range(given.times)):
            i, j, same_time = _pairs_from(given, t, alone=True)
            along = _nothing((i.size,))
            follows = (j % given.times) + 1 < given.times
            if not given.layer.tied:
                follows = follows & same_time
            if follows.any():
                at = i[follows] + 1, j[follows] + 1
                _put(along, follows, back.at(at).scaled(sw2))
            u = out_u.at((i, j)).plus(_times(along, self.slope.at((i, j))))
            for whole, x in ((p, out.at((i, j)).plus(along)), (back, u)):
                _put(whole, (i, j), x)
                _put(whole, (j, i), x)
        at_input = back.scaled(given.ratio * su2)
        if not given.layer.tied:
            time = np.arange(len(p.value)) % given.times
            same = time[:, None] == time[None, :]
            at_input = _where(same, at_input, _nothing(p.value.shape))
        return Gradients(p), Gradients(at_input)


def _pairs_from(
    given: Recurrence, t: int, *, alone: bool = False
) -> tuple[Index, Index, NDArray[np.bool_]]:
    """Pairs of sites whose earlier time is t, each once, and whether both have it."""
    inputs, times = given.inputs, given.times
    a, b, s = np.meshgrid(np.arange(inputs), np.arange(inputs), np.arange(t, times), indexing="ij")
    once = (s > t) | (a < b) | ((a == b) & alone)
    a, b, s = a[once], b[once], s[once]
    return a * times + t, b * times + s, s == t


def _nothing(shape: tuple[int, ...]) -> Bounded:
    return Bounded(np.zeros(shape), np.zeros(shape))


def _put(out: Bounded, at: Any, x: Bounded) -> None:
    out.value[at], out.error[at] = x


def _where(condition: NDArray[np.bool_], one: Bounded, other: Bounded) -> Bounded:
    return Bounded(*(np.where(condition, a, b) for a, b in zip(one, other, strict=True)))


def _times(x: Bounded, slope: Bounded) -> Bounded:
    """The product; slopes are infinite at a jump, and nothing times that is nothing."""
    with np.errstate(invalid="ignore"):
        out = x.times(slope)
    return _where((x.value == 0.0) & (x.error == 0.0), _nothing(x.value.shape), out)
