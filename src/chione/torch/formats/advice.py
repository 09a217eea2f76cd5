"""From counts to sentences: which format fits, which loss scale, which epsilon."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from chione.torch.formats.counting import Counts
from chione.torch.formats.floats import Format
from chione.torch.formats.report import AdamEpsilon, FormatVerdict, TensorRange

_HEADROOM = 4  # powers of two kept free above the largest gradient, as gradients grow in training
_RARE = 0.01  # of a parameter's gradients may lie below the epsilon that is advised


def verdict(
    form: Format,
    tensors: Sequence[TensorRange],
    forward: Sequence[tuple[str, Counts]],
    gradients: Sequence[tuple[str, Counts]],
    tolerance: float,
) -> FormatVerdict:
    """What one format does to a step, in words.

    `forward` and `gradients` are the counts of the tensors; the latter share one scale, that of
    the loss, while each of the former could have its own.
    """
    trouble = _first(form, [t for t in tensors if "gradient" not in t.what], tolerance)
    lost = _first(form, [t for t in tensors if "gradient" in t.what], tolerance)
    lowest, low_name, highest, high_name = scale_range(form, gradients, tolerance)
    alone = [scale_range(form, [one], tolerance) for one in (*forward, *gradients)]
    spoilt = next((low for a, low, b, _ in alone if a > b), None)
    first = trouble or lost
    scale = 1.0 if first is None and gradients else _recommended(lowest, highest)
    most = _most(form, tensors)
    safe = f"loss scales from {_power(lowest)} to {_power(highest)}"
    if first is None:
        answer, words = "fits", f"{form.name}: holds activations and weights as they are"
        words += f", and gradients at {safe}." if gradients else "; gradients need a loss."
    elif trouble is None and lowest <= highest:
        answer, words = "with a loss scale", _loses(form, first, most)
        words += f" {safe.capitalize()} avoid it; use {scale:g} ({_power(scale)})."
    elif form.digits < 8 and spoilt is None:
        answer, words = "with tensor scales", _loses(form, first, most)
        words += " A power of two for each tensor, divided out afterwards, avoids it everywhere."
    else:
        answer, words = "no", _loses(form, first, most)
        if form.digits < 8:
            words += f" Even with a power of two for each tensor {spoilt!r} does not fit."
        elif trouble is not None:
            words += " A loss scale does not help there: normalise it, or keep it in float32."
        else:
            words += (
                f" No loss scale avoids it: {low_name!r} needs {_power(lowest)} or more and "
                f"{high_name!r} overflows above {_power(highest)}."
            )
    layer, what = (None, None) if first is None else (first.name, first.what)
    return FormatVerdict(form.name, answer, layer, what, lowest, highest, scale, words)


def scale_range(
    form: Format, gradients: Sequence[tuple[str, Counts]], tolerance: float
) -> tuple[float, str, float, str]:
    """The smallest and largest power of two for the loss, and the tensors that set them."""
    low, high, low_name, high_name = -math.inf, math.inf, "", ""
    for name, counts in gradients:
        if not counts.told:
            continue
        allowed = _allowed(tolerance, counts.told)
        below, k = 0, counts.low - 1
        for n in counts.exponents:  # the largest k with no more than that at or below 2^k
            below += int(n)
            if below > allowed:
                break
            k += 1
        if form.zero_exponent - k > low:
            low, low_name = form.zero_exponent - k, name
        room = math.floor(math.log2(form.overflow_border / counts.largest))
        while not _fits(form, math.ldexp(counts.largest, room)):
            room -= 1
        if room < high:
            high, high_name = room, name
    if not math.isfinite(low) or not math.isfinite(high):
        return math.nan, "", math.nan, ""
    return math.ldexp(1.0, int(low)), low_name, math.ldexp(1.0, int(high)), high_name


def adam_epsilon(
    epsilon: float,
    beta2: float,
    dtype: torch.dtype,
    gradients: Sequence[tuple[str, Counts]],
    lost: float,
) -> AdamEpsilon | None:
    """Adam's epsilon against the gradients of all parameters."""
    told = sum(c.told for _, c in gradients)
    if not told:
        return None
    below, worst, layer = 0.0, 0.0, None
    advised = math.inf
    for name, c in gradients:
        if not c.told:
            continue
        share = c.below(epsilon)
        below += share * c.told
        if share > worst:
            worst, layer = share, name
        advised = min(advised, c.quantile(_RARE))
    advised = 10.0 ** math.floor(math.log10(advised)) if advised > 0.0 else epsilon
    stored = float(torch.tensor(epsilon, dtype=torch.float64).to(dtype))
    below /= told
    return AdamEpsilon(
        epsilon, stored, below, lost, layer, worst, advised,
        _adam_words(epsilon, stored, dtype, below, lost, layer, worst, advised),
    )  # fmt: skip


