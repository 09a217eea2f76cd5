"""Initialise a real model so that signals and gradients survive its depth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from chione.torch.capture import batches
from chione.torch.capture.structure import structure
from chione.torch.capture.tracing import check_model
from chione.torch.initialisation.changes import InitializationReport
from chione.torch.initialisation.choices import GUESS
from chione.torch.initialisation.corrections import Corrections
from chione.torch.initialisation.options import Excluded, Options, options
from chione.torch.initialisation.outcome import Outcome, outcome
from chione.torch.initialisation.planner import Planner
from chione.torch.initialisation.sharded import check_whole
from chione.torch.initialisation.writing import Kept, write

_ROUNDS = 2  # of corrections; the second only where the first leaves an uneven chain
_EVEN = math.log(2.5)  # ratio of gradients, first to last, that is left alone


def initialize_(
    model: torch.nn.Module,
    batch: Any = None,
    *,
    weights: str = "auto",
    target: str = "auto",
    distribution: str | None = None,
    exclude: Excluded = (),
    overrides: Mapping[str, Any] | None = None,
    dry_run: bool = False,
    generator: torch.Generator | None = None,
) -> InitializationReport:
    r"""Set the weights and biases of a model, in place, so that it can train at its depth.

    .. math:: W_{ij} \sim N(0, \sigma_w^2 / n_{in}), \quad b_i \sim N(0, \sigma_b^2), \qquad
              \chi_\perp = 1, \quad \chi_\parallel^L \le \sqrt e

    Parameters
    ----------
    model : Module
        Every Linear and convolution in it is set, also where a model has its own classes for them;
        embeddings, projections of attention, recurrent cells and norms too.
    batch : Tensor, tuple, list or mapping, optional
        As for :func:`chione.torch.inspect`. With it the model is followed as it runs, a further
        pass corrects each layer by the signals and gradients that arrive there, and the result is
        judged. Without it a batch is made up from the first layer to find the structure; if that
        fails the order of registration counts.
    weights : str
        Law of the weights; all have the same variance. "normal" ("gaussian"), "uniform", or
        "truncated", which ends at two standard deviations. "orthogonal" weights fluctuate least in
        deep networks; "delta_orthogonal" makes convolutions isometries, dense layers are then
        orthogonal. "auto" draws orthogonal weights where the network is deep for its width (a tenth
        as many layers as units, or more), normal ones elsewhere.
    target : {"auto", "forward"}
        ``auto``: the critical point of the activation that follows each layer; the edge of chaos
        where there is none; the forward variance where theory has nothing better.
        ``forward``: mean square 1 of all pre-activations, which says nothing about gradients.
    distribution : str, optional
        Another name for `weights`, which it replaces.
    exclude : str, Module, or several of them
        Patterns of names (``"head*"``) of parameters or modules, or modules, that are left.
    overrides : mapping, optional
        From patterns of names to what these weights shall be: a number (sigma_w), ``"keep"``,
        ``"zeros"``, ``"ones"``, ``"constant(value)"``, ``"normal(std)"``, ``"truncated(std)"``,
        ``"uniform(bound)"``, ``"orthogonal(gain)"``, or a function that fills a tensor in place.
        The batch corrects nothing of them.
    dry_run : bool
        Whether only the plan is wanted: the model and all random states stay as they are.
    generator : torch.Generator, optional
        Source of all randomness; the global one of torch if not given.

    Returns
    -------
    InitializationReport
        What was set to what and why, what was left alone, the verdict on the result; ``print``
        shows a table.

    Raises
    ------
    TypeError, ValueError
        As :func:`chione.torch.inspect`; for an unknown option, a pattern that fits nothing, a
        parameter that is a shard (DTensor, FSDP) or on the meta device. Whatever is raised, the
        model is as it was.

    Notes
    -----
    Rules, in the order in which they apply.

    (1) Parameters that take no gradient, that are excluded, or that are zero on purpose are left.
    Zeros are on purpose where the signal passes beside them or where they are the output, unless
    two of them stand in a row.
    (2) The last layer of a residual branch gets the mean square of the stream divided by the number
    of residual sums, so the stream at most grows by e; three times that behind a normalisation,
    where the branch does not grow with its stream, and half of it for a gated product. A factor
    behind the layer (LayerScale, ReZero) counts. If a normalisation ends the branch, its gain is 1,
    less if there are more than 20.
    (3) A layer before a normalisation gets sigma_w = 1, other normalisations gain 1 and no shift.
    (4) An output starts so small that a cross-entropy lies within 5 % of that of a uniform guess;
    outputs of a regression start with a mean square of 0.1 or more. An embedding that is the output
    too is set by this rule; else embeddings that are added up have mean square 1 together.
    (5) The factors of a gated product get mean square 1 each, so do queries and keys.
    (6) A layer before an activation gets the sigma_w, sigma_b of its recipe where the same
    activation comes before it, else the weights that bring it to the length of the recipe. A factor
    between the two is divided out. The first layer of a network of waves (SIREN) keeps the
    frequencies that its factor asks for.
    (7) Recurrent cells get an isometry for each gate on the state, inputs of mean square 1, and
    a forget bias of 1.
    (8) Others get sigma_w = 1, or behind an activation what keeps the gradient.

    A weight that runs many times is decided once. A weight that is computed (weight norm, spectral
    norm, a parametrisation) is written through its inverse. Padding of convolutions is compensated
    on average.

    With a batch the result is measured as ``inspect`` does. Where it is judged worse than what was
    there, or starts with a larger cross-entropy beyond those 5 %, the model is left as it was.
    Cost: about four forward and three backward passes, the latter without gradients of weights, and
    one copy of the parameters.

    Examples
    --------
    >>> import torch
    >>> from chione.torch import initialize_
    >>> net = torch.nn.Sequential(*[m for _ in range(20) for m in
    ...                             (torch.nn.Linear(64, 64), torch.nn.Tanh())])
    >>> done = initialize_(net, torch.randn(16, 64), overrides={"0.weight": 1.0})
    >>> done.changes[0].reason, done.verdict.trains
    ('as asked', 'yes')
    """
    model = check_whole(check_model(model))
    chosen = options(model, weights, distribution, target, generator, exclude, overrides or {})
    size = 1 if batch is None else batches.batch_size(batch)
    kept = Kept(model, generator)
    try:
        report = _initialised(model, batch, size, chosen, weights, kept)
    except BaseException:
        kept.restore(randomness=True)
        raise
    if dry_run:
        kept.restore(randomness=True)
        return _unwritten(report)
    return report


def _initialised(
    model: torch.nn.Module, batch: Any, size: int, chosen: Options, weights: str, kept: Kept
) -> InitializationReport:
    graph, note = structure(model, batch, size)
    planner = Planner(model, graph, chosen)
    plan = planner.plan
    write(plan, planner.targets, planner.parameters, _padding(model, planner), chosen.generator)
    after, worse = None, ""
    if batch is not None:
        after = _corrected(planner, batch, size)
        if not after.fine:
            with kept.before():
                before = outcome(model, batch, size, whole=True)
            worse = after.worse_than(before)
    if worse:
        kept.restore(randomness=False)
        plan.note(
            f"The model was left as it was: it would be worse with these values, since {worse}"
        )
    return InitializationReport(
        changes=tuple(entry.change() for entry in plan.entries.values()),
        left=tuple(plan.left),
        weights=planner.options.law if weights == "auto" else weights,
        target=chosen.target,
        residual_sums=plan.sums,
        written=not worse,
        verdict=None if after is None else after.verdict,
        loss_above_guess=math.nan if after is None else after.loss_above,
        note=" ".join(filter(None, (note, *plan.notes))),
    )


def _corrected(planner: Planner, batch: Any, size: int) -> Outcome:
    """Bring the weights to what the batch asks for, and look at the result."""
    left = bool(planner.plan.left)  # zeros and frozen weights: then the gradients of each are told
    for turn in range(_ROUNDS):
        corrections = Corrections(planner, again=turn > 0)
        corrections.run(batch, size)
        after = outcome(planner.model, batch, size, whole=left)
        if corrections.leftover(after.graph, after.found) < _EVEN:
            break
    if not left and not after.fine:
        after = outcome(planner.model, batch, size, whole=True)
    return _softened(planner, after)


def _softened(planner: Planner, after: Outcome) -> Outcome:
    """Outputs made smaller where correcting the gradients has made them longer again.

    What a cross-entropy lies above a guess is a square of the outputs, while it is small.
    """
    if not GUESS < after.above < math.inf:
        return after
    square = GUESS / after.above
    for name, entry in planner.plan.entries.items():
        if entry.role == "output":
            planner.targets[name].multiply(math.sqrt(square))
            planner.plan.entries[name] = replace(entry, factor=entry.factor * math.sqrt(square))
    if not any(entry.role == "output" for entry in planner.plan.entries.values()):
        return after
    return replace(after, above=GUESS, loss_above=after.loss_above * square)


def _padding(model: torch.nn.Module, planner: Planner) -> dict[str, int]:
    """Rows of embeddings that stand for padding and stay zero."""
    return {
        planner.names[id(m.weight)]: m.padding_idx
        for m in model.modules()
        if isinstance(m, (torch.nn.Embedding, torch.nn.EmbeddingBag)) and m.padding_idx is not None
        and id(m.weight) in planner.names
    }  # fmt: skip


def _unwritten(report: InitializationReport) -> InitializationReport:
    return replace(report, written=False)
