"""The catalogue: every named activation, and how a name becomes one."""

from __future__ import annotations

import ast
import dataclasses
import difflib

from chione.activations import exponential as ex
from chione.activations import gated, periodic, steps
from chione.activations import piecewise_linear as pl
from chione.activations import piecewise_polynomial as pp
from chione.activations import sigmoidal as sg
from chione.activations.protocol import AbstractActivation
from chione.base import SpecError

_CLASSES: dict[str, type[AbstractActivation]] = {
    "linear": pl.Linear,
    "relu": pl.ReLU,
    "leaky_relu": pl.LeakyReLU,
    "prelu": pl.PReLU,
    "abs": pl.Abs,
    "relu6": pl.ReLU6,
    "hardtanh": pl.HardTanh,
    "shifted_relu": pl.ShiftedReLU,
    "squared_relu": pp.SquaredReLU,
    "tanh": sg.Tanh,
    "erf": sg.Erf,
    "erf_scaled": sg.ErfScaled,
    "sigmoid": sg.Sigmoid,
    "hardsigmoid": pl.HardSigmoid,
    "softplus": ex.Softplus,
    "gelu": gated.GELU,
    "gelu_tanh": gated.GELUTanh,
    "quick_gelu": gated.QuickGELU,
    "silu": gated.SiLU,
    "hardswish": pp.HardSwish,
    "mish": gated.Mish,
    "selu": ex.SELU,
    "elu": ex.ELU,
    "celu": ex.CELU,
    "softsign": sg.Softsign,
    "arctan": sg.Arctan,
    "arcsinh": sg.Arcsinh,
    "sin": periodic.Sin,
    "cos": periodic.Cos,
    "siren": periodic.Siren,
    "gaussian": ex.Gaussian,
    "exp": ex.Exp,
    "quadratic": pp.Quadratic,
    "cubic": pp.Cubic,
    "step": steps.Step,
    "sign": steps.Sign,
    "softshrink": pl.SoftShrink,
    "hardshrink": steps.HardShrink,
    "tanhshrink": sg.TanhShrink,
    "logsigmoid": ex.LogSigmoid,
}

_ALIASES = {
    "identity": "linear",
    "swish": "silu",
    "heaviside": "step",
    "logistic": "sigmoid",
    "atan": "arctan",
    "asinh": "arcsinh",
    "sine": "sin",
    "cosine": "cos",
    "square": "quadratic",
    "relu2": "squared_relu",
    "absolute": "abs",
    "erf_normalized": "erf_scaled",
    "gelu_new": "gelu_tanh",
}

# One spelling without case, spaces, hyphens and underscores, so that LeakyReLU is found too.
_SPELLINGS = {name.replace("_", ""): name for name in _CLASSES} | {
    alias.replace("_", ""): name for alias, name in _ALIASES.items()
}


def catalogue() -> dict[str, AbstractActivation]:
    """Every named activation with its default parameters, by name, in the order of the manual."""
    return {name: cls() for name, cls in _CLASSES.items()}


def from_name(spec: str) -> AbstractActivation:
    """The activation of a name such as ``gelu``, ``leaky_relu(0.2)`` or ``siren(w0=10)``.

    Raises
    ------
    SpecError
        If the name is unknown (the nearest one is suggested) or a parameter does not fit.
    """
    plain, bracket, rest = spec.strip().partition("(")
    name = find_name(plain)
    if name is None:
        raise SpecError(unknown_name(plain.strip()))
    cls = _CLASSES[name]
    if not bracket:
        return cls()
    arguments = _arguments(spec, name, rest)
    try:
        return cls(**arguments)
    except (TypeError, ValueError) as err:
        raise SpecError(f"The activation {spec!r} cannot be made: {err}") from err


def find_name(text: str) -> str | None:
    """The catalogue's own spelling of `text`, or None."""
    key = text.strip().lower()
    for mark in "_- ":
        key = key.replace(mark, "")
    return _SPELLINGS.get(key)


def unknown_name(text: str) -> str:
    """The sentence for a name that nobody knows, with the nearest known one."""
    near = difflib.get_close_matches(text.lower(), [*_CLASSES, *_ALIASES], n=1, cutoff=0.5)
    guess = f"did you mean {near[0]!r}? " if near else ""
    return (
        f"There is no activation {text!r}; {guess}"
        f"chione.activations.catalogue() lists the names, and a formula such as "
        f"'x*tanh(x)' or a function is accepted as well."
    )


def _arguments(spec: str, name: str, rest: str) -> dict[str, float]:
    """Parameters in a call such as (0.2) or (slope=0.2): plain numbers only."""
    fields = [f.name for f in dataclasses.fields(_CLASSES[name])]  # type: ignore[arg-type]
    takes = f"takes {', '.join(fields)}" if fields else "takes no parameters"
    problem = SpecError(
        f"The parameters in {spec!r} cannot be read: {name} {takes}; write plain numbers, "
        f"as in 'leaky_relu(0.2)' or 'siren(w0=10)'."
    )
    if len(spec) > 300:
        raise problem
    try:
        call = ast.parse("f(" + rest, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise problem from None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise problem
    if len(call.args) > len(fields):
        raise problem
    positional = [
        ast.keyword(arg=key, value=value) for key, value in zip(fields, call.args, strict=False)
    ]
    numbers = numbers_in_call([*positional, *call.keywords], tuple(fields))
    if numbers is None:
        raise problem
    return numbers


def numbers_in_call(
    keywords: list[ast.keyword], allowed: tuple[str, ...]
) -> dict[str, float] | None:
    """The arguments of a call as numbers; None if one is unknown, repeated or not a number."""
    out: dict[str, float] = {}
    for keyword in keywords:
        number = _number(keyword.value)
        if keyword.arg not in allowed or keyword.arg in out or number is None:
            return None
        out[keyword.arg] = number
    return out


def _number(node: ast.expr) -> float | None:
    sign = 1.0
    while isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.UAdd | ast.USub):
        sign = -sign if isinstance(node.op, ast.USub) else sign
        node = node.operand
    value = node.value if isinstance(node, ast.Constant) else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return sign * float(value)
        except OverflowError:
            return None
    return None
