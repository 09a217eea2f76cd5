r"""Which initialisation to use, what it keeps and what it trades.

The edge of chaos (chi_perp = 1) keeps the size of gradients; a critical point (chi_parallel = 1
too) keeps that of signals as well. Every option is judged by what it does over the given depth.
"""

from __future__ import annotations

import math
from dataclasses import replace

from chione.activations import AbstractActivation, ActivationLike, activation
from chione.base import Estimate, Status, checks, cost, missing
from chione.networks import WEIGHT_LAWS
from chione.theory.critical.affine_solutions import critical_affine
from chione.theory.critical.critical_point import CriticalPoint
from chione.theory.critical.criticality import criticality
from chione.theory.critical.edge_of_chaos import edge_option
from chione.theory.critical.options import option, root_error
from chione.theory.critical.recommendation import Recommendation
from chione.theory.critical.usual_schemes import SCHEMES, scheme_sigmas
from chione.theory.depth.finite_width import trust
from chione.theory.meanfield.length_map import count, mean_square
from chione.theory.moments.moments import moments

# A critical point is preferred unless the edge of chaos does better by more than this, in decades
# of gradient and distance over the depth: chi_parallel = 1 is worth something by itself.
_PREFERENCE = 0.5


@cost.ends
def gain(
    phi: ActivationLike,
    *,
    depth: int = 50,
    width: int | None = None,
    weights: str = "gaussian",
    q0: float = 1.0,
) -> Recommendation:
    r"""Recommend sigma_w and sigma_b for an activation at a depth.

    .. math:: \chi_\perp = \sigma_w^2 E\,\phi'(\sqrt{q^*} z)^2 = 1, \qquad
       \chi_\parallel = \sigma_w^2 \tfrac{d}{dq} E\,\phi(\sqrt q z)^2 \Big|_{q^*} \le 1

    Parameters
    ----------
    phi : activation
        Anything :func:`chione.activation` accepts.
    depth : int
        Number of layers L.
    width : int, optional
        Units of a layer; with it the reason says whether infinite width can be trusted, and the
        PyTorch default is described for this fan-in (512 otherwise).
    weights : {"gaussian", "orthogonal", "uniform", "truncated", "delta"}
        Law of the weights. The sigmas do not depend on it; fluctuations at finite width do.
    q0 : float
        Mean square of the inputs.

    Returns
    -------
    Recommendation
        With its alternatives: other points of the same activation, affine changes where the
        activation itself has no solution, and the usual schemes in the same terms.

    Raises
    ------
    ValueError, TypeError, SpecError
        If an argument is not as described.

    Notes
    -----
    Options are compared by the decades that gradients and distances lose or gain over the depth.
    A critical point wins unless a stable point on the edge of chaos is better by half a decade.
    Fixed points with chi_parallel > 1 repel lengths and are never recommended.

    Examples
    --------
    >>> round(gain("relu").sigma_w ** 2, 12)
    2.0
    >>> gain("softplus").kind
    'none'
    """
    act = activation(phi)
    depth, q0 = count("depth", depth), mean_square("q0", q0)
    fan = 512 if width is None else count("width", width)
    checks.one_of("weights", weights, WEIGHT_LAWS)
    found = criticality(act)
    options = [_critical(act, p, depth, q0) for p in found.points if p.is_reached]
    edge = edge_option(act, depth, q0)
    options += [] if edge is None else [edge]
    schemes = tuple(
        s
        for s in (describe_scheme(act, name, depth=depth, fan_in=fan, q0=q0) for name in SCHEMES)
        if s is not None
    )
    if not options:
        best = _nothing(act, depth, found.reason)
        changed = _affine_options(act, depth, q0)
        if changed:
            best = replace(best, reason=f"{best.reason} {changed[0].reason}")
        return replace(best, alternatives=(*changed, *schemes))
    best = min(options, key=_cost)
    others = tuple(o for o in options if o is not best)
    changed = () if found.points else _affine_options(act, depth, q0)
    best = replace(best, reason=_words(best, others, found.reason))
    if width is not None:
        best = replace(best, reason=f"{best.reason} {_width_words(best, act, fan, weights)}")
    return replace(best, alternatives=(*others, *changed, *schemes))


