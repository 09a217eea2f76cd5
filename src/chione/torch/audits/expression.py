"""Declarations such as ``normal(0, 0.02/sqrt(2*n_layer))``: read by Python's parser, never run."""

from __future__ import annotations

import ast
import difflib
import math
import operator
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from chione.base import SpecError

_LONGEST = 300
_DEEPEST = 30
_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.Div: operator.truediv, ast.Pow: math.pow, ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}  # fmt: skip
_FUNCTIONS: dict[str, Callable[..., float]] = {
    "sqrt": math.sqrt, "log": math.log, "log2": math.log2, "exp": math.exp, "abs": abs,
    "min": min, "max": max, "pow": math.pow,
}  # fmt: skip
_CONSTANTS = {"pi": math.pi, "e": math.e, "inf": math.inf}

# Law -> its arguments in order with their defaults; None must be given.
LAWS: dict[str, dict[str, float | None]] = {
    "normal": {"mean": 0.0, "std": 1.0},
    "trunc_normal": {"mean": 0.0, "std": 1.0, "a": -2.0, "b": 2.0},  # as torch.nn.init has it
    "uniform": {"a": 0.0, "b": 1.0},
    "constant": {"value": None},
    "zeros": {},
    "ones": {},
    "identity": {},
    "dirac": {},
    "orthogonal": {"gain": 1.0},
    "xavier_uniform": {"gain": 1.0},
    "xavier_normal": {"gain": 1.0},
    "kaiming_uniform": {"a": 0.0, "mode": 0.0, "gain": math.nan},
    "kaiming_normal": {"a": 0.0, "mode": 0.0, "gain": math.nan},
    "lecun_normal": {},
    "any": {},
}
_WORDS = {"fan_in": 0.0, "fan_out": 1.0, "fan_avg": 2.0}  # values of mode


@dataclass(frozen=True)
class Declared:
    """A declared law: its name, its arguments for one tensor, another tensor's name."""

    law: str
    arguments: Mapping[str, float]
    same_as: str = ""


def names_in(text: str) -> set[str]:
    """The sizes that a declaration speaks of."""
    tree = _parse(text)
    called = {id(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and id(n) not in called}
    return names - set(LAWS) - set(_CONSTANTS) - set(_WORDS)


def read(text: str, sizes: Mapping[str, float]) -> Declared:
    """The law that a declaration means for a tensor with these sizes.

    Raises
    ------
    SpecError
        If it cannot be read, names an unknown law, size or function, or has no finite value.
    """
    tree = _parse(text)
    if isinstance(tree, ast.Name):
        tree = ast.Call(func=tree, args=[], keywords=[])
    if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name):
        raise SpecError(
            f"the declaration {text!r} is no law; write one such as 'normal(0, 0.02)', 'zeros' or "
            "'orthogonal(sqrt(2))'."
        )
    law = tree.func.id
    if law == "same_as":
        given = tree.args[0] if len(tree.args) == 1 else None
        if not isinstance(given, ast.Constant) or not isinstance(given.value, str):
            raise SpecError(f"{text!r}: same_as takes one name in quotes, same_as('wte.weight').")
        return Declared(law, {}, given.value)
    if law not in LAWS:
        raise SpecError(f"{text!r}: {_unknown('law', law, [*LAWS, 'same_as'])}")
    wanted = LAWS[law]
    if len(tree.args) > len(wanted):
        raise SpecError(f"{text!r}: {law} takes {_signature(law)}, but {len(tree.args)} are given.")
    given_args: dict[str, ast.expr] = dict(zip(wanted, tree.args, strict=False))
    for keyword in tree.keywords:
        if keyword.arg not in wanted or keyword.arg in given_args:
            raise SpecError(f"{text!r}: {law} takes {_signature(law)}, not {keyword.arg!r}.")
        given_args[keyword.arg] = keyword.value
    values: dict[str, float] = {}
    for name, default in wanted.items():
        if name in given_args:
            values[name] = _number(given_args[name], text, sizes, 0)
        elif default is None:
            raise SpecError(f"{text!r}: {law} needs {name}; write {law}({name}).")
        else:
            values[name] = default
    return Declared(law, values)


def _parse(text: str) -> ast.expr:
    if not isinstance(text, str):
        raise SpecError(f"a declaration is text such as 'normal(0, 0.02)', but it is {text!r:.60}.")
    if len(text) > _LONGEST:
        raise SpecError(f"the declaration has {len(text)} characters; at most {_LONGEST} are read.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text.strip().replace("^", "**"), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as err:
        raise SpecError(
            f"the declaration {text!r} cannot be read; write it as in "
            "'normal(0, 0.02/sqrt(2*n_layer))'."
        ) from err


def _number(node: ast.expr, text: str, sizes: Mapping[str, float], depth: int) -> float:
    """The value of an expression over sizes; every kind of node that is allowed is here."""
    if depth > _DEEPEST:
        raise SpecError(f"the declaration {text!r:.80} is nested deeper than {_DEEPEST}.")
    try:
        value = _value(node, text, sizes, depth)
    except (OverflowError, ZeroDivisionError, ValueError, TypeError) as err:
        if isinstance(err, SpecError):
            raise
        raise SpecError(f"{text!r}: {ast.unparse(node)!r:.80} has no value ({err}).") from None
    return value


def _value(node: ast.expr, text: str, sizes: Mapping[str, float], depth: int) -> float:
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str) and node.value in _WORDS:
            return _WORDS[node.value]
        if isinstance(node.value, bool) or not isinstance(node.value, int | float):
            raise SpecError(f"{text!r}: {node.value!r:.40} is no number.")
        return float(node.value)
    if isinstance(node, ast.Name):
        known = {**_CONSTANTS, **_WORDS, **sizes}
        if node.id not in known:
            raise SpecError(
                f"{text!r}: {_unknown('size', node.id, list(known))} Pass "
                f"sizes={{{node.id!r}: ...}} to add it."
            )
        return float(known[node.id])
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        inner = _number(node.operand, text, sizes, depth + 1)
        return -inner if isinstance(node.op, ast.USub) else inner
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left = _number(node.left, text, sizes, depth + 1)
        right = _number(node.right, text, sizes, depth + 1)
        return float(_OPERATORS[type(node.op)](left, right))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        if node.func.id not in _FUNCTIONS:
            raise SpecError(f"{text!r}: {_unknown('function', node.func.id, list(_FUNCTIONS))}")
        inner_values = [_number(a, text, sizes, depth + 1) for a in node.args]
        return float(_FUNCTIONS[node.func.id](*inner_values))
    raise SpecError(
        f"{text!r}: {ast.unparse(node)!r:.60} is not accepted; use numbers, sizes, + - * / **, and "
        f"{', '.join(_FUNCTIONS)}."
    )


def _unknown(what: str, name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return f"{name!r} is no {what} that is known{hint}; known are {', '.join(sorted(known)[:40])}."


def _signature(law: str) -> str:
    return f"({', '.join(LAWS[law])})"
