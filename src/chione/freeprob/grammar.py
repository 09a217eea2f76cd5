r"""Measures written as text, such as ``mp(0.5) + 2*semicircle(1)``.

The text is cut into tokens and read by recursive descent; every name is looked up in a table, and
nothing is ever handed to ``eval``. From loose to tight:

.. math::
    \text{sum} &= \text{product}\ (\pm\ \text{product})^* \\
    \text{product} &= \text{sign}\ (*\ \text{or}\ /\ \text{sign})^* \\
    \text{sign} &= [\pm]\ \text{power} \\
    \text{power} &= \text{atom}\ [\hat{}\ \text{or}\ {**}\ \text{sign}]

Between measures ``+`` is :math:`\boxplus`, ``*`` is :math:`\boxtimes`; with a number they shift
and stretch. ``mu^t`` is :math:`\mu^{\boxplus t}` and ``mu**t`` is :math:`\mu^{\boxtimes t}`.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

from chione.base import SpecError
from chione.freeprob import factories
from chione.freeprob.measure import Measure
from chione.freeprob.rectangular import rectangular_sum

MAX_LENGTH = 2000
MAX_DEPTH = 40

Value = float | Measure

_CONSTANTS = {"pi": math.pi, "e": math.e}
_FILE = r"[^\s'\"(),+*^=]+\.(?:npy|npz|csv|txt|dat)\b"
_TOKENS = re.compile(
    rf"""\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    |(?P<text>'[^']*'|"[^"]*")
    |(?P<file>(?=[A-Za-z_~./])(?!\.\d){_FILE})
    |(?P<name>[A-Za-z_]\w*)
    |(?P<sign>\*\*|[-+*/^(),=]))""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Named:
    """One name of the grammar.

    Parameters
    ----------
    make : callable
        From the arguments to a measure.
    example : str
        How it is written.
    summary : str
        What it is, in a few words.
    words : int
        How many of the first arguments are words, such as the name of an activation.
    """

    make: Callable[..., Measure]
    example: str
    summary: str
    words: int = 0


NAMES: dict[str, Named] = {
    "semicircle": Named(
        factories.semicircle, "semicircle(1, center=0)", "Wigner's law of this variance"
    ),
    "mp": Named(
        factories.marchenko_pastur,
        "mp(0.5, variance=1)",
        "Marchenko-Pastur, X X^T / n with X of shape (0.5 n, n)",
    ),
    "free_poisson": Named(
        factories.free_poisson, "free_poisson(2, jump=1)", "free Poisson of this rate"
    ),
    "arcsine": Named(factories.arcsine, "arcsine(2)", "arcsine law on (-2, 2)"),
    "uniform": Named(factories.uniform, "uniform(0, 1)", "uniform law"),
    "bernoulli": Named(
        factories.bernoulli, "bernoulli(0.3, low=0, high=1)", "two values, high with mass 0.3"
    ),
    "coin": Named(
        lambda: factories.bernoulli(0.5, low=-1.0, high=1.0), "coin", "-1 and 1, each with mass 1/2"
    ),
    "projection": Named(
        lambda rank: factories.bernoulli(rank), "projection(0.3)", "a projection of this rank"
    ),
    "point": Named(factories.point_mass, "point(1)", "a constant"),
    "compress": Named(
        lambda mu, share: _measure(mu).compress(share),
        "compress(coin, 0.5)",
        "the corner of this share",
    ),
    "rectangular": Named(
        lambda mu, nu, ratio: rectangular_sum(_measure(mu), _measure(nu), ratio=ratio),
        "rectangular(mp(0.5), point(1), 0.5)",
        "squared singular values of A + U B V, A and B of shape (0.5 m, m)",
    ),
}


def _measure(x: Value) -> Measure:
    if not isinstance(x, Measure):
        raise TypeError(f"a measure is needed where {x:g} stands")
    return x


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


def parse(
    text: str,
    *,
    read: Callable[[str], Measure] | None = None,
    names: Mapping[str, Named] | None = None,
) -> Measure:
    """The measure that a text describes.

    Parameters
    ----------
    text : str
        For example ``mp(0.5) + semicircle(1)``, ``coin^4``, ``2*mp(1)*spectrum.npy``.
    read : callable, optional
        From the name of a file of eigenvalues to its measure; without it files are refused.
    names : mapping of str to Named, optional
        Names beside those of :data:`NAMES`.

    Returns
    -------
    Measure
        The measure.

    Raises
    ------
    SpecError
        For a text that is not of the grammar, with the place.
    ValueError
        Where a measure or an operation refuses its arguments.
    """
    if len(text) > MAX_LENGTH:
        raise SpecError(
            f"the text of a measure may have {MAX_LENGTH} characters, but it has {len(text)}; "
            "put eigenvalues into a file and name the file."
        )
    table = {**NAMES, **(names or {})}
    value = _Reader(text, _tokens(text), table, read).whole()
    if not isinstance(value, Measure):
        raise SpecError(
            f"{text!r} is the number {value:g}, not a measure; write point({value:g}) for the law "
            "of a constant."
        )
    return value


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    while text[at:].strip():
        match = _TOKENS.match(text, at)
        if match is None or match.end() == at:
            at += len(text[at:]) - len(text[at:].lstrip())
            _refuse(text, at, f"{text[at]!r} has no meaning here")
        kind = str(match.lastgroup)
        found.append(_Token(kind, match.group(kind), match.start(kind)))
        at = match.end()
    return [*found, _Token("end", "", len(text))]


