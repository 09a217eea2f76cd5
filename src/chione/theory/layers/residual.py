r"""Residual connections.

.. math:: K' = a^2 K_s + b^2 K_f, \quad m' = a\,m_s + b\,m_f, \quad
   P = a^2 B_s(P') + b^2 B_f(P'), \quad \Theta' = a^2 \Theta_s + b^2 \Theta_f

where shortcut s and branch f are independent, channel by channel: where weights stand in the
branch. A branch of activations alone is one activation :math:`a u + b \phi(u)` together with its
shortcut.
"""

from __future__ import annotations

from chione.base import Array
from chione.networks import Residual
from chione.theory.layers.channels import multiplied, settled, sum_of, total, total_by_parts
from chione.theory.layers.elementwise import function_of
from chione.theory.layers.nonlinearity import activated
from chione.theory.layers.population import Population
from chione.theory.layers.recipe import Recipe
from chione.theory.layers.rule import Passed, Walker, forward, unclosed
from chione.theory.layers.sampled import averaged, crowd_of, site_classes
from chione.theory.layers.stream import Gradient, Stream


@forward.register
def residual(layer: Residual, stream: Stream, walk: Walker) -> Passed:
    """Through branch and shortcut, and their sum."""
    fused = function_of(layer)
    if fused is not None and not stream.parts and (stream.law.gaussian or stream.recipe):
        return activated(fused, stream, walk)
    branch, back_branch = walk.through(layer.branch, stream, ".branch")
    shortcut, back_shortcut = walk.through(layer.shortcut, stream, ".shortcut")
    after = added((multiplied(shortcut, layer.skip), multiplied(branch, layer.scale)), walk)
    # behind fresh weights nothing asks how a gradient depends on the channels
    settles = not layer.shortcut and stream.law.gaussian and _apart(shortcut, branch)

    def pullback(g: Gradient) -> Gradient:
        g = handed_down(g, (shortcut, branch), after, walk)
        home = back_branch(g.by(layer.scale))
        if settles:
            return back_shortcut(g.plain().by(layer.skip)).plus(home.plain())
        return back_shortcut(g.by(layer.skip)).plus(home)

    return after, pullback


def added(streams: tuple[Stream, ...], walk: Walker) -> Stream:
    """The sum of streams; groups of channels are summed group by group.

    Raises
    ------
    UnsupportedLayerError
        If two of them depend on the same weights and the law of their channels is not known, or
        have uneven means.
    """
    out = streams[0]
    for stream in streams[1:]:
        if out.uneven_mean and stream.uneven_mean:
            why = f"both have means that differ from channel to channel ({out.uneven})"
            raise unclosed(walk, "the sum", why)
        if _apart(out, stream):
            out = total_by_parts(out, stream)
            continue
        if out.recipe is None or stream.recipe is None:
            raise unclosed(walk, "the sum", "its terms depend on the same weights")
        out = joint(out, stream, sum_of(out.recipe, stream.recipe), "the sum", walk)
    return out


def joint(one: Stream, two: Stream, recipe: Recipe, what: str, walk: Walker) -> Stream:
    """What a node of two streams that depend on the same weights gives, by the population."""
    for stream in (one, two):
        settled(stream, walk)
    crowd = crowd_of(two, walk, what, "its terms depend on the same weights")
    whole = total(one, two)  # of which only what is no moment is kept
    reason = "terms that depend on the same weights"
    return averaged(whole, recipe, crowd, reason, site_classes(recipe, whole.orbits))


def handed_down(g: Gradient, streams: tuple[Stream, ...], after: Stream, walk: Walker) -> Gradient:
    """The gradient of a sum for its terms: sampled, if they depend on the same weights."""
    met = streams[0].sources
    for stream in streams[1:]:
        if not met.isdisjoint(stream.sources) and walk.population and after.recipe:
            return g.with_rows(after_rows(g, after, walk.population), walk.population)
        met = met | stream.sources
    return g


def after_rows(g: Gradient, after: Stream, crowd: Population) -> Array:
    """Samples of the gradient of a stream; asked again for the same one, the same."""
    if g.drawn is not None:
        return g.drawn.rows
    assert after.recipe is not None  # or there were no population
    rows = len(crowd.values(after.recipe))
    return crowd.gradients_of(g, g.p.value[g.orbits.index], rows)


def _apart(one: Stream, two: Stream) -> bool:
    """Whether two streams depend on no weights in common."""
    return one.sources.isdisjoint(two.sources)
