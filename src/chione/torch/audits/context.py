"""What the detectors share: all items of a model, its level, and how many comparisons are made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

from chione.torch.audits.items import Item, Style, style, two_sided
from chione.torch.audits.report import Finding

_Key: TypeAlias = tuple[str, str, tuple[float, ...]]
_NUMBER = re.compile(r"(?<![^.])\d+(?![^.])")


@dataclass
class Context:
    """A model under audit, and the findings so far.

    Parameters
    ----------
    items : list of Item
        In order of registration.
    level : float
        Of the whole model.
    sizes : mapping of str to float
        Sizes of the model.
    """

    items: list[Item]
    level: float
    sizes: Mapping[str, float]
    findings: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)

    @property
    def comparisons(self) -> int:
        """Number of comparisons that p-values are corrected for: each tensor with its kin."""
        return 4 * max(1, len(self.items))

    def corrected(self, z: float) -> float:
        """Chance of a deviation of z standard errors anywhere in the model."""
        return min(1.0, self.comparisons * two_sided(z))

    def find(self, kind: str, items: list[Item] | list[str], sentence: str, p: float = 0.0) -> None:
        """Add a finding."""
        self.findings.append(Finding(kind, _names(items), sentence, p))

    def remark(self, kind: str, items: list[Item] | list[str], sentence: str) -> None:
        """Add a note."""
        self.notes.append(Finding(kind, _names(items), sentence, 0.0))

    @cached_property
    def matrices(self) -> list[Item]:
        """Matrices that are random draws of one spread."""
        return [i for i in self.items if i.is_drawn_matrix]

    @cached_property
    def custom(self) -> list[Item]:
        """Those of them that are not what PyTorch's modules draw by themselves."""
        return [i for i in self.matrices if not i.is_default]

    @cached_property
    def style(self) -> Style | None:
        """The rule that most matrices follow which were set on purpose."""
        return style(self.custom)

    @cached_property
    def has_small_style(self) -> bool:
        """Whether most matrices have one small std whatever their fans, such as 0.02."""
        found = self.style
        if found is None or 2 * len(found.members) < len(self.matrices) or len(found.members) < 3:
            return False
        fans = [i.entry.fan_in for i in found.members]
        units = [i.std * fan**0.5 for i, fan in zip(found.members, fans, strict=True)]
        one = max(fans) > 1.5 * min(fans) and found.unit == "std"
        return one or (max(units) < 0.9 and max(i.std for i in found.members) < 0.06)

    @cached_property
    def layers(self) -> int:
        """Number of blocks."""
        return int(self.sizes.get("n_layer", 0))


def _names(items: list[Item] | list[str]) -> tuple[str, ...]:
    return tuple(i if isinstance(i, str) else i.name for i in items)


def listed(names: list[str], most: int = 4) -> str:
    """Names for a sentence."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def series(items: list[Item]) -> list[list[Item]]:
    """Parameters of one role and shape whose names differ in one number, the outermost that does.

    A block ``blocks.3.mlp.0.weight`` belongs to ``blocks.*.mlp.0.weight``, not to
    ``blocks.3.mlp.*.weight``, unless there is one block only.
    """
    groups: dict[_Key, list[Item]] = {}
    for item in items:
        for key in _keys(item):
            groups.setdefault(key, []).append(item)
    out: dict[_Key, list[Item]] = {}
    for item in items:
        for key in _keys(item):
            if len(groups[key]) > 1:
                out.setdefault(key, []).append(item)
                break
    return [group for group in out.values() if len(group) > 1]


def _keys(item: Item) -> list[_Key]:
    shape = (*item.entry.tensor.shape, item.entry.fan_in)  # a bias goes with the fan of its weight
    return [
        (f"{item.name[: m.start()]}*{item.name[m.end() :]}", item.role, shape)
        for m in _NUMBER.finditer(item.name)
    ]
