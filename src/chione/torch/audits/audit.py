"""The public audit: a model, a checkpoint or ranks, with or without a declaration."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import torch

from chione.base import Estimate, checks
from chione.torch.audits import declared as declarations
from chione.torch.audits import entries as sources
from chione.torch.audits.context import Context
from chione.torch.audits.entries import Entry
from chione.torch.audits.expectation import expectations
from chione.torch.audits.expression import read
from chione.torch.audits.find_branches import find_branches
from chione.torch.audits.find_copies import find_copies
from chione.torch.audits.find_ranks import find_ranks
from chione.torch.audits.find_scales import find_scales
from chione.torch.audits.find_series import find_series
from chione.torch.audits.find_values import find_values
from chione.torch.audits.find_vectors import find_vectors
from chione.torch.audits.identify import identify
from chione.torch.audits.items import Item
from chione.torch.audits.presets import declaration
from chione.torch.audits.report import AuditReport, DeclaredLine, ParameterAudit
from chione.torch.audits.roles import with_roles
from chione.torch.audits.sizes import model_sizes, tensor_sizes
from chione.torch.capture.nodes import Graph
from chione.torch.capture.state import preserved

Auditable: TypeAlias = "torch.nn.Module | Mapping[str, Any] | str | Path"


def audit(
    model: Auditable | Sequence[Auditable],
    declared: str | Mapping[str, str] | None = None,
    *,
    batch: Any = None,
    level: float = 1e-3,
    sizes: Mapping[str, float] | None = None,
) -> AuditReport:
    r"""Say whether a model has the initialisation that was meant, and what breaks a pattern.

    Every parameter gets its role (from the graph where the model can be run), the law that it was
    drawn from, by tests of a stated level, and its standard deviation with an error,

    .. math:: \delta s = s \sqrt{\frac{\kappa - 1}{4 n}}, \qquad \kappa = E (w - \bar w)^4 / s^4

    Without a declaration the audit looks for what breaks a pattern: one layer of a series that
    differs, depth scaling on the wrong projection, Xavier over a fused matrix, a bias that is not
    zero, an embedding far larger than the rest, parameters that nobody initialised, copies. With
    one it says for each line whether the model fits it.

    Parameters
    ----------
    model : Module, mapping, str or Path, or a sequence of these
        A model; a ``state_dict``; the path of a checkpoint (``.safetensors``, or ``.pt`` and the
        like, loaded with ``weights_only=True``); or several of them, the ranks of one job, whose
        random tensors must differ.
    declared : mapping of str to str, or str, optional
        Patterns of names and the laws that are meant, as in
        ``{"*.c_proj.weight": "normal(0, 0.02/sqrt(2*n_layer))"}``, or a preset: ``gpt2``,
        ``llama``, ``nanogpt``, ``torch``.
    batch : optional
        As ``model`` takes it, to find roles; without one a batch is made up where that can be done.
    level : float
        Chance that a model as meant gets any finding, or that any line of a declaration fails.
    sizes : mapping of str to float, optional
        Names for the expressions of a declaration, beside those of the model's configuration.

    Returns
    -------
    AuditReport

    Raises
    ------
    TypeError, ValueError
        If `model` is none of these, holds no values, or `level` is no chance.
    SpecError
        If a declaration cannot be read.

    Notes
    -----
    Laws: normal, truncated normal (and where), uniform, orthogonal, constant, identity, dirac,
    sinusoidal, sparse, blocks with laws of their own, or other. A declaration knows ``normal(mean,
    std)``, ``trunc_normal(mean, std, a, b)`` with ends a, b as numbers, as in ``torch.nn.init``,
    ``uniform(a, b)``, ``orthogonal(gain)``, ``constant(value)``, ``zeros``, ``ones``, ``identity``,
    ``dirac``, ``xavier_uniform(gain)``, ``xavier_normal(gain)``, ``kaiming_uniform(a, mode)``,
    ``kaiming_normal(a, mode)``, ``lecun_normal``, ``same_as('name')`` and ``any``. Arguments are
    expressions of numbers, sizes, ``+ - * / **``, ``sqrt``, ``log``, ``min``, ``max``; they are
    parsed, never evaluated by Python. Sizes are n_layer, n_head, n_embd, vocab, d_ff, every number
    of ``model.config``, and of each tensor fan_in, fan_out, rows, columns and layer (from 0).

    Of several patterns that fit a name the most specific one counts: the name itself, else the one
    with the most letters, else the later one. A line that fits nothing fails.

    The model is not run where no batch is given or can be made up, and it is left as it was.

    Examples
    --------
    >>> layers = [torch.nn.Linear(64, 64) for _ in range(4)]
    >>> _ = torch.nn.init.normal_(layers[2].weight, std=0.3)
    >>> report = audit(torch.nn.Sequential(*layers))
    >>> report.findings[0].kind, report.findings[0].names
    ('series differs', ('2.weight',))
    """
    level = checks.positive("level", level)
    if level >= 0.5:
        raise ValueError(f"level must be a small chance such as 1e-3, but it is {level!r}.")
    if isinstance(model, Sequence) and not isinstance(model, str):
        return _ranks(list(model), declared, level, sizes)
    found, module, note, name, graph = _items(model, batch, level)
    known = model_sizes(module, [i.entry for i in found], sizes)
    context = Context(found, level, known)
    for detect in (
        find_values, find_series, find_copies, find_branches, find_scales, find_vectors,
    ):  # fmt: skip
        detect(context)
    lines: tuple[DeclaredLine, ...] = ()
    undeclared: tuple[str, ...] = ()
    if declared is not None:
        meant = declaration(declared, [i.entry for i in found], module)
        lines, undeclared = hold(found, meant, known, level, partial=isinstance(declared, str))
    meant_for = expectations(found, graph)
    parameters = tuple(_row(i, e) for i, e in zip(found, meant_for, strict=True))
    return AuditReport(
        name, parameters, tuple(context.findings), tuple(context.notes), lines, undeclared, level,
        note,
    )  # fmt: skip


def assert_initialized(
    model: Auditable,
    declared: str | Mapping[str, str],
    *,
    level: float = 1e-3,
    sizes: Mapping[str, float] | None = None,
) -> None:
    """Raise AssertionError, with a table of what differs, where a model is not as declared.

    Parameters
    ----------
    model, declared, level, sizes
        As for :func:`audit`; the model is not run.

    Raises
    ------
    AssertionError
        If a line of the declaration fails or fits no parameter.

    Examples
    --------
    >>> layer = torch.nn.Linear(64, 64)
    >>> assert_initialized(layer, {"weight": "kaiming_uniform(sqrt(5))", "bias": "any"})
    """
    __tracebackhide__ = True
    level = checks.positive("level", level)
    found, module, _, name, _ = _items(model, None, level, run=False)
    known = model_sizes(module, [i.entry for i in found], sizes)
    meant = declaration(declared, [i.entry for i in found], module)
    lines, undeclared = hold(found, meant, known, level, partial=isinstance(declared, str))
    failed = sum(not line.passed for line in lines)
    if failed:
        report = AuditReport(name, (), (), (), lines, undeclared, level, "")
        raise AssertionError(
            f"{name} is not initialised as declared: {failed} of {len(lines)} lines fail at level "
            f"{level:g}.\n\n{report.lines_text(failed_only=True)}"
        )


# ---- the parts ---------------------------------------------------------------------------------


def _items(
    model: Auditable, batch: Any, level: float, *, run: bool = True
) -> tuple[list[Item], torch.nn.Module | None, str, str, Graph | None]:
    """Entries with roles and laws, the module if there is one, a note, a name and the graph."""
    module: torch.nn.Module | None = None
    if isinstance(model, torch.nn.Module):
        module, name = model, type(model).__name__
        entries = sources.of_module(model)
    elif isinstance(model, Mapping):
        name, entries = "the state dict", sources.of_state(model)
    elif isinstance(model, str | Path):
        name, entries = str(Path(model).name), sources.of_file(Path(model))
    else:
        raise TypeError(
            f"model must be a torch.nn.Module, a state dict, the path of a checkpoint, or a list "
            f"of these, but it is {type(model).__name__}."
        )
    if not entries:
        raise ValueError(f"{name} has no floating-point parameters, so there is nothing to audit.")
    if module is None:
        entries, note, graph = with_roles(entries, None, None)
    elif run:
        with preserved(module):
            entries, note, graph = with_roles(entries, module, batch)
    else:
        entries, note, graph = with_roles(entries, module, None, run=False)
    each = level / max(len(entries), 1) / 4.0
    with torch.no_grad():
        return [Item(e, identify(e.tensor, each)) for e in entries], module, note, name, graph


def hold(
    found: list[Item], meant: Mapping[str, str], sizes: Mapping[str, float], level: float,
    *, partial: bool,
) -> tuple[tuple[DeclaredLine, ...], tuple[str, ...]]:  # fmt: skip
    """Lines of a declaration held against the model, and the parameters that no line speaks of."""
    patterns = list(meant)
    by_name = {n: i for i in found for n in (*i.entry.aliases, i.name)}
    entries: dict[str, Entry] = {n: i.entry for n, i in by_name.items()}
    groups: dict[str, list[Item]] = {p: [] for p in patterns}
    undeclared = []
    for item in found:
        hits = [declarations.match(n, patterns) for n in (item.name, *item.entry.aliases)]
        hit = next((h for h in hits if h is not None), None)
        if hit is None:
            undeclared.append(item.name)
        else:
            groups[hit].append(item)
    shadowed = {
        p for p in patterns if not groups[p] and any(declarations.match(n, [p]) for n in entries)
    }
    raw: list[tuple[str, list[Item], Item | None, declarations.Fit | None]] = []
    for pattern, items in groups.items():
        if not items:
            read(meant[pattern], {**sizes, **tensor_sizes(found[0].entry)})  # refused if unreadable
            if not partial and pattern not in shadowed:
                raw.append((pattern, [], None, None))
            continue
        fits = []
        for i in items:
            law = read(meant[pattern], {**sizes, **tensor_sizes(i.entry)})
            fits.append((declarations.fit(i.entry, i.found, law, entries), i))
        worst, item = min(fits, key=lambda pair: pair[0].p)
        raw.append((pattern, items, item, worst))
    p = [0.0 if fit is None else min(1.0, len(items) * fit.p) for _, items, _, fit in raw]
    lines = [
        _line(pattern, meant[pattern], items, item, fit, value, level)
        for (pattern, items, item, fit), value in zip(raw, declarations.holm(p), strict=True)
    ]
    return tuple(lines), tuple(undeclared)


def _line(
    pattern: str, law: str, items: list[Item], item: Item | None, fit: declarations.Fit | None,
    p: float, level: float,
) -> DeclaredLine:  # fmt: skip
    if item is None or fit is None:
        return DeclaredLine(
            pattern,
            law,
            (),
            "",
            "",
            "",
            math.nan,
            math.nan,
            0.0,
            False,
            "no parameter has that name",
        )
    return DeclaredLine(
        pattern, law, tuple(i.name for i in items), item.name, fit.expected, item.found.words,
        item.std, fit.std, p, p >= level, fit.why if p < level else "",
    )  # fmt: skip


def _row(item: Item, expected: str) -> ParameterAudit:
    entry, found = item.entry, item.found
    fans = entry.fan_in > 0 and found.std > 0.0
    return ParameterAudit(
        item.name,
        entry.aliases,
        entry.role,
        entry.evidence,
        tuple(int(n) for n in entry.tensor.shape),
        found.summary.dtype,
        found.words,
        found.kind,
        Estimate(found.std, found.summary.std_error),
        found.std * math.sqrt(entry.fan_in) if fans else math.nan,
        found.std * math.sqrt(entry.fan_out) if fans else math.nan,
        found.std / math.sqrt(2.0 / (entry.fan_in + entry.fan_out)) if fans else math.nan,
        found.cut,
        expected,
        found.p,
    )


def _ranks(
    models: list[Auditable], declared: Any, level: float, sizes: Mapping[str, float] | None
) -> AuditReport:
    """The first rank audited, and what is the same in all that should differ."""
    if len(models) < 2:
        raise ValueError(f"a list of ranks must hold two or more, but it holds {len(models)}.")
    all_items = [_items(m, None, level, run=False)[0] for m in models]
    first = audit(models[0], declared, level=level, sizes=sizes)
    found = (*first.findings, *find_ranks(all_items))
    return AuditReport(
        f"{len(models)} ranks, the first of them {first.model}", first.parameters, found,
        first.notes, first.lines, first.undeclared, level, first.note,
    )  # fmt: skip
