r"""Maxout units: the largest of k affine maps, which are independent.

.. math:: K' = E \max_i u_i \max_j v_j, \qquad m' = E \max_i u_i, \qquad
   P = \frac{n_{out}}{n_{in}}\,\sigma_w^2\,P' \odot \Pr(\text{one winner for both})

For k = 2 the maximum is :math:`(S + |\Delta|) / 2` with independent sum and difference; for more
see :mod:`chione.theory.moments.maximum`. A maximum scales with its lengths, so

.. math:: K' = \sqrt{q_1 q_2}\,A(\theta), \qquad
   D' = (\sqrt{q_1} - \sqrt{q_2})^2 A(0) + 2 \sqrt{q_1 q_2}\,[A(0) - A(\theta)]
"""

from __future__ import annotations

from functools import reduce

import numpy as np

from chione.activations import activation
from chione.networks import Maxout, Shape
from chione.theory.layers.affine import fresh
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.channels import apply, settled
from chione.theory.layers.moved import Winner
from chione.theory.layers.recipe import Leaf
from chione.theory.layers.rule import Passed, Walker, forward
from chione.theory.layers.stream import Gradient, Law, Stream
from chione.theory.moments.maximum import maximum


@forward.register
def maxout(layer: Maxout, stream: Stream, walk: Walker) -> Passed:
    """Through the maps, and their maximum."""
    settled(stream, walk)
    shape = Shape(layer.out or stream.shape.width, stream.shape.grid)
    h, back = fresh(stream, shape, layer.sigma_w**2, layer.sigma_b)
    if layer.pieces == 1:
        return h, back
    found, one_winner = _two(h, walk) if layer.pieces == 2 else _several(h, layer.pieces)
    law = Law(False, "not Gaussian after a maximum")
    at = h.orbits, h.k, h.d, h.theta
    recipe = Winner(*(Leaf(*at) for _ in range(layer.pieces)))
    after = found.with_(theta=h.theta.times(one_winner), law=law, recipe=recipe)

    def pullback(g: Gradient) -> Gradient:
        if g.drawn is not None:
            crowd, alike = g.drawn.crowd, g.orbits.meet(h.orbits)[0]
            rows = recipe.back(crowd, g.drawn.rows)
            parts = [Gradient.sampled(r, crowd, alike).plain() for r in rows]
            return back(reduce(Gradient.plus, parts))
        return back(g.times(h.orbits, one_winner))

    return after, pullback


def _two(h: Stream, walk: Walker) -> tuple[Stream, Bounded]:
    """The larger of two, and the probability of one winner: |u - v| has twice the lengths."""
    twice = h.with_(k=h.k.scaled(2.0), d=h.d.scaled(2.0))
    size, same = apply(twice, activation("abs"), walk)
    after = size.with_(
        k=h.k.scaled(2.0).plus(size.k).scaled(0.25),
        d=h.d.scaled(2.0).plus(size.d).scaled(0.25),
        mean=size.mean.scaled(0.5),
    )
    return after, same.shifted(1.0).scaled(0.5)


def _several(h: Stream, pieces: int) -> tuple[Stream, Bounded]:
    """The largest of more, likewise."""
    of = maximum(pieces)
    one, two = h.q.at(0).sqrt(), h.q.at(1).sqrt()
    root, step = one.times(two), one.minus(two)
    step2 = step.times(step)
    gap = h.d.minus(step2).over(root.scaled(2.0))
    alive = root.value > 0.0
    omc = np.clip(np.where(alive, gap.value, 1.0), 0.0, 2.0)
    omc_error = np.where(alive & h.orbits.apart, np.minimum(gap.error, 2.0), 0.0)
    theta = 2.0 * np.arcsin(np.sqrt(0.5 * omc))
    sine = np.maximum(np.sin(theta), np.sqrt(omc_error))
    turned = np.where(omc_error > 0.0, omc_error / np.where(sine > 0.0, sine, 1.0), 0.0)
    # W falls by less than the angle turns, and A by less than c does
    winner = Bounded(of.same_winner(theta), of.error + turned)
    drop = of.drop(theta)
    fallen = Bounded(drop, of.error * drop + omc_error)
    square = Bounded(np.array(of.square), np.array(of.error))
    k = root.times(square.minus(fallen))
    d = step2.times(square).plus(root.times(fallen).scaled(2.0))
    apart = h.orbits.apart
    d = Bounded(np.where(apart, d.value, 0.0), np.where(apart, d.error, 0.0))
    length = h.k.at(h.orbits.diagonal).sqrt()
    mean = length.times(Bounded(np.array(of.mean), np.array(of.error)))
    winner = Bounded(np.where(apart, winner.value, 1.0), np.where(apart, winner.error, 0.0))
    return h.with_(k=k, d=d, mean=mean), winner
