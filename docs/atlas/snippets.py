"""An initialisation as lines of code for PyTorch, JAX with Flax, and Keras, by value."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.stats import truncnorm

from atlas.words import number
from chione.activations import Affine

# The frameworks cut a truncated normal at two standard deviations.
CUT = 2.0


@dataclass(frozen=True)
class Numbers:
    """What is pasted: sigmas, law of the weights, factor on the first layer.

    Parameters
    ----------
    sigma_w, sigma_b : float
        Standard deviations; weights times the root of the fan-in.
    weights : {"gaussian", "orthogonal"}
        Law of the weights.
    first_layer : float
        Factor on sigma_w of the first layer.
    """

    sigma_w: float
    sigma_b: float
    weights: str = "gaussian"
    first_layer: float = 1.0


def pytorch(n: Numbers) -> str:
    """Lines for one `torch.nn.Linear` called layer."""
    if n.weights == "orthogonal":
        weights = f"torch.nn.init.orthogonal_(layer.weight, gain={number(n.sigma_w)})"
    else:
        weights = (
            f"torch.nn.init.normal_(layer.weight, std={number(n.sigma_w)} / "
            "math.sqrt(layer.in_features))"
        )
    return f"{weights}\n{_torch_bias(n)}"


def _torch_bias(n: Numbers) -> str:
    if n.sigma_b == 0.0:
        return "torch.nn.init.zeros_(layer.bias)"
    return f"torch.nn.init.normal_(layer.bias, std={number(n.sigma_b)})"


def flax(n: Numbers) -> str:
    """A `Dense` layer of Flax."""
    if n.weights == "orthogonal":
        kernel = f"orthogonal(scale={number(n.sigma_w)})"
    else:
        kernel = f'variance_scaling({number(n.sigma_w)}**2, "fan_in", "normal")'
    bias = "zeros" if n.sigma_b == 0.0 else f"normal({number(n.sigma_b)})"
    return (
        "nn.Dense(\n"
        "    width,\n"
        f"    kernel_init=nn.initializers.{kernel},\n"
        f"    bias_init=nn.initializers.{bias},\n"
        ")"
    )


def keras(n: Numbers) -> str:
    """A `Dense` layer of Keras."""
    if n.weights == "orthogonal":
        kernel = f"Orthogonal(gain={number(n.sigma_w)})"
    else:
        kernel = (
            f"VarianceScaling(\n        scale={number(n.sigma_w)}**2, "
            'mode="fan_in", distribution="untruncated_normal"\n    )'
        )
    bias = "Zeros()" if n.sigma_b == 0.0 else f"RandomNormal(stddev={number(n.sigma_b)})"
    return (
        "keras.layers.Dense(\n"
        "    width,\n"
        f"    kernel_initializer=keras.initializers.{kernel},\n"
        f"    bias_initializer=keras.initializers.{bias},\n"
        ")"
    )


def changed(phi: Affine) -> str:
    """A line of Python for an affine change of an activation called f."""
    shift, offset = (f"{'-' if x < 0.0 else '+'} {number(abs(x), 9)}" for x in
                     (phi.shift, phi.offset))  # fmt: skip
    inside = "x" if phi.shift == 0.0 else f"x {shift}"
    after = "" if phi.offset == 0.0 else f" {offset}"
    return f"{number(phi.scale, 9)} * f({inside}){after}"


def truncation() -> tuple[float, float]:
    """Standard deviation and variance of a standard normal cut at two deviations."""
    std = float(truncnorm(-CUT, CUT).std())
    return std, std**2


def decades_lost(depth: int) -> float:
    """Decades of gradient that an uncorrected cut costs a critical network over a depth."""
    return depth * math.log10(truncation()[1])
