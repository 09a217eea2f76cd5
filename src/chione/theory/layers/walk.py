"""One loop through a network, forward and backward."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import NoneType

import numpy as np

from chione.activations import AbstractActivation
from chione.base import UnsupportedLayerError, checks, cost
from chione.networks import MLP, AbstractLayer, Layers, Network, Shape, import_files
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.population import Population
from chione.theory.layers.rule import Passed, Pullback, forward
from chione.theory.layers.stream import Gradient, Law, Stream, entering, from_moments
from chione.theory.moments.pair_moments import Prepared

HEADS = 2000  # sampled by default: values are right to about one per cent
_LAYER_SECONDS = 2e-4  # s a layer of two inputs
_HELD = 24  # layers whose channels fit into a gigabyte; deeper networks share it
COTANGENTS = ("independent", "shared")

import_files("chione.theory.layers")  # where the rules register themselves


@dataclass(frozen=True)
class Measured:
    """What was measured on networks behind a layer, to start again from where a rule is missing.

    Parameters
    ----------
    second_moments, independent, shared : Bounded
        K, and P for both kinds of cotangents, over all sites, (n, n), with standard errors.
    channel_means : Bounded
        m, (n,).
    """

    second_moments: Bounded
    channel_means: Bounded
    independent: Bounded
    shared: Bounded

    def stream(self, shape: Shape) -> Stream:
        """The stream that goes on from here."""
        k, error = self.second_moments
        q, spread = np.diagonal(k), np.diagonal(error)
        first = from_moments(k, shape, self.channel_means)
        at = first.orbits.rows, first.orbits.columns
        apart = first.orbits.apart
        return first.with_(
            k=Bounded(k[at], error[at]),
            d=Bounded(
                first.d.value,
                np.where(apart, spread[at[0]] + spread[at[1]] + 2.0 * error[at], 0.0),
            ),
            theta=Bounded(np.full(len(apart), np.nan), np.full(len(apart), np.inf)),
            law=Law(False, f"only measured ones (mean square {q.mean():.3g})"),
        )

    def gradient(self, cotangent: str) -> Gradient:
        """The gradient there."""
        p, error = self.independent if cotangent == "independent" else self.shared
        bare = Gradient.of(p)
        return Gradient(
            bare.orbits, Bounded(bare.p.value, error[bare.orbits.rows, bare.orbits.columns])
        )


class Walk:
    """A walk through a network: the streams and gradients that were met, by place.

    Parameters
    ----------
    measured : mapping of str to Measured, optional
        What was measured, by place: the walk starts again from it where a rule is missing.
    seed : int
        Where the random numbers of sampled rules start; each place has its own.
    heads : int
        Number of attention heads that are sampled, where they are.
    progress : callable, optional
        Called with how much is done and how much there is, in layers that may sample.
    share : float
        How much of the usual population of channels, and of the heads, is drawn: a walk that is
        one of several takes a share.
    stated : bool
        Whether averages over the population and over heads carry their standard errors.
    sampling : bool
        Whether there may be a population; otherwise what needs one is refused.

    Attributes
    ----------
    sampled : dict of str to str
        Places whose rule sampled, and what: ``"population"``, ``"sampled heads"``.
    """

    def __init__(
        self,
        measured: Mapping[str, Measured] | None = None,
        *,
        seed: int = 0,
        heads: int = HEADS,
        progress: Callable[[float, float], None] | None = None,
        share: float = 1.0,
        stated: bool = True,
        sampling: bool = True,
    ) -> None:
        self.population = Population(seed, share, stated) if sampling else None
        self.place = "layers"
        self.seed, self.heads, self.stated = seed, math.ceil(share * heads), stated
        self._share, self._charged = share, 0.0
        self.sampled: dict[str, str] = {}
        self._progress, self._done, self._layers = progress, 0.0, 0.0
        self._scope = ""  # front of the places of the memory that is walked
        self._memories: dict[str, Stream] = {}
        self._received: dict[str, Gradient] = {}
        self.memo: dict[AbstractActivation, Prepared] = {}
        self.streams: dict[str, Stream] = {}
        self.gradients: dict[str, Gradient] = {}
        self.reasons: dict[str, str] = {}  # why a place was measured
        self.measured = measured or {}
        self.cotangent = "independent"

    # ---- networks and their memories -----------------------------------------------------------

    def network(self, network: Network, stream: Stream) -> Passed:
        """Through a network, after the memories that its layers read; gradients reach them too."""
        scope, homes = self._scope, dict[str, Pullback]()
        for name, other in network.memories.items():
            key = self._scope = f"{scope}memory.{name}."
            self._memories[key], homes[key] = self.network(other, entering(other.input))
        self._scope, self.place = scope, f"{scope}layers"
        self.streams[f"{scope}input"] = stream
        self._layers += 2.0 * sum(layer.word == "attention" for _, layer in network.steps())
        after, home = self.through(network.layers, stream, "")

        def pullback(g: Gradient) -> Gradient:
            for key in homes:
                self._received.pop(key, None)
            found = home(g)
            for key, back in reversed(homes.items()):
                self._scope, sites = key, self._memories[key].orbits.sites
                sent = self._received.get(key, Gradient.of(np.zeros((sites, sites))))
                self.gradients[f"{key}input"] = back(sent)
            self._scope = scope
            return found

        return after, pullback

    def memory(self, name: str) -> Stream:
        """What leaves the memory of that name."""
        return self._memories[f"{self._scope}memory.{name}."]

    def to_memory(self, name: str, g: Gradient) -> None:
        """Add to what reaches it: layers that read it have weights of their own."""
        key = f"{self._scope}memory.{name}."
        before = self._received.get(key)
        self._received[key] = g if before is None else before.plus(g)

    def charge(self, what: str, seconds: float, gigabytes: float, fits: str) -> None:
        """Refuse sampling that would take too long, together with what was sampled before.

        Raises
        ------
        CostError
            If it would.
        """
        self._charged += seconds / self._share
        cost.check(what, seconds=self._charged, gigabytes=gigabytes, fits=fits)

    def told(self, share: float) -> None:
        """Hear which share of the present layer's sampling is done."""
        if self._progress is not None:
            self._progress(self._done + share, max(self._layers, self._done + share))
            self._done += float(share == 1.0)

    # ---- layers --------------------------------------------------------------------------------

    def through(self, layers: Layers, stream: Stream, name: str) -> Passed:
        """Layer after layer, at the place `name` below the present one."""
        here, back = self.place, list[Pullback]()
        for i, layer in enumerate(layers):
            self.place = f"{here}{name}[{i}]"
            stream, pullback = self._one(layer, stream)
            back.append(self._noted(self.place, stream, pullback))
        self.place = here

        def pullback_all(g: Gradient) -> Gradient:
            for pullback in reversed(back):
                g = pullback(g)
            return g

        return stream, pullback_all

    def _one(self, layer: AbstractLayer, stream: Stream) -> Passed:
        place, seen = self.place, len(self.streams)
        try:
            return forward(layer, stream, self)
        except UnsupportedLayerError as err:
            if place not in self.measured:
                raise
            self.place = place
            for inside in list(self.streams)[seen:]:  # of the attempt
                del self.streams[inside]
                self.sampled.pop(inside, None)
            self.sampled.pop(place, None)
            self.reasons[place] = str(err)
            sites = stream.orbits.sites

            def unknown(g: Gradient) -> Gradient:
                bare = Gradient.of(np.eye(sites))
                nothing = np.full(bare.orbits.count, np.nan)
                return Gradient(bare.orbits, Bounded(nothing, nothing))

            return self.measured[place].stream(layer.after(stream.shape, place)), unknown

    def noted(self, name: str, stream: Stream, pullback: Pullback) -> Pullback:
        """A row inside the present layer."""
        return self._noted(self.place + name, stream, pullback)

    def _noted(self, place: str, stream: Stream, pullback: Pullback) -> Pullback:
        self.streams[place] = stream

        def noting(g: Gradient) -> Gradient:
            if place in self.measured and np.isnan(g.p.value).any():
                g = self.measured[place].gradient(self.cotangent)
            self.gradients[place] = g
            return pullback(g)

        return noting


