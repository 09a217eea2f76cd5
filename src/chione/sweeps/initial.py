"""How weights are drawn before training: pairs of sigmas, the habits, LSUV, and our advice."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from chione.activations import AbstractActivation, activation
from chione.base import Array, SpecError
from chione.networks import Matrix
from chione.simulation.streams import Purpose, stream
from chione.simulation.weights import dense_weights
from chione.sweeps.tasks import Task
from chione.sweeps.training import SCHEMES, Training
from chione.theory.critical.usual_schemes import scheme_sigmas
from chione.theory.depth.initialization import gain

__all__ = ["SCHEMES", "Weights", "draw", "trained_activation"]

_LSUV_INPUTS = 256


@dataclass(frozen=True)
class Weights:
    """Weights and biases of one network before training.

    Parameters
    ----------
    matrices : tuple of array of shape (n_out, n_in)
        First layer, hidden layers, read-out.
    biases : tuple of array of shape (n_out,)
        Their biases.
    """

    matrices: tuple[Array, ...]
    biases: tuple[Array, ...]


def draw(
    training: Training,
    phi: AbstractActivation | None = None,
    task: Task | None = None,
    rng: np.random.Generator | None = None,
) -> Weights:
    """The weights that a training starts from.

    Parameters
    ----------
    training : Training
        Its scheme, sizes, sigmas and seed.
    phi : AbstractActivation
        The activation as trained, see :func:`trained_activation`.
    task : Task
        Gives sizes of input and output, and the batch of LSUV.
    rng : Generator, optional
        Drawn from; the stream of the training's seed by default.
    """
    if task is None:
        raise SpecError("Weights are drawn for a task; give one of chione.sweeps.load_task.")
    act = trained_activation(training) if phi is None else phi
    rng = stream(training.seed, 0, 0, Purpose.WEIGHTS) if rng is None else rng
    sizes = (task.inputs, *([training.width] * training.depth), task.classes)
    pairs = list(pairwise(sizes))
    if training.scheme == "pytorch":
        return _pytorch(pairs, rng)
    weights, biases = [], []
    for layer, (fan_in, fan_out) in enumerate(pairs):
        m = _matrix(training, act, layer, fan_in, fan_out)
        weights.append(dense_weights(m, rng))
        biases.append(m.sigma_b * rng.standard_normal(fan_out))
    if training.scheme.startswith("lsuv"):
        _unit_variance(weights, act, task.x_train[:_LSUV_INPUTS])
    return Weights(tuple(weights), tuple(biases))


def trained_activation(training: Training) -> AbstractActivation:
    """The activation of the network: the given one, or its affine change where that is advised."""
    if training.scheme != "chione":
        return activation(training.activation)
    return activation(
        advised(training.activation, training.depth, training.width, training.weights)[0]
    )


def _matrix(
    training: Training, act: AbstractActivation, layer: int, fan_in: int, fan_out: int
) -> Matrix:
    """Sizes, sigmas and law of one layer; layer 0 is the first, `training.depth` the read-out."""
    scheme, last = training.scheme, layer == training.depth
    law = training.weights
    sigma_w, sigma_b = 1.0, 0.0
    if scheme == "sigmas":
        if not last:
            sigma_w, sigma_b = training.sigma_w, training.sigma_b
    elif scheme == "chione":
        _, first, w, b = advised(
            training.activation, training.depth, training.width, training.weights
        )
        if not last:
            sigma_w, sigma_b = (first if layer == 0 else w), b
    elif scheme in ("xavier", "he"):
        found = scheme_sigmas(scheme, act, fan_in=fan_in, fan_out=fan_out)
        assert found is not None
        sigma_w = found[0]
    elif scheme == "calculate_gain":
        sigma_w = 1.0 if last else _torch_gain(act)
    elif scheme == "orthogonal":
        law = "orthogonal"
        # gain times an isometry: entries of variance gain^2 / max(n_in, n_out)
        sigma_w = (1.0 if last else _torch_gain(act)) * math.sqrt(fan_in / max(fan_in, fan_out))
    elif scheme == "lsuv":
        law = "orthogonal"
    return Matrix(fan_in, fan_out, sigma_w, sigma_b, law)  # type: ignore[arg-type]


def _torch_gain(act: AbstractActivation) -> float:
    """``torch.nn.init.calculate_gain``; 1 where it knows no such activation."""
    found = scheme_sigmas("calculate_gain", act, fan_in=1, fan_out=1)
    return 1.0 if found is None else found[0]


def _pytorch(pairs: list[tuple[int, int]], rng: np.random.Generator) -> Weights:
    """``torch.nn.Linear``: weights and biases uniform within 1 / sqrt(n_in)."""
    weights, biases = [], []
    for fan_in, fan_out in pairs:
        bound = 1.0 / math.sqrt(fan_in)
        weights.append(rng.uniform(-bound, bound, (fan_out, fan_in)))
        biases.append(rng.uniform(-bound, bound, fan_out))
    return Weights(tuple(weights), tuple(biases))


def _unit_variance(weights: list[Array], act: AbstractActivation, x: Array) -> None:
    """LSUV (Mishkin & Matas, 2016): each layer divided by the deviation of its output on data.

    Biases are zero, so the output is linear in the layer's weights and one division is exact.
    """
    signal = x
    for layer, w in enumerate(weights):
        h = (signal if layer == 0 else act.value(signal)) @ w.T
        size = float(h.std())
        if size > 0.0 and math.isfinite(size):
            w /= size
            h /= size
        signal = h


@lru_cache(maxsize=256)
def advised(name: str, depth: int, width: int, weights: str) -> tuple[str, float, float, float]:
    """Activation, sigma_w of the first layer, sigma_w and sigma_b that are recommended."""
    best = gain(name, depth=depth, width=width, weights=weights)
    if not best.exists:
        raise SpecError(best.sentence)
    return best.activation, best.first_layer * best.sigma_w, best.sigma_w, best.sigma_b
