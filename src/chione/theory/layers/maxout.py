r"""Maxout units: the largest of k affine maps, which are independent.

.. math:: K' = E \max_i u_i \max_j v_j, \qquad m' = E \max_i u_i, \qquad
   P = \frac{n_{out}}{n_{in}}\,\sigma_w^2\,P' \odot \Pr(\text{one winner for both})

For k = 2 the maximum is :math:`(S + |\Delta|) / 2` with independent sum and difference.
"""

from __future__ import annotations

from chione.activations import activation
from chione.networks import Maxout, Shape
from chione.theory.layers.affine import fresh
from chione.theory.layers.channels import apply, settled
from chione.theory.layers.rule import Passed, Walker, forward, unclosed
from chione.theory.layers.stream import Gradient, Law, Stream


@forward.register
def maxout(layer: Maxout, stream: Stream, walk: Walker) -> Passed:
    """Through the maps, and their maximum."""
    settled(stream, walk)
    shape = Shape(layer.out or stream.shape.width, stream.shape.grid)
    h, back = fresh(stream, shape, layer.sigma_w**2, layer.sigma_b)
    if layer.pieces == 1:
        return h, back
    if layer.pieces > 2:
        raise unclosed(walk, "this layer", "maxout of more than 2 pieces has no closed form yet")
    # |u - v| of two independent copies: lengths and distances doubled
    twice = h.with_(k=h.k.scaled(2.0), d=h.d.scaled(2.0))
    size, same = apply(twice, activation("abs"), walk)
    one_winner = same.shifted(1.0).scaled(0.5)
    after = size.with_(
        k=h.k.scaled(2.0).plus(size.k).scaled(0.25),
        d=h.d.scaled(2.0).plus(size.d).scaled(0.25),
        mean=size.mean.scaled(0.5),
        theta=h.theta.times(one_winner),
        law=Law(False, "not Gaussian after a maximum"),
    )

    def pullback(g: Gradient) -> Gradient:
        return back(g.times(h.orbits, one_winner))

    return after, pullback