@dataclass(frozen=True)
class Propagation:
    """What a walk met: streams by place, and how to send gradients home.

    Parameters
    ----------
    network : Network
        The network.
    streams : dict of str to Stream
        The stream after each place, ``input`` first; before it those of memories,
        ``memory.NAME.input`` and so on.
    reasons : dict of str to str
        Places that were measured, and why.
    sampled : dict of str to str
        Places whose rule sampled, and what.
    """

    network: Network
    streams: dict[str, Stream]
    reasons: dict[str, str]
    sampled: dict[str, str]
    _walk: Walk = field(repr=False, compare=False)
    _home: Callable[[Gradient], Gradient] = field(repr=False, compare=False)

    @property
    def populated(self) -> bool:
        """Whether channels were sampled whose averages enter later ones."""
        return self._walk.population is not None and self._walk.population.used

    @property
    def output(self) -> Stream:
        """The stream that leaves the network."""
        return list(self.streams.values())[-1]

    def backward(self, cotangent: str = "independent") -> dict[str, Gradient]:
        """Mean-square gradients at each place.

        Parameters
        ----------
        cotangent : {"independent", "shared"}
            Gradients of the output with N(0, 1) entries, independent for every input, position
            and channel, or the same for all inputs and positions.
        """
        checks.one_of("cotangent", cotangent, COTANGENTS)
        n = self.output.orbits.sites
        gram = np.eye(n) if cotangent == "independent" else np.ones((n, n))
        return self.pulled_back(Gradient.of(gram), cotangent)

    def pulled_back(
        self, at_output: Gradient, cotangent: str = "independent"
    ) -> dict[str, Gradient]:
        """Gradients at each place from any gradient at the output."""
        self._walk.gradients, self._walk.cotangent = {}, cotangent
        if self._walk.population is not None:
            self._walk.population.sent_back()
        with np.errstate(over="ignore", invalid="ignore"):
            found = {"input": self._home(at_output)}
        return found | self._walk.gradients


