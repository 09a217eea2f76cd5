"""Biases, gains and padding rows that break a convention or a pattern."""

from __future__ import annotations

import torch

from chione.torch.audits.context import Context, listed
from chione.torch.audits.items import Item, fits_uniform

_NOTHING = 1e-4  # biases of that size act like zero
_WAYS = ("head", "router")


def find_vectors(model: Context) -> None:
    """Add biases and gains that are not what they should be."""
    _biases(model)
    _gains(model)
    _padding(model)


def _biases(model: Context) -> None:
    """A bias that is not zero although its weight was set on purpose and most biases are zero."""
    weights = {
        i.entry.module: i for i in model.items if i.entry.leaf in ("weight", "in_proj_weight")
    }
    told = {n for f in model.findings for n in f.names}
    biases = [
        i for i in model.items if i.role == "bias" and i.found.kind != "garbage"
        and not i.entry.frozen
    ]  # fmt: skip
    pairs = [(b, weights.get(b.entry.module)) for b in biases]
    # a bias that is drawn by PyTorch together with its weight is nobody's mistake
    pairs = [
        (b, w) for b, w in pairs
        if not (w is not None and w.is_default) and not _is_recurrent(b)
    ]  # fmt: skip
    pairs = [(b, w) for b, w in pairs if not _of_attention(b)]  # which sets its own to zero
    zero = [b for b, _ in pairs if b.found.summary.high == b.found.summary.low == 0.0]
    small = [b for b, _ in pairs if 0.0 < _size(b) < _NOTHING]
    odd = [
        (b, w) for b, w in pairs
        if _size(b) >= _NOTHING and b.name not in told and not _meant(b)
    ]  # fmt: skip
    if not odd or len(zero) + len(small) < len(odd):
        if odd and all(_default_bias(b, w) for b, w in odd):
            model.remark(
                "biases left at PyTorch's default", [b for b, _ in odd],
                f"{listed([b.name for b, _ in odd])}: uniform within 1/sqrt(fan_in), while the "
                "weights beside them were set.",
            )  # fmt: skip
        return
    names = [f"{b.name} ({b.found.words})" for b, _ in odd]
    default = all(_default_bias(b, w) for b, w in odd)
    model.find(
        "bias not zero", [b for b, _ in odd],
        f"{listed(names)}: not zero, while {len(zero) + len(small)} other biases are"
        f"{'; left as PyTorch draws it' if default else ''}.",
    )  # fmt: skip


def _of_attention(bias: Item) -> bool:
    kind = bias.entry.kind
    return kind in ("MultiheadAttention", "NonDynamicallyQuantizableLinear") and _size(bias) == 0.0


def _size(item: Item) -> float:
    s = item.found.summary
    return max(abs(s.low), abs(s.high)) if s.n else 0.0


def _is_recurrent(bias: Item) -> bool:
    """Whether a bias belongs to recurrent cells, which draw it with their weights."""
    return isinstance(bias.entry.owner, torch.nn.RNNBase | torch.nn.RNNCellBase) or (
        "_ih" in bias.entry.leaf or "_hh" in bias.entry.leaf
    )


def _meant(bias: Item) -> bool:
    """A constant on a head (a prior) or a forget gate, and numbers in a regular order."""
    if bias.found.kind in ("constant", "ones", "mixed"):
        return True
    return bias.role == "bias" and any(w in bias.name.lower() for w in ("dt_", "decay", "a_log"))


def _default_bias(bias: Item, weight: Item | None) -> bool:
    return weight is not None and fits_uniform(bias.found, weight.default_bound)


def _gains(model: Context) -> None:
    gains = [i for i in model.items if i.role == "norm gain" and i.found.kind != "garbage"]
    shifts = [i for i in model.items if i.role == "norm shift" and i.found.kind != "garbage"]
    offset = any(i.entry.detail.get("offset") for i in gains)
    zero = [i for i in gains if i.found.kind == "zeros"]
    if zero and len(zero) == len(gains) and not offset and not _custom(zero):
        model.find(
            "norm gain zero", zero,
            f"all {len(zero)} gains of normalisations are zero, so that nothing passes: the "
            "parameters were not initialised after to_empty, or a load failed.",
        )  # fmt: skip
    wrong = [
        i for i in gains
        if i.found.kind not in ("ones", "zeros") and not _near_one(i) and not offset
    ]  # fmt: skip
    # one constant in all of them, and not 1: a choice only where it changes from layer to layer
    if wrong:
        model.find(
            "norm gain not 1", wrong,
            f"{listed([f'{i.name} ({i.found.words})' for i in wrong])}: the gain of a "
            "normalisation starts at 1.",
        )  # fmt: skip
    if offset and zero and len(zero) < len(gains):
        odd = [i for i in gains if i not in zero and i.entry.kind == zero[0].entry.kind]
        if odd:
            model.find("norm gain not 0", odd, f"{listed([i.name for i in odd])}: the gain is "
                       "1 + w, and w starts at 0 in the others.")  # fmt: skip
    moved = [i for i in shifts if i.found.kind != "zeros"]
    if moved and len(moved) * 2 <= len(shifts) + 1:
        model.find(
            "norm shift not 0", moved,
            f"{listed([f'{i.name} ({i.found.words})' for i in moved])}: the shift of a "
            "normalisation starts at 0.",
        )  # fmt: skip


def _custom(items: list[Item]) -> bool:
    """Whether the class is not PyTorch's, so that its gain may be 1 + w."""
    graph = any(i.entry.evidence == "graph" for i in items)  # which reads the gain off the output
    return not graph and all(
        not type(i.entry.owner).__module__.startswith("torch.nn") for i in items
    )


def _near_one(item: Item) -> bool:
    """N(1, 0.02) as in DCGAN."""
    s = item.found.summary
    return item.found.drawn and abs(s.mean - 1.0) < 0.1 and 0.0 < s.std <= 0.1


def _padding(model: Context) -> None:
    for item in model.items:
        owner = item.entry.owner
        if not isinstance(owner, torch.nn.Embedding) or owner.padding_idx is None:
            continue
        row = item.entry.tensor[owner.padding_idx]
        if bool((row != 0).any()) and item.found.random:
            size = float(row.double().square().mean().sqrt())
            model.find(
                "padding row not zero", [item],
                f"{item.name}: row {owner.padding_idx} (padding_idx) has entries of size "
                f"{size:.3g}; it was drawn again with the rest, and takes no gradient: set it to "
                "zero.",
            )  # fmt: skip
