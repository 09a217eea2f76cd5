"""Laws that weights are drawn from, as data; and the drawing."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch

from chione.torch.capture.layouts import layout_of
from chione.torch.initialisation import tensors

# Everything that weights can be drawn from at a sigma_w, with the older name of the first.
DISTRIBUTIONS = ("normal", "truncated", "uniform", "orthogonal", "delta_orthogonal")
_FIXED = ("normal", "truncated", "uniform", "constant", "zeros", "ones", "keep")
_CUT = 2.0  # standard deviations at which "truncated" ends
# Standard deviation of N(0, 1) between -2 and 2: sqrt(1 - 4 pdf(2) / (2 cdf(2) - 1)).
_CUT_STD = 0.8796256610342398

Own: TypeAlias = Callable[[torch.Tensor], object]


@dataclass(frozen=True)
class Law:
    """What the entries of one tensor are drawn from.

    Parameters
    ----------
    kind : str
        One of ``DISTRIBUTIONS``, or "constant", "zeros", "ones", "keep", "own".
    scale : float
        Standard deviation of the entries; the value of a constant.
    own : callable, optional
        A function that fills a tensor in place, for "own".
    """

    kind: str
    scale: float = 0.0
    own: Own | None = None

    def __str__(self) -> str:
        if self.kind in ("zeros", "ones", "keep"):
            return self.kind
        if self.own is not None:
            return str(getattr(self.own, "__name__", "a function of the caller"))
        return f"{self.kind}({self.scale:.4g})"


@dataclass(frozen=True)
class Axes:
    """Which axis of a weight is what, as :func:`layout_of` takes it; `blocks` share its outputs."""

    groups: int = 1
    transposed: bool = False
    stride: int | Sequence[int] = 1
    blocks: int = 1  # independent matrices, one below the other (queries, keys and values)

    def fan_in(self, tensor: torch.Tensor) -> float:
        """Products in one output."""
        layout = layout_of(
            tensor, groups=self.groups, transposed=self.transposed, stride=self.stride
        )
        return layout.fan_in


def draw_(
    tensor: torch.Tensor, law: Law, axes: Axes, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Fill a tensor in place; low precision is drawn in float32 and rounded."""
    if law.kind == "own" and law.own is not None:
        with torch.no_grad():
            law.own(tensor)
        return tensor
    if law.kind in ("zeros", "ones", "constant"):
        value = {"zeros": 0.0, "ones": 1.0}.get(law.kind, law.scale)
        with torch.no_grad():
            return tensor.fill_(value)
    if law.kind == "keep":
        return tensor
    if tensor.dim() > 1 and "orthogonal" in law.kind:
        for block in tensor.chunk(axes.blocks, dim=1 if axes.transposed else 0):
            _isometry(block, law, axes, generator)
        return tensor
    return _independent(tensor, law, generator)


def _isometry(block: torch.Tensor, law: Law, axes: Axes, generator: torch.Generator | None) -> None:
    own = Axes(axes.groups, axes.transposed, axes.stride)
    sigma_w = law.scale * math.sqrt(own.fan_in(block))
    fill = tensors.orthogonal_ if law.kind == "orthogonal" else tensors.delta_orthogonal_
    fill(
        block, sigma_w, groups=axes.groups, transposed=axes.transposed, stride=axes.stride,
        generator=generator,
    )  # fmt: skip


def _independent(tensor: torch.Tensor, law: Law, generator: torch.Generator | None) -> torch.Tensor:
    """Entries of their own: normal, normal between -2 and 2 standard deviations, or uniform."""
    place = torch.device("cpu") if generator is None else generator.device
    plain = tensor.dtype in (torch.float32, torch.float64) and tensor.device == place
    values = tensor if plain and tensor.is_contiguous() else _empty(tensor, place)
    with torch.no_grad():
        if law.kind == "uniform":
            bound = math.sqrt(3.0) * law.scale
            values.uniform_(-bound, bound, generator=generator)
        elif law.kind == "truncated":
            below = math.erf(-_CUT / math.sqrt(2.0))
            values.uniform_(below, -below, generator=generator).erfinv_()
            values.mul_(math.sqrt(2.0) * law.scale / _CUT_STD)
            edge = _CUT * law.scale / _CUT_STD
            values.clamp_(-edge, edge)
        else:
            values.normal_(0.0, law.scale, generator=generator)
        if values is not tensor:
            tensor.copy_(values)
    return tensor


def _empty(tensor: torch.Tensor, place: torch.device) -> torch.Tensor:
    wide = torch.float64 if tensor.dtype == torch.float64 else torch.float32
    return torch.empty(tensor.shape, dtype=wide, device=place)


_CALL = re.compile(r"^\s*([a-z_]+)\s*(?:\(\s*([^()]*)\s*\))?\s*$")


def override_law(value: object) -> tuple[Law | None, float | None]:
    """What a user wants for a weight: a law, or a sigma_w in units of the fan-in.

    Raises
    ------
    ValueError, TypeError
        In one sentence, if it is neither.
    """
    accepted = (
        "a number (sigma_w), a function that fills a tensor in place, or one of 'keep', 'zeros', "
        "'ones', 'constant(value)', 'normal(std)', 'truncated(std)', 'uniform(bound)', "
        "'orthogonal(gain)'"
    )
    if isinstance(value, bool) or value is None:
        raise TypeError(f"an override must be {accepted}, but it is {value!r}.")
    if isinstance(value, (int, float)):
        if not math.isfinite(value) or value < 0.0:
            raise ValueError(f"sigma_w of an override must be zero or above, but it is {value!r}.")
        return None, float(value)
    if isinstance(value, str):
        found = _CALL.match(value)
        number = _number(found[2]) if found else None
        named = found[1] if found else ""
        if named in ("keep", "zeros", "ones") and number is None and not (found and found[2]):
            return Law(named), None
        if named == "orthogonal" and number is not None:
            return Law("orthogonal", number), None
        if named in _FIXED and number is not None:
            return Law(named, number / math.sqrt(3.0) if named == "uniform" else number), None
        raise ValueError(f"an override must be {accepted}, but it is {value!r}.")
    if callable(value):
        return Law("own", 0.0, value), None
    raise TypeError(f"an override must be {accepted}, but it is {type(value).__name__}.")


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