def propagate(
    network: Network | MLP,
    stream: Stream | None = None,
    *,
    measured: Mapping[str, Measured] | None = None,
    seed: int = 0,
    heads: int = HEADS,
    progress: Callable[[float, float], None] | None = None,
    share: float = 1.0,
    stated: bool = True,
) -> Propagation:
    """Walk through a network.

    Parameters
    ----------
    network : Network or MLP
        The network.
    stream : Stream, optional
        What enters; by default what ``network.input`` says.
    measured : mapping of str to Measured, optional
        What was measured behind each place: the walk starts again from it where a rule is
        missing.
    seed : int
        Where the random numbers of sampled rules start.
    heads : int
        Number of attention heads that are sampled, where they are.
    progress : callable, optional
        Called with how much is done and how much there is, while rules sample.
    share : float
        How much of the usual population of channels is drawn, where second moments do not
        determine what comes next.
    stated : bool
        Whether averages over the population carry three of their standard errors.

    Raises
    ------
    UnsupportedLayerError
        With the place, if a rule is missing or its law does not close, and nothing was measured.
    TypeError
        If an argument is none of these.
    ValueError
        If what enters has another number of inputs than a memory that is read.
    CostError
        If there are too many layers, or a layer has too much to sample.
    """
    for name, x, kind in (
        ("network", network, (MLP, Network)),
        ("stream", stream, (Stream, NoneType)),
        ("measured", measured, (Mapping, NoneType)),
    ):
        if not isinstance(x, kind):
            words = " or ".join(one.__name__ for one in kind).replace("NoneType", "None")
            raise TypeError(f"{name} must be of type {words}, but it is {x!r:.60}.")
    described = network.network() if isinstance(network, MLP) else network
    steps = described.length
    cost.check(
        f"a walk over {steps} layers", seconds=_LAYER_SECONDS * steps, fits="fewer layers fit"
    )
    seed, heads = checks.integer("seed", seed, minimum=0), checks.integer("heads", heads)
    share = min(share, _HELD / max(steps, 1))
    walk = Walk(measured, seed=seed, heads=heads, progress=progress, share=share, stated=stated)
    first = entering(described.input) if stream is None else stream
    if described.memory and first.inputs != described.input.count:
        raise ValueError(
            f"{first.inputs} inputs are given, but the network has memories of "
            f"{described.input.count} inputs; give as many."
        )
    with np.errstate(over="ignore", invalid="ignore"):  # infinite moments are told as such
        _, home = walk.network(described, first)
    return Propagation(described, walk.streams, walk.reasons, walk.sampled, walk, home)
