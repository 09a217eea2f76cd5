"""The two doors for a user's own activation: a callable, or a formula."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from chione.activations import torch_callable
from chione.activations.custom import Custom, Method, assemble, jet_derivatives
from chione.activations.expression import compile_expression
from chione.activations.holes import filled
from chione.activations.protocol import Derivatives
from chione.activations.validation import SAMPLE, checked_values, validate
from chione.base import Array, SpecError, checks

_CACHE: OrderedDict[Any, tuple[Any, Custom]] = OrderedDict()
_CACHE_SIZE = 128


def from_expression(text: str) -> Custom:
    """An activation from a formula in x, such as ``"x*tanh(softplus(x))"``.

    Parameters
    ----------
    text : str
        At most 300 characters: x, numbers, pi, e, arithmetic, comparisons, ``a if test else b``
        and the functions of :func:`chione.activations.expression.functions`.

    Returns
    -------
    Custom
        The same object for the same text.

    Raises
    ------
    SpecError
        If the text holds anything else, or the function is not finite and real.
    """
    if not isinstance(text, str):
        raise SpecError(f"A formula must be text, but it is of type {type(text).__name__}.")
    return _from_expression(text.strip())


@lru_cache(maxsize=256)
def _from_expression(text: str) -> Custom:
    closure = compile_expression(text)

    def values(z: Array) -> Array:
        y = np.asarray(closure(z), dtype=np.float64)
        return np.array(np.broadcast_to(y, np.shape(z)))

    whole = filled(values)
    validate(f"The formula {text!r}", whole)
    return assemble(
        text, whole, jet_derivatives(closure), "jets", origin=text, door=from_expression
    )


def from_callable(
    f: Callable[[Any], Any],
    *,
    name: str | None = None,
    derivative: Callable[[Array], Array] | None = None,
    second_derivative: Callable[[Array], Array] | None = None,
    kinks: Sequence[float] | None = None,
) -> Custom:
    """An activation from a function of an array, a torch function or a torch module.

    Derivatives come from torch.autograd where `f` is torch's, else from running `f` on
    second-order jets, else from piecewise Chebyshev fits (then ``derivative_error`` is above 0).

    Parameters
    ----------
    f : callable
        Acts on each number alone, in float64. A module is copied, never changed.
    name : str, optional
        Its name in tables and figures; the function's own by default.
    derivative, second_derivative : callable, optional
        Known derivatives; they are compared with the values.
    kinks : sequence of float, optional
        Places where `f` or a derivative jumps, if they are known; otherwise they are found.

    Returns
    -------
    Custom
        The same object for the same function while nothing else is given.

    Raises
    ------
    SpecError
        If `f` is not a real, finite, deterministic, pointwise function of float64 arrays.
    """
    if not callable(f):
        raise SpecError(f"An activation must be callable, but it is of type {type(f).__name__}.")
    plain = name is None and derivative is None and second_derivative is None and kinks is None
    key = (id(f), torch_callable.fingerprint(f) if torch_callable.is_module(f) else ())
    if plain and key in _CACHE:
        _CACHE.move_to_end(key)
        return _CACHE[key][1]
    label = name or str(getattr(f, "__name__", type(f).__name__)).strip("<>")
    places = None if kinks is None else tuple(sorted(checks.finite("kinks", k) for k in kinks))
    if derivative is None and second_derivative is not None:
        raise SpecError("A second derivative needs the first one beside it: pass derivative too.")
    out = _make(f, label, derivative, second_derivative, places, f if plain else None)
    if plain:
        _CACHE[key] = (f, out)  # holding f keeps its id from being used again
        while len(_CACHE) > _CACHE_SIZE:
            _CACHE.popitem(last=False)
    return out


def _make(
    f: Callable[[Any], Any],
    label: str,
    derivative: Callable[[Array], Array] | None,
    second: Callable[[Array], Array] | None,
    kinks: tuple[float, ...] | None,
    origin: Any,
) -> Custom:
    if torch_callable.is_module(f) or _answers_with_tensors(f):
        inner = torch_callable.as_double(f)
        values = torch_callable.numpy_function(inner)
        own = torch_callable.autograd(inner)
        method: Method = "autograd"
    else:
        values, own, method = filled(f), jet_derivatives(f), "jets"
    validate(label, values)
    if derivative is not None:
        given, highest = _given(label, derivative, second), 1 if second is None else 2
        return assemble(label, _float64(values), given, "given", kinks, highest=highest)
    found: Derivatives | None = own
    try:
        own(SAMPLE, 1)
    except Exception:  # jets and autograd cannot read every function; interpolation can
        found, method = None, "interpolation"
    again = from_callable if origin is not None else None
    return assemble(label, _float64(values), found, method, kinks, origin=origin, door=again)


def _float64(values: Callable[[Array], Any]) -> Callable[[Array], Array]:
    """Step functions may answer with booleans or integers."""

    def converted(z: Array) -> Array:
        if not z.size:  # np.vectorize refuses nothing at all
            return np.empty(z.shape)
        return np.asarray(values(z), dtype=np.float64)

    return converted


def _answers_with_tensors(f: Callable[[Any], Any]) -> bool:
    """Whether `f` wants torch tensors: it refuses an array, or answers with a tensor."""
    import sys

    x = SAMPLE.copy()
    try:
        with np.errstate(all="ignore"):
            return torch_callable.returns_tensor(f(x))
    except Exception:  # not a function of arrays; perhaps one of tensors
        torch = sys.modules.get("torch")
        if torch is None:
            return False
        try:
            return torch_callable.returns_tensor(f(torch.from_numpy(SAMPLE.copy())))
        except Exception:  # neither; validation will report the first error
            return False


def _given(
    label: str,
    derivative: Callable[[Array], Array],
    second: Callable[[Array], Array] | None,
) -> Derivatives:
    slope = f"The derivative of {label}"

    def derivatives(z: Array, order: int) -> Array:
        if order == 1:
            return checked_values(slope, derivative, z)
        if second is not None:
            return checked_values(f"The second derivative of {label}", second, z)
        raise AssertionError(
            "a second derivative that was not given is interpolated, not asked for"
        )

    return derivatives
