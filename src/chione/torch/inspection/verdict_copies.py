"""The verdict on copies of units."""

from __future__ import annotations

from collections.abc import Sequence

from chione.torch.expected.layer_report import LayerReport
from chione.torch.inspection.copies import Copies
from chione.torch.inspection.report import Verdict
from chione.torch.inspection.trunk_passage import TrunkRow


def copied(
    copies: Copies, layers: Sequence[LayerReport], rows: Sequence[TrunkRow]
) -> Verdict | None:
    """Not trainable where all units of a layer that everything passes are copies of one."""
    whole = [c for c in copies.units if c.different == 1]
    trunk = {row.layer.name for row in rows}
    names = {c.name.rpartition(".")[0] or c.name for c in whole}
    affine = [layer for layer in layers if layer.kind in ("affine", "attention")]
    narrow = sorted(names & trunk)
    if not narrow and 2 * len(names) < max(len(affine) - 1, 1):
        return None
    if not whole:
        return None
    shown = ", ".join(repr(c.name) for c in whole[:3])
    more = f" and {len(whole) - 3} more" if len(whole) > 3 else ""
    return Verdict(
        "no",
        "copied units",
        next((layer.name for layer in layers if layer.name in names), whole[0].name),
        f"All units of {shown}{more} are copies of each other: they have the same weights and get "
        "the same gradient, so training cannot tell them apart and each of these layers is worth "
        "one unit.",
        "Draw the weights at random, for example with chione.torch.initialize_(model).",
    )
