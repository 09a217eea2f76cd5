"""From what a user writes to an activation."""

from __future__ import annotations

import ast

from chione.activations.affine import Affine
from chione.activations.expression import looks_like_formula
from chione.activations.own import from_callable, from_expression
from chione.activations.protocol import AbstractActivation, ActivationLike
from chione.activations.registry import from_name, numbers_in_call
from chione.base import SpecError


def activation(spec: ActivationLike) -> AbstractActivation:
    """The activation that `spec` describes.

    Parameters
    ----------
    spec : str, callable or AbstractActivation
        One of: a name of the catalogue, with parameters in brackets where it has some
        (``"gelu"``, ``"leaky_relu(0.2)"``, ``"siren(w0=10)"``); a formula in x
        (``"x*tanh(softplus(x))"``); a NumPy function; a torch function or module; an
        activation, which is returned as it is.

    Returns
    -------
    AbstractActivation

    Raises
    ------
    SpecError
        If the description cannot be understood, with the nearest known name.
    """
    if isinstance(spec, AbstractActivation):
        return spec
    if isinstance(spec, str):
        return _from_text(spec)
    if isinstance(spec, type):
        raise SpecError(
            f"An activation must be an instance, but {spec.__name__} is a class; "
            f"write {spec.__name__}() instead."
        )
    if callable(spec):
        return from_callable(spec)
    raise SpecError(
        f"An activation must be a name, a formula or a function, but it is of type "
        f"{type(spec).__name__}."
    )


def _from_text(text: str) -> AbstractActivation:
    if not text.strip():
        raise SpecError("The name of the activation is empty; write for example 'tanh'.")
    if text.strip().startswith("affine("):
        return _affine(text.strip())
    if looks_like_formula(text):
        return from_expression(text)
    return from_name(text)


def _affine(text: str) -> Affine:
    """An activation such as ``affine(gelu, scale=2.0)``, as `Affine.name` spells it."""
    problem = SpecError(
        f"The description {text[:80]!r} cannot be read; write it as in "
        f"'affine(gelu, scale=1.5, shift=0.1, offset=-0.2)'."
    )
    if len(text) > 600:
        raise problem
    try:
        call = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise problem from None
    if not isinstance(call, ast.Call) or len(call.args) != 1:
        raise problem
    inner = ast.get_source_segment(text, call.args[0])
    numbers = numbers_in_call(call.keywords, ("scale", "shift", "offset"))
    if inner is None or numbers is None:
        raise problem
    changed = _from_text(inner)
    try:
        return Affine(changed, **numbers)
    except ValueError as err:
        raise SpecError(f"The activation {text[:80]!r} cannot be made: {err}") from err
