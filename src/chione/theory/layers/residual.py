r"""Residual connections.

.. math:: K' = a^2 K_s + b^2 K_f, \quad m' = a\,m_s + b\,m_f, \quad
   P = a^2 B_s(P') + b^2 B_f(P'), \quad \Theta' = a^2 \Theta_s + b^2 \Theta_f

where shortcut s and branch f are independent, channel by channel: where weights stand in the
branch. A branch of activations alone is one activation :math:`a u + b \phi(u)` together with its
shortcut.
"""

from __future__ import annotations

from chione.networks import Residual
from chione.theory.layers.channels import multiplied, total_by_parts
from chione.theory.layers.elementwise import function_of
from chione.theory.layers.nonlinearity import activated
from chione.theory.layers.rule import Passed, Walker, forward, unclosed
from chione.theory.layers.stream import Gradient, Stream


@forward.register
def residual(layer: Residual, stream: Stream, walk: Walker) -> Passed:
    """Through branch and shortcut, and their sum."""
    fused = function_of(layer)
    if fused is not None and stream.law.gaussian and not stream.parts:
        return activated(fused, stream, walk)
    branch, back_branch = walk.through(layer.branch, stream, ".branch")
    shortcut, back_shortcut = walk.through(layer.shortcut, stream, ".shortcut")
    after = added((multiplied(shortcut, layer.skip), multiplied(branch, layer.scale)), walk)

    def pullback(g: Gradient) -> Gradient:
        one = back_shortcut(g.scaled(layer.skip**2))
        return one.plus(back_branch(g.scaled(layer.scale**2)))

    return after, pullback


def added(streams: tuple[Stream, ...], walk: Walker) -> Stream:
    """The sum of independent streams; groups of channels are summed group by group.

    Raises
    ------
    UnsupportedLayerError
        If two of them depend on the same weights, or have uneven means.
    """
    out = streams[0]
    for stream in streams[1:]:
        if not out.sources.isdisjoint(stream.sources):
            raise unclosed(walk, "the sum", "its terms depend on the same weights")
        if out.uneven_mean and stream.uneven_mean:
            why = f"both have means that differ from channel to channel ({out.uneven})"
            raise unclosed(walk, "the sum", why)
        out = total_by_parts(out, stream)
    return out
