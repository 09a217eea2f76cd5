r"""Functions that return networks: perceptrons, residual, dense and convolutional networks.

They return plain :class:`~chione.networks.Network` objects, whose layers may be taken apart and
put together in another way.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

from chione.activations import ActivationLike
from chione.base import checks
from chione.networks.convolution import Convolution
from chione.networks.dense import Dense
from chione.networks.input import Input
from chione.networks.layer import AbstractLayer, Layers, count
from chione.networks.matrix import Weights
from chione.networks.mlp import MLP
from chione.networks.network import Network
from chione.networks.nonlinearity import Nonlinearity
from chione.networks.norm import Norm
from chione.networks.parallel import Parallel
from chione.networks.pooling import Pooling
from chione.networks.repeat import Repeat
from chione.networks.residual import Residual

NormForm = Literal["layer", "rms", "batch"]
SCHEMES = ("plain", "stable", "fixup", "skipinit", "rezero")
PLACEMENTS = ("pre", "post")
_NORM_FORMS = ("layer", "rms", "batch")


def mlp(
    activation: ActivationLike,
    sigma_w: float,
    sigma_b: float = 0.0,
    depth: int = 50,
    width: int | Iterable[int] = 512,
    weights: Weights = "gaussian",
    input_width: int | None = None,
) -> Network:
    """A multi-layer perceptron, see :class:`~chione.MLP`."""
    return MLP(activation, sigma_w, sigma_b, depth, width, weights, input_width).network()


def resnet(
    activation: ActivationLike = "relu",
    *,
    depth: int = 50,
    width: int = 512,
    sigma_w: float = math.sqrt(2.0),
    sigma_b: float = 0.0,
    placement: Literal["pre", "post"] = "pre",
    norm: NormForm | None = None,
    scheme: Literal["plain", "stable", "fixup", "skipinit", "rezero"] = "plain",
    hidden: int | None = None,
) -> Network:
    r"""A residual network of `depth` blocks of two dense layers.

    .. math:: \text{pre: } x + b\,W_2 \phi(W_1 \phi(\nu(x))), \qquad
       \text{post: } \phi(\nu(x + b\,W_2 \phi(W_1 x)))

    with the norm :math:`\nu` where one is asked for.

    Parameters
    ----------
    activation : activation
        Anything :func:`chione.activation` accepts.
    depth : int
        Number of blocks L.
    width, hidden : int
        Width of the stream, and inside a block (the same by default).
    sigma_w, sigma_b : float
        Standard deviations of the weights and biases of both layers.
    placement : {"pre", "post"}
        Whether norm and activation come before the layers or after the sum.
    norm : {"layer", "rms", "batch"}, optional
        The norm.
    scheme : {"plain", "stable", "fixup", "skipinit", "rezero"}
        The branch scale b: 1; :math:`1/\sqrt L` (stable); 0 in the scalar (skipinit, rezero); or
        the second matrix 0 and the first scaled by :math:`L^{-1/2}` (fixup).
    """
    blocks, width = count("depth", depth), count("width", width)
    checks.one_of("placement", placement, PLACEMENTS)
    checks.one_of("scheme", scheme, SCHEMES)
    act = Nonlinearity(activation)
    before = _norm(norm)
    fixup = scheme == "fixup"
    first = Dense(sigma_w / math.sqrt(blocks) if fixup else sigma_w, sigma_b, hidden or width)
    last = Dense(0.0 if fixup else sigma_w, 0.0 if fixup else sigma_b, width)
    scale = {"stable": 1.0 / math.sqrt(blocks), "skipinit": 0.0, "rezero": 0.0}.get(scheme, 1.0)
    if placement == "pre":
        block: Layers = (Residual((*before, act, first, act, last), scale=scale),)
    else:
        block = (Residual((first, act, last), scale=scale), *before, act)
    return Network((Dense(1.0, 0.0, width), Repeat(blocks, block)), Input(width))


def densenet(
    activation: ActivationLike = "relu",
    *,
    depth: int = 12,
    width: int = 64,
    growth: int = 32,
    sigma_w: float = math.sqrt(2.0),
    sigma_b: float = 0.0,
    norm: NormForm | None = None,
) -> Network:
    """A densely connected network: each block adds `growth` channels that read all before.

    Parameters
    ----------
    activation : activation
        Anything :func:`chione.activation` accepts.
    depth : int
        Number of blocks.
    width, growth : int
        Channels that enter, and those that each block adds.
    sigma_w, sigma_b : float
        Standard deviations.
    norm : {"layer", "rms", "batch"}, optional
        The norm before each activation.
    """
    branch = (
        *_norm(norm),
        Nonlinearity(activation),
        Dense(sigma_w, sigma_b, count("growth", growth)),
    )
    block = Parallel(((), branch), combine="concat")
    return Network((Dense(1.0, 0.0, width), Repeat(count("depth", depth), (block,))), Input(width))


def convnet(
    activation: ActivationLike = "relu",
    *,
    depth: int = 10,
    width: int = 128,
    grid: int | tuple[int, ...] = (8, 8),
    kernel: int = 3,
    sigma_w: float = math.sqrt(2.0),
    sigma_b: float = 0.0,
    padding: Literal["zero", "circular"] = "zero",
    weights: Literal["gaussian", "delta_orthogonal"] = "gaussian",
    classes: int | None = 10,
    input_width: int = 3,
) -> Network:
    """Convolutions with activations, then the mean over all positions and a readout.

    Parameters
    ----------
    activation : activation
        Anything :func:`chione.activation` accepts.
    depth : int
        Number of convolutions.
    width, input_width : int
        Channels, and those of the input.
    grid : int or tuple of int
        Extents of the image.
    kernel : int
        Taps along each axis.
    sigma_w, sigma_b : float
        Standard deviations of the convolutions.
    padding : {"zero", "circular"}
        What stands beyond the edge.
    weights : {"gaussian", "delta_orthogonal"}
        Law of the weights.
    classes : int, optional
        Outputs of the readout; None leaves pooling and readout away.
    """
    block = (
        Convolution(kernel, sigma_w, sigma_b, width, padding=padding, weights=weights),
        Nonlinearity(activation),
    )
    head: tuple[AbstractLayer, ...] = ()
    if classes is not None:
        head = (Pooling("average"), Dense(1.0, 0.0, classes))
    entering = Input(input_width, (grid,) if isinstance(grid, int) else grid)
    return Network((Repeat(count("depth", depth), block), *head), entering)


def mixer(
    activation: ActivationLike = "gelu",
    *,
    depth: int = 12,
    width: int = 128,
    grid: int | tuple[int, ...] = (8, 8),
    kernel: int = 3,
    expansion: int = 4,
    sigma_w: float = 1.0,
    padding: Literal["zero", "circular"] = "circular",
    norm: Literal["layer", "rms"] = "layer",
) -> Network:
    """Blocks that mix positions channel by channel, then channels position by position.

    Each block has two pre-norm branches: a depthwise convolution with a dense layer after it, and
    two dense layers around the activation.

    Parameters
    ----------
    activation : activation
        Anything :func:`chione.activation` accepts.
    depth : int
        Number of blocks.
    width, expansion : int
        Channels, and how many times as many stand inside the second branch.
    grid : int or tuple of int
        Extents of the positions.
    kernel : int
        Taps along each axis.
    sigma_w : float
        Standard deviation of all weights.
    padding : {"zero", "circular"}
        What stands beyond the edge.
    norm : {"layer", "rms"}
        The norm before each branch.
    """
    across = Residual(
        (*_norm(norm), Convolution(kernel, padding=padding, depthwise=True), Dense(sigma_w))
    )
    within = Residual(
        (
            *_norm(norm),
            Dense(sigma_w, out=count("expansion", expansion) * width),
            Nonlinearity(activation),
            Dense(sigma_w, out=width),
        )
    )
    entering = Input(width, (grid,) if isinstance(grid, int) else grid)
    return Network((Repeat(count("depth", depth), (across, within)),), entering)


def _norm(form: str | None) -> Layers:
    if form is None:
        return ()
    checks.one_of("norm", form, _NORM_FORMS)
    return (Norm(form),)  # type: ignore[arg-type]  # checked
