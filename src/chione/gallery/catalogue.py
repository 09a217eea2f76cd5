"""All entries of the gallery by name."""

from __future__ import annotations

from difflib import get_close_matches

from chione.gallery import (
    classes,
    edges,
    glorot,
    glorot_training,
    hessian,
    initialisations,
    maps,
    poole,
    problem_set,
    selu,
    spectra,
    trainable_depth,
    training_speed,
    transformers,
)
from chione.gallery.entry import Entry

_ROOMS = (
    *(poole, edges, maps, problem_set, glorot, spectra, hessian, selu, classes, transformers),
    *(trainable_depth, training_speed, glorot_training, initialisations),
)

ENTRIES: dict[str, Entry] = {e.name: e for room in _ROOMS for e in room.ENTRIES}


def find(name: str) -> Entry:
    """The entry of that name.

    Raises
    ------
    ValueError
        If there is none; the nearest name is suggested.
    """
    if name in ENTRIES:
        return ENTRIES[name]
    near = get_close_matches(name, ENTRIES, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"the gallery has no entry {name!r}.{hint} Entries: {', '.join(ENTRIES)}.")
