"""The Jacobian of a chain as a product of its layers' matrices, for values below rounding."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch

from chione.base import EPS, Array, UnsupportedModuleError
from chione.networks import Dense, Dropout, Flatten
from chione.simulation.graded_product import GradedProduct, alive_rows, graded_product
from chione.torch.capture.nodes import Graph, Node
from chione.torch.capture.products import JacobianOperator
from chione.torch.layers.entering import Embedding, Entering
from chione.torch.layers.joins import View
from chione.torch.spectra.jacobian import probe

_AGREE = 1e4  # units of rounding by which the product may differ from a backward pass
_ROUGH = 30.0  # times what rounding in the forward pass was seen to change


def chain_steps(graph: Graph) -> list[Node] | None:
    """The dense layers and activations of a chain from the input on; None if it is no chain."""
    if graph.output is None:
        return None
    steps: list[Node] = []
    node = graph.nodes[graph.output]
    while not isinstance(node.layer, (Entering, Embedding)):
        if node.applied is not None:
            if node.applied.layer is None:
                return None
            steps.append(node)
        elif isinstance(node.layer, Dense) and node.operation == "linear" and node.weight:
            if node.numel != node.weight.weight.shape[0]:
                return None  # several inputs or positions
            steps.append(node)
        elif not isinstance(node.layer, (View, Flatten, Dropout)):
            return None
        if len(node.parents) != 1:
            return None
        node = graph.nodes[node.parents[0]]
    return steps[::-1] or None


class ChainFactors:
    """The matrices D W of a chain's layers at an input, in float64, one at a time.

    Two forward passes run beside each other, the second with rounding drawn at random; where their
    slopes differ is how well the slopes are known.

    Parameters
    ----------
    steps : list of Node
        As :func:`chain_steps` finds them.
    x : ndarray
        The input.
    """

    def __init__(self, steps: list[Node], x: Array) -> None:
        self._steps, self._x = steps, x
        self.slope_error = 0.0  # relative, summed over the layers so far

    def __iter__(self) -> Iterator[Array]:
        rng = np.random.default_rng(0)
        x = rough = self._x
        factor: Array | None = None
        self.slope_error = 0.0
        for node in self._steps:
            if node.applied is None:
                if factor is not None:
                    yield factor
                factor, bias = _affine(node)
                rows = np.sqrt(np.einsum("ij,ij->i", factor, factor))
                size = rows * np.sqrt(np.mean(x * x)) + abs(bias)
                x = factor @ x + bias
                rough = factor @ rough + bias + 2.0 * EPS * size * rng.standard_normal(x.size)
                continue
            assert node.applied.layer is not None
            phi = node.applied.layer.activation
            slope, other = phi.derivative(x), phi.derivative(rough)
            known = abs(slope) > 0.0
            change = abs(other - slope)[known] / abs(slope[known])
            self.slope_error += float(np.max(change, initial=EPS)) + 4.0 * EPS
            x, rough = phi.value(x), phi.value(rough)
            if factor is None:
                factor = np.diag(slope)
            else:
                factor *= slope[:, None]
        assert factor is not None
        yield factor


def _affine(node: Node) -> tuple[Array, Array]:
    assert node.weight is not None
    w = node.weight.weight.detach().to("cpu", torch.float64, copy=True).numpy()
    b = node.weight.bias
    bias = np.zeros(w.shape[0]) if b is None else b.detach().to("cpu", torch.float64).numpy()
    return w, bias.reshape(-1)


def stabilised_product(
    steps: list[Node] | None, operator: JacobianOperator, roughness: float
) -> tuple[GradedProduct, float]:
    """The graded product of a chain and the relative error of its slopes.

    Raises
    ------
    UnsupportedModuleError
        If the model is no chain, or its layers do not multiply out to its backward pass.
    """
    what = (
        "method='stabilised' needs a chain of dense layers and activations and one input, "
        "but the model is {}; use method='dense'."
    )
    if steps is None:
        raise UnsupportedModuleError(what.format("none that could be followed as such"))
    factors = ChainFactors(steps, operator.start.cpu().numpy())
    product = graded_product(factors)
    if product.shape != (operator.outputs, operator.inputs):
        raise UnsupportedModuleError(what.format("not what its layers make"))
    # One random vector tells whether these layers are the model.
    # U^T v in graded form: its large entries come first, and they are all that counts here.
    w = probe(operator).cpu().numpy()
    with np.errstate(over="ignore", under="ignore"):
        made = (product.u.T @ w * np.exp(product.d)) @ product.t
        largest = float(np.exp(np.max(product.d, initial=-np.inf)))
    if not _agree(operator, made, largest, roughness, len(steps)):
        raise UnsupportedModuleError(what.format("not what its layers make"))
    return product, factors.slope_error


def plain_product(steps: list[Node], operator: JacobianOperator, roughness: float) -> Array | None:
    """The matrix of a chain by multiplication, or None where it is not that of its layers.

    It costs less than backward passes: D W is no product of matrices, and units that are off leave
    it.
    """
    product: Array | None = None
    rows = np.arange(0)
    for a in ChainFactors(steps, operator.start.cpu().numpy()):
        kept = alive_rows(a)
        part = a if kept.size == a.shape[0] else a[kept]
        if product is None:
            product = part
        else:
            product = (part if rows.size == a.shape[1] else part[:, rows]) @ product
        rows, outputs = kept, a.shape[0]
    assert product is not None
    matrix = np.zeros((outputs, product.shape[1]))
    matrix[rows] = product
    if matrix.shape != (operator.outputs, operator.inputs):
        return None
    made = probe(operator).cpu().numpy() @ matrix
    size = float(np.linalg.norm(matrix))
    return matrix if _agree(operator, made, size, roughness, len(steps)) else None


def _agree(
    operator: JacobianOperator, made: Array, size: float, roughness: float, steps: int
) -> bool:
    """Whether J^T v by the layers is that of the backward pass, for the probe v.

    `size` is about the largest singular value, should this v miss it.
    """
    v = probe(operator)
    own = operator.transposed(v).cpu().numpy()
    eps = float(torch.finfo(operator.dtype).eps)
    allowed = _AGREE * eps * math.sqrt(steps) + _ROUGH * roughness
    spread = size * float(torch.linalg.vector_norm(v)) / math.sqrt(v.numel())
    gap = float(np.linalg.norm(own - made))
    return gap <= allowed * max(float(np.linalg.norm(own)), spread)
