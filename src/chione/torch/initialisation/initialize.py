"""Initialise a real model so that signals and gradients survive its depth."""

from __future__ import annotations

from typing import Any

import torch

from chione.base import checks
from chione.torch.capture import batches
from chione.torch.capture.structure import structure
from chione.torch.capture.tracing import check_model
from chione.torch.initialisation.changes import InitializationReport
from chione.torch.initialisation.corrections import correct_gradients, correct_lengths
from chione.torch.initialisation.plan import Plan

WEIGHTS = ("gaussian", "orthogonal", "delta_orthogonal")
TARGETS = ("auto", "forward")


def initialize_(
    model: torch.nn.Module,
    batch: Any = None,
    *,
    weights: str = "gaussian",
    target: str = "auto",
    generator: torch.Generator | None = None,
) -> InitializationReport:
    r"""Set the weights and biases of a model, in place, so that it can train at its depth.

    .. math:: W_{ij} \sim N(0, \sigma_w^2 / n_{in}), \quad b_i \sim N(0, \sigma_b^2), \qquad
              \chi_\parallel = \chi_\perp = 1

    Parameters
    ----------
    model : Module
        Every Linear and convolution in it is set, also where a model has its own classes for them.
    batch : Tensor, tuple, list or mapping, optional
        As for :func:`chione.torch.inspect`. With it the model is followed as it runs, and further
        passes correct each layer by the signals and gradients that arrive there. Without it a
        batch is made up from the first layer to find the structure; if that fails the order of
        registration counts.
    weights : {"gaussian", "orthogonal", "delta_orthogonal"}
        Law of the weights. Orthogonal ones fluctuate least in deep networks. ``delta_orthogonal``
        makes convolutions isometries; dense layers are then orthogonal.
    target : {"auto", "forward"}
        ``auto``: the critical point of the activation that follows each layer; the edge of chaos
        where there is none; the forward variance where theory has nothing better.
        ``forward``: mean square 1 of all pre-activations, which says nothing about gradients.
    generator : torch.Generator, optional
        Source of all randomness; the global one of torch if not given.

    Returns
    -------
    InitializationReport
        What was set to what and why, and what was left alone; ``print`` shows a table.

    Raises
    ------
    TypeError, ValueError
        As :func:`chione.torch.inspect`, and for an unknown `weights` or `target`.

    Notes
    -----
    Rules, in the order in which they apply. (1) The last layer of a residual branch gets the mean
    square of the stream divided by the number of residual sums, so the stream at most grows by e;
    if a normalisation ends the branch, its gain is set instead. (2) A layer before a normalisation
    gets sigma_w = 1. (3) A layer before an activation gets the sigma_w, sigma_b of its recipe where
    the same activation comes before it, else the weights that bring it to the length of the recipe.
    (4) A last layer behind an activation keeps the gradient: the sigma_w of that activation and no
    bias. (5) Others, the projections of attention among them, get sigma_w = 1. Padding of
    convolutions is compensated on average.

    Embeddings, normalisations off residual branches, recurrent layers and weights that are computed
    from other parameters or shared with an embedding are left alone and reported.
    """
    model = check_model(model)
    checks.one_of("weights", weights, WEIGHTS)
    checks.one_of("target", target, TARGETS)
    size = 1 if batch is None else batches.batch_size(batch)
    graph, note = structure(model, batch, size)
    with torch.no_grad():
        plan = Plan(model, graph, weights, target, generator)
    if batch is not None:
        correct_lengths(model, batch, size, plan)
        correct_gradients(model, batch, size, plan)
    return InitializationReport(
        changes=tuple(plan.changes.values()),
        left=tuple(plan.left),
        weights=weights,
        target=target,
        residual_sums=plan.sums,
        note=" ".join(filter(None, (note, *plan.notes))),
    )
