"""Random finite networks, run one after another or side by side, and measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Unpack, overload

import numpy as np

from chione.base import Array, checks, cost
from chione.networks import MLP, Network, as_network, uniform
from chione.simulation import costs, fluctuations, histograms, samplers
from chione.simulation.inputs import check_inputs, correlated_inputs, input_pair
from chione.simulation.measuring import Measuring, Plan, make_pass, quiet, together
from chione.simulation.moments import Moments
from chione.simulation.network_result import NetworkSimulation
from chione.simulation.observables import OBSERVABLES, mean_products, pairs
from chione.simulation.options import LayeredOptions, Options, refuse_options
from chione.simulation.result import SimulationResult
from chione.simulation.side_by_side import at_a_time, one_by_one, runner_of
from chione.simulation.streams import entropy

DEFAULT_MEMORY = 256 * 2**20  # bytes of kept weights and signals, all workers together

#: Every word that ``observe=`` accepts.
NAMES: tuple[str, ...] = (*OBSERVABLES, *fluctuations.NAMES, *histograms.SIGNALS)


_OBSERVED = ("lengths", "correlations", "gradients")


@overload
def simulate(network: MLP, inputs: Any = None, **options: Unpack[Options]) -> SimulationResult: ...


@overload
def simulate(
    network: Network, inputs: Any = None, **options: Unpack[LayeredOptions]
) -> SimulationResult | NetworkSimulation: ...


def simulate(
    network: MLP | Network,
    inputs: Any = None,
    *,
    n_networks: int = 20,
    seed: int | None = 0,
    observe: Sequence[str] = _OBSERVED,
    sampler: str = "auto",
    dtype: str = "float64",
    workers: int | None = None,
    engine: Any = None,
    batch: int = 16,
    memory: int = DEFAULT_MEMORY,
    bins: int = histograms.BINS,
    backend: str = "numpy",
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
    effort: float = 1.0,
    ntk: bool = False,
    replicas: int = 1,
    positions: int | None = None,
) -> SimulationResult | NetworkSimulation:
    r"""Draw random networks, send inputs forward and errors backward, and average.

    .. math:: h^l = W^l x^{l-1} + b^l, \quad x^l = \phi(h^l), \qquad
        \delta^{l} = \phi'(h^l) \odot (W^{l+1})^T \delta^{l+1}

    Parameters
    ----------
    network : MLP or Network
        The network to draw. One whose layers are not alike goes to
        :func:`~chione.simulation.simulate_network`, which measures second moments everywhere.
    inputs : array_like, shape (B, N_0), optional
        One input in each row; by default two of mean square 1 and correlation 0.5, or what the
        network's own input says.
    n_networks : int
        Number of networks, at least 1 (and at least 2 for standard errors).
    seed : int or None
        Seed; None draws one, which the result holds.
    observe : sequence of str
        What to measure: see :data:`NAMES` and ``OBSERVABLES[name].words``.
    sampler : {"auto", "dense", "matrix-free"}
        Explicit weight matrices, or the exact sampler that never forms them (Gaussian and
        orthogonal weights). ``auto`` takes the latter where layers have 8 units an input or more.
    dtype : {"float64", "float32"}
        Precision of weights and signals; activations are evaluated in float64.
    workers : int, optional
        Networks that run side by side, each with one thread for linear algebra; 1 by default, or
        as many as there are cores where `engine` asks for several.
    engine : {"here", "threads", "processes", "dask"}, address or distributed.Client, optional
        Where they run, see :func:`chione.base.engines.engine`: by default in threads, processes
        where activations are evaluated by Python, a cluster where one machine is not enough.
    batch : int
        Largest number of networks whose measurements wait to be added up.
    memory : int
        Bytes for weights and signals that are kept between the passes.
    bins : int
        Bins of histograms.
    backend : {"numpy", "torch"}
        What multiplies dense weights; torch needs the extra ``torch``.
    device : str
        Device of the torch backend, such as ``"cuda"``; NumPy runs on the CPU and refuses others.
    progress : callable, optional
        Called with (networks done, networks in total) after each network.
    effort : float
        How many times the limits of a laptop (60 s of work on one core, 4 GB) it may take.
    ntk, replicas, positions : bool, int, int
        See :func:`~chione.simulation.simulate_network`; only where layers are not alike.

    Returns
    -------
    SimulationResult, or NetworkSimulation where layers are not alike
        Means, standard errors and variances over networks. The same seed gives the same numbers
        for every `batch`, `workers`, `engine` and `memory`. After an interrupt (Ctrl-C) it holds
        the networks that were finished, and ``n_networks`` says how many.

    Raises
    ------
    TypeError, ValueError
        For inputs of the wrong size, unknown observables, zero networks and the like.
    CostError
        If it would take more work or memory than `effort` allows; nothing has begun then.
    MissingExtraError
        If torch or dask is asked for and not installed.
    EngineError
        If workers die, or a cluster does not answer.

    Notes
    -----
    The error at the output is one random vector for all inputs, of mean square exactly 1.
    Memory does not grow with the number of networks. Signals that overflow give non-finite means,
    which :attr:`SimulationResult.warnings` reports.

    Examples
    --------
    >>> import chione
    >>> net = chione.MLP(chione.activation("tanh"), 1.5, 0.1, depth=10, width=300)
    >>> run = chione.simulate(net, n_networks=10, seed=1)
    >>> run.mean["lengths"].shape
    (10, 2)
    """
    if isinstance(network, Network) and uniform(network) is None:
        refuse_options(
            "networks whose layers are not alike, where all second moments are measured and "
            "ntk=True adds the tangent kernel",
            observe=(tuple(observe), _OBSERVED), sampler=(sampler, "auto"),
            dtype=(dtype, "float64"), batch=(batch, 16),
            memory=(memory, DEFAULT_MEMORY), bins=(bins, histograms.BINS),
            backend=(backend, "numpy"), device=(device, "cpu"),
        )  # fmt: skip
        # only here, since plain networks do without the samplers of all layer kinds
        from chione.simulation.networks import simulate_network

        return simulate_network(
            network, inputs, n_networks=n_networks, seed=seed, ntk=ntk, replicas=replicas,
            positions=positions, workers=workers, engine=engine, progress=progress,
            effort=effort,
        )  # fmt: skip
    refuse_options(
        "perceptrons; observe='ntk' measures their tangent kernel",
        ntk=(ntk, False), replicas=(replicas, 1), positions=(positions, None),
    )  # fmt: skip
    count = checks.integer("n_networks", n_networks)
    side = at_a_time(engine, workers, count)
    checks.integer("batch", batch)
    checks.integer("memory", memory)
    with cost.allowing(effort):
        if isinstance(network, Network):
            seed = entropy(seed)
            if inputs is None:
                inputs = correlated_inputs(network.input.width, network.input.inputs, seed=seed)
            network = uniform(network) or network
        network = as_network(network)
        plan = _plan(network, inputs, seed, observe, sampler, dtype, backend, device, bins)
        costs.check_simulation(
            network,
            inputs=len(plan.inputs),
            networks=count,
            observed=len(plan.layered) + len(plan.histograms) * (1 + bins // 20),
            sampler=plan.sampler,
            backward=any(o.backward for o in plan.layered) or "gradient_histogram" in plan.asked,
            memory=memory,
            workers=side,
            waiting=1 if side == 1 else max(min(batch, count), side),
            on_device=device != "cpu",
        )
    with quiet():
        edges = _edges(plan, memory // side)
    with runner_of(engine, workers, count) as runner:
        measuring = Measuring(plan, memory // runner.workers, edges)
        side = min(together(plan, measuring.memory), batch, -(-count // runner.workers))
        networks = one_by_one(measuring, range(count), runner, batch=batch, at_once=side)
        moments = _averaged(networks, count, progress)
    return _result(plan, moments, edges, count)


def _edges(plan: Plan, memory: int) -> dict[str, Array]:
    """Edges of the bins of all histograms; without one there is nothing to look at."""
    if not plan.histograms:
        return {}
    run = make_pass(plan, memory)
    return histograms.edges_of(plan.histograms, run, plan.seed, plan.inputs, plan.bins)


def _averaged(
    networks: Iterable[dict[str, Any]], count: int, progress: Callable[[int, int], None] | None
) -> dict[str, Moments]:
    """Moments over the networks that were finished, all of them unless interrupted."""
    moments: dict[str, Moments] = {}
    try:
        for measured in networks:
            moments = {  # one assignment, so that an interrupt finds whole networks only
                name: moments.get(name, Moments.empty(value.shape)).including(value)
                for name, value in measured.items()
            }
            if progress is not None:
                progress(_held(moments), count)
    except KeyboardInterrupt:
        if not moments:
            raise
    return moments


def _plan(
    network: MLP,
    inputs: Any,
    seed: int | None,
    observe: Sequence[str],
    sampler: str,
    dtype: str,
    backend: str,
    device: str,
    bins: int,
) -> Plan:
    start = entropy(seed)
    width = costs.first_width(network)
    if inputs is None and width < 2:
        raise ValueError("inputs must be given where input_width is 1: a pair needs two units.")
    x = input_pair(width, seed=start) if inputs is None else check_inputs(inputs, width)
    names = _names(observe)
    needed = dict.fromkeys("lengths" if n in fluctuations.NAMES else n for n in names)
    kind = np.dtype(checks.one_of("dtype", dtype, ("float32", "float64")))
    return Plan(
        network=network,
        inputs=x.astype(kind),
        seed=start,
        asked=names,
        layered=tuple(OBSERVABLES[n] for n in needed if n in OBSERVABLES),
        histograms=tuple(n for n in needed if n in histograms.SIGNALS),
        sampler=samplers.choose(sampler, backend, network, len(x), device),
        dtype=kind,
        bins=checks.integer("bins", bins),
        device=device,
    )


def _names(observe: Sequence[str]) -> tuple[str, ...]:
    names = (observe,) if isinstance(observe, str) else tuple(observe)
    if not names:
        raise ValueError(f"observe must name at least one of {', '.join(NAMES)}.")
    for name in names:
        checks.one_of("observe", name, NAMES)
    return tuple(dict.fromkeys(names))


def _held(moments: dict[str, Moments]) -> int:
    return next(iter(moments.values())).count


def _result(
    plan: Plan, moments: dict[str, Moments], edges: dict[str, Array], count: int
) -> SimulationResult:
    mean = {name: m.mean for name, m in moments.items()}
    stderr = {name: m.stderr for name, m in moments.items()}
    dims = {o.name: o.dims if o.total else ("layer", *o.dims) for o in plan.layered}
    dims |= dict.fromkeys(plan.histograms, ("layer", "bin"))
    widths = np.array(plan.network.widths[1:], np.float64)[:, None]
    for name in set(plan.asked) & set(fluctuations.NAMES):
        with quiet():
            derived = getattr(fluctuations, name)(moments["lengths"], widths)
        mean[name], stderr[name] = derived.mean, derived.stderr
        dims[name] = ("layer", "input")
    i, j = pairs(len(plan.inputs))
    with quiet():
        gram = mean_products(plan.inputs)
    return SimulationResult(
        network=plan.network,
        mean={name: mean[name] for name in plan.asked},
        stderr={name: stderr[name] for name in plan.asked},
        variance={n: m.variance for n, m in moments.items() if n in plan.asked},
        dims={name: dims[name] for name in plan.asked},
        pairs=tuple((int(a), int(b)) for a, b in zip(i, j, strict=True)),
        n_networks=_held(moments),
        requested=count,
        seed=plan.seed,
        sampler=plan.sampler,
        dtype=str(plan.dtype),
        input_gram=gram,
        edges=edges,
    )
