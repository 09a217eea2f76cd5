"""Random finite networks of any described layers, run one after another and measured."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from chione.base import Array, checks, cost
from chione.networks import Network
from chione.simulation.frames import check_frames, check_memories, frame, given_inputs
from chione.simulation.layers import Row
from chione.simulation.network_costs import check_network
from chione.simulation.network_result import QUANTITIES, NetworkSimulation, SimulatedRow
from chione.simulation.rows import Key, looked_at, measure
from chione.simulation.side_by_side import one_by_one, runner_of
from chione.simulation.streams import entropy


def simulate_network(
    network: Network,
    inputs: Any = None,
    *,
    n_networks: int = 20,
    seed: int | None = 0,
    ntk: bool = False,
    replicas: int = 1,
    positions: int | None = None,
    workers: int | None = None,
    engine: Any = None,
    progress: Callable[[int, int], None] | None = None,
    effort: float = 1.0,
) -> NetworkSimulation:
    r"""Draw random networks, send inputs forward and cotangents backward, and average.

    Parameters
    ----------
    network : Network
        The network to draw.
    inputs : array_like, shape (A, *grid, channels), optional
        Inputs, the same for all networks; by default random ones for each network that have
        exactly the second moments of ``network.input``, and channel means of zero.
    n_networks : int
        Number of networks, at least 1 (and at least 2 for standard errors).
    seed : int or None
        Seed; None draws one, which the result holds. Network number k of a seed does not depend
        on how many there are.
    ntk : bool
        Whether to measure the tangent kernel of position 0.
    replicas : int
        Mutually orthogonal copies of the inputs that go through the same weights: more averages
        from each network. Batch norm sees each copy by itself.
    positions : int, optional
        Measure at most so many positions of each grid, evenly spaced from the first one on, where
        all of them would be too many; signals have all of them in any case.
    workers, engine : optional
        How many networks run side by side, and where, see :func:`~chione.simulation.simulate`;
        the numbers do not depend on it.
    progress : callable, optional
        Called with (networks done, networks in total) after each network.
    effort : float
        How many times the limits of a laptop (60 s of work on one core, 4 GB) it may take.

    Returns
    -------
    NetworkSimulation
        Means and standard errors over networks at every place. After an interrupt (Ctrl-C) it
        holds the networks that were finished.

    Raises
    ------
    TypeError, ValueError
        For what is no network, inputs of the wrong size, zero networks and the like.
    UnsupportedLayerError
        If a kind of layer has no sampler.
    CostError
        If it would take more work or memory than `effort` allows; nothing has begun then.

    Notes
    -----
    Parameters of the tangent kernel are all weights (:math:`\sigma_w n_{in}^{-1/2}` times one),
    biases (:math:`\sigma_b` times one) and learned positions (:math:`\sigma` times one).

    Examples
    --------
    >>> from chione.networks import resnet
    >>> run = simulate_network(resnet(depth=2, width=64), n_networks=3)
    >>> run.row("layers[1]#1").second_moments.shape
    (2, 2)
    """
    if not isinstance(network, Network):
        raise TypeError(
            f"network must be a chione.networks.Network, but it is of type "
            f"{type(network).__name__}; describe it as Network([Dense(1.4), Nonlinearity('relu')])."
        )
    count = checks.integer("n_networks", n_networks)
    copies = checks.integer("replicas", replicas)
    most = None if positions is None else checks.integer("positions", positions)
    start = entropy(seed)
    given = None if inputs is None else given_inputs(inputs, network.input)
    if given is not None and copies > 1:
        raise ValueError(
            f"replicas are copies of the network's own inputs, but inputs= are given and replicas "
            f"is {copies}; leave one of them away."
        )
    if given is not None and network.memory and given.shape[1] != network.input.count:
        raise ValueError(
            f"inputs= are {given.shape[1]}, but the memories of the network have "
            f"{network.input.count} inputs; hand in as many."
        )
    with cost.allowing(effort):
        n_inputs = network.input.count if given is None else given.shape[1]
        check_network(
            network,
            inputs=n_inputs,
            replicas=copies,
            networks=count,
            ntk=bool(ntk),
            positions=most,
        )
        if given is None:
            check_frames(network, copies)
        else:
            check_memories(network, copies)

    running: _Running | None = None
    rows: list[Row] = []
    measured = partial(_measured, network, given, copies, start, bool(ntk), most)
    try:
        with runner_of(engine, workers, count) as runner:
            for values, places in one_by_one(measured, range(count), runner):
                rows = places
                with np.errstate(all="ignore"):
                    running = (running or _Running.empty(values)).including(values)
                if progress is not None:
                    progress(running.count, count)
    except KeyboardInterrupt:
        if running is None:
            raise
    assert running is not None  # count is at least 1
    return _result(network, rows, running, most, requested=count, replicas=copies, seed=start)


def _measured(
    network: Network,
    given: Array | None,
    copies: int,
    seed: int,
    ntk: bool,
    most: int | None,
    numbers: range,
) -> list[tuple[dict[Key, Array], list[Row]]]:
    """All that is measured on the networks of these numbers, and the places in them."""
    out = []
    for number in numbers:
        x = frame(network.input, copies, seed, number) if given is None else given
        with np.errstate(all="ignore"):  # overflow is a result here, and reported as one
            out.append(measure(network, x, seed, number, ntk=ntk, positions=most))
    return out


class _Running:
    """Running means and sums of squares of all that is measured on a network (Welford)."""

    def __init__(self, count: int, mean: dict[Key, Array], squares: dict[Key, Array]) -> None:
        self.count, self.mean, self.squares = count, mean, squares

    @classmethod
    def empty(cls, like: dict[Key, Array]) -> _Running:
        """Nothing yet."""
        zeros = {key: np.zeros_like(x) for key, x in like.items()}
        return cls(0, zeros, dict(zeros))

    def including(self, measured: dict[Key, Array]) -> _Running:
        """One network more; an interrupt on the way leaves the old ones whole."""
        n = self.count + 1
        mean, squares = {}, {}
        for key, x in measured.items():
            d = x - self.mean[key]
            mean[key] = self.mean[key] + d / n
            squares[key] = self.squares[key] + d * (x - mean[key])
        return _Running(n, mean, squares)

    def stderr(self, key: Key) -> Array:
        """Standard error of a mean; NaN for a single network."""
        if self.count < 2:
            return np.full_like(self.mean[key], np.nan)
        return np.asarray(np.sqrt(self.squares[key] / (self.count - 1) / self.count))


def _result(
    network: Network,
    rows: list[Row],
    running: _Running,
    most: int | None,
    *,
    requested: int,
    replicas: int,
    seed: int,
) -> NetworkSimulation:
    ntk = ("", "ntk")
    asked = ntk in running.mean
    with np.errstate(all="ignore"):
        return NetworkSimulation(
            network=network,
            rows=tuple(_row(row, running, most) for row in rows),
            ntk=running.mean[ntk] if asked else None,
            ntk_stderr=running.stderr(ntk) if asked else None,
            n_networks=running.count,
            requested=requested,
            replicas=replicas,
            seed=seed,
        )


def _row(row: Row, running: _Running, most: int | None) -> SimulatedRow:
    moments, means, iid, shared = (running.mean[row.place, name] for name in QUANTITIES)
    return SimulatedRow(
        place=row.place,
        kind=row.kind,
        width=row.shape.width,
        grid=row.shape.grid,
        measured=tuple(range(row.shape.positions)[looked_at(row.shape.positions, most)]),
        second_moments=moments,
        channel_means=means,
        iid=iid,
        shared=shared,
        stderr={name: running.stderr((row.place, name)) for name in QUANTITIES},
    )
