"""Activations written as a formula such as ``x*tanh(softplus(x))``.

The text is parsed by Python's own parser into a tree, every node of the tree is compared with a
short list of what is allowed, and nested closures over NumPy functions are built from it. Nothing
is ever handed to ``eval``: names, attributes, subscripts, text and calls outside the list end in
one sentence.
"""

from __future__ import annotations

import ast
import difflib
import math
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

from chione.activations import jets
from chione.activations.protocol import AbstractActivation
from chione.activations.registry import catalogue
from chione.base import SpecError

Closure = Callable[[Any], Any]

MAX_LENGTH = 300
MAX_DEPTH = 25
MAX_NODES = 240

_CONSTANTS = {"pi": math.pi, "e": math.e}

_UNARY: dict[str, Callable[[Any], Any]] = {
    "exp2": np.exp2,
    "expm1": np.expm1,
    "log": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "log1p": np.log1p,
    "sqrt": np.sqrt,
    "cbrt": np.cbrt,
    "square": np.square,
    "tan": np.tan,
    "arcsin": np.arcsin,
    "arccos": np.arccos,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "arccosh": np.arccosh,
    "arctanh": np.arctanh,
    "atan": np.arctan,
    "asinh": np.arcsinh,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.rint,
    "erfc": special.erfc,
    "ndtr": special.ndtr,
    "sinc": np.sinc,
}

_FUNCTIONS: dict[str, tuple[int, Callable[..., Any]]] = {
    **{name: (1, f) for name, f in _UNARY.items()},
    "max": (2, np.maximum),
    "min": (2, np.minimum),
    "maximum": (2, np.maximum),
    "minimum": (2, np.minimum),
    "hypot": (2, np.hypot),
    "arctan2": (2, np.arctan2),
    "logaddexp": (2, np.logaddexp),
    "clip": (3, lambda x, a, b: np.minimum(np.maximum(x, a), b)),
    "where": (3, lambda test, a, b: np.where(_truth(test), a, b)),
}


def _power(a: Any, b: Any) -> Any:
    """As ``np.power``; a cube by two products, for its logarithm costs twenty times as much."""
    cube = not isinstance(b, jets.Jet) and np.ndim(b) == 0 and b == 3.0
    return a * a * a if cube else np.power(a, b)


_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: _power,
    ast.Mod: np.remainder,
}

_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
}


def functions() -> dict[str, int]:
    """The functions that a formula may call, with their numbers of arguments."""
    plain = {name: arity for name, (arity, _) in _FUNCTIONS.items()}
    return plain | dict.fromkeys(catalogue(), 1) | {"swish": 1}


def compile_expression(text: str) -> Closure:
    """The formula `text` in x as a function of an array or of a jet.

    Raises
    ------
    SpecError
        If the text is too long, too deep, no formula, or holds anything outside the list.
    """
    tree = _parse(text)
    n_nodes = sum(1 for _ in ast.walk(tree))
    if n_nodes > MAX_NODES:
        raise SpecError(
            f"The formula has {n_nodes} parts; at most {MAX_NODES} are accepted. "
            f"Pass a Python function instead."
        )
    if not any(isinstance(n, ast.Name) and n.id == "x" for n in ast.walk(tree)):
        raise SpecError(f"The formula {text!r} does not contain the variable x.")
    return _build(tree, text, 0)


