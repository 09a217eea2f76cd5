r"""Branches side by side: sums, means, concatenations and products.

.. math:: K' = \sum_k K_k, \quad \frac{1}{n^2} \sum_k K_k, \quad
   \sum_k \frac{n_k}{n} K_k, \quad \prod_k K_k

for independent branches. After a concatenation the groups of channels keep their own moments, and
what comes back tells them apart, since the groups are read by different layers.
"""

from __future__ import annotations

from collections.abc import Callable

from chione.networks import Parallel
from chione.theory.layers.channels import joined, multiplied, product, settled
from chione.theory.layers.elementwise import function_of
from chione.theory.layers.gradient import pooled_gradient
from chione.theory.layers.nonlinearity import activated
from chione.theory.layers.recipe import Product
from chione.theory.layers.residual import added, after_rows, handed_down, joint
from chione.theory.layers.rule import Passed, Pullback, Walker, forward, unclosed
from chione.theory.layers.sampled import site_classes
from chione.theory.layers.stream import Gradient, Stream


@forward.register
def parallel(layer: Parallel, stream: Stream, walk: Walker) -> Passed:
    """Through all branches, put together."""
    fused = function_of(layer)
    if fused is not None and not stream.parts and (stream.law.gaussian or stream.recipe):
        return activated(fused, stream, walk)
    passed = [walk.through(layers, stream, f".{name}") for name, layers in layer.inner()]
    streams = tuple(s for s, _ in passed)
    back = [pullback for _, pullback in passed]
    if layer.combine == "concat":
        return joined(streams), lambda g: _sum(sliced(g, streams), back)
    if layer.combine == "product":
        return _multiplied(streams, back, walk)
    share = 1.0 / len(streams) if layer.combine == "mean" else 1.0
    after = added(tuple(multiplied(s, share) for s in streams), walk)

    def pullback(g: Gradient) -> Gradient:
        return _sum([handed_down(g, streams, after, walk).by(share)] * len(back), back)

    return after, pullback


def _sum(given: list[Gradient], back: list[Pullback]) -> Gradient:
    out = back[0](given[0])
    for pullback, g in zip(back[1:], given[1:], strict=True):
        out = out.plus(pullback(g))
    return out


def sliced(g: Gradient, streams: tuple[Stream, ...]) -> list[Gradient]:
    """The gradient of each branch of a concatenation, which may have groups of its own."""
    if not g.parts:
        return [g] * len(streams)
    out, rest = [], list(g.parts)
    for stream in streams:
        size = max(len(stream.parts), 1)
        mine, rest = rest[:size], rest[size:]
        widths = [part.shape.width for part in stream.parts]
        out.append(pooled_gradient(tuple(mine), widths) if stream.parts else mine[0])
    return out


def _multiplied(streams: tuple[Stream, ...], back: list[Pullback], walk: Walker) -> Passed:
    for stream in streams:
        settled(stream, walk)
    after = streams[0]
    for stream in streams[1:]:
        if after.uneven and stream.uneven:
            why = f"both have moments that differ from channel to channel ({after.uneven})"
            raise unclosed(walk, "the product", why)
        met = after.met & (stream.sources | stream.met) or after.sources & stream.met
        if not met and after.sources.isdisjoint(stream.sources):
            after = product(after, stream)
            continue
        if after.recipe is None or stream.recipe is None:
            raise unclosed(walk, "the product", "its factors depend on the same weights")
        node = Product(after.recipe, stream.recipe)
        after = joint(after, stream, node, "the product", walk)
    to_factors = factors_home(streams, after, walk)
    return after, lambda g: _sum([to(g) for to in to_factors], back)


def factors_home(
    streams: tuple[Stream, ...], after: Stream, walk: Walker
) -> list[Callable[[Gradient], Gradient]]:
    """For each factor of a product, what it gets of the gradient.

    Independent factors share nothing but second moments, unless the gradient depends on them.
    """
    recipes = [s.recipe for s in streams if s.recipe is not None]
    node = Product(*recipes) if len(recipes) == len(streams) else None
    sources = [s.sources | s.met for s in streams]
    apart = sum(map(len, sources)) == len(frozenset().union(*sources))

    def towards(i: int) -> Callable[[Gradient], Gradient]:
        def to(g: Gradient) -> Gradient:
            crowd = walk.population
            if crowd is not None and node is not None and not (apart and g.drawn is None):
                given = after_rows(g, after, crowd)
                alike = site_classes(node, g.orbits.meet(after.orbits)[0])
                return Gradient.sampled(node.back(crowd, given)[i], crowd, alike)
            here = Gradient(g.orbits, g.p)
            for other in (s for j, s in enumerate(streams) if j != i):
                here = here.times(other.orbits, other.k)
            return here

        return to

    return [towards(i) for i in range(len(streams))]
