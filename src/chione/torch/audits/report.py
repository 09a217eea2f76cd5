"""What an audit returns: parameters with their laws, findings, and lines of a declaration."""

from __future__ import annotations

import math
import re
from typing import final

from chione.base import AbstractResult, Estimate, paragraph, result, text_table

_INDEX = re.compile(r"(?<![^.])\d+(?![^.])")


@final
@result
class ParameterAudit(AbstractResult):
    r"""One parameter: what it does, and which law it was drawn from.

    Parameters
    ----------
    name : str
        Full name; other names of the same tensor are in `aliases`.
    aliases : tuple of str
        Names it is tied to.
    role, evidence : str
        What it does (embedding, q, k, v, qkv, o, gate, up, down, conv, norm gain, bias, head,
        ...), and how that is known: from the graph, the module, the name or the shape.
    shape : tuple of int
        Its shape.
    dtype : str
        Its type.
    law : str
        The law as measured, in words.
    kind : str
        The law in one word.
    std : Estimate
        Standard deviation and its standard error, from the fourth moment.
    sigma_w : float
        std in units of 1/sqrt(fan_in): the :math:`\sigma_w` of mean-field theory. NaN for vectors.
    sigma_out : float
        In units of 1/sqrt(fan_out).
    xavier : float
        In units of sqrt(2 / (fan_in + fan_out)).
    cut : float
        Where a normal law is cut, in units of its uncut sigma; infinite if it is not.
    expected : str
        What theory or convention expects of its role.
    p : float
        Chance of a sample as far from the law that is named.
    """

    name: str
    aliases: tuple[str, ...]
    role: str
    evidence: str
    shape: tuple[int, ...]
    dtype: str
    law: str
    kind: str
    std: Estimate
    sigma_w: float
    sigma_out: float
    xavier: float
    cut: float
    expected: str
    p: float


@final
@result
class Finding(AbstractResult):
    """Something that breaks a pattern, or that is worth a word.

    Parameters
    ----------
    kind : str
        What it is, in a few words that do not change.
    names : tuple of str
        The parameters.
    sentence : str
        What was found, with numbers, and what to do.
    p : float
        Chance of it in a model without the fault, corrected for all comparisons; 0 where it is no
        matter of chance.
    """

    kind: str
    names: tuple[str, ...]
    sentence: str
    p: float


@final
@result
class DeclaredLine(AbstractResult):
    """One line of a declaration and how the model fits it.

    Parameters
    ----------
    pattern, declared : str
        As given.
    names : tuple of str
        Parameters that it speaks of.
    worst : str
        The one that fits least; empty if there is none.
    expected, found : str
        The law that was declared for it with its numbers, and the one that was measured.
    std, expected_std : float
        Standard deviations of that one.
    p : float
        p-value of the line, corrected for its parameters and (Holm) for all lines.
    passed : bool
        Whether p is at least the level.
    why : str
        What is furthest off where it fails.
    """

    pattern: str
    declared: str
    names: tuple[str, ...]
    worst: str
    expected: str
    found: str
    std: float
    expected_std: float
    p: float
    passed: bool
    why: str


