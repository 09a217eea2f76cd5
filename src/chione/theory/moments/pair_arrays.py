r"""Kernels of many pairs at once, by the compiled map of one layer.

A double integral costs a millisecond, and a map of a few lengths ten of them: from some twenty
pairs on they are read off the map, wherever it holds to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from chione.activations import AbstractActivation
from chione.base import Array, ConvergenceError, Estimate, Status
from chione.theory.moments.layer_map import LayerMap, layer_map, layer_map_at

MANY = 24  # pairs from which a map is built: twenty integrals cost as much
_FEW_LENGTHS = 12  # that have coefficients of their own; more are interpolated
_EXACT = (1e-13, 1e-12)  # errors of K and R, relative to their sizes, up to which the map is taken

_ROOM = 1.05  # for sizes that are interpolated

PairRule: TypeAlias = Callable[[float, float, float], Estimate]


def many_pairs(
    phi: AbstractActivation, q1: Array, q2: Array, c: Array, which: int, one: PairRule
) -> tuple[Array, Array, NDArray[np.int8]] | None:
    """K (`which` 0) or R (1) of arrays of one shape: values, errors and statuses.

    What the map cannot give is asked of `one`, pair by pair and each different pair once. None
    where there is no map.
    """
    shape = c.shape
    q1, q2, c = q1.ravel(), q2.ravel(), c.ravel()
    gap = 1.0 - np.abs(c)
    value, error = np.full(c.shape, np.nan), np.full(c.shape, np.nan)
    status = np.zeros(c.shape, dtype=np.int8)
    usable = (q1 > 0.0) & (q2 > 0.0) & np.isfinite(q1 + q2) & (gap > 0.0)
    known = np.zeros(c.shape, dtype=bool)
    if np.count_nonzero(usable) < MANY:
        return None
    try:
        compiled = _map(phi, np.concatenate([q1[usable], q2[usable]]))
    except ConvergenceError:
        return None
    errors = compiled.errors(gap)[which]
    ends = compiled.ends(gap) if which else 1.0
    known = usable & (errors * ends <= _EXACT[which])
    if not known.any():
        return None
    p, q = _sides(q1, known), _sides(q2, known)
    found = compiled.both(p, q, gap[known], np.sign(c[known]))[which]
    value[known] = found
    error[known] = errors[known] * _sizes(compiled, p, q, which)
    # as of a double integral
    inexact = known & (error > 1e-9 * np.abs(value)) & (error >= 1e-14)
    status[inexact] = Status.INEXACT
    rest = np.flatnonzero(~known)
    if rest.size:
        triples, back = np.unique(
            np.stack([q1[rest], q2[rest], c[rest]], axis=1), axis=0, return_inverse=True
        )
        parts = [one(*(float(x) for x in t)) for t in triples]
        back = back.ravel()
        value[rest] = np.array([x.value for x in parts])[back]
        error[rest] = np.array([x.error for x in parts])[back]
        status[rest] = np.array([int(x.status) for x in parts], dtype=np.int8)[back]
    return value.reshape(shape), error.reshape(shape), status.reshape(shape)


def _sides(q: Array, where: NDArray[np.bool_]) -> Array:
    """The chosen lengths; one where all are alike, so that they are looked up once."""
    chosen = q[where]
    return chosen[:1] if chosen.size and np.all(chosen == chosen[0]) else chosen


def _map(phi: AbstractActivation, q: Array) -> LayerMap:
    different = np.unique(q)
    if len(different) <= _FEW_LENGTHS:
        return layer_map_at(phi, tuple(different.tolist()))
    # the next call may have lengths nearby
    low, high = (
        float(2.0 ** (0.5 * f(2.0 * np.log2(x))))
        for f, x in ((np.floor, different[0]), (np.ceil, different[-1]))
    )
    return layer_map(phi, low, high)


def _sizes(compiled: LayerMap, q1: Array, q2: Array, which: int) -> Array:
    """Sizes to which the errors of the map are relative."""
    one, two = (compiled.table.sizes(q)[which] / (q if which else 1.0) for q in (q1, q2))
    return np.asarray(_ROOM * np.sqrt(one) * np.sqrt(two))
