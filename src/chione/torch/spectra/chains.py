"""Is a model a plain multi-layer perceptron? Then the theory has the law of its Jacobian."""

from __future__ import annotations

import math
from typing import Any

import torch

from chione.base import ChioneError
from chione.networks import Dense, Flatten, Nonlinearity
from chione.theory.critical.criticality import criticality
from chione.theory.spectra.jacobian import JacobianSpectrum
from chione.theory.spectra.jacobian import jacobian_spectrum as limit_spectrum
from chione.torch.capture import batches
from chione.torch.capture.nodes import Graph, Node
from chione.torch.capture.state import preserved
from chione.torch.capture.statistics import moments
from chione.torch.capture.tracing import trace
from chione.torch.layers.entering import Embedding, Entering
from chione.torch.layers.joins import View
from chione.torch.layers.tensors import is_isometry
from chione.torch.spectra.starting import copied

_Q_RATIO = 2.0  # the law takes all layers alike; beyond this the comparison would mislead


def traced(model: torch.nn.Module, batch: Any) -> Graph:
    """The graph of the model at a batch; both stay as they were."""
    with preserved(model), torch.no_grad():
        return trace(model, copied(batch), batches.batch_size(batch))[0]


def theory_of_chain(graph: Graph, size: int) -> tuple[JacobianSpectrum | None, str]:
    """The limit law for a chain (dense layer, activation) * L, or None and the reason."""
    if size != 1:
        return None, "No theory: it is for one input."
    chain = _chain(graph)
    if chain is None:
        return None, "No theory: the model is no chain of dense layers each with its activation."
    affine, activations = chain
    phis = [found and found.activation for found in activations]
    if phis[0] is None or any(phi != phis[0] for phi in phis):
        return None, "No theory: the activations differ or are not known."
    weights = [node.weight for node in affine if node.weight is not None]
    sigmas = [math.sqrt(w.sigma_w2) for w in weights]
    lengths = [moments(n.numbers.tolist()).mean_square for n in affine if n.numbers is not None]
    if min(sigmas) <= 0.0 or min(lengths) <= 0.0:
        return None, "No theory: a layer is zero."
    # Scales commute with everything, so only their product counts; lengths shape phi'(h)^2, but
    # for straight lines that meet at zero.
    straight = criticality(phis[0]).universality == "scale-invariant"
    if not straight and max(lengths) > _Q_RATIO * min(lengths):
        return None, "No theory: the mean square of the pre-activations is not stationary."
    mean = math.exp(sum(math.log(q) for q in lengths) / len(lengths))
    sigma = math.exp(sum(math.log(s) for s in sigmas) / len(sigmas))
    widths = [weights[0].weight.shape[1], *(w.weight.shape[0] for w in weights)]
    law = "orthogonal" if all(is_isometry(w.weight) for w in weights) else "gaussian"
    equal = len(set(widths)) == 1
    if law == "orthogonal" and not equal:
        return None, "No theory: orthogonal weights of unequal widths."
    options: dict[str, Any] = {} if equal else {"widths": [float(n) for n in widths]}
    try:
        found = limit_spectrum(
            phis[0], depth=len(affine), sigma_w=sigma, q_star=mean, weights=law, **options
        )
    except (ChioneError, ValueError) as err:
        return None, f"No theory: {err}"
    return (
        found,
        f"Theory for {law} weights with the measured sigma_w = {sigma:.4g}, q = {mean:.4g}.",
    )


def _chain(graph: Graph) -> tuple[list[Node], list[Nonlinearity | None]] | None:
    if graph.output is None:
        return None
    affine: list[Node] = []
    activations: list[Nonlinearity | None] = []
    node = graph.nodes[graph.output]
    while not isinstance(node.layer, (Entering, Embedding)):
        if node.applied is not None:
            if len(activations) > len(affine):
                return None
            activations.append(node.applied.layer)
        elif isinstance(node.layer, Dense) and node.operation == "linear":
            affine.append(node)
            if len(affine) != len(activations):
                return None
        elif not isinstance(node.layer, (View, Flatten)):
            return None
        if len(node.parents) != 1:
            return None
        node = graph.nodes[node.parents[0]]
    if not affine or len(affine) != len(activations):
        return None
    return affine[::-1], activations[::-1]
