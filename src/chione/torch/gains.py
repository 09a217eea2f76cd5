"""The gain of an activation: sigma_w by theory, in the form PyTorch users know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

AnyActivation = str | Callable[..., Any]


def recommended(activation: AnyActivation, *, depth: int = 50) -> Any:
    raise NotImplementedError


def advice(activation: str | None) -> str:
    """What to do, in a sentence."""
    return "Call chione.torch.initialize_(model)."
