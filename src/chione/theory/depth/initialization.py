r"""Which initialisation to use, what it keeps and what it trades.

The edge of chaos (chi_perp = 1) keeps the size of gradients; a critical point (chi_parallel = 1
too) keeps that of signals as well. Every option is weighed by what it does over the given depth to
the user's own inputs: ``advice_rule`` holds the prices, ``candidates`` the options.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

from chione.activations import AbstractActivation, ActivationLike, activation
from chione.base import Status, checks, cost, missing
from chione.networks import WEIGHT_LAWS
from chione.theory.critical.recommendation import Recommendation
from chione.theory.critical.usual_schemes import SCHEMES, scheme_sigmas
from chione.theory.depth.advice_rule import USUAL_WIDTH, recommended_weights
from chione.theory.depth.advice_words import worded
from chione.theory.depth.candidates import Setting
from chione.theory.depth.finite_width import trust
from chione.theory.depth.options import Options, plain_option
from chione.theory.depth.weighing import Start
from chione.theory.meanfield.length_map import count, mean_square

LAWS = ("auto", *WEIGHT_LAWS)


@cost.ends
def gain(
    phi: ActivationLike,
    *,
    depth: int = 50,
    width: int | None = None,
    weights: str = "auto",
    q0: float = 1.0,
    c0: float = 0.5,
    change: bool = True,
) -> Recommendation:
    r"""Recommend sigma_w and sigma_b for an activation at a depth.

    .. math:: \chi_\perp = \sigma_w^2 E\,\phi'(\sqrt{q^*} z)^2 = 1, \qquad
       q^* = \sigma_w^2 E\,\phi(\sqrt{q^*} z)^2 + \sigma_b^2

    Parameters
    ----------
    phi : activation
        Anything :func:`chione.activation` accepts.
    depth : int
        Number of layers L.
    width : int, optional
        Units of a layer, 512 if not given; with it the reason says whether infinite width can be
        trusted.
    weights : {"auto", "gaussian", "orthogonal", "uniform", "truncated", "delta"}
        Law of the weights. ``auto`` recommends orthogonal ones where the depth is a twentieth of
        the width or more. The edge of chaos does not depend on it; fluctuations do.
    q0 : float
        Mean square of the inputs.
    c0 : float
        Correlation of two inputs.
    change : bool
        Whether an affine change of the activation may be chosen; where it is better, and not
        chosen, it is among the alternatives.

    Returns
    -------
    Recommendation
        With what it was weighed by, and its alternatives: other points of the same activation,
        affine changes that hold at this depth, and the usual schemes in the same terms.

    Raises
    ------
    ValueError, TypeError, SpecError
        If an argument is not as described.

    Notes
    -----
    Candidates are the critical points, the whole edge of chaos as a line in q*, and the affine
    changes :math:`a\,\phi(x + s) + o` for which both susceptibilities are 1 at the length of the
    inputs. Each is followed from inputs of mean square `q0`, half and twice that, with the same
    sigmas in every layer, and described by eight figures in decades; their weighted sum decides
    (:meth:`Recommendation.table` prints them). A point of the line may repel lengths
    (chi_parallel > 1) where that comes to little over the depth. An affine change is chosen where
    it is better by 0.7, which the reason says; its activation is then the changed one.

    Examples
    --------
    >>> round(gain("relu").sigma_w ** 2, 12)
    2.0
    >>> gain("quadratic").kind
    'none'
    """
    act = activation(phi)
    depth, q0 = count("depth", depth), mean_square("q0", q0)
    units = USUAL_WIDTH if width is None else count("width", width)
    checks.one_of("weights", weights, LAWS)
    c0 = float(checks.correlation("c0", c0))
    law = recommended_weights(depth, units) if weights == "auto" else weights
    setting = Setting(depth, units, Start(q0, min(c0, 1.0 - 1e-9), law))
    return advise(act, setting, change=change, trusted=width is not None)


def advise(
    act: AbstractActivation,
    setting: Setting,
    *,
    change: bool,
    trusted: bool = False,
    beside: tuple[str, ...] = SCHEMES,
) -> Recommendation:
    """The rule: the best option of an activation in a setting, with its reason and the others.

    With `trusted` the reason says whether infinite width can be trusted; `beside` names the schemes
    that are described with it.
    """
    options = _weighed(act, setting)
    best = options.best(change=change)
    schemes = tuple(o for o in (options.scheme(name) for name in beside) if o is not None)
    if best is None:
        changed = options.changes
        why = f"{options.refusal} {changed[0].reason}" if changed else options.refusal
        none = _nothing(act, setting.depth, why)
        return replace(none, alternatives=(*changed, *schemes))
    others = options.others(best)
    told = worded(best, others, options)
    if trusted:
        words = _width_words(options.activation_of(best), best, setting.width)
        told = replace(told, reason=f"{told.reason} {words}")
    return replace(told, alternatives=(*others, *schemes))


@lru_cache(maxsize=2)  # advice with and without a change of the activation weighs the same
def _weighed(act: AbstractActivation, setting: Setting) -> Options:
    return Options(act, setting)


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
    """Say what Xavier, He, LeCun, PyTorch's or Glorot's standard weights do with an activation.

    Parameters
    ----------
    phi : activation
        Anything :func:`chione.activation` accepts.
    scheme : {"xavier", "he", "lecun", "pytorch", "calculate_gain", "standard"}
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
    setting = Setting(depth, count("fan_in", fan_in), Start(q0))
    return plain_option(act, scheme, sigmas, setting)


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
        reason=reason,
    )


def _width_words(act: AbstractActivation, best: Recommendation, width: int) -> str:
    """Whether the infinite-width figures hold at this width."""
    return trust(
        act,
        sigma_w=best.sigma_w,
        sigma_b=best.sigma_b,
        depth=best.depth,
        width=width,
        weights=best.weights,
    ).sentence
