"""What a user may ask of an initialisation, checked at the door."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

import torch

from chione.base import checks
from chione.theory.depth.advice_rule import USUAL_WIDTH
from chione.torch.initialisation.laws import DISTRIBUTIONS, Law, override_law

WEIGHTS = ("auto", "gaussian", *DISTRIBUTIONS)
TARGETS = ("auto", "forward")
Excluded: TypeAlias = str | torch.nn.Module | Iterable[str | torch.nn.Module]


@dataclass(frozen=True)
class Options:
    """The options of :func:`chione.torch.initialize_`, with names of parameters resolved.

    Parameters
    ----------
    law : str
        One of ``DISTRIBUTIONS``, or "auto".
    target : str
        "auto" or "forward".
    generator : torch.Generator or None
        Source of randomness.
    excluded : frozenset of str
        Full names of parameters to leave.
    overrides : dict
        From full names of parameters to a law, or to a sigma_w.
    width : int
        Fan-in of a typical layer.
    """

    law: str
    target: str
    generator: torch.Generator | None
    excluded: frozenset[str] = frozenset()
    overrides: dict[str, tuple[Law | None, float | None]] = field(default_factory=dict)
    width: int = USUAL_WIDTH


def options(
    model: torch.nn.Module,
    weights: str,
    distribution: str | None,
    target: str,
    generator: torch.Generator | None,
    exclude: Any,
    overrides: Any,
) -> Options:
    """Check them and look patterns up in the names of the model."""
    checks.one_of("weights", weights, WEIGHTS)
    if distribution is not None:
        checks.one_of("distribution", distribution, WEIGHTS)
    checks.one_of("target", target, TARGETS)
    law = weights if distribution is None else distribution
    excluded: set[str] = set()
    for item in _listed(exclude):
        excluded |= _names(model, item, "exclude")
    found: dict[str, tuple[Law | None, float | None]] = {}
    if not isinstance(overrides, Mapping):
        raise TypeError(
            "overrides must be a mapping from patterns of names to what these weights shall be, "
            f"but it is {type(overrides).__name__}."
        )
    for pattern, value in overrides.items():
        for name in _names(model, pattern, "overrides"):
            found[name] = override_law(value)
    return Options(
        "normal" if law == "gaussian" else law, target, generator, frozenset(excluded), found
    )


def _listed(exclude: Any) -> list[Any]:
    if isinstance(exclude, (str, torch.nn.Module)):
        return [exclude]
    try:
        return list(exclude)
    except TypeError:
        raise TypeError(
            "exclude must be patterns of names or modules, one or several, but it is "
            f"{type(exclude).__name__}."
        ) from None


def _names(model: torch.nn.Module, item: Any, option: str) -> set[str]:
    """Parameters whose name, or the name of whose module, fits a pattern; those of a module."""
    if isinstance(item, torch.nn.Module):
        inside = {id(p) for p in item.parameters()}
        found = {n for n, p in _all(model) if id(p) in inside}
        if not found:
            raise ValueError(f"{option} names a {type(item).__name__} that is not in the model.")
        return found
    if not isinstance(item, str):
        raise TypeError(
            f"{option} takes patterns of names and modules, but got {type(item).__name__}."
        )
    found = {n for n, _ in _all(model) if _fits(n, item)}
    if not found:
        some = ", ".join(n for n, _ in _all(model)[:3])
        raise ValueError(
            f"{option}: the pattern {item!r} fits no parameter and no module of the model; its "
            f"parameters are called {some}, ..."
        )
    return found


def _all(model: torch.nn.Module) -> list[tuple[str, torch.Tensor]]:
    """Parameters under all their names; a weight that is parametrised also under its own."""
    out: list[tuple[str, torch.Tensor]] = [*model.named_parameters(remove_duplicate=False)]
    for name, p in list(out):
        before, mark, behind = name.partition("parametrizations.")
        if mark:
            out.append((before + behind.split(".")[0], p))
        for ending in ("_orig", "_v", "_g"):
            if name.endswith("weight" + ending):
                out.append((name.removesuffix(ending), p))
    return out


def _fits(name: str, pattern: str) -> bool:
    parts = name.split(".")
    whole = [".".join(parts[: i + 1]) for i in range(len(parts))]
    return any(fnmatchcase(one, pattern) for one in whole)
