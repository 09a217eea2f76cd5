"""What a degenerate batch does to a verdict: the model is not blamed for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from chione.theory.depth.trainability import YES
from chione.torch.inspection.data import BatchFault
from chione.torch.inspection.report import Verdict


def with_batch(found: Verdict, faults: Sequence[BatchFault], sound: Verdict | None) -> Verdict:
    """The verdict with what is wrong with the batch.

    Parameters
    ----------
    found : Verdict
        As measured on the batch.
    faults : sequence of BatchFault
    sound : Verdict or None
        As measured on random data of the same shape, where that was asked for and possible.
    """
    told = tuple(fault.sentence for fault in faults)
    warnings = (*found.warnings, *told)
    if found.trains == YES or sound is None:
        return replace(found, warnings=warnings)
    if sound.trains == YES:
        cause, _, fix = next(f.sentence for f in faults if f.decisive).partition(": ")
        return replace(
            found,
            trains="doubtful",
            problem="degenerate batch",
            layer=None,
            cause=f"{cause}; on random data of unit size the model is trainable.",
            fix=f"{fix[:1].upper()}{fix[1:]}",
            warnings=warnings,
            parameters=(),
        )
    # The model has a fault of its own, which is told as it is on data that can tell.
    return replace(sound, warnings=(*sound.warnings, *told))
