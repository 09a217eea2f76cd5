"""Functions of one tensor, entry by entry, that a model writes out in several operations.

``x * torch.sigmoid(beta * x)`` and ``x / (1 + torch.exp(-beta * x))`` are one activation. Each
operation on entries keeps the formula of its result as a function of the tensor that it started
from; where two such functions of one tensor meet, they are one activation of it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from chione.torch.capture import operations as ops
from chione.torch.capture.book import Book
from chione.torch.layers.nonlinearity import Applied

Function = Callable[[torch.Tensor], torch.Tensor]

_MOST = 24  # operations in one formula: longer ones are recurrences
# Operations on entries beside sums, products, quotients and activations.
_OTHERS = frozenset(
    [
        "neg",
        "__neg__",
        "negative",
        "reciprocal",
        "sqrt",
        "rsqrt",
        "log",
        "log2",
        "log1p",
        "rsub",
        "__rsub__",
        "__rtruediv__",
        "__rpow__",
        "__rdiv__",
        "exp2",
        "maximum",
        "minimum",
        "addcmul",
        "logaddexp",
    ]
)
NAMES = ops.ADDS | ops.PRODUCTS | ops.QUOTIENTS | ops.ACTIVATIONS | _OTHERS
_STRAIGHT = ops.ADDS | ops.PRODUCTS | ops.QUOTIENTS | {"neg", "__neg__", "negative"}
_SIGNS = dict.fromkeys(ops.ADDS, "+") | dict.fromkeys(ops.PRODUCTS, "*")
_SIGNS |= dict.fromkeys(ops.QUOTIENTS, "/")
_SIGNS |= {name: "-" for name in ops.ADDS if "sub" in name}


@dataclass(frozen=True)
class Formula:
    """A tensor as a function of another one.

    Parameters
    ----------
    root : int
        The node of the other one.
    function : callable
        On tensors, entry by entry.
    text : str
        For the reader, in x.
    count : int
        Operations in it.
    bent : bool
        Whether one of them is not a sum with, or a product by, a constant.
    """

    root: int
    function: Function
    text: str = "x"
    count: int = 0
    bent: bool = False

    def then(self, call: Applied) -> Formula:
        """An activation of it."""

        def function(h: torch.Tensor) -> torch.Tensor:
            return call.function(self.function(h))

        return Formula(self.root, function, f"{call.label}({self.text})", self.count + 1, True)


def identity(root: int) -> Formula:
    """The tensor itself."""
    return Formula(root, torch.clone)


def composed(func: Any, name: str, kwargs: dict[str, Any], formulas: list[Any]) -> Formula | None:
    """The formula of a call, of which `formulas` has those of its arguments.

    There a signal has its formula, a constant its value, and None stands for anything else.
    """
    found = [f for f in formulas if isinstance(f, Formula)]
    if not found or any(f is None for f in formulas) or len({f.root for f in found}) > 1:
        return None
    count = 1 + sum(f.count for f in found)
    if count > _MOST:
        return None
    options = {k: v for k, v in kwargs.items() if k not in ("inplace", "out")}
    if any(isinstance(v, torch.Tensor) for v in options.values()):
        return None

    def function(h: torch.Tensor) -> torch.Tensor:
        values = [f.function(h) if isinstance(f, Formula) else f for f in formulas]
        out: torch.Tensor = func(*values, **options)
        return out

    bent = any(f.bent for f in found) or len(found) > 1 or name not in _STRAIGHT
    words = [f.text if isinstance(f, Formula) else _number(f) for f in formulas]
    return Formula(found[0].root, function, _text(name, words), count, bent)


def _text(name: str, words: list[str]) -> str:
    sign = _SIGNS.get(name)
    if sign is None or len(words) != 2:
        return f"{name.strip('_')}({', '.join(words)})"
    if sign in "*/":
        return sign.join(f"({word})" if _is_sum(word) else word for word in words)
    return f" {sign} ".join(words)


def _is_sum(word: str) -> bool:
    """Whether a sign stands outside all brackets."""
    depth = 0
    for letter in word:
        depth += (letter == "(") - (letter == ")")
        if letter == " " and depth == 0:
            return True
    return False


def _number(x: Any) -> str:
    return f"{float(x):.6g}" if isinstance(x, (float, torch.Tensor)) else str(x)


class Formulas:
    """Formulas of the nodes of a book.

    Parameters
    ----------
    book : Book
        Where the nodes are.
    """

    def __init__(self, book: Book) -> None:
        self.book = book
        self._of: dict[int, Formula] = {}
        self._roots: dict[int, tuple[Callable[[], torch.Tensor | None], int]] = {}

    def of(self, index: int) -> Formula:
        """That of a node; the node itself where nothing more is known."""
        return self._of.get(index) or identity(index)

    def note(self, index: int, formula: Formula) -> None:
        """Keep that of a node."""
        self._of[index] = formula

    def call(self, func: Any, name: str, args: Any, kwargs: Any) -> Formula | None:
        """That of what a call will return, or None."""
        if name not in NAMES:
            return None
        return composed(func, name, kwargs, [self._argument(a) for a in args])

    def is_new(self, name: str, args: Any, formula: Formula) -> bool:
        """Whether a call ends an activation that the rules for single calls do not see."""
        if not formula.bent:
            return False
        signals = [a for a in args if isinstance(self._argument(a), Formula)]
        if len(signals) > 1:
            return any(self.of(self.book.source(a)).bent for a in signals)
        node = self.book.graph.nodes[self.book.source(signals[0])]
        if name in ops.ACTIVATIONS:
            return node.layer is None and node.index in self._of
        plain = name in ops.PRODUCTS or (name in ops.QUOTIENTS and signals[0] is args[0])
        return not plain

    def _argument(self, x: Any) -> Any:
        """A formula, the value of a constant, or None."""
        if not isinstance(x, torch.Tensor):
            return x if isinstance(x, (int, float, str)) else None
        index = self.book.find(x)
        if index is None or self._is_constant(index):
            # a tensor without axes, since methods of tensors want one in the first place
            alone = x.numel() == 1 and not x.is_complex()
            return x.detach().double().cpu().reshape(()) if alone else None
        if not x.is_floating_point():
            return None
        if index not in self._of:
            self._roots[index] = weakref.ref(x), x._version
        return self.of(index)

    def _is_constant(self, index: int) -> bool:
        """Whether a tensor is made of parameters alone."""
        node = self.book.graph.nodes[index]
        if node.held is not None:
            return True
        return bool(node.parents) and all(self._is_constant(p) for p in node.parents)

    def root(self, formula: Formula) -> torch.Tensor | None:
        """The tensor that a formula is of, where it is still there as it was."""
        kept, version = self._roots.get(formula.root, (lambda: None, 0))
        x = kept()
        return x if x is not None and x._version == version else None

    def forget(self, args: Any, read: Before) -> None:
        """The parts of an activation written out in several operations are no activations."""
        if not read.whole or read.source is None:
            return
        for x in args:
            part = self.book.find(x)
            while part is not None and part != read.source:
                node = self.book.graph.nodes[part]
                node.origin = None
                part = next((p for p in node.parents if p >= read.source), None)


@dataclass(frozen=True)
class Before:
    """What was read before a call ran.

    Parameters
    ----------
    formula : Formula or None
        Of what it will return, as a function of one tensor.
    call : Applied or None
        The activation that it is, or ends.
    saturation : Tensor or None
        Of the activation, at its input.
    source : int or None
        The node that the activation reads.
    whole : bool
        Whether the activation is written out in several operations.
    """

    formula: Formula | None
    call: Applied | None = None
    saturation: torch.Tensor | None = None
    source: int | None = None
    whole: bool = False


def before(book: Book, formulas: Formulas, func: Any, name: str, args: Any, kwargs: Any) -> Before:
    """What must be read of the input before an in-place operation overwrites it."""
    formula = formulas.call(func, name, args, kwargs)
    if formula is not None and formulas.is_new(name, args, formula):
        whole = Applied(formula.function, formula.text, arithmetic=True)
        x = formulas.root(formula)
        return Before(
            formula, whole, None if x is None else book.saturation(whole, x), formula.root, True
        )
    call = ops.applied(func, name, args, kwargs) if name in ops.ACTIVATIONS else None
    source = None if call is None else book.find(args[0])
    if call is None or source is None:
        return Before(formula)
    return Before(formula, call, book.saturation(call, args[0]), source)
