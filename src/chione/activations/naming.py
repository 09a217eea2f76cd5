"""How an activation spells its name when it has parameters."""

from __future__ import annotations

from collections.abc import Iterable


def spell(name: str, parameters: Iterable[tuple[str, float, float]]) -> str:
    """`name`, or ``name(parameter=value)`` with those that differ from their defaults.

    Parameters
    ----------
    name : str
        The plain name.
    parameters : iterable of (str, float, float)
        Name, value and default of each parameter.
    """
    given = [f"{key}={value!r}" for key, value, default in parameters if value != default]
    return f"{name}({', '.join(given)})" if given else name
