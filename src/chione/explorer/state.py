"""The state of the page as the fragment of its address."""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import quote

from chione.base import SpecError

WEIGHTS = ("gaussian", "orthogonal")
MODES = ("plain", "residual", "prenorm", "transformer", "dropout")
FIELDS = ("chi_perp", "q_star", "c_star", "xi_c", "xi_q", "chi_parallel")
# key -> accepted range
_RANGES = {
    "sigma_w": (0.0, 20.0),
    "sigma_b": (0.0, 20.0),
    "depth": (1, 1000),
    "width": (1, 1_000_000),
    "q": (1e-4, 1e3),
    "c": (-1.0, 1.0),
    "dropout": (0.0, 0.95),
    "alpha": (0.0, 10.0),
    "tokens": (1, 4096),
}
_WORDS = {"weights": WEIGHTS, "mode": MODES, "field": FIELDS}
_WHOLE = ("depth", "width", "tokens")
KEYS = ("activation", *_RANGES, *_WORDS)


def fragment(**state: Any) -> str:
    """A fragment such as ``activation=gelu&sigma_w=1.5``, to stand behind the # of the address.

    Parameters
    ----------
    **state
        ``activation`` (a name or a formula), ``sigma_w``, ``sigma_b``, ``depth``, ``width``, ``q``
        and ``c`` (mean square and correlation of the inputs), ``weights``, ``mode``, ``field``,
        ``dropout``, ``alpha``, ``tokens``; what is left out, or None, has the page's own value.

    Returns
    -------
    str

    Raises
    ------
    SpecError
        If a key is unknown or a value is outside what the page accepts.

    Examples
    --------
    >>> fragment(activation="gelu", sigma_w=1.5, sigma_b=0.1)
    'activation=gelu&sigma_w=1.5&sigma_b=0.1'
    """
    unknown = [key for key in state if key not in KEYS]
    if unknown:
        raise SpecError(
            f"{unknown[0]!r} is no part of the explorer's state; its keys are {', '.join(KEYS)}."
        )
    parts = [
        f"{key}={quote(_text(key, value), safe='')}"
        for key, value in state.items()
        if value is not None
    ]
    return "&".join(parts)


def _text(key: str, value: Any) -> str:
    if key == "activation":
        return str(value)
    if key in _WORDS:
        if value not in _WORDS[key]:
            raise SpecError(f"{key} must be one of {', '.join(_WORDS[key])}, not {value!r}.")
        return str(value)
    low, high = _RANGES[key]
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not low <= number <= high or (key in _WHOLE and number != round(number)):
        kind = "a whole number" if key in _WHOLE else "a number"
        raise SpecError(f"{key} must be {kind} from {low:g} to {high:g}, not {value!r}.")
    return _shortest(number)


def _shortest(number: float) -> str:
    """As Python and JavaScript both read it back."""
    return repr(int(number)) if number == int(number) and abs(number) < 1e15 else repr(number)
