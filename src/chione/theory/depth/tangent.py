r"""How strongly the weights move an output at the start, and how well inputs differ in that.

With fan-in n, :math:`p_l = E\,\phi(h^l)^2` and :math:`G_l` the squared gradient of an output in the
pre-activations of layer l, a read-out of variance 1/n has at infinite width

.. math::
    \Theta(a, b) = \sum_{l=0}^{L} \left(n\, p_l(a, b) + 1\right) G_{l+1}(a, b), \qquad G_{L+1} = 1,

the tangent kernel of plain gradient descent at rate 1 (weights and biases). Two numbers are made of
it, for an input and for what differs of it between two inputs:

.. math::
    \Lambda = \log \Theta(a, a), \qquad
    D = \log \sum_l n\, (p_l(a, a) - p_l(a, b))\, G_{l+1}(a, a).
"""

from __future__ import annotations

import math

import numpy as np

from chione.activations import AbstractActivation
from chione.base import Array
from chione.theory.depth.trajectory import Trajectory
from chione.theory.moments.moments import moments


def tangent(
    phi: AbstractActivation,
    curves: Trajectory,
    log_gradient: Array,
    *,
    sigma_w: float,
    sigma_b: float,
    width: int,
    q0: float = 1.0,
    c0: float = 0.5,
) -> tuple[float, float]:
    r"""Logarithms of the tangent kernel and of its part that differs between two inputs.

    Parameters
    ----------
    phi : activation
        The activation.
    curves : Trajectory
        Its curves at these sigmas; of a deep network at a choice of layers, each of which stands
        for those up to it.
    log_gradient : ndarray, shape (L + 1,)
        Logarithm of the mean square gradient in each of these layers and in the output, relative to
        that in the output.
    sigma_w, sigma_b : float
        Standard deviations of weights and biases.
    width : int
        Units n of each layer and of the input.
    q0, c0 : float
        Mean square and correlation of the inputs that `curves` follow.

    Returns
    -------
    stiffness, contrast : float
        :math:`\Lambda` and D; NaN where lengths or gradients have no value, minus infinity where
        nothing is left.

    Notes
    -----
    D leaves out that the gradients of two inputs differ as well, which in order adds a term of
    equal size and in chaos nothing that matters.
    """
    q, gap = np.asarray(curves.q), np.asarray(curves.one_minus_c)
    w2, layers = sigma_w**2, np.asarray(curves.layer)
    if not (np.all(np.isfinite(q)) and np.all(np.isfinite(gap)) and w2 > 0.0):
        return math.nan, math.nan
    after = np.maximum(_square(phi, float(q[-1])), 0.0)
    with np.errstate(all="ignore"):
        # rows: the weights into layer 1, ..., into layer L, into the read-out
        log_g = np.append(log_gradient[:-1] - math.log(w2), 0.0)
        p = np.append((q - sigma_b**2) / w2, after)
        p[0] = q0
        differs = q * gap / w2  # of two inputs, behind the layer before
        step = differs[-1] / differs[-2] if len(q) > 1 else differs[-1] / (q0 * (1.0 - c0))
        last = differs[-1] * step if np.isfinite(step) else differs[-1]
        differs = np.append(differs, min(last, after))
        stands_for = np.append(np.diff(layers, prepend=0.0), 1.0)
        parts = (width * np.maximum(p, 0.0) + 1.0, width * differs)
        return _log_sum(log_g, parts[0] * stands_for), _log_sum(log_g, parts[1] * stands_for)


def _square(phi: AbstractActivation, q: float) -> float:
    return float(moments(phi).square(q).value)


def _log_sum(log_g: Array, part: Array) -> float:
    """Log of the sum of e^log_g times part, whatever the sizes."""
    logs = log_g + np.log(part)
    if np.any(np.isnan(logs) | (logs == np.inf)):
        return math.nan
    top = float(np.max(logs))
    return top if top == -math.inf else top + math.log(float(np.sum(np.exp(logs - top))))
