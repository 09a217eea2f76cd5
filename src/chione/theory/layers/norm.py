r"""Normalisation at infinite width.

.. math:: y = g\,\frac{x - M}{s}, \qquad
   K' = g^2\,\frac{K - m M^T - M m^T + M M^T}{s s^T} + b^2, \quad
   P = g^2\,\frac{P'}{s s^T}, \quad \Theta' = g^2\,\frac{\Theta}{s s^T} + b^2

``layer``: :math:`M = m`, :math:`s^2 = q - m^2 + \epsilon` at each position; ``rms``: M = 0;
``group``: M and :math:`q` are means over the positions too, for groups of many channels. The
directions that a norm projects out are one or two of n, and count for nothing in the limit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chione.base import EPS
from chione.networks import Norm
from chione.theory.layers.batch_norm import batch_norm
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.channels import between, by_parts, settled
from chione.theory.layers.moved import Grouped
from chione.theory.layers.recipe import Affine
from chione.theory.layers.rule import Passed, Walker, forward, unclosed
from chione.theory.layers.sampled import (
    averaged,
    crowd_of,
    defined,
    drawn_home,
    following,
    joint_classes,
    jointly,
    site_by_site,
    site_classes,
)
from chione.theory.layers.stream import Stream

_MANY = 64  # entries of a group beyond which its statistics count as those of infinitely many


@forward.register
def norm(layer: Norm, stream: Stream, walk: Walker) -> Passed:
    """Through the norm."""
    settled(stream, walk)
    if layer.form == "batch":
        if stream.parts:
            return by_parts(stream, lambda part: batch_norm(layer, part, walk))
        return batch_norm(layer, stream, walk)
    if layer.groups > 1 and stream.shape.width // layer.groups * stream.positions < _MANY:
        return _small_groups(layer, stream, walk)
    if layer.groups > 1 and stream.uneven:
        why = f"its groups hold different channels ({stream.uneven})"
        raise unclosed(walk, "this norm", why)
    centre, variance = _statistics(layer, stream)
    variance = variance.shifted(layer.eps) if layer.eps else variance
    if not np.all(variance.value > 0.0):
        raise unclosed(walk, "this norm", "the variance that it divides by is zero")
    spread = variance.sqrt()
    if stream.parts:
        return by_parts(stream, lambda part: _normalised(layer, part, centre, spread, False))
    plain = layer.eps == 0.0 and layer.form != "group"
    return _normalised(layer, stream, centre, spread, plain)


def _small_groups(layer: Norm, stream: Stream, walk: Walker) -> Passed:
    channels, positions = stream.shape.width // layer.groups, stream.positions
    why = f"statistics over {channels} channels differ from group to group"
    crowd = crowd_of(stream, walk, "this norm", why)
    assert stream.recipe is not None  # or there were no population
    if stream.uneven or channels * positions < 2:
        raise unclosed(walk, "this norm", why)
    affine = layer.gain, layer.bias, layer.eps
    recipe = Grouped(stream.recipe, channels, positions, *affine)
    reason = f"normalised in groups of {channels}"
    if positions == 1:
        after = averaged(stream, recipe, crowd, reason, site_classes(recipe, stream.orbits))
        return defined(after, walk), drawn_home(recipe, crowd, site_by_site(recipe, stream.orbits))
    orbits, _ = stream.orbits.split(("inputs", positions), lambda: _one_input(stream))
    after = averaged(stream, recipe, crowd, reason, joint_classes(recipe, orbits))
    return defined(after, walk), drawn_home(recipe, crowd, jointly(recipe, orbits))


def _one_input(stream: Stream) -> NDArray[np.bool_]:
    """Which pairs of sites are of one input."""
    owner = np.arange(stream.orbits.sites) // stream.positions
    return np.asarray(owner[:, None] == owner)


def _statistics(layer: Norm, stream: Stream) -> tuple[Bounded, Bounded]:
    """Centre and variance that each site is normalised by."""
    q = stream.k.at(stream.orbits.diagonal)
    centre = stream.mean
    if layer.form == "rms":
        return Bounded.exact(np.zeros(stream.orbits.sites)), q
    if layer.form == "group":
        q, centre = (_over_positions(x, stream.positions) for x in (q, centre))
    return centre, q.minus(centre.times(centre))


def _over_positions(x: Bounded, positions: int) -> Bounded:
    value, error = (np.repeat(v.reshape(-1, positions).mean(axis=1), positions) for v in x)
    return Bounded(value, error + positions * EPS * np.abs(value))


def _normalised(
    layer: Norm, stream: Stream, centre: Bounded, spread: Bounded, plain: bool
) -> Passed:
    """One group of channels, with the statistics of all; `plain` if its lengths become g^2."""
    orbits = stream.orbits
    rows, columns = orbits.rows, orbits.columns
    m1, m2, c1, c2, s1, s2 = (
        x.at(side) for x in (stream.mean, centre, spread) for side in (rows, columns)
    )
    size = s1.times(s2)
    k, d = stream.k, stream.d
    q1, q2 = stream.q.at(0), stream.q.at(1)
    if np.any(centre.value) or np.any(centre.error):
        k = k.minus(m1.times(c2)).minus(c1.times(m2)).plus(c1.times(c2))
        step = c1.minus(c2)
        d = d.minus(m1.minus(m2).times(step).scaled(2.0)).plus(step.times(step))
        q1 = q1.minus(m1.times(c1).scaled(2.0)).plus(c1.times(c1))
        q2 = q2.minus(m2.times(c2).scaled(2.0)).plus(c2.times(c2))
    gain2 = layer.gain**2
    if np.ptp(spread.value) > 0.0:
        # (s2 - s1) (q1 / s1 - q2 / s2) is what unequal spreads leave of the distance
        d = d.plus(s2.minus(s1).times(q1.over(s1).minus(q2.over(s2))))
    k_after = k.over(size).scaled(gain2)
    if plain:
        at = ~orbits.apart
        k_after.value[at], k_after.error[at] = gain2, EPS * gain2
    factor = Bounded.exact(np.full(orbits.count, gain2)).over(size)
    mean = stream.mean.minus(centre).over(spread).scaled(layer.gain)
    if plain and layer.form == "layer":
        mean = Bounded.exact(np.zeros(orbits.sites))
    after = stream.with_(
        k=k_after.shifted(layer.bias**2),
        d=between(d.over(size).scaled(gain2), orbits),
        mean=mean,
        theta=stream.theta.times(factor).shifted(layer.bias**2),  # the bias is trained
    )

    recipe = None
    if stream.recipe is not None:
        scale = layer.gain / spread.value
        recipe = Affine(stream.recipe, centre.value, scale, layer.bias)
    return after.with_(recipe=recipe), following(lambda g: g.times(orbits, factor), recipe)
