r"""A network at infinite width, place by place, as a result that prints and travels.

.. math:: q = \overline{K_{at, at}}, \qquad
   1 - c = \overline{\left(\frac{D_{0t,1t} - (\sqrt{q_{0t}} - \sqrt{q_{1t}})^2}
   {2 \sqrt{q_{0t} q_{1t}}}\right)}, \qquad g = \overline{P_{at, at}}

means over inputs and positions; c is that of the first two inputs at one position.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, final

import numpy as np

from chione.base import (
    EPS,
    AbstractResult,
    Array,
    Estimate,
    SpecError,
    Status,
    checks,
    cost,
    result,
)
from chione.networks import MLP, Network
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.inputs import as_inputs, from_inputs
from chione.theory.layers.repeated import WALKS, repeated
from chione.theory.layers.stream import Gradient, Stream
from chione.theory.layers.walk import HEADS, Measured, Propagation, propagate

MATRICES = 64  # sites up to which whole matrices are part of a result
_PAIR_SECONDS = 2e-6  # s a pair of sites and layer


@final
@result
class NetworkTheory(AbstractResult):
    r"""A network at infinite width, place by place.

    Parameters
    ----------
    network : Network
        The network.
    places : tuple of str, length R
        Where: ``input``, ``layers[2]`` (what leaves layer 2), ``layers[2]#3`` (what leaves
        repetition 3 of its block, counted from 0), ``layers[2]#3.layers[0].branch[1]`` and so on;
        in order of execution, inner layers before the one that holds them, and memories first
        (``memory.NAME.input``, ``memory.NAME.layers[0]``).
    kinds : tuple of str
        Word of the layer's kind.
    widths, positions : tuple of int
        Channels and positions.
    rules : tuple of {"closed", "population", "sampled heads", "measured"}
        Where the numbers come from: the closed rule of the layer, channels or heads that were
        sampled, or a measurement that the walk started again from.
    reasons : mapping of str to str
        Why a place was measured.
    q, one_minus_c, gradient : Estimate, shape (R,)
        Mean square, 1 - c of the first two inputs, and mean-square gradient of the output's
        product with independent N(0, 1) cotangents, as means over sites.
    mean : Estimate, shape (R,)
        Root of the mean square over sites of the channel mean.
    tangent : Estimate, shape (R,)
        Mean of the tangent kernel of one channel over sites.
    nngp, ntk : Estimate, shape (n, n), or None
        K and Theta of what leaves the network, over all sites, up to 64 of them.
    """

    network: Network
    places: tuple[str, ...]
    kinds: tuple[str, ...]
    widths: tuple[int, ...]
    positions: tuple[int, ...]
    rules: tuple[str, ...]
    reasons: Mapping[str, str]
    q: Estimate
    one_minus_c: Estimate
    gradient: Estimate
    mean: Estimate
    tangent: Estimate
    nngp: Estimate | None
    ntk: Estimate | None

    axes = {  # noqa: RUF012  a ClassVar of the base
        **dict.fromkeys(("q", "one_minus_c", "gradient", "mean", "tangent"), ("place",)),
        **dict.fromkeys(("nngp", "ntk"), ("at", "bs")),
    }

    @property
    def c(self) -> Estimate:
        """Correlation of the first two inputs, (R,)."""
        return 1.0 - self.one_minus_c

    def index(self, place: str) -> int:
        """Number of the row of a place.

        Raises
        ------
        ValueError
            If there is none.
        """
        if place in self.places:
            return self.places.index(place)
        some = ", ".join(self.places[:6]) + (", ..." if len(self.places) > 6 else "")
        raise ValueError(f"place must be one of {some}, but it is {place!r:.80}.")


@cost.ends
def network_theory(
    network: Network | MLP,
    *,
    inputs: Any = None,
    measured: Mapping[str, Measured] | None = None,
    seed: int = 0,
    heads: int = HEADS,
    progress: Callable[[float, float], None] | None = None,
    effort: float = 1.0,
) -> NetworkTheory:
    r"""Send second moments forward and gradients backward through a network at infinite width.

    Parameters
    ----------
    network : Network or MLP
        The network; ``network.input`` says what enters.
    inputs : array_like, shape (A, *grid, channels), optional
        Inputs whose exact second moments enter, in place of those that ``network.input`` says.
    measured : mapping of str to Measured, optional
        What was measured behind each place: the walk starts again from it where a rule is
        missing.
    seed : int
        Where the random numbers of sampled rules start. Where channels or heads are sampled,
        their number is split among ten walks of different seeds, which tell the error.
    heads : int
        Number of attention heads that are sampled, where heads are.
    progress : callable, optional
        Called with how much is done and how much there is, while rules sample.
    effort : float
        How many times the limits of a laptop (60 s of work, 4 GB) it may take.

    Returns
    -------
    NetworkTheory

    Raises
    ------
    UnsupportedLayerError
        With the place, if a rule is missing or its law does not close, and nothing was measured.
    CostError
        If it would take more than `effort` allows.

    Examples
    --------
    >>> from chione.networks import resnet
    >>> found = network_theory(resnet("relu", depth=3))
    >>> round(float(found.q.value[-1]), 6)
    8.0
    """
    if not isinstance(network, MLP | Network):
        raise SpecError(
            f"network must be a chione.networks.Network or an MLP, but it is {network!r:.60}; see "
            "docs/networks.md for how one is described."
        )
    described = network.network() if isinstance(network, MLP) else network
    shape = described.input.shape
    given = None if inputs is None else as_inputs("inputs", inputs, shape)
    sites = (described.input.count if given is None else len(given)) * shape.positions
    steps = described.length
    cost.check(
        f"a walk over {steps} layers and {sites} sites",
        seconds=steps * (5e-4 + _PAIR_SECONDS * min(sites * sites, 40 * sites)),
        gigabytes=1e-9 * 40 * sites**2,
        fits="fewer layers, inputs or positions",
        effort=effort,
    )
    with cost.allowing(effort), np.errstate(over="ignore", invalid="ignore"):
        stream = None if given is None else from_inputs(given, shape)
        walk = partial(
            propagate,
            described,
            stream,
            measured=measured,
            heads=heads,
            progress=_over_walks(progress),
        )
        return _result(*repeated(walk, _numbers, checks.integer("seed", seed, minimum=0)))


def _over_walks(
    progress: Callable[[float, float], None] | None,
) -> Callable[[float, float], None] | None:
    """Progress of one walk after another as that of all of them."""
    if progress is None:
        return None
    finished, last = 0, 0.0

    def told(done: float, total: float) -> None:
        nonlocal finished, last
        finished += done < last
        last = done
        progress(finished * total + done, WALKS * total)

    return told


def from_propagation(found: Propagation) -> NetworkTheory:
    """The result of a walk."""
    return _result(found, _numbers(found))


def _numbers(found: Propagation) -> list[Bounded]:
    """The summary of every place (R, 5), and K and Theta of what leaves, if they are shown."""
    gradients = found.backward("independent")
    columns = np.array([_summary(s, gradients.get(at)) for at, s in found.streams.items()])
    out = [Bounded(columns[:, :, 0], columns[:, :, 1])]
    last = found.output
    if last.orbits.sites <= MATRICES:
        out += [x.at(last.orbits.index) for x in (last.k, last.theta)]
    return out


def _result(found: Propagation, numbers: list[Bounded]) -> NetworkTheory:
    kinds = dict(_kinds(found.network, ""))
    streams, (value, error) = found.streams, numbers[0]
    q, one_minus_c, gradient, mean, tangent = (
        Estimate(value[:, k], error[:, k], _status(value[:, k])) for k in range(5)
    )
    nngp, ntk = (x.estimate() for x in numbers[1:]) if numbers[1:] else (None, None)
    return NetworkTheory(
        found.network,
        tuple(streams),
        tuple(kinds.get(place.partition(".state[")[0], "input") for place in streams),
        tuple(s.shape.width for s in streams.values()),
        tuple(s.positions for s in streams.values()),
        _laws(found),
        dict(found.reasons),
        q,
        one_minus_c,
        gradient,
        mean,
        tangent,
        nngp,
        ntk,
    )


def _laws(found: Propagation) -> tuple[str, ...]:
    """Which law answered at each place; a block's is that of the layer whose stream it ends in."""
    by_stream = {id(found.streams[place]): law for place, law in found.sampled.items()}
    by_stream |= {id(found.streams[place]): "measured" for place in found.reasons}
    return tuple(by_stream.get(id(stream), "closed") for stream in found.streams.values())


