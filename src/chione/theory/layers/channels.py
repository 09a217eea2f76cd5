r"""Maps of one channel, entry by entry, and what holds them together.

.. math:: K' = E\,F(u) F(v), \qquad P = P' \odot E\,F'(u) F'(v), \qquad
   \Theta' = \Theta \odot E\,F'(u) F'(v)

which needs the law of a channel, not its second moments alone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from chione.activations import AbstractActivation
from chione.base import ConvergenceError
from chione.networks import Shape
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.gradient import Gradient, pooled_gradient
from chione.theory.layers.orbits import Index, Orbits
from chione.theory.layers.recipe import Product, Recipe, Sum
from chione.theory.layers.rule import Passed, Walker, unclosed
from chione.theory.layers.stream import Law, Stream
from chione.theory.moments.pair_moments import Prepared


def settled(stream: Stream, walk: Walker) -> None:
    """Refuse moments that differ from draw to draw, where a map is not linear in them.

    Raises
    ------
    UnsupportedLayerError
        If they do.
    """
    if stream.law.random:
        raise unclosed(walk, "the mean over draws", stream.law.random)


def gaussian(stream: Stream, walk: Walker) -> None:
    """Refuse channels that are not Gaussian.

    Raises
    ------
    UnsupportedLayerError
        If they are not.
    """
    settled(stream, walk)
    if not stream.law.gaussian:
        raise unclosed(walk, "this layer", f"the channels that enter are {stream.law.reason}")


class Lengths:
    """Which mean squares the pairs of some classes refer to.

    Parameters
    ----------
    orbits : Orbits
        The classes.
    """

    def __init__(self, orbits: Orbits) -> None:
        self.classes = np.unique(orbits.diagonal)
        self.of_site = np.searchsorted(self.classes, orbits.diagonal)
        self.one: Index = np.searchsorted(self.classes, orbits.one)
        self.two: Index = np.searchsorted(self.classes, orbits.two)
        self.apart: Index = np.flatnonzero(orbits.apart)
        self.first, self.second = self.one[self.apart], self.two[self.apart]

    @staticmethod
    def of(orbits: Orbits) -> Lengths:
        """Those of the classes, remembered by them."""
        return orbits.remembered("lengths", lambda: Lengths(orbits))


def apply(stream: Stream, act: AbstractActivation, walk: Walker) -> tuple[Stream, Bounded]:
    """An activation on Gaussian channels: the stream after it, and E phi' phi' of each class."""
    orbits = stream.orbits
    at = Lengths.of(orbits)
    q = stream.k.at(at.classes)
    if not np.all(np.isfinite(q.value)):
        raise ConvergenceError(
            f"{walk.place}: the mean squares that enter have no value in float64; make the weights "
            f"before it smaller."
        )
    if act not in walk.memo:
        walk.memo[act] = Prepared(act)
    found = walk.memo[act].at(np.maximum(q.value, 0.0), q.error, at.apart.size == 0)
    k, d, slope = (Bounded.exact(np.zeros(orbits.count)) for _ in range(3))
    single = found.at
    for out, value, error in (
        (k, single.square, single.square_error),
        (slope, single.slope, single.slope_error),
    ):
        out.value[at.classes], out.error[at.classes] = value, error
    if at.apart.size:
        far = at.apart
        pairs = found.pairs(at.first, at.second, *stream.d.at(far))
        for out, value, error in (
            (k, pairs.kernel, pairs.kernel_error),
            (d, pairs.distance, pairs.distance_error),
            (slope, pairs.slope, pairs.slope_error),
        ):
            out.value[far], out.error[far] = value, error
    mean = Bounded(single.mean[at.of_site], single.mean_error[at.of_site])
    law = Law(False, f"not Gaussian after the activation {act.name}")
    theta = _times_slope(stream.theta, slope)
    return stream.with_(k=k, d=d, mean=mean, theta=theta, law=law), slope


def _times_slope(theta: Bounded, slope: Bounded) -> Bounded:
    """Theta times the slopes, which are infinite at a jump; nothing times that is nothing."""
    with np.errstate(invalid="ignore"):
        out = theta.times(slope)
    nothing = (theta.value == 0.0) & (theta.error == 0.0)
    return Bounded(np.where(nothing, 0.0, out.value), np.where(nothing, 0.0, out.error))


def product(one: Stream, two: Stream) -> Stream:
    r"""Entry by entry product of two independent streams.

    .. math:: K' = K_1 K_2, \quad \Theta' = \Theta_1 K_2 + K_1 \Theta_2, \quad
       4 D' = D_1 S_2 + S_1 D_2 + 2 (q_1 - q_1') (q_2 - q_2'), \quad S = 2 (q + q') - D
    """
    orbits, mine, theirs = one.orbits.meet(two.orbits)
    a, b = one.refined(orbits, mine), two.refined(orbits, theirs)
    uneven = one.uneven or two.uneven
    sums = [s.q.at(0).plus(s.q.at(1)).scaled(2.0).minus(s.d) for s in (a, b)]
    steps = [s.q.at(0).minus(s.q.at(1)) for s in (a, b)]
    d = a.d.times(sums[1]).plus(b.d.times(sums[0])).plus(steps[0].times(steps[1]).scaled(2.0))
    return a.with_(
        recipe=_both(Product, one, two),
        k=a.k.times(b.k),
        d=between(d.scaled(0.25), orbits),
        mean=a.mean.times(b.mean),
        theta=a.theta.times(b.k).plus(a.k.times(b.theta)),
        law=Law(False, "products of two streams, which are not Gaussian"),
        sources=one.sources | two.sources,
        uneven=uneven,
        uneven_mean=bool(uneven) and _has_mean(one) and _has_mean(two),
        met=one.met | two.met,
    )


def total(one: Stream, two: Stream) -> Stream:
    r"""Entry by entry sum of two independent streams.

    .. math:: K' = K_1 + K_2 + m_1 m_2^T + m_2 m_1^T, \quad m' = m_1 + m_2, \quad
       \Theta' = \Theta_1 + \Theta_2
    """
    orbits, mine, theirs = one.orbits.meet(two.orbits)
    a, b = one.refined(orbits, mine), two.refined(orbits, theirs)
    k, d = a.k.plus(b.k), a.d.plus(b.d)
    if np.any(a.mean.value) and np.any(b.mean.value):
        (a1, a2), (b1, b2) = ((s.mean.at(orbits.rows), s.mean.at(orbits.columns)) for s in (a, b))
        k = k.plus(a1.times(b2).plus(a2.times(b1)))
        d = between(d.plus(a1.minus(a2).times(b1.minus(b2)).scaled(2.0)), orbits)
    law = a.law if not a.law.gaussian or b.law.gaussian else b.law
    law = Law(law.gaussian, law.reason, a.law.random or b.law.random)
    return a.with_(
        recipe=_both(sum_of, one, two),
        k=k,
        d=d,
        mean=a.mean.plus(b.mean),
        theta=a.theta.plus(b.theta),
        law=law,
        sources=one.sources | two.sources,
        uneven=one.uneven or two.uneven,
        uneven_mean=one.uneven_mean or two.uneven_mean,
        met=one.met | two.met,
    )


def total_by_parts(one: Stream, two: Stream) -> Stream:
    """The sum; groups of channels stay where the other stream has none."""
    if one.parts and not two.uneven:
        return joined(tuple(total(part, _narrowed(two, part)) for part in one.parts))
    if two.parts and not one.uneven:
        return joined(tuple(total(_narrowed(one, part), part) for part in two.parts))
    return total(one, two)


def _narrowed(stream: Stream, part: Stream) -> Stream:
    """Some channels of a stream, as many as a group of another one has."""
    return stream.with_(shape=part.shape, recipe=stream.recipe)


def _both(node: Callable[..., Recipe], one: Stream, two: Stream) -> Recipe | None:
    """The node of two recipes, if both are known."""
    if one.recipe is None or two.recipe is None:
        return None
    return node(one.recipe, two.recipe)


def sum_of(*recipes: Recipe) -> Recipe:
    """The plain sum."""
    return Sum(*((1.0, recipe) for recipe in recipes))


def _has_mean(stream: Stream) -> bool:
    return stream.uneven_mean or bool(np.any(stream.mean.value))


def between(d: Bounded, orbits: Orbits) -> Bounded:
    """D without rounding on the diagonal, and not below zero."""
    value = np.where(orbits.apart, np.maximum(d.value, 0.0), 0.0)
    return Bounded(value, np.where(orbits.apart, d.error, 0.0))


def multiplied(stream: Stream, factor: float) -> Stream:
    """A stream times a number; groups of channels stay."""
    if factor == 1.0:
        return stream
    return stream.with_(
        k=stream.k.scaled(factor**2),
        d=stream.d.scaled(factor**2),
        mean=stream.mean.scaled(factor),
        theta=stream.theta.scaled(factor**2),
        parts=tuple(multiplied(part, factor) for part in stream.parts),
        recipe=None if stream.recipe is None else Sum((factor, stream.recipe)),
    )


def joined(parts: tuple[Stream, ...]) -> Stream:
    """Groups of channels as one stream, which remembers them; groups of groups are groups."""
    parts = tuple(group for part in parts for group in part.parts or (part,))
    orbits = parts[0].orbits
    for part in parts[1:]:
        orbits = orbits.meet(part.orbits)[0]
    parts = tuple(part.refined(orbits, orbits.meet(part.orbits)[2]) for part in parts)
    width = sum(part.shape.width for part in parts)
    shares = [part.shape.width / width for part in parts]

    def pooled(of: Callable[[Stream], Bounded]) -> Bounded:
        out = of(parts[0]).scaled(shares[0])
        for part, share in zip(parts[1:], shares[1:], strict=True):
            out = out.plus(of(part).scaled(share))
        return out

    return Stream(
        Shape(width, parts[0].shape.grid),
        orbits,
        pooled(lambda s: s.k),
        pooled(lambda s: s.d),
        pooled(lambda s: s.mean),
        pooled(lambda s: s.theta),
        Law(
            False,
            "groups of channels with moments of their own, after a concatenation",
            next((part.law.random for part in parts if part.law.random), ""),
        ),
        frozenset().union(*(part.sources for part in parts)),
        parts,
        "groups with moments of their own",
        any(_has_mean(part) for part in parts),
        frozenset().union(*(part.met for part in parts)),
    )


def by_parts(stream: Stream, rule: Callable[[Stream], Passed]) -> Passed:
    """A channelwise rule on each group of channels."""
    passed = [rule(part) for part in stream.parts]
    after = joined(tuple(s for s, _ in passed))
    widths = [part.shape.width for part in stream.parts]

    def pullback(g: Gradient) -> Gradient:
        given = g.parts or (g,) * len(passed)
        return pooled_gradient(
            tuple(back(part) for (_, back), part in zip(passed, given, strict=True)), widths
        )

    return after, pullback
