"""Layers by the population law: averages over sampled channels where no closed rule holds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from chione.networks import Shape
from chione.theory.layers.gradient import Gradient
from chione.theory.layers.orbits import Orbits
from chione.theory.layers.population import Population
from chione.theory.layers.recipe import Recipe
from chione.theory.layers.rule import Passed, Pullback, Walker, unclosed
from chione.theory.layers.stream import Law, Stream

POPULATION = "population"


def crowd_of(stream: Stream, walk: Walker, what: str, why: str) -> Population:
    """The population that answers where second moments do not.

    Raises
    ------
    UnsupportedLayerError
        If the law of the channels is not known either, or the walk does not sample.
    """
    if stream.recipe is None or walk.population is None:
        raise unclosed(walk, what, why)
    walk.sampled[walk.place] = POPULATION
    return walk.population


def sampled(stream: Stream, recipe: Recipe, crowd: Population, reason: str) -> Passed:
    """Through one node that maps every site alike, by averages over the population.

    Parameters
    ----------
    stream : Stream
        What enters; its recipe is the only parent of the node.
    recipe : Recipe
        The node.
    crowd : Population
        Whose channels.
    reason : str
        What made the law that leaves, as words that follow "the channels are".
    """
    after = averaged(stream, recipe, crowd, reason, site_classes(recipe, stream.orbits))
    return after, drawn_home(recipe, crowd, site_by_site(recipe, stream.orbits))


def averaged(
    stream: Stream,
    recipe: Recipe,
    crowd: Population,
    reason: str,
    orbits: Orbits,
    shape: Shape | None = None,
) -> Stream:
    """The stream of a recipe, by averages over the population.

    Parameters
    ----------
    orbits : Orbits
        Classes of pairs of sites after it.
    shape : Shape, optional
        Channels and grid after it, if they change.
    """
    k, d, mean = crowd.moments(recipe, orbits)
    return stream.with_(
        shape=stream.shape if shape is None else shape,
        orbits=orbits,
        k=k,
        d=d,
        mean=mean,
        theta=crowd.kernel(recipe, orbits),
        law=Law(False, reason),
        recipe=recipe,
    )


def defined(after: Stream, walk: Walker) -> Stream:
    """A stream of which every channel has a value.

    Raises
    ------
    UnsupportedLayerError
        If a norm divides zero by zero in some of them.
    """
    if np.any(np.isnan(after.k.value)):
        why = "in some of its channels or groups nothing differs, so that it divides 0 by 0"
        raise unclosed(walk, "this norm", why)
    return after


def drawn_home(recipe: Recipe, crowd: Population, alike: Callable[[Gradient], Orbits]) -> Pullback:
    """The pullback of a node by samples, averaged over the classes of `alike`."""

    def pullback(g: Gradient) -> Gradient:
        home = recipe.back(crowd, g.rows(crowd, len(crowd.values(recipe))))[0]
        return Gradient.sampled(home, crowd, alike(g))

    return pullback


def following(
    closed: Pullback,
    recipe: Recipe | None,
    alike: Callable[[Gradient], Orbits] | None = None,
) -> Pullback:
    """A closed pullback for gradients that depend on the channels as well.

    Parameters
    ----------
    closed : callable
        The pullback of second moments.
    recipe : Recipe, optional
        The node, whose first parent takes the samples.
    alike : callable, optional
        Classes of pairs of sites of what it gives, over which samples are averaged; without, the
        node multiplies by numbers, so that the closed pullback holds whatever the gradient is.
    """

    def pullback(g: Gradient) -> Gradient:
        if g.drawn is None or recipe is None:
            return closed(g)
        rows, crowd = g.drawn
        home = recipe.back(crowd, rows)[0]
        if alike is not None:
            return Gradient.sampled(home, crowd, alike(g))
        return closed(g).with_rows(home, crowd)

    return pullback


# ---- classes of pairs that averages are taken over ---------------------------------------------


def site_classes(recipe: Recipe | None, orbits: Orbits) -> Orbits:
    """Classes after a map of every site alone."""
    if recipe is not None and not recipe.alike:
        return Orbits.apart_all(orbits.sites)
    return orbits


def site_by_site(recipe: Recipe | None, orbits: Orbits) -> Callable[[Gradient], Orbits]:
    """Classes of gradients that a map of every site alone gives."""
    return lambda g: site_classes(recipe, g.orbits.meet(orbits)[0])


def joint_classes(recipe: Recipe | None, orbits: Orbits) -> Orbits:
    """Classes after a map of all sites together, which treats them alike."""
    if recipe is not None and not recipe.alike:
        return Orbits.apart_all(orbits.sites)
    return orbits.exchangeable()


def jointly(recipe: Recipe | None, orbits: Orbits) -> Callable[[Gradient], Orbits]:
    """Classes of gradients that a map of all sites together gives."""
    return lambda g: joint_classes(recipe, g.orbits.meet(orbits)[0])


def singly_before(stream: Stream) -> Callable[[Gradient], Orbits]:
    """A class of its own for every pair of the sites that a layer reads."""
    return lambda g: Orbits.apart_all(stream.orbits.sites)