def _refuse(text: str, at: int, why: str) -> NoReturn:
    near = text[max(0, at - 12) : at + 12].strip()
    place = f"at character {at + 1}, near {near!r}" if at < len(text) else "at the end"
    raise SpecError(
        f"{text!r} is no measure: {why} ({place}); write for example "
        "'mp(0.5) + semicircle(1)', 'coin^4', 'eigenvalues.npy * mp(2)'."
    )


class _Reader:
    """Recursive descent over the tokens; values are computed as they are read."""

    def __init__(
        self,
        text: str,
        tokens: list[_Token],
        table: Mapping[str, Named],
        read: Callable[[str], Measure] | None,
    ) -> None:
        self.text, self.tokens, self.table, self.read = text, tokens, table, read
        self.place, self.depth = 0, 0

    @property
    def next(self) -> _Token:
        return self.tokens[self.place]

    def take(self, *signs: str) -> str | None:
        """The next token if it is one of these signs, else None."""
        token = self.next
        if token.kind == "sign" and token.text in signs:
            self.place += 1
            return token.text
        return None

    def refuse(self, why: str, token: _Token | None = None) -> NoReturn:
        _refuse(self.text, (token or self.next).at, why)

    def expect(self, sign: str, why: str) -> None:
        if self.take(sign) is None:
            self.refuse(f"{why} needs {sign!r} here")

    def whole(self) -> Value:
        if self.next.kind == "end":
            self.refuse("it is empty")
        value = self.sum()
        if self.next.kind != "end":
            self.refuse(f"{self.next.text!r} follows a finished measure")
        return value

    def sum(self) -> Value:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.refuse(f"it is nested more than {MAX_DEPTH} deep")
        value = self.product()
        while sign := self.take("+", "-"):
            right = self.product()
            value = _plus(value, right if sign == "+" else _minus(right))
        self.depth -= 1
        return value

    def product(self) -> Value:
        value = self.signed()
        while sign := self.take("*", "/"):
            token = self.next
            right = self.signed()
            if sign == "*":
                value = value * right
                continue
            if isinstance(right, Measure):
                self.refuse("a measure can be divided by a number only", token)
            if right == 0.0:
                self.refuse("it divides by 0", token)
            value = value / right if isinstance(value, float) else value * (1.0 / right)
        return value

    def signed(self) -> Value:
        count = 0
        while sign := self.take("+", "-"):
            count += sign == "-"
        value = self.power()
        return _minus(value) if count % 2 else value

    def power(self) -> Value:
        base = self.atom()
        sign = self.take("^", "**")
        if sign is None:
            return base
        token = self.next
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.refuse(f"it is nested more than {MAX_DEPTH} deep")
        exponent = self.signed()
        self.depth -= 1
        if isinstance(exponent, Measure):
            self.refuse("an exponent must be a number", token)
        if isinstance(base, float):
            return self.number(base, exponent, token)
        free = base.free_power if sign == "^" else base.free_multiplicative_power
        return free(exponent)

    def number(self, base: float, exponent: float, token: _Token) -> float:
        try:
            value = base**exponent
        except (OverflowError, ZeroDivisionError):
            value = math.nan
        if isinstance(value, complex) or not math.isfinite(value):
            self.refuse(f"{base:g} to the power {exponent:g} is no finite number", token)
        return float(value)

    def atom(self) -> Value:
        token = self.next
        self.place += 1
        if token.kind == "number":
            number = float(token.text)
            if not math.isfinite(number):
                self.refuse(f"{token.text} is beyond the range of numbers", token)
            return number
        if token.kind in ("file", "text"):
            return self.file(token)
        if token.kind == "name":
            return self.named(token)
        if token.kind == "sign" and token.text == "(":
            value = self.sum()
            self.expect(")", "the bracket")
            return value
        self.place -= 1
        what = "it breaks off" if token.kind == "end" else f"{token.text!r} is no measure"
        self.refuse(what, token)

    def file(self, token: _Token) -> Measure:
        path = token.text.strip("'\"")
        if self.read is None:
            self.refuse(f"{path!r} is a file, and files are not read here", token)
        return self.read(path)

    def named(self, token: _Token) -> Value:
        name = token.text
        if name in _CONSTANTS and name not in self.table:
            return _CONSTANTS[name]
        if name not in self.table:
            near = difflib.get_close_matches(name, self.table, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            self.refuse(f"{name!r} is not known; {hint}known are {', '.join(self.table)}", token)
        known = self.table[name]
        given: list[Any] = []
        keywords: dict[str, Any] = {}
        if self.take("("):
            while self.take(")") is None:
                if given or keywords:
                    self.expect(",", f"the list of {name}")
                key = self.keyword()
                if key is not None:
                    keywords[key] = self.sum()
                elif len(given) < known.words:
                    given.append(self.word(name))
                else:
                    given.append(self.sum())
        try:
            return known.make(*given, **keywords)
        except TypeError as error:
            raise SpecError(
                f"{name} is written {known.example} ({known.summary}), but here it has "
                f"{len(given) + len(keywords)} arguments that do not fit: {str(error).rstrip('.')}."
            ) from None

    def keyword(self) -> str | None:
        follows = self.tokens[min(self.place + 1, len(self.tokens) - 1)]
        if self.next.kind != "name" or follows != _Token("sign", "=", follows.at):
            return None
        name = self.next.text
        self.place += 2
        return name

    def word(self, name: str) -> str:
        token = self.next
        if token.kind not in ("name", "text"):
            self.refuse(f"the first argument of {name} is a word", token)
        self.place += 1
        return token.text.strip("'\"")


def _plus(left: Value, right: Value) -> Value:
    return left + right


def _minus(value: Value) -> Value:
    return -value if isinstance(value, float) else value.reflect()
