"""Activations as formulas of NumPy, for the peers and for the values that all are held against."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy import special

_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


class Formula(NamedTuple):
    """An activation, its derivative, and where it has kinks."""

    value: Callable[[Any], Any]
    slope: Callable[[Any], Any]
    kinks: tuple[float, ...] = ()


def _exp(x: Any) -> Any:
    return np.exp(np.minimum(x, 0.0))


def _density(x: Any) -> Any:
    return np.exp(-0.5 * x * x) / np.sqrt(2.0 * np.pi)


def _softplus(x: Any) -> Any:
    return np.logaddexp(x, 0.0)


def _mish_slope(x: Any) -> Any:
    t = np.tanh(_softplus(x))
    return t + x * (1.0 - t * t) * special.expit(x)


FORMULAS = {
    "tanh": Formula(np.tanh, lambda x: 1.0 - np.tanh(x) ** 2),
    "relu": Formula(lambda x: np.maximum(x, 0.0), lambda x: np.where(x > 0, 1.0, 0.0), (0.0,)),
    "gelu": Formula(lambda x: x * special.ndtr(x), lambda x: special.ndtr(x) + x * _density(x)),
    "silu": Formula(
        lambda x: x * special.expit(x),
        lambda x: special.expit(x) * (1.0 + x * special.expit(-x)),
    ),
    "softplus": Formula(_softplus, special.expit),
    "mish": Formula(lambda x: x * np.tanh(_softplus(x)), _mish_slope),
    "elu": Formula(
        lambda x: np.where(x > 0, x, _exp(x) - 1.0), lambda x: np.where(x > 0, 1.0, _exp(x)), (0.0,)
    ),
    "selu": Formula(
        lambda x: _SELU_SCALE * np.where(x > 0, x, _SELU_ALPHA * (_exp(x) - 1.0)),
        lambda x: _SELU_SCALE * np.where(x > 0, 1.0, _SELU_ALPHA * _exp(x)),
        (0.0,),
    ),
    "hardtanh": Formula(
        lambda x: np.clip(x, -1.0, 1.0), lambda x: np.where(abs(x) < 1, 1.0, 0.0), (-1.0, 1.0)
    ),
    "leaky": Formula(
        lambda x: np.where(x > 0, x, 0.1 * x), lambda x: np.where(x > 0, 1.0, 0.1), (0.0,)
    ),
}
"""By name; ``leaky`` is one that a user writes, and in no catalogue."""
