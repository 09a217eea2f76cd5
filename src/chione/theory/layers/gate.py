r"""Gated linear units :math:`y = \phi(U x) \odot V x`.

.. math:: K' = E\,\phi(u)\phi(v)\,K_v, \qquad
   P = \frac{n_{hid}}{n_{in}}\,P' \odot \left[\sigma_u^2\,E\,\phi'\phi'\,K_v
   + \sigma_v^2\,E\,\phi\phi\right]

with :math:`K_u = \sigma_u^2 K + \sigma_b^2`, :math:`K_v` likewise (Shazeer 2020 for the units).
"""

from __future__ import annotations

from chione.networks import Gate, Shape
from chione.theory.layers.affine import fresh
from chione.theory.layers.channels import product
from chione.theory.layers.nonlinearity import activated
from chione.theory.layers.rule import Passed, Walker, forward
from chione.theory.layers.stream import Gradient, Stream


@forward.register
def gate(layer: Gate, stream: Stream, walk: Walker) -> Passed:
    """Through both halves, and their product."""
    shape = Shape(layer.hidden or stream.shape.width, stream.shape.grid)
    u, back_u = fresh(stream, shape, layer.sigma_u**2, layer.sigma_b)
    v, back_v = fresh(stream, shape, layer.sigma_v**2, layer.sigma_b)
    opened, back_phi = activated(layer.activation, u, walk)
    after = product(opened, v)

    def pullback(g: Gradient) -> Gradient:
        if g.drawn is not None and after.recipe is not None:
            rows = after.recipe.back(g.drawn.crowd, g.drawn.rows)
            alike = g.orbits.meet(after.orbits)[0]
            first, second = (Gradient.sampled(r, g.drawn.crowd, alike) for r in rows)
            return back_u(back_phi(first)).plus(back_v(second))
        through_u = back_u(back_phi(g.times(v.orbits, v.k)))
        return through_u.plus(back_v(g.times(opened.orbits, opened.k)))

    return after, pullback
