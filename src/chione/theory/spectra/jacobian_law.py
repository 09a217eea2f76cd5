"""The law of phi'(h)^2 over the units of a layer: what the Jacobian's spectrum is made of."""

from __future__ import annotations

from functools import lru_cache, partial

import numpy as np

from chione.activations import ActivationLike, activation
from chione.activations.protocol import AbstractActivation
from chione.base import EPS, Array, checks
from chione.freeprob import GaussianSquare, gaussian_square
from chione.gaussian.features import features_of
from chione.theory.moments.moments import moments as theory_moments

_NEIGHBOURS = 1e-7  # of a stretch: the width of a cluster in which a function is a straight line
_GOLDEN = 0.6180339887498949


def derivative_law(phi: ActivationLike, q: float) -> GaussianSquare:
    r"""Law of :math:`t = \phi'(h)^2` with :math:`h \sim N(0, q)`.

    .. math:: \mu_k = E\,t^k, \qquad M_{D^2}(w) = E\,\frac{t}{w - t}

    Parameters
    ----------
    phi : activation
        Anything that :func:`chione.activation` accepts.
    q : float
        Mean square of the pre-activations, above 0.

    Returns
    -------
    GaussianSquare
        A measure with density, distribution function, exact atoms, moments and transforms.

    Raises
    ------
    ValueError
        If q is not above 0, if phi jumps (its squared derivative has infinite mean), or if phi
        is constant.
    """
    return _law(activation(phi), _q_star(q))


@lru_cache(maxsize=256)
def _law(phi: AbstractActivation, q: float) -> GaussianSquare:
    for kink, _ in theory_moments(phi).jumps:
        raise ValueError(
            f"the spectrum needs a finite mean of phi'(h)^2, but {phi.name} jumps at "
            f"{kink:g}; use a continuous activation."
        )
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        law = gaussian_square(
            phi.derivative,
            q,
            breakpoints=phi.kinks,
            slope=phi.second_derivative if phi.known else None,
            features=_features(phi, q),
            noise=None if phi.known else partial(_rounding, phi),
        )
        moments = law.moments(4)
    if not np.all(np.isfinite(moments)):
        raise ValueError(
            f"the spectrum needs finite moments of phi'(h)^2, but those of {phi.name} are "
            f"infinite at q = {q:g}; take a smaller q or a slower activation."
        )
    if moments[0] <= 0.0:
        raise ValueError(
            f"the derivative of {phi.name} is zero almost everywhere, so its Jacobian is 0; "
            "use an activation that is not constant."
        )
    return law


def _features(phi: AbstractActivation, q: float) -> Array | None:
    """Where the derivative of a function that nobody vouches for may be narrow."""
    features = features_of(phi.derivative, phi.kinks)
    return None if features is None else features.at(float(np.sqrt(q))).edges


def _rounding(phi: AbstractActivation, a: float, b: float) -> float:
    """Slope that rounding alone gives to phi between a and b, where phi is a straight line.

    The values scatter around their line by the rounding of the terms that cancel in them, which
    is measured at clusters of neighbours: there any smooth function is straight.
    """
    center = a + (b - a) * np.array([[0.07], [0.31], [0.52], [0.76], [0.94]])
    k = np.arange(32.0)
    step = (b - a) * _NEIGHBOURS * (k + 0.1 + 0.8 * np.mod(k * _GOLDEN, 1.0))
    h = center + step
    y = phi.as_written(h.ravel()).reshape(h.shape)
    size = 0.25 * EPS * float(np.max(abs(y)))
    x = h - h.mean(axis=1, keepdims=True)
    y = y - y.mean(axis=1, keepdims=True)
    slope = np.sum(x * y, axis=1, keepdims=True) / np.sum(x * x, axis=1, keepdims=True)
    return max(float(np.max(abs(y - slope * x))), size) / (b - a)


def _q_star(q: float) -> float:
    value = checks.finite("q_star", q)
    if value <= 0.0:
        raise ValueError(
            f"q_star must be above 0, but it is {value!r}; at q = 0 every unit has the same "
            "derivative phi'(0) and the network is linear."
        )
    return value
