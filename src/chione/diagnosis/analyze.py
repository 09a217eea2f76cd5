"""The main job: an activation, its sigmas, a depth and a width, at a glance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, overload

import numpy as np

from chione.activations import AbstractActivation, ActivationLike, activation
from chione.base import (
    ConvergenceError,
    CostError,
    SpecError,
    Status,
    checks,
    cost,
)
from chione.diagnosis.alternatives import Alternative, alternative, compare, gradient_estimate
from chione.diagnosis.analysis import Analysis
from chione.diagnosis.curve_errors import curve_errors
from chione.diagnosis.measure import (
    check_cost,
    measure_depth,
    measure_slopes,
)
from chione.diagnosis.phases import phase_of
from chione.diagnosis.verdict import judge, passage, rule
from chione.networks import MLP, AbstractLayer, Network, Weights
from chione.theory import (
    Recommendation,
    Trust,
    deep_trajectory,
    gain,
    mean_field,
    second_moment,
    trust,
)
from chione.theory.critical.usual_schemes import NAMED, scheme_law, scheme_sigmas
from chione.theory.depth.deep_trajectory import FOLLOWED
from chione.theory.depth.trainability import OPTIMIZERS
from chione.theory.moments.moments import moments

if TYPE_CHECKING:
    from chione.diagnosis.network_analysis import NetworkAnalysis

_LAYER_SECONDS = 3e-3  # s a layer of theory and alternatives: 0.2e-3 (softplus) to 2.9e-3 (relu)
SLOPE_NETWORKS = 4  # networks of two layers for each deep one: they cost a tenth of it
_NETWORKS = 10  # of any layers that are simulated where nothing is said


class NetworkOptions(TypedDict, total=False):
    """What `analyze` takes beside a described network."""

    n_networks: int
    seed: int
    simulate: bool
    effort: float


class Options(NetworkOptions, total=False):
    """What it takes beside an activation."""

    depth: int
    width: int
    weights: Weights
    picture: bool
    optimizer: str | None
    init: str | None


@overload
def analyze(phi: Network, **options: Unpack[NetworkOptions]) -> NetworkAnalysis: ...


@overload
def analyze(
    phi: ActivationLike | MLP,
    sigma_w: float | None = None,
    sigma_b: float | None = None,
    **options: Unpack[Options],
) -> Analysis: ...


def analyze(
    phi: ActivationLike | MLP | Network,
    sigma_w: float | None = None,
    sigma_b: float | None = None,
    *,
    depth: int | None = None,
    width: int | None = None,
    weights: Weights | None = None,
    n_networks: int | None = None,
    seed: int = 0,
    simulate: bool = True,
    picture: bool = False,
    optimizer: str | None = None,
    init: str | None = None,
    effort: float = 1.0,
) -> Analysis | NetworkAnalysis:
    r"""Tell whether a network can train at its depth, why not, and what to use instead.

    .. math::
        q^{l+1} = \sigma_w^2 E\,\phi(\sqrt{q^l} z)^2 + \sigma_b^2, \qquad
        d^l = \sigma_w^2 E\,\phi'(\sqrt{q^l} z)^2 \, d^{l+1}

    The first input has mean square 1, the second one correlation 0.5 with it.

    Parameters
    ----------
    phi : activation, str, callable, MLP or Network
        Whatever :func:`chione.activation` accepts; or a network, which has sigmas, depth and width
        of its own. A :class:`chione.networks.Network` of any layers is analysed place by place,
        see :func:`chione.diagnosis.analyze_network`.
    sigma_w, sigma_b : float, optional
        Standard deviations as in :math:`W_{ij} \sim N(0, \sigma_w^2/n)`,
        :math:`b_i \sim N(0, \sigma_b^2)`. Without both of them the recommended initialisation is
        analysed; `sigma_b` alone missing means 0.
    depth : int
        Number of layers L, 50 by default.
    width : int
        Units of each layer of the simulated networks, 512 by default.
    weights : {"gaussian", "orthogonal", "uniform", "truncated", "delta"}
        Law of the simulated weights, Gaussian by default.
    n_networks : int
        How many networks are simulated, at least 2; 50 by default, of other networks 10.
    seed : int
        Seed of the simulation.
    simulate : bool
        Whether finite networks are simulated at all.
    picture : bool
        Whether the data of the picture (maps, phase diagram) is computed as well, so that it is
        part of the result; :meth:`Analysis.with_picture` does it later.
    optimizer : {"sgd", "momentum", "adam"}, optional
        What is to train it, for the verdict: plain gradient descent, with momentum of 0.9, or
        Adam. Without one the verdict is what holds for all three, and *doubtful* where it depends;
        ``verdict.optimizers`` has the answer for each.
    init : str, optional
        In place of the sigmas the name of a scheme: "xavier", "he", "lecun", "pytorch",
        "calculate_gain" or "standard" (Glorot and Bengio's U(-1/sqrt n, 1/sqrt n)); weights are
        drawn from its law if none is given. See :func:`chione.describe_scheme`.
    effort : float
        How many times the limits of a laptop (60 s of work, 4 GB) it may take.

    Returns
    -------
    Analysis or NetworkAnalysis
        Prints as a table; ``.plot()`` draws it, ``.to_dict()`` gives plain data.

    Raises
    ------
    ValueError, TypeError, SpecError
        If an argument is not as described.
    ConvergenceError
        If the Gaussian expectations of the activation are infinite, so that no wide network has
        a finite mean square.
    CostError
        If it would take more than `effort` allows.

    Notes
    -----
    "A signal survives" for six depth scales [1]_. The verdict on training is the rule of
    :mod:`chione.theory.depth.trainability` for plain networks without normalisation or skip
    connections, the same that :func:`chione.torch.inspect` applies to what it measures.

    References
    ----------
    .. [1] S. S. Schoenholz, J. Gilmer, S. Ganguli, J. Sohl-Dickstein, "Deep information
       propagation", ICLR 2017.

    Examples
    --------
    >>> import chione
    >>> result = chione.analyze("tanh", 1.5, 0.1, depth=20, simulate=False)
    >>> result.theory.phase
    'chaotic'
    """
    own: dict[str, Any] = {"sigma_w": sigma_w, "sigma_b": sigma_b, "depth": depth, "width": width}
    own |= {"weights": weights, "init": init}
    if optimizer is not None:
        checks.one_of("optimizer", optimizer, OPTIMIZERS)
    _refuse_layers(phi)
    if isinstance(phi, (MLP, Network)):
        _refuse(phi, own)
    if isinstance(phi, Network):
        if optimizer is not None:
            raise TypeError(
                f"optimizer={optimizer!r} cannot be given beside a Network: the answers by "
                "optimiser were measured on plain networks (an activation with sigmas, or an MLP) "
                "only; leave it away."
            )
        # only here, since plain networks do without the layer kinds
        from chione.diagnosis.network_analysis import analyze_network

        count = _NETWORKS if n_networks is None else n_networks
        return analyze_network(phi, n_networks=count, seed=seed, simulate=simulate, effort=effort)
    if isinstance(phi, MLP):
        own = {name: getattr(phi, name) for name in own if name != "init"}
        if not isinstance(phi.width, int) or phi.widths[0] != phi.width:
            raise ValueError(
                f"analyze simulates layers of one width, but the widths are {phi.widths}; use "
                f"analyze(network.network()) for others."
            )
        phi = phi.activation
    elif init is not None:
        own = _named(init, own, activation(phi))
    with cost.allowing(effort):
        found = _analyze(
            activation(phi),
            own["sigma_w"],
            own["sigma_b"],
            50 if own["depth"] is None else own["depth"],
            512 if own["width"] is None else own["width"],
            own["weights"] or "gaussian",
            50 if n_networks is None else n_networks,
            seed,
            simulate,
            optimizer,
        )
        return found.with_picture() if picture else found


def _named(init: str, own: dict[str, Any], act: AbstractActivation) -> dict[str, Any]:
    """Sigmas and law of a scheme in place of those that were not given."""
    checks.one_of("init", init, NAMED)
    given = [name for name in ("sigma_w", "sigma_b") if own[name] is not None]
    if given:
        raise TypeError(
            f"{' and '.join(given)} cannot be given beside init={init!r}, which is a choice of "
            "both; leave one of the two away."
        )
    width = 512 if own["width"] is None else own["width"]
    sigmas = _scheme(init, act, checks.integer("width", width))
    if sigmas is None:
        raise SpecError(
            f"{init} has no number for {act.name}; it covers linear, sigmoid, tanh, relu, "
            "leaky_relu and selu. Give sigma_w, or another scheme."
        )
    law = own["weights"] or scheme_law(init)
    return own | {"sigma_w": sigmas[0], "sigma_b": sigmas[1], "weights": law}


def _refuse_layers(phi: Any) -> None:
    """Refuse layers that are no network yet, and a network that is still plain data."""
    if isinstance(phi, (AbstractLayer, list, tuple)):
        raise TypeError(
            "layers become a network with an input: chione.networks.Network([Dense(1.4), ...], "
            f"Input(width=64)); analyze was given {phi!r:.60}."
        )
    if isinstance(phi, dict):
        raise TypeError(
            "a dictionary becomes a network with chione.Network.from_dict; analyze was given "
            f"{phi!r:.60}."
        )


def _refuse(network: MLP | Network, own: Mapping[str, Any]) -> None:
    """Refuse what a network has of its own."""
    given = [name for name, value in own.items() if value is not None]
    if given:
        raise TypeError(
            f"{' and '.join(given)} cannot be given beside a {type(network).__name__}, which has "
            f"its own; leave them away."
        )


def _analyze(
    act: AbstractActivation,
    sigma_w: float | None,
    sigma_b: float | None,
    depth: int,
    width: int,
    weights: Weights,
    n_networks: int,
    seed: int,
    simulate: bool,
    optimizer: str | None,
) -> Analysis:
    """Check the arguments and the cost, choose sigmas where none are given, and assemble."""
    depth = checks.integer("depth", depth)
    checks.integer("width", width)
    followed = depth if depth <= FOLLOWED else 1000
    cost.check(
        f"the theory of {depth} layers",
        seconds=_LAYER_SECONDS * followed,
        fits=f"a depth of {int(cost.SECONDS / _LAYER_SECONDS)} fits, or any above {FOLLOWED}",
    )
    if simulate:
        count = checks.integer("n_networks", n_networks, minimum=2)
        plan = MLP(act, 1.0, 0.0, depth, int(width), weights)  # sigmas cost nothing
        try:
            check_cost(plan, n_networks=count, slope_networks=SLOPE_NETWORKS * count)
        except CostError as err:
            theory = "The theory alone answers at once: simulate=False, or --no-simulate."
            raise CostError(f"{err} {theory}") from None
    if sigma_w is None and sigma_b is not None:
        raise ValueError("sigma_b was given without sigma_w; give both, or neither.")
    chosen_here = sigma_w is None
    if sigma_w is not None:  # before anything long is computed
        w, b = checks.non_negative("sigma_w", sigma_w), checks.non_negative("sigma_b", sigma_b or 0)
        _require_finite(act, w * w + b * b)
    advice = gain(act, depth=depth, width=width, weights=weights, change=False)
    if sigma_w is None:
        w, b = _recommended(advice, act, width)
        _require_finite(act, w * w + b * b)
    network = MLP(act, w, b, depth, int(width), weights)
    return _assemble(network, advice, chosen_here, n_networks if simulate else 0, seed, optimizer)


def _require_finite(act: AbstractActivation, q: float) -> None:
    """Refuse an activation whose mean square is infinite already in the first layer.

    Raises
    ------
    ConvergenceError
        With the length at which the expectation is infinite.
    """
    square = second_moment(act, q)
    if Status(int(square.status)) == Status.INFINITE:
        raise ConvergenceError(
            f"the mean square of {act.name} is infinite for a Gaussian of variance {q:.6g}, which "
            "the first layer has: the activation grows too fast, and no wide network has a length.",
            square,
        )


def _assemble(
    network: MLP,
    advice: Recommendation,
    chosen_here: bool,
    n_networks: int,
    seed: int,
    optimizer: str | None,
) -> Analysis:
    act, sigma_w, sigma_b = network.activation, network.sigma_w, network.sigma_b
    field = mean_field(act, sigma_w=sigma_w, sigma_b=sigma_b)
    curves = deep_trajectory(act, sigma_w=sigma_w, sigma_b=sigma_b, depth=network.depth)
    if curves.status == Status.NOT_COMPUTED:
        raise ConvergenceError(
            f"{act.name} at sigma_w = {sigma_w:.6g}, sigma_b = {sigma_b:.6g} settles too slowly to "
            f"say what {network.depth} layers do: neither within a thousand layers nor as a power "
            f"of the depth; take a depth up to {FOLLOWED}, or other sigmas.",
            curves,
        )
    errors = curve_errors(act, curves, sigma_w=sigma_w)
    slopes = None
    if n_networks:
        slopes = measure_slopes(
            network,
            q_star=float(field.q_star.value),
            c_star=float(field.c_star.value),
            n_networks=SLOPE_NETWORKS * n_networks,
            seed=seed,
        )
    phase = phase_of(field, advice)
    own = alternative(_own_name(advice, chosen_here), field, curves, errors.gradient, advice)
    trusted = _trust(network)
    way = passage(
        act, curves, sigma_w=sigma_w, sigma_b=sigma_b, width=network.first_width, mean=field,
        spread=math.nan if trusted is None else float(trusted.relative_spread.value),
    )  # fmt: skip
    return Analysis(
        network=network,
        theory=field,
        curves=curves,
        errors=errors,
        gradient=gradient_estimate(own.log10_gradient, errors.gradient),
        log10_gradient=own.log10_gradient,
        log10_error=own.log10_error,
        layer_log10_gradient=curves.passed,
        survives=own.survives,
        survives_reason=own.survives_reason,
        phase=phase,
        verdict=judge(
            phase,
            rule(way, curves, optimizer),
            log10_gradient=own.log10_gradient,
            depth=network.depth,
            why_infinite=moments(network.activation).why_infinite(),
            settled=_near(float(curves.q[-1]), float(field.q_star.value)),
            optimizer=optimizer,
        ),
        recommendation=advice,
        alternatives=(own, *_alternatives(network, advice, chosen_here)),
        simulation=measure_depth(network, n_networks=n_networks, seed=seed) if n_networks else None,
        slopes=slopes,
        finite_width=trusted,
        chosen_here=chosen_here,
    )


def _trust(network: MLP) -> Trust | None:
    """How far infinite width holds; None where lengths leave float64, as the verdict says."""
    try:
        found = trust(
            network.activation,
            sigma_w=network.sigma_w,
            sigma_b=network.sigma_b,
            depth=network.depth,
            width=network.first_width,
            weights=network.weights,
        )
    except ConvergenceError:
        return None
    known = np.isfinite(found.relative_spread.value) and not np.isnan(found.ratio.value)
    return found if known else None  # a signal that dies has no relative spread


def _recommended(
    advice: Recommendation, act: AbstractActivation, width: int
) -> tuple[float, float]:
    """The recommended sigmas, or PyTorch's default where nothing can be recommended."""
    if advice.exists:
        return advice.sigma_w, advice.sigma_b
    return _scheme("pytorch", act, width) or (0.0, 0.0)


def _own_name(advice: Recommendation, chosen_here: bool) -> str:
    """What the analysed network is called in the list of choices."""
    if not chosen_here:
        return "this network"
    return "recommended" if advice.exists else "torch.nn.Linear default"


def _scheme(name: str, act: AbstractActivation, width: int) -> tuple[float, float] | None:
    return scheme_sigmas(name, act, fan_in=width, fan_out=width)


def _alternatives(
    network: MLP, advice: Recommendation, chosen_here: bool
) -> tuple[Alternative, ...]:
    act, width = network.activation, network.first_width
    choices = {
        "recommended": (advice.sigma_w, advice.sigma_b) if advice.exists else None,
        "torch.nn.Linear default": _scheme("pytorch", act, width),
        "torch calculate_gain": _scheme("calculate_gain", act, width),
    }
    first = _own_name(advice, chosen_here)
    return tuple(
        compare(
            name,
            act,
            sigma_w=sigmas[0],
            sigma_b=sigmas[1],
            depth=network.depth,
            recommended=advice,
        )
        for name, sigmas in choices.items()
        if sigmas is not None and not (chosen_here and name == first)
    )


def _near(q: float, q_star: float) -> bool:
    """Whether lengths have come within a tenth of their fixed point (any length, if it is 0)."""
    return not np.isfinite(q_star) or q_star == 0.0 or abs(q - q_star) <= 0.1 * q_star