@final
@result
class AuditReport(AbstractResult):
    """Whether a model has the initialisation that was meant.

    Parameters
    ----------
    model : str
        What was audited.
    parameters : tuple of ParameterAudit
        In order of registration.
    findings : tuple of Finding
        What breaks a pattern.
    notes : tuple of Finding
        What is unusual but may be meant.
    lines : tuple of DeclaredLine
        Of the declaration; empty without one.
    undeclared : tuple of str
        Parameters that no line speaks of.
    level : float
        Chance of any finding or failed line in a model as meant.
    note : str
        How roles were found, if not by running the model.
    """

    model: str
    parameters: tuple[ParameterAudit, ...]
    findings: tuple[Finding, ...]
    notes: tuple[Finding, ...]
    lines: tuple[DeclaredLine, ...]
    undeclared: tuple[str, ...]
    level: float
    note: str

    @property
    def passed(self) -> bool:
        """With a declaration: all its lines hold and all say something. Without: no findings."""
        if self.lines:
            return all(line.passed for line in self.lines)
        return not self.findings

    @property
    def size(self) -> int:
        """Number of entries of all parameters."""
        return sum(math.prod(p.shape) for p in self.parameters)

    def __str__(self) -> str:
        blocks = [f"{self.model}: {len(self.parameters)} tensors, {self.size:,} parameters"]
        blocks.append(parameter_table(self.parameters))
        if self.lines:
            blocks.append(self.lines_text())
        for finding in self.findings:
            blocks.append(paragraph(f"finding ({finding.kind}): {finding.sentence}"))
        for note in self.notes:
            blocks.append(paragraph(f"note ({note.kind}): {note.sentence}"))
        if not self.findings:
            blocks.append("Nothing breaks a pattern.")
        if self.note:
            blocks.append(paragraph(self.note))
        return "\n\n".join(blocks)

    def lines_text(self, *, failed_only: bool = False) -> str:
        """The lines of the declaration as a table, and what no line speaks of."""
        head = ("", "declared", "for", "found", "std", "expected", "p", "furthest off")
        rows = [
            ("ok" if line.passed else "FAIL", f"{line.pattern}: {line.declared}",
             _for(line), line.found, _number(line.std), _number(line.expected_std),
             f"{line.p:.1e}" if line.names else "", line.why)
            for line in self.lines if not (failed_only and line.passed)
        ]  # fmt: skip
        text = text_table(head, rows, align="<<<<>>><")
        if self.undeclared:
            some = ", ".join(self.undeclared[:5])
            more = f" and {len(self.undeclared) - 5} more" if len(self.undeclared) > 5 else ""
            text += "\n" + paragraph(f"No line speaks of {some}{more}.")
        return text


def _for(line: DeclaredLine) -> str:
    if not line.names:
        return "nothing"
    more = f" and {len(line.names) - 1} more" if len(line.names) > 1 else ""
    return line.worst + more


def _number(x: float) -> str:
    return "" if math.isnan(x) else f"{x:.4g}"


def template(name: str) -> str:
    """The name with a star for each number between dots."""
    return _INDEX.sub("*", name)


def parameter_table(parameters: tuple[ParameterAudit, ...]) -> str:
    """One row for each group of parameters of one series, role, shape and kind of law."""
    groups: dict[tuple[str, str, tuple[int, ...], str], list[ParameterAudit]] = {}
    for p in parameters:
        groups.setdefault((template(p.name), p.role, p.shape, p.kind), []).append(p)
    rows = []
    for (name, role, shape, _), members in groups.items():
        stds = [float(p.std.value) for p in members]
        first = members[0]
        law = first.law if len(members) == 1 or first.std.value == 0 else _joint_law(members)
        count = f"{len(members)} x " if len(members) > 1 else ""
        label = name if len(members) > 1 else first.name
        if first.aliases:
            label += f" = {first.aliases[0]}"
        size = " x ".join(map(str, shape)) or "1"
        spread = (
            f"{_number(min(stds))} .. {_number(max(stds))}"
            if len(stds) > 1 and max(stds) > 1.02 * min(stds) > 0.0
            else f"{stds[0]:.4g} +- {float(first.std.error):.1g}"
        )
        sigma = _number(first.sigma_w)
        rows.append((count + label, role, size, law, spread, sigma, first.expected))
    head = ("parameter", "role", "shape", "law", "std", "sigma_w", "expected")
    return text_table(head, rows, align="<<><>><")


def _joint_law(members: list[ParameterAudit]) -> str:
    kinds = {p.kind for p in members}
    cuts = [p.cut for p in members if math.isfinite(p.cut)]
    if cuts:
        return f"normal cut at {sum(cuts) / len(cuts):.3g} sigma"
    return kinds.pop() if len(kinds) == 1 else members[0].law
