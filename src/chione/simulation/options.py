"""Keywords of a simulation, for type checkers, and what to say of those that do not apply."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypedDict


class Options(TypedDict, total=False):
    """Keywords of :func:`simulate` for perceptrons, for type checkers."""

    n_networks: int
    seed: int | None
    observe: Sequence[str]
    sampler: str
    dtype: str
    workers: int | None
    engine: Any
    batch: int
    memory: int
    bins: int
    backend: str
    device: str
    progress: Callable[[int, int], None] | None
    effort: float


class LayeredOptions(Options, total=False):
    """Those for all networks."""

    ntk: bool
    replicas: int
    positions: int | None


def refuse_options(networks: str, **given: tuple[Any, Any]) -> None:
    """Refuse keywords that differ from their defaults."""
    unused = [name for name, (value, usual) in given.items() if value != usual]
    if unused:
        raise ValueError(
            f"{' and '.join(unused)} cannot be chosen for {networks}; leave "
            f"{'it' if len(unused) == 1 else 'them'} away."
        )