def _parse(text: str) -> ast.expr:
    if len(text) > MAX_LENGTH:
        raise SpecError(
            f"The formula has {len(text)} characters; at most {MAX_LENGTH} are accepted. "
            f"Pass a Python function instead."
        )
    text = text.replace("^", "**")  # as people write it; bits are no business of an activation
    level = deepest = 0
    for mark in text:
        level += (mark in "([{") - (mark in ")]}")
        deepest = max(deepest, level)
    if deepest > MAX_DEPTH:
        raise SpecError(f"The formula is nested deeper than {MAX_DEPTH} brackets.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as err:
        detail = err.msg if isinstance(err, SyntaxError) else str(err)
        raise SpecError(
            f"The formula {text!r} cannot be read: {detail}; write it as in 'x*tanh(x)'."
        ) from None


def _build(node: ast.expr, text: str, depth: int) -> Closure:
    if depth > 2 * MAX_DEPTH:
        raise SpecError(f"The formula is nested deeper than {2 * MAX_DEPTH} operations.")
    for kind, build in _BUILDERS.items():
        if isinstance(node, kind):
            return build(node, text, depth + 1)
    raise _refused(node, text)


def _refused(node: ast.AST, text: str) -> SpecError:
    part = ast.get_source_segment(text.strip(), node) or type(node).__name__
    return SpecError(
        f"The formula may not contain {part!r}; it may hold the variable x, numbers, pi, e, "
        f"+ - * / ** %, comparisons, 'a if test else b', and the functions "
        f"{', '.join(sorted(functions()))}."
    )


def _constant(node: ast.Constant, text: str, depth: int) -> Closure:
    value = node.value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _refused(node, text)
    try:
        number = np.float64(value)
    except OverflowError:
        raise SpecError(f"The formula {text!r} contains a number that is too large.") from None
    return lambda x: number


def _name(node: ast.Name, text: str, depth: int) -> Closure:
    if node.id == "x":
        return lambda x: x
    if node.id in _CONSTANTS:
        number = np.float64(_CONSTANTS[node.id])
        return lambda x: number
    if node.id in functions():
        raise SpecError(f"In the formula, {node.id!r} is a function: write {node.id}(x).")
    raise SpecError(
        f"The formula contains the name {node.id!r}; the only variable is x, the only "
        f"constants are pi and e."
    )


def _unary(node: ast.UnaryOp, text: str, depth: int) -> Closure:
    inner = _build(node.operand, text, depth)
    if isinstance(node.op, ast.USub):
        return lambda x: np.negative(inner(x))
    if isinstance(node.op, ast.UAdd):
        return inner
    raise _refused(node, text)


def _binary(node: ast.BinOp, text: str, depth: int) -> Closure:
    operator = _OPERATORS.get(type(node.op))
    if operator is None:
        raise _refused(node, text)
    left, right = _build(node.left, text, depth), _build(node.right, text, depth)
    return lambda x: operator(left(x), right(x))


def _compare(node: ast.Compare, text: str, depth: int) -> Closure:
    terms = [_build(n, text, depth) for n in (node.left, *node.comparators)]
    tests = [_COMPARISONS.get(type(op)) for op in node.ops]
    if None in tests:
        raise _refused(node, text)

    def closure(x: Any) -> Any:
        values = [term(x) for term in terms]
        out: Any = np.float64(1.0)
        for test, a, b in zip(tests, values, values[1:], strict=False):
            out = out * np.asarray(test(a, b), dtype=np.float64)  # type: ignore[misc]
        return out

    return closure


def _choice(node: ast.IfExp, text: str, depth: int) -> Closure:
    test, a, b = (_build(n, text, depth) for n in (node.test, node.body, node.orelse))
    return lambda x: np.where(_truth(test(x)), a(x), b(x))


def _call(node: ast.Call, text: str, depth: int) -> Closure:
    if not isinstance(node.func, ast.Name):
        raise _refused(node.func, text)
    name = node.func.id
    known = functions()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise SpecError(
            f"The formula calls {name!r}, which is not one of its functions{hint} "
            f"They are {', '.join(sorted(known))}."
        )
    if node.keywords or any(isinstance(a, ast.Starred) for a in node.args):
        raise SpecError(f"In the formula, {name} takes plain arguments only.")
    if len(node.args) != known[name]:
        raise SpecError(
            f"In the formula, {name} takes {known[name]} argument(s), "
            f"but it received {len(node.args)}."
        )
    arguments = [_build(a, text, depth) for a in node.args]
    function = _FUNCTIONS[name][1] if name in _FUNCTIONS else _outer(name)
    return lambda x: function(*[a(x) for a in arguments])


def _outer(name: str) -> Callable[[Any], Any]:
    """A catalogue activation as a function of arrays and, by the chain rule, of jets."""
    phi: AbstractActivation = catalogue()["silu" if name == "swish" else name]

    def function(v: Any) -> Any:
        if isinstance(v, jets.Jet):
            u = v.value
            return v.compose(phi.value(u), phi.derivative(u), phi.second_derivative(u))
        return phi.value(np.asarray(v, dtype=np.float64))

    return function


def _truth(test: Any) -> Any:
    value = test.value if isinstance(test, jets.Jet) else test
    return np.asarray(value) != 0.0


_BUILDERS: dict[type[ast.expr], Callable[[Any, str, int], Closure]] = {
    ast.Constant: _constant,
    ast.Name: _name,
    ast.UnaryOp: _unary,
    ast.BinOp: _binary,
    ast.Compare: _compare,
    ast.IfExp: _choice,
    ast.Call: _call,
}

_NAME = re.compile(r"\s*[A-Za-z][A-Za-z0-9_ -]*(\(|$)")
_VARIABLE = re.compile(r"(?<![A-Za-z0-9_.])x(?![A-Za-z0-9_])")


def looks_like_formula(text: str) -> bool:
    """Whether `text` is meant as a formula in x rather than as a name."""
    return bool(_VARIABLE.search(text)) or not _NAME.match(text)
