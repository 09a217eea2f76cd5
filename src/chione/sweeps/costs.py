"""What a training costs: floating-point operations, weights and bytes."""

from __future__ import annotations

from chione.sweeps.training import Training

_STATES = {"sgd": 1, "momentum": 2, "adam": 3}  # arrays as large as the weights, weights included


def itemsize(training: Training) -> int:
    """Bytes of a number."""
    return 4 if training.dtype == "float32" else 8


def parameters(training: Training, inputs: int = 64, classes: int = 10) -> int:
    """Number of weights and biases."""
    n = training.width
    return (inputs + 1) * n + (training.depth - 1) * n * (n + 1) + (n + 1) * classes


def flops(training: Training, inputs: int = 64, classes: int = 10) -> float:
    """Floating-point operations of the matrix products of a training."""
    n, pairs = training.width, parameters(training, inputs, classes)
    each = 2.0 * (3.0 * pairs - (inputs + 1) * n)  # nothing is sent back to the inputs
    return training.steps * training.batch * each


def bytes_of(training: Training, inputs: int = 64, classes: int = 10) -> float:
    """Bytes of memory while it runs: weights, states of the optimiser, signals."""
    n, b = training.width, training.batch
    signals = b * (inputs + 1 + 2 * training.depth * (n + 1) + classes)
    states = _STATES.get(training.optimizer, 3) * parameters(training, inputs, classes)
    return float(itemsize(training)) * (signals + states)
