r"""Where a transformer trains, over the scale of its attention scores and of its residual branches.

For each cell the network is walked through, forward and backward, and judged by the one rule of
:mod:`chione.theory.depth.trainability`, with the tokens of one input as the signals whose
difference must survive. Attention condenses where the weights of a row have
:math:`E \sum_s w_{ts}^2 > 1/2`: fewer than two tokens count.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from chione.base import AbstractResult, Array, SpecError, along, checks, cost, plain, result
from chione.networks import AbstractLayer, Attention, Network, Repeat, Residual
from chione.networks.layer import changed
from chione.theory.depth.passage import Passage
from chione.theory.depth.trainability import Trainability, trainability
from chione.theory.layers.participation import participation
from chione.theory.layers.rule import Passed
from chione.theory.layers.stream import Gradient, Stream, entering
from chione.theory.layers.walk import Walk
from chione.theory.meanfield.token_map import with_large_heads

CONDENSED = 0.5  # E sum w^2 above which fewer than two tokens count
TRAINS, CONDENSES = "trains", "attention condenses"
REGIONS = (
    TRAINS,
    "tokens collapse",
    CONDENSES,
    "gradients vanish",
    "gradients explode",
    "signal vanishes",
    "signal explodes",
)
_WORDS = {
    "none": TRAINS,
    "collapsed inputs": "tokens collapse",
    "vanishing gradient": "gradients vanish",
    "exploding gradient": "gradients explode",
    "vanishing signal": "signal vanishes",
    "exploding signal": "signal explodes",
    "no gradient": "gradients vanish",
}
_STEP_SECONDS = 6e-4  # s a step of a walk, forward and backward
FIELDS = ("one_minus_c", "attended", "log10_gradient", "log10_length")


@final
@result
class TransformerPhase(AbstractResult):
    r"""The transformer diagram; fields have shape (rows, columns).

    Parameters
    ----------
    network : Network
        The network whose scales are changed.
    attention_scale : ndarray, shape (columns,)
        :math:`\sigma_q \sigma_k`: the standard deviation of the scores of tokens of mean square 1.
    residual_scale : ndarray, shape (rows,)
        Factor b on every residual branch.
    region : ndarray of str
        "trains", "tokens collapse", "attention condenses", "gradients vanish", "gradients
        explode", "signal vanishes" or "signal explodes".
    answer : ndarray of str
        "yes", "doubtful" or "no", by the rule of :mod:`chione.theory.depth.trainability`.
    one_minus_c : ndarray
        1 - c of two tokens of an input behind the last block, mean over pairs.
    attended : ndarray
        Largest :math:`E \sum_s w_{ts}^2` of all attention layers, from 1 / T (all tokens alike)
        to 1 (one token).
    log10_gradient : ndarray
        Decades of the total squared gradient, first block over the last.
    log10_length : ndarray
        Decades of the mean square, last block over the first.
    """

    axes = (
        along("attention_scale", "attention_scale")
        | along("residual_scale", "residual_scale")
        | along("residual_scale attention_scale", *FIELDS, "region", "answer")
    )

    network: Network
    attention_scale: Array
    residual_scale: Array
    region: NDArray[np.str_]
    answer: NDArray[np.str_]
    one_minus_c: Array
    attended: Array
    log10_gradient: Array
    log10_length: Array


class _Watching(Walk):
    """A walk that looks at the weights of each attention layer."""

    def __init__(self) -> None:
        super().__init__()
        self.attended: list[float] = []

    def _one(self, layer: AbstractLayer, stream: Stream) -> Passed:
        passed = super()._one(layer, stream)
        if isinstance(layer, Attention):
            self.attended.append(participation(layer, stream, self))
        return passed


@cost.ends
def transformer_phase(
    network: Network,
    *,
    attention_scale: Any,
    residual_scale: Any,
    convex: bool = False,
    progress: Any = None,
    effort: float = 1.0,
) -> TransformerPhase:
    r"""Map where a network with attention trains, over two scales of its initialisation.

    Parameters
    ----------
    network : Network
        A network with :class:`~chione.networks.Attention` and
        :class:`~chione.networks.Residual` layers, such as ``chione.networks.transformer()``.
    attention_scale : array_like, shape (columns,)
        Values of :math:`\sigma_q \sigma_k`, zero or above; both become its root.
    residual_scale : array_like, shape (rows,)
        Values of the factor on all residual branches, zero or above.
    convex : bool
        Whether shortcuts get the factor :math:`\sqrt{1 - b^2}`, so that lengths settle (Cowsik et
        al. 2024); b is at most 1 then. By default they keep theirs.
    progress : callable, optional
        Called with (cells done, cells in total).
    effort : float
        How many times the limits of a laptop (60 s of work, 4 GB) it may take.

    Returns
    -------
    TransformerPhase
        Heads count as infinitely large; where tokens differ (a causal mask, rotary positions) they
        are sampled, and cells are as noisy as the heads of one walk leave them.

    Raises
    ------
    SpecError
        If the network has no attention or no residual branches.
    UnsupportedLayerError
        If a rule is missing or does not close.
    CostError
        If it would take more than `effort` allows.
    """
    columns = _scales("attention_scale", attention_scale)
    rows = _scales("residual_scale", residual_scale)
    if convex and np.any(rows > 1.0):
        raise ValueError(
            f"residual_scale must be at most 1 where shortcuts are sqrt(1 - b^2), but it is "
            f"{rows.max()!r}; leave convex=True away."
        )
    _check_kinds(network)
    _check_tokens(network)
    large = _lean(network)
    cells = rows.size * columns.size
    cost.check(
        f"{cells} walks over {network.length} layers",
        seconds=cells * network.length * _STEP_SECONDS,
        fits="fewer cells or layers",
        effort=effort,
    )
    shape = (rows.size, columns.size)
    out = {name: np.full(shape, np.nan) for name in FIELDS}
    region, answer = np.empty(shape, dtype="<U20"), np.empty(shape, dtype="<U8")
    with cost.allowing(effort):
        for i, b in enumerate(rows):
            for j, a in enumerate(columns):
                cell, found = _cell(scaled_network(large, float(a), float(b), convex))
                for name, value in cell.items():
                    out[name][i, j] = value
                region[i, j], answer[i, j] = _region(found, cell["attended"]), found.answer
                if progress is not None:
                    progress(i * columns.size + j + 1, cells)
    return TransformerPhase(network, columns, rows, region, answer, **out)


def scaled_network(
    network: Network, attention_scale: float, residual_scale: float, convex: bool = False
) -> Network:
    """The network with other scales of its scores and of its residual branches."""
    root = math.sqrt(attention_scale)

    def change(layer: AbstractLayer) -> AbstractLayer:
        if isinstance(layer, Attention):
            return dataclasses.replace(layer, sigma_q=root, sigma_k=root)
        if isinstance(layer, Residual):
            skip = math.sqrt(1.0 - residual_scale**2) if convex else layer.skip
            return dataclasses.replace(layer, scale=residual_scale, skip=skip)
        return layer

    return dataclasses.replace(network, layers=changed(network.layers, change))


def _scales(name: str, x: Any) -> Array:
    a = np.atleast_1d(checks.real_array(name, x))
    if a.ndim != 1 or a.size == 0:
        raise ValueError(f"{name} must be a list of numbers, but its shape is {a.shape}.")
    if np.any(a < 0.0):
        raise ValueError(f"{name} must be zero or above, but it holds {a.min()!r}.")
    return a


def _check_kinds(network: Any) -> None:
    if not isinstance(network, Network):
        raise TypeError(
            f"network must be a chione.networks.Network, but it is of type "
            f"{type(network).__name__}; chione.networks.transformer() makes one."
        )
    kinds = {type(layer) for _, _, layer, _ in network.rows()}
    for kind, words in ((Attention, "attention layers"), (Residual, "residual branches")):
        if kind not in kinds:
            raise SpecError(
                f"network: the transformer diagram changes attention layers and residual branches, "
                f"but this network has no {words}; chione.networks.transformer() has both."
            )


def _check_tokens(network: Network) -> None:
    if network.input.shape.positions < 2 or network.output.positions < 2:
        raise SpecError(
            f"network: the transformer diagram follows the distance of two tokens, but this has "
            f"{network.input.shape.positions} positions at its input and "
            f"{network.output.positions} at its output; give it two or more, without a pool."
        )


def _lean(network: Network) -> Network:
    """The network with large heads and, where inputs do not differ by padding, one input."""
    layers = with_large_heads(network.layers)
    given = network.input
    attend = [x for _, _, x, _ in network.rows() if isinstance(x, Attention)]
    if all(x.visible is None and x.memory is None for x in attend):
        given = dataclasses.replace(given, inputs=((given.inputs[0][0],),))
    return dataclasses.replace(network, layers=layers, input=given)


def _cell(network: Network) -> tuple[dict[str, float], Trainability]:
    walk = _Watching()
    first = entering(network.input)
    with np.errstate(all="ignore"):
        last, home = walk.network(network, first)
        home(Gradient.of(np.eye(last.orbits.sites)))
        places = _trunk(network, walk)
        streams = [walk.streams[place] for place in places]
        g = np.array([_total_gradient(walk.gradients[p], walk.streams[p]) for p in places])
        q = np.array([_mean_square(s) for s in streams])
        start, end = token_gap(first), token_gap(streams[-1])
        log_g, log_q = np.log(g), np.log(q)
        known = np.isfinite(log_g)
        way = Passage.of(log_g[known], log_q[known], float(np.log(end / start)))
    cell = {
        "one_minus_c": end,
        "attended": max(walk.attended),
        "log10_gradient": float((log_g[0] - log_g[-1]) / math.log(10.0)),
        "log10_length": float((log_q[-1] - log_q[0]) / math.log(10.0)),
    }
    return cell, trainability(way)


def _trunk(network: Network, walk: Walk) -> list[str]:
    """Places between the blocks that repeat; all outermost ones where there are none."""
    blocks = {f"layers[{i}]" for i, x in enumerate(network.layers) if isinstance(x, Repeat)}
    inside = [p for p in walk.streams if "#" in p and "." not in p and p.split("#")[0] in blocks]
    return inside or [p for p in walk.streams if "." not in p]


def _total_gradient(g: Gradient, stream: Stream) -> float:
    return float(np.sum(g.p.value[g.orbits.diagonal])) * stream.shape.width


def _mean_square(stream: Stream) -> float:
    return float(np.mean(stream.k.value[stream.orbits.diagonal]))


def token_gap(stream: Stream) -> float:
    """1 - c of two different tokens of the first input, mean over pairs."""
    t = stream.positions
    rows, columns = np.triu_indices(t, 1)
    at = stream.orbits.index[rows, columns]
    q = stream.k.value[stream.orbits.diagonal[:t]]
    one, two = q[rows], q[columns]
    d = stream.d.value[at] - (np.sqrt(one) - np.sqrt(two)) ** 2
    return float(np.mean(d / (2.0 * np.sqrt(one * two))))


def _region(found: Trainability, attended: float) -> str:
    if found.answer == "yes" and attended > CONDENSED:
        return CONDENSES
    return _WORDS[found.problem]


def shares(found: TransformerPhase) -> dict[str, Any]:
    """Share of the diagram that each region takes, as plain JSON types."""
    return {
        word: plain(float(np.mean(found.region == word)))
        for word in REGIONS
        if np.any(found.region == word)
    }
