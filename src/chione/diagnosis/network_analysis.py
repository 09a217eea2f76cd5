"""A described network at a glance: theory, a simulated twin, a verdict, what to change."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, final

import numpy as np

from chione.base import (
    AbstractResult,
    Array,
    ChioneError,
    CostError,
    UnsupportedLayerError,
    cost,
    result,
)
from chione.diagnosis.network_changes import NetworkChange, changes, decades, passage
from chione.diagnosis.network_page import lines
from chione.networks import MLP, Input, Network, Repeat
from chione.simulation import NetworkSimulation, SimulatedRow, simulate_network
from chione.simulation.frames import fits
from chione.theory import BlockPhase, block_phase
from chione.theory.depth.trainability import trainability
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.network_theory import NetworkTheory, network_theory
from chione.theory.layers.walk import Measured

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FEWEST = 2  # networks that have a standard error


@final
@result
class NetworkAnalysis(AbstractResult):
    """A described network at infinite width and sampled, with a verdict.

    Parameters
    ----------
    theory : NetworkTheory
        Every place with its numbers, errors and rule.
    simulation : NetworkSimulation or None
        The simulated twin.
    simulated : mapping of str to ndarray, each of shape (R, 2)
        Mean and standard error of ``q``, ``c`` and ``gradient`` in the simulation, row by row of
        the theory; NaN without a simulation.
    trains : {"yes", "doubtful", "no"}
        Whether it can be expected to train at this depth.
    problem, reason : str
        What is wrong in two words, and why in one sentence.
    blocks : mapping of str to BlockPhase
        Phase, fixed points, depth scales and laws of each block that repeats, by its place.
    changes : tuple of NetworkChange
        What could be changed, and what theory says of it then.
    notes : tuple of str
        What has to be known about the numbers.
    """

    theory: NetworkTheory
    simulation: NetworkSimulation | None
    simulated: Mapping[str, Array]
    trains: str
    problem: str
    reason: str
    blocks: Mapping[str, BlockPhase]
    changes: tuple[NetworkChange, ...]
    notes: tuple[str, ...]

    axes = {"simulated": ("place", "moment")}  # noqa: RUF012  a ClassVar of the base

    @property
    def network(self) -> Network:
        """The network."""
        return self.theory.network

    @property
    def log10_gradient(self) -> float:
        """Decades of the total squared gradient between the first layer and the output."""
        return decades(self.theory)

    def __str__(self) -> str:
        return "\n".join(lines(self))

    def plot(self, *, ax: Axes | None = None, field: str | None = None) -> Figure:
        """Draw q, c and the gradient place by place, the simulated twin beside the theory."""
        from chione.plotting.network import network_figure

        return network_figure(self.theory, self.simulated, ax=ax, field=field)


@cost.ends
def analyze_network(
    network: Network | MLP,
    *,
    n_networks: int = 10,
    seed: int = 0,
    simulate: bool = True,
    progress: Callable[[str, float, float], None] | None = None,
    effort: float = 1.0,
) -> NetworkAnalysis:
    """Tell what a network of any layers does to signals and gradients, and what to change.

    Parameters
    ----------
    network : Network or MLP
        The network; ``network.input`` says what enters.
    n_networks : int
        How many networks are simulated.
    seed : int
        Seed of the simulation.
    simulate : bool
        Whether finite networks are simulated beside the theory: as many of `n_networks` as the
        limits allow. Where a layer has no rule the theory starts again from what was measured on
        them.
    progress : callable, optional
        Called with what is being done, how much of it is done and how much there is.
    effort : float
        How many times the limits of a laptop (60 s of work, 4 GB) it may take.

    Returns
    -------
    NetworkAnalysis

    Raises
    ------
    UnsupportedLayerError
        If the theory does not close and nothing is simulated.
    CostError
        If it would take more than `effort` allows.

    Examples
    --------
    >>> from chione.networks import resnet
    >>> found = analyze_network(resnet("relu", depth=20, width=64), simulate=False)
    >>> found.trains, round(found.log10_gradient, 2)
    ('doubtful', 6.02)
    """
    described = network.network() if isinstance(network, MLP) else network
    if not described.layers:
        raise ValueError("the network has no layers, so that there is nothing to tell; add some.")
    with cost.allowing(effort):
        notes: list[str] = []
        inputs = None if fits(described.input) else _drawn(described.input, seed)
        run = None
        if simulate:
            run = _simulated(
                described, inputs, n_networks, seed, notes, _told(progress, "networks")
            )
        told = _told(progress, "theory")
        try:
            theory = network_theory(described, inputs=inputs, seed=seed, progress=told)
        except UnsupportedLayerError:
            if run is None:
                raise
            known = measured(run)
            theory = network_theory(
                described, inputs=inputs, measured=known, seed=seed, progress=told
            )
            first = next(iter(theory.reasons.values()))
            notes.append(f"Measured at {len(theory.reasons)} places; the first: {first}")
        if inputs is not None:
            notes.append(
                f"The inputs are {len(inputs)} random ones, since {described.input.width} channels "
                f"cannot have exactly the second moments that are asked for; theory starts from "
                f"those that they have."
            )
        found = trainability(passage(theory))
        proposals: tuple[NetworkChange, ...] = ()
        if found.answer != "yes" and not theory.reasons:
            proposals = changes(described, sampled=set(theory.rules) != {"closed"})
        twin = _twin(theory, run)
        return NetworkAnalysis(
            theory,
            run,
            twin,
            found.answer,
            found.problem,
            found.reason,
            _blocks(described, theory),
            proposals,
            tuple(notes),
        )


def _told(
    progress: Callable[[str, float, float], None] | None, words: str
) -> Callable[[float, float], None] | None:
    return None if progress is None else partial(progress, words)


def _simulated(
    network: Network,
    inputs: Array | None,
    count: int,
    seed: int,
    notes: list[str],
    progress: Callable[[float, float], None] | None,
) -> NetworkSimulation | None:
    """As many networks as the limits allow, halving their number; two are the least."""
    for few in _halved(count):
        try:
            run = simulate_network(network, inputs, n_networks=few, seed=seed, progress=progress)
        except CostError as err:
            refused = err
            continue
        if few < count:
            notes.append(f"Simulated {few} of {count} networks: more would take too long.")
        return run
    notes.append(f"Not simulated: {refused}")
    return None


def _halved(count: int) -> Iterator[int]:
    """count, count / 2, ..., 2."""
    yield count
    while count > _FEWEST:
        count = max(_FEWEST, count // 2)
        yield count


def _blocks(network: Network, theory: NetworkTheory) -> dict[str, BlockPhase]:
    """The outermost blocks that repeat and keep their shape, where their rules are closed."""
    out: dict[str, BlockPhase] = {}
    shape = network.input.shape
    for i, layer in enumerate(network.layers):
        place = f"layers[{i}]"
        after = layer.after(shape, place)
        rules = {r for p, r in zip(theory.places, theory.rules, strict=True) if p.startswith(place)}
        if isinstance(layer, Repeat) and layer.times > 1 and after == shape and rules == {"closed"}:
            before = f"layers[{i - 1}]" if i else "input"
            q0 = float(theory.q.value[theory.index(before)])
            with suppress(ChioneError):
                out[place] = block_phase(layer.layers, q0=q0, width=shape.width, grid=shape.grid)
        shape = after
    return out


def _drawn(given: Input, seed: int) -> Array:
    """Gaussian inputs (A, *grid, channels) whose expected second moments are those asked for."""
    rng = np.random.default_rng([seed, 0x1])
    gram = given.second_moments()
    values, vectors = np.linalg.eigh(gram)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    x = root @ rng.standard_normal((len(gram), given.width))
    return np.asarray(x.reshape(given.count, *given.grid, given.width))


def measured(run: NetworkSimulation) -> dict[str, Measured]:
    """What a simulation measured, in the form in which a walk starts again from it."""

    def of(row: SimulatedRow, name: str) -> Bounded:
        value = getattr(row, name)
        if value.ndim == 2:
            value = 0.5 * (value + value.T)
        return Bounded(value, np.nan_to_num(np.asarray(row.stderr[name]), nan=np.inf))

    return {
        row.place: Measured(
            *(of(row, name) for name in ("second_moments", "channel_means", "iid", "shared"))
        )
        for row in run.rows
    }


def _twin(theory: NetworkTheory, run: NetworkSimulation | None) -> dict[str, Array]:
    """Simulated q, c and gradient with standard errors, by the rows of the theory."""
    out = {name: np.full((len(theory.places), 2), np.nan) for name in ("q", "c", "gradient")}
    if run is None:
        return out
    rows = {row.place: row for row in run.rows}
    for k, place in enumerate(theory.places):
        row = rows.get(place)
        if row is None:
            continue
        for name, matrix in (("q", "second_moments"), ("gradient", "iid")):
            values, errors = (np.diagonal(m) for m in (getattr(row, matrix), row.stderr[matrix]))
            out[name][k] = values.mean(), errors.mean()
        out["c"][k] = _correlation(row)
    return out


def _correlation(row: SimulatedRow) -> tuple[float, float]:
    """Correlation of the first two inputs at one position, mean over positions."""
    k, error, n = row.second_moments, np.asarray(row.stderr["second_moments"]), row.positions
    if len(k) < 2 * n:
        return math.nan, math.nan
    at = np.arange(n)
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.sqrt(k[at, at] * k[at + n, at + n])
        return float(np.mean(k[at, at + n] / root)), float(np.mean(error[at, at + n] / root))
