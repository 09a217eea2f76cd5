r"""The tangent kernel of a described network in the parameters of PyTorch, and its sharpness.

With W and b themselves as the parameters, and S the product of derivatives behind a layer,

.. math:: \Theta_{ab} = \sum_l (n_{l-1} K^{l-1}_{ab} + [\text{bias}])\,S^l_{ab}, \qquad
   S^l_{ab} = \frac1{n_f} \sum_{k, i} \frac{\partial f_k(a)}{\partial h^l_i}
   \frac{\partial f_k(b)}{\partial h^l_i}

for each output, so that G has the eigenvalues of :math:`H (\Theta \otimes 1)`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from chione.base import Array, ChioneError, Estimate, Status
from chione.networks import Dense, Layers, Network, Nonlinearity, Residual
from chione.theory.layers.stream import Stream, from_moments
from chione.theory.layers.walk import Propagation, Walk
from chione.theory.moments.quick_pairs import QuickPrepared
from chione.torch.capture import batches
from chione.torch.capture.nodes import Graph
from chione.torch.layers.tensors import Affine
from chione.torch.steps.bench import Bench
from chione.torch.steps.curvature import Curvature
from chione.torch.steps.description import NoDescriptionError, describe, vectors
from chione.torch.steps.krylov import extremes

_MOST = 256  # inputs, whose pairs theory walks through


def expected_sharpness(b: Bench, curvature: Curvature) -> tuple[Estimate | None, str]:
    """The largest eigenvalue at infinite width, or None and why."""
    if b.size > _MOST:
        return None, f"the batch has {b.size} inputs, and theory takes up to {_MOST}."
    try:
        with torch.no_grad():
            graph, out = b.traced()
        shape = batches.output_tensor(out).shape
        if len(shape) != 2 or (len(shape) == 2 and curvature.outputs != shape.numel()):
            raise NoDescriptionError("the output is no batch of vectors.")
        x = vectors(graph, b.batch)
        rows = x.double().cpu().numpy()
        gram = rows @ rows.T / rows.shape[1]
        described = describe(graph, rows.shape[1], float(np.trace(gram)) / len(gram))
        _check_parameters(b, graph)
        network = described.network
        walked = _walked(network, from_moments(0.5 * (gram + gram.T), network.input.shape))
        kernel, spread = tangent_kernel(network.layers, walked, shape[1])
    except (ChioneError, ValueError) as err:
        return None, str(err)
    theta = torch.from_numpy(kernel).to(x.device)

    def inner(v: torch.Tensor) -> torch.Tensor:
        return (theta @ v.reshape(shape)).reshape(-1)

    start = torch.randn(shape.numel(), generator=torch.Generator().manual_seed(0)).double()
    options: dict[str, Any] = {"steps": 200, "rtol": 1e-6, "eps": curvature.eps}
    start = start.to(x.device)
    top, _ = extremes(curvature.at_output, inner, start, **options)
    loss, _ = extremes(curvature.at_output, lambda v: v, start, **options)
    moved = (loss.value + loss.error) * float(np.linalg.norm(spread))  # Weyl
    return Estimate(top.value, top.error + moved, Status.OK), ""


def _walked(network: Network, stream: Stream) -> Propagation:
    """Through the network, with moments of pairs from tables: there are many pairs."""
    walk = Walk(stated=False)
    for _, layer in network.steps():
        if isinstance(layer, Nonlinearity):
            walk.memo.setdefault(layer.activation, QuickPrepared.of(layer.activation))
    with np.errstate(over="ignore", invalid="ignore"):
        _, home = walk.network(network, stream)
    return Propagation(network, walk.streams, walk.reasons, walk.sampled, walk, home)


def _check_parameters(b: Bench, graph: Graph) -> None:
    """All weights and biases are trained, and besides them gains and shifts of norms alone."""
    moving = {id(p) for p in b.parameters}
    known, norms = set[str](), set[str]()
    for node in graph.nodes:
        if node.weight is not None:
            known |= {name for name in (node.weight.parameter, node.weight.bias_parameter) if name}
        elif isinstance(node.tensors, Affine) and node.tensors.parameter:
            norms.add(node.tensors.parameter.rpartition(".")[0])
    for name, p in b.model.named_parameters():
        if id(p) not in moving:
            raise NoDescriptionError(f"{name!r} is not trained.")
        if name not in known and name.rpartition(".")[0] not in norms:
            raise NoDescriptionError(f"{name!r} is no weight, bias or gain.")


def tangent_kernel(layers: Layers, walked: Propagation, outputs: int) -> tuple[Array, Array]:
    """Theta of one output, over pairs of inputs, and the bound on its error."""
    gradients = walked.backward("shared")
    sites = walked.output.orbits.sites
    theta, spread = np.zeros((sites, sites)), np.zeros((sites, sites))
    for site, place, dense in _matrices(layers, "layers", "input"):
        stream, behind = walked.streams[site], walked.streams[place]
        k, k_error = stream.second_moments()
        p, p_error = gradients[place].p.at(gradients[place].orbits.index)
        ratio = behind.shape.width / outputs
        own = stream.shape.width * k + float(dense.sigma_b > 0.0)
        theta += ratio * own * p
        spread += ratio * (
            np.abs(own) * p_error + stream.shape.width * k_error * (np.abs(p) + p_error)
        )
    return theta, spread


def _matrices(layers: Layers, place: str, site: str) -> Iterator[tuple[str, str, Dense]]:
    """Where each dense layer reads, its own place, and the layer."""
    for i, layer in enumerate(layers):
        here = f"{place}[{i}]"
        if isinstance(layer, Dense):
            yield site, here, layer
        elif isinstance(layer, Residual):
            yield from _matrices(layer.branch, f"{here}.branch", site)
        site = here