def _adam_words(
    epsilon: float, stored: float, dtype: torch.dtype, below: float, lost: float,
    layer: str | None, worst: float, advised: float,
) -> str:  # fmt: skip
    name = str(dtype).removeprefix("torch.")
    if epsilon > 0.0 and stored == 0.0:
        return (
            f"Adam: eps = {epsilon:g} is zero in {name}, so a parameter whose second moment is "
            f"zero ({lost:.1%} of the gradients) divides by zero; keep the optimizer's state in "
            "float32."
        )
    if lost > _RARE:
        return (
            f"Adam: the second moments of {lost:.1%} of the gradients become zero in {name}, so "
            "these steps are far too large; keep the optimizer's state in float32."
        )
    if worst > _RARE and layer is not None:
        return (
            f"Adam: {worst:.1%} of the gradients of {layer!r} ({below:.1%} of all) are below eps = "
            f"{epsilon:g}, so their steps are cut; use eps = {advised:.0e}, or a loss summed over "
            "fewer terms."
        )
    return f"Adam: eps = {epsilon:g} is below nearly all gradients ({below:.2%} are smaller)."


def _first(form: Format, tensors: Sequence[TensorRange], tolerance: float) -> TensorRange | None:
    for t in tensors:
        f = t[form.name]
        told = t.size * (1.0 - t.zeros - t.broken)
        if f.underflow * told > _allowed(tolerance, told) + 0.5 or f.overflow > 0.0:
            return t
    return None


def _allowed(tolerance: float, told: float) -> int:
    """Entries that may be lost: one of a small tensor condemns no format."""
    return math.ceil(tolerance * told) if tolerance > 0.0 else 0


def _most(form: Format, tensors: Sequence[TensorRange]) -> TensorRange:
    """The tensor that loses the largest share of its entries to zero."""
    return max(tensors, key=lambda t: t[form.name].underflow if t[form.name].underflow > 0 else 0)


def _loses(form: Format, t: TensorRange, most: TensorRange) -> str:
    f = t[form.name]
    where = f"the {t.what} of" if t.what != "weight" else "the weight"
    if f.overflow > 0.0:
        return (
            f"{form.name}: {f.overflow:.2g} of {where} {t.name!r} {form.too_large} (largest "
            f"{t.largest:.2g}), the first tensor in trouble."
        )
    share = most[form.name].underflow
    worse = f"; the most, {share:.1%}, in the {most.what} {most.name!r}" if most is not t else ""
    return (
        f"{form.name}: {f.underflow:.1%} of {where} {t.name!r} become zero (rms {t.rms:.2g}, the "
        f"smallest number is {form.smallest:.2g}), the first tensor in trouble{worse}."
    )


def _fits(form: Format, size: float) -> bool:
    return size < form.overflow_border or (size == form.overflow_border and not form.tie_overflows)


def _recommended(lowest: float, highest: float) -> float:
    """Towards the upper end, with some powers of two left for gradients that grow."""
    if not (math.isfinite(lowest) and math.isfinite(highest)) or lowest > highest:
        return math.nan
    low, high = math.log2(lowest), math.log2(highest)
    return float(2.0 ** max(low, min(high - _HEADROOM, max(low + (high - low) // 2, 0))))


def _power(x: float) -> str:
    return f"2^{math.log2(x):.0f}" if x > 0.0 and math.isfinite(x) else f"{x:g}"