def _kinds(network: Network, front: str) -> Iterator[tuple[str, str]]:
    """Places and words of all layers, those of memories too."""
    for name, other in network.memories.items():
        yield from _kinds(other, f"{front}memory.{name}.")
    for place, layer in network.steps():
        yield front + place, layer.word


def _status(values: Array) -> Array:
    bad = np.int8(Status.NOT_COMPUTED)
    return np.where(np.isnan(values), bad, np.int8(Status.OK)).astype(np.int8)


def _summary(stream: Stream, gradient: Gradient | None) -> list[tuple[float, float]]:
    """Value and error of q, 1 - c, g, the mean and Theta."""
    diagonal = stream.orbits.diagonal
    g = _MISSING if gradient is None else _mean(gradient.p.at(gradient.orbits.diagonal))
    m = stream.mean
    root = float(np.sqrt(np.mean(m.value**2)))
    return [
        _mean(stream.k.at(diagonal)),
        _one_minus_c(stream),
        g,
        (root, float(np.max(m.error)) + EPS * root),
        _mean(stream.theta.at(diagonal)),
    ]


_MISSING = (math.nan, math.nan)


def _mean(x: Bounded) -> tuple[float, float]:
    value = float(np.mean(x.value))
    return value, float(np.mean(x.error)) + EPS * abs(value)


def _one_minus_c(stream: Stream) -> tuple[float, float]:
    if stream.inputs < 2:
        return _MISSING
    first = np.arange(stream.positions)
    orbits = stream.orbits
    classes = orbits.index[first, first + stream.positions]
    d = stream.d.at(classes)
    one, two = stream.k.at(orbits.one[classes]).sqrt(), stream.k.at(orbits.two[classes]).sqrt()
    if not np.all((one.value > 0.0) & (two.value > 0.0)):
        return _MISSING
    if not np.array_equal(one.value, two.value):
        step = one.minus(two)
        d = d.minus(step.times(step))
    return _mean(d.over(one.times(two).scaled(2.0)))