@cost.ends
def describe_scheme(
    phi: ActivationLike,
    scheme: str,
    *,
    depth: int = 50,
    fan_in: int = 512,
    fan_out: int | None = None,
    q0: float = 1.0,
) -> Recommendation | None:
    """Say what Xavier, He, LeCun, PyTorch's default or ``calculate_gain`` do with an activation.

    Parameters
    ----------
    phi : activation
        Anything :func:`chione.activation` accepts.
    scheme : {"xavier", "he", "lecun", "pytorch", "calculate_gain"}
        Whose choice, see :func:`chione.theory.critical.usual_schemes.scheme_sigmas`.
    depth : int
        Number of layers.
    fan_in, fan_out : int
        Sizes of each layer; `fan_out` equals `fan_in` by default.
    q0 : float
        Mean square of the inputs.

    Returns
    -------
    Recommendation or None
        None where the scheme does not cover the activation.

    Raises
    ------
    ValueError, TypeError, SpecError
        If an argument is not as described.
    """
    act = activation(phi)
    depth, q0 = count("depth", depth), mean_square("q0", q0)
    sigmas = scheme_sigmas(
        scheme, act, fan_in=fan_in, fan_out=fan_in if fan_out is None else fan_out
    )
    if sigmas is None:
        return None
    return option(act, scheme, "scheme", sigmas[0], sigmas[1], depth=depth, q0=q0)


def _critical(act: AbstractActivation, p: CriticalPoint, depth: int, q0: float) -> Recommendation:
    if p.universality == "scale-invariant":
        q_star = p.weight_variance * q0
    else:
        q_star = p.k_star
    status = Status.HALF_STABLE if p.universality == "half-stable" else Status.OK
    return option(
        act,
        f"critical point, {p.universality}",
        "critical",
        p.sigma_w,
        p.sigma_b,
        depth=depth,
        q0=q0,
        q_star=q_star,
        status=status,
        sigma_errors=(root_error(p.weight_variance), root_error(p.bias_variance)),
    )


def _affine_options(act: AbstractActivation, depth: int, q0: float) -> tuple[Recommendation, ...]:
    """Affine changes with both susceptibilities 1 at K = q0: the two with the smallest shift."""
    if moments(act).has_jumps:
        return ()
    out = []
    for found in critical_affine(act, k=q0)[:2]:
        made = option(
            found.activation,
            "affine change",
            "critical",
            found.sigma_w,
            found.sigma_b,
            depth=depth,
            q0=q0,
            q_star=Estimate(found.k, 0.0),
            status=Status.HALF_STABLE,
        )
        words = (
            f"Replace {act} by {found.scale:.9g} * {act}(x {_signed(found.shift)}) "
            f"{_signed(found.offset)}: then both "
            f"susceptibilities are 1 at q* = {found.k:g}, which holds lengths from "
            f"{'below' if found.curvature.value > 0 else 'above'} only."
        )
        out.append(replace(made, reason=f"{words} {made.reason}"))
    return tuple(out)


def _cost(o: Recommendation) -> float:
    """Decades lost or gained over the depth; infinite where they have no value."""
    cost = abs(o.log10_gradient) + abs(o.log10_distance)
    if not math.isfinite(cost):
        return math.inf
    return cost - (_PREFERENCE if o.kind == "critical" else 0.0)


def _nothing(act: AbstractActivation, depth: int, reason: str) -> Recommendation:
    none = missing(Status.NONE)
    return Recommendation(
        name="none",
        activation=act.name,
        depth=depth,
        sigma_w=math.nan,
        sigma_b=math.nan,
        q_star=none,
        chi_parallel=none,
        chi_perp=none,
        gradient=none,
        log10_gradient=math.nan,
        log10_distance=math.nan,
        status=Status.NONE,
        kind="none",
        reason=f"{reason} No point on the edge of chaos is stable and has sigma_b^2 >= 0.",
    )


def _words(best: Recommendation, others: tuple[Recommendation, ...], why: str) -> str:
    """What the chosen option keeps, and against what it was chosen."""
    if best.kind == "critical":
        kept = "Signals and gradients are both critical (chi_parallel = chi_perp = 1)."
        if best.status != Status.OK:
            start = (best.q_star.value - best.sigma_b**2) / best.sigma_w**2
            kept += (
                f" q* = {best.q_star.value:.6g} holds lengths from one side only; inputs of mean "
                f"square {start:.4g} start right there."
            )
    else:
        kept = (
            f"Gradients keep their size at q* = {best.q_star.value:g}, which attracts lengths "
            f"(chi_parallel = {best.chi_parallel.value:.3g}, so input lengths are forgotten)."
        )
        if not others:
            kept += f" There is no critical point: {why}"
    text = f"{kept} {best.reason}"
    for o in others:
        text += f" Against it: {o.name} (sigma_w = {o.sigma_w:.6g}, sigma_b = {o.sigma_b:.6g}): "
        text += o.reason[:1].lower() + o.reason[1:]
    return text


def _width_words(best: Recommendation, act: AbstractActivation, width: int, weights: str) -> str:
    """Whether the infinite-width figures hold at this width."""
    return trust(
        act,
        sigma_w=best.sigma_w,
        sigma_b=best.sigma_b,
        depth=best.depth,
        width=width,
        weights=weights,
    ).sentence


def _signed(x: float) -> str:
    return f"{'-' if x < 0 else '+'} {abs(x):.9g}"
