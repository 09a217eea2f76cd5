r"""The backward pass at infinite width: error signals and weight gradients, layer by layer.

.. math::
    D^l_{ab} = \sigma_w^2 \frac{n_{l+1}}{n_l}\, E\,\phi'(u_a) \phi'(u_b)\; D^{l+1}_{ab}, \qquad
    \langle g_a^l, g_b^l \rangle = (x_a^{l-1} \cdot x_b^{l-1})\,(\delta_a^l \cdot \delta_b^l)

with D the mean over units of the products of error signals
:math:`\delta = \partial L / \partial h`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chione.activations import ActivationLike, activation
from chione.base import (
    EPS,
    AbstractResult,
    Array,
    ConvergenceError,
    Estimate,
    Status,
    along,
    checks,
    cost,
    result,
)
from chione.gaussian import expectation
from chione.networks import MLP, as_network
from chione.theory.depth.kernel_mixed import two_inputs
from chione.theory.moments.moments import moments

STARTS = ("unit", "squared")


@result
class BackwardPass(AbstractResult):
    """Error signals and gradients of two inputs; columns are the entries 11, 12 and 22.

    Parameters
    ----------
    metric : Estimate, shape (L, 3)
        Mean products of the pre-activations of each layer.
    errors : Estimate, shape (L, 3)
        Mean products of the error signals of each layer.
    weight_gradients : Estimate, shape (L, 3)
        Inner products of the gradients with respect to each whole weight matrix.
    bias_gradients : Estimate, shape (L, 3)
        The same for the biases.
    """

    axes = along("layer entry", "metric", "errors", "weight_gradients", "bias_gradients")

    metric: Estimate
    errors: Estimate
    weight_gradients: Estimate
    bias_gradients: Estimate


@result
class Tradeoff(AbstractResult):
    r"""How fast a centred, normalised activation parts inputs, and how fast gradients grow.

    Parameters
    ----------
    activation : str
        Name of the activation, before centring.
    decorrelation : Estimate
        :math:`\kappa'(0) = c_1^2`: factor on small correlations per layer, at most 1.
    gradient : Estimate
        :math:`\kappa'(1) = \sum_k k c_k^2`: factor on the mean square gradient, at least 1.
    """

    activation: str
    decorrelation: Estimate
    gradient: Estimate


@cost.ends
def backward(
    network: MLP,
    *,
    q0: tuple[float, float] = (1.0, 1.0),
    c0: float = 0.5,
    start: str = "unit",
    targets: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> BackwardPass:
    r"""Follow two inputs forward, and their error signals and gradients backward.

    Parameters
    ----------
    network : MLP
        Widths may differ from layer to layer; the last layer is a linear read-out.
    q0 : tuple of float
        Mean squares of the two inputs.
    c0 : float
        Their correlation, in [-1, 1].
    start : {"unit", "squared"}
        Where gradients begin: ``unit``, error signals of mean square 1 at the read-out, equal for
        both inputs; ``squared``, the loss :math:`\tfrac12 \|h^L - y\|^2`, whose error signal is
        :math:`h^L - y`.
    targets : tuple of float
        For ``squared``: mean products 11, 12, 22 of the targets, which are independent of the
        network.

    Returns
    -------
    BackwardPass

    Raises
    ------
    ValueError
        If an argument is not as described.
    ConvergenceError
        If a moment is infinite, as for an activation that jumps.

    Notes
    -----
    Weights that are used backward are taken as independent of those used forward, which is exact
    at infinite width as long as error signals do not depend on the read-out weights. For the
    squared loss they do, through h^L: the corrections are of the order of the number of outputs
    over the width of the last hidden layer. The factor :math:`n_{l+1} / n_l` stands because D is
    a mean over units; it is absent for sums.

    References
    ----------
    .. [1] G. Yang, S. Schoenholz, "Mean field residual networks", NeurIPS 2017, axiom 3.2.
    """
    network = as_network(network)
    checks.one_of("start", start, STARTS)
    goals = np.array([checks.finite("targets", t) for t in _several("targets", targets, 3)])
    if start == "unit" and goals.any():
        raise ValueError("targets belong to start='squared'; leave them out for start='unit'.")
    act = network.activation
    first, second = (checks.positive("q0", q) for q in _several("q0", q0, 2))
    c = float(checks.correlation("c0", checks.finite("c0", c0)))
    if moments(act).has_jumps and network.depth > 1:
        raise ConvergenceError(
            f"A moment of {act} has no value at layer 1: {Status.INFINITE.sentence}"
        )
    run = two_inputs(network, (first, second), c, with_slope=True)
    n = network.widths  # as long as the network: only after its cost was found fit
    inputs = np.array([first, c * math.sqrt(first) * math.sqrt(second), second])
    x = [_exact(inputs), *(run.product[l] for l in range(network.depth - 1))]
    k = [run.metric[l] for l in range(network.depth)]
    slopes = [run.slope[l] for l in range(network.depth - 1)]
    if start == "unit":
        d = [_exact(np.ones(3))]
    else:
        d = [Estimate(k[-1].value + goals, k[-1].error)]
    for layer in range(network.depth - 2, -1, -1):
        ratio = n[layer + 2] / n[layer + 1]
        d.insert(0, ratio * d[0] * slopes[layer])
    weights = [float(n[i + 1]) * float(n[i]) * d[i] * x[i] for i in range(network.depth)]
    biases = [float(n[i + 1]) * d[i] for i in range(network.depth)]
    return BackwardPass(*map(Estimate.stack, (k, d, weights, biases)))


def _several(name: str, x: Any, n: int) -> tuple[Any, ...]:
    """A tuple of n numbers."""
    try:
        out = tuple(x)
    except TypeError:
        raise TypeError(f"{name} must hold {n} numbers, but it is {x!r}.") from None
    if isinstance(x, str) or len(out) != n:
        raise ValueError(f"{name} must hold {n} numbers, but it is {x!r}.")
    return out


@cost.ends
def tradeoff(phi: ActivationLike, *, q: float = 1.0) -> Tradeoff:
    r"""Forward decorrelation against gradient growth, for phi centred and scaled at variance q.

    .. math:: \kappa'(0) = \frac{q\,(E\,\phi')^2}{\mathrm{Var}\,\phi} \le 1 \le
       \kappa'(1) = \frac{q\,E\,\phi'^2}{\mathrm{Var}\,\phi}

    Equality holds for a linear activation only: what tells inputs apart faster makes gradients
    grow faster.

    Parameters
    ----------
    phi : activation
        Anything :func:`chione.activation` accepts.
    q : float
        Variance of the pre-activations, above zero.

    Examples
    --------
    >>> t = tradeoff("tanh")
    >>> round(t.decorrelation.value, 5), round(t.gradient.value, 5)
    (0.93047, 1.17781)
    """
    act, q = activation(phi), checks.positive("q", q)
    m = moments(act)
    mean, square, slope = m.mean(q), m.square(q), m.derivative_square(q)
    variance = square - mean**2
    if not variance.value > 8.0 * variance.error:
        raise ConvergenceError(f"{act} is constant at variance {q:g}; it cannot be scaled.")
    # sqrt(q) E phi' = E z phi, the first Hermite coefficient
    first = expectation(lambda h: h * act.value(h), q, breakpoints=act.kinks)
    if not math.isfinite(slope.value):
        gradient = Estimate(float("nan"), float("nan"), slope.status)
    else:
        gradient = q * slope / variance
    return Tradeoff(act.name, first**2 / q / variance, gradient)


def _exact(value: Array) -> Estimate:
    return Estimate(value, 2.0 * EPS * np.abs(value))
