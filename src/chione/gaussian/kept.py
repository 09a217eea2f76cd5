"""Which functions stay as they are, so that what was found about them may be kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import MethodType
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Vouched(Protocol):
    """Something that says of its own functions whether they may hide narrow features."""

    @property
    def known(self) -> bool:
        """Whether they are as smooth as their nodes say."""


def is_known(f: Callable[..., Any]) -> bool:
    """Whether `f` is a method of something that vouches for it."""
    owner = f.__self__ if isinstance(f, MethodType) else None
    return isinstance(owner, Vouched) and owner.known


def is_unchanging(f: Callable[..., Any]) -> bool:
    """Whether `f` is a method of a frozen dataclass, as every activation is.

    A bare function or module of a user may change between two calls; a description may not.
    """
    if not isinstance(f, MethodType) or not dataclasses.is_dataclass(f.__self__):
        return False
    parameters = getattr(f.__self__, "__dataclass_params__", None)
    return parameters is not None and bool(parameters.frozen)
