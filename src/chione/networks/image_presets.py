r"""Known convolutional networks as they come from their code, with random weights.

Weights of any law enter theory by their second moments alone; simulated ones are Gaussian.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

from chione.networks.convolution import Convolution
from chione.networks.dense import Dense
from chione.networks.input import Gram, Input
from chione.networks.layer import AbstractLayer, Layers, count, flag
from chione.networks.network import Network
from chione.networks.nonlinearity import Nonlinearity
from chione.networks.norm import Norm
from chione.networks.pooling import Pooling
from chione.networks.repeat import Repeat
from chione.networks.residual import Residual

_PAIR: Gram = ((1.0, 0.5), (0.5, 1.0))
_RELU = Nonlinearity("relu")
_POOL = Pooling("max", 3, 2, padding=1)
_CLASSES = 1000
_COLOURS = 3


def resnet18(
    *,
    width: int = 64,
    image: int = 32,
    classes: int = _CLASSES,
    training: bool = True,
    correlation: float = 0.0,
    inputs: Gram = _PAIR,
) -> Network:
    r"""ResNet-18 before training: 2, 2, 2, 2 blocks of two convolutions.

    .. math:: y = \operatorname{relu}(s(x) + \nu(W_2 \operatorname{relu}(\nu(W_1 x)))), \qquad
       \operatorname{Var} W = \frac{2}{n_{out} k^2}

    Parameters
    ----------
    width : int
        Channels of the first stage; each stage doubles them.
    image : int
        Pixels along the edge, 224 in the original; theory holds a matrix over all of them.
    classes : int
        Outputs.
    training : bool
        Whether batch norm sees the batch, or, as in evaluation before training, does nothing.
    correlation : float
        Of any two pixels of an image.
    inputs : matrix
        Second moments of the images, of the mean over their pixels; batch norm sees all of them
        together.

    Notes
    -----
    As torchvision makes it: Kaiming's normal law by fan_out, no biases, gains of 1 in all norms
    with 1e-5 in them; the readout as PyTorch's linear layers come.

    References
    ----------
    .. [1] He et al. 2016, Deep Residual Learning for Image Recognition.
    """
    return _resnet(_basic, (2, 2, 2, 2), 1, width, image, classes, training, correlation, inputs)


def resnet50(
    *,
    width: int = 64,
    image: int = 32,
    classes: int = _CLASSES,
    training: bool = True,
    correlation: float = 0.0,
    inputs: Gram = _PAIR,
) -> Network:
    r"""ResNet-50 before training: 3, 4, 6, 3 blocks of three convolutions, the middle one 3 x 3.

    Parameters
    ----------
    width : int
        Channels inside the blocks of the first stage; four times as many leave them, and each
        stage doubles both.
    image, classes, training, correlation, inputs
        See :func:`resnet18`.

    Notes
    -----
    As torchvision makes it, with the stride in the convolution of 3 x 3.
    """
    return _resnet(
        _bottleneck, (3, 4, 6, 3), 4, width, image, classes, training, correlation, inputs
    )


def convnext(
    depth: int = 9,
    width: int = 96,
    *,
    image: int = 32,
    classes: int = _CLASSES,
    layer_scale: float = 1e-6,
    correlation: float = 0.0,
    inputs: Gram = _PAIR,
) -> Network:
    """ConvNeXt before training: 3, 3, `depth`, 3 blocks, the tiny one by default.

    A block is a depthwise convolution of 7 x 7, a norm, and two dense layers around GELU.

    Parameters
    ----------
    depth : int
        Blocks of the third stage; 9 (tiny) or 27 (small, base, large).
    width : int
        Channels of the first stage; each stage doubles them.
    image : int
        Pixels along the edge, 224 in the original, a multiple of 32.
    classes : int
        Outputs.
    layer_scale : float
        Factor of the branches at the beginning.
    correlation : float
        Of any two patches of 4 x 4 pixels of an image.
    inputs : matrix
        Second moments of the images, of the mean over their pixels.

    Notes
    -----
    As its authors' code makes it: entries of standard deviation 0.02, biases 0, zero padding,
    norms over channels with 1e-6 in them.

    References
    ----------
    .. [1] Liu et al. 2022, A ConvNet for the 2020s.
    """
    n, third, edge = count("width", width), count("depth", depth), count("image", image)
    if edge % 32:
        raise ValueError(
            f"image must be a multiple of 32, since strides divide it by that, but it is {edge}."
        )
    nu = Norm("layer", eps=1e-6)
    layers: list[AbstractLayer] = []
    for stage, blocks in enumerate((3, 3, third, 3)):
        m = n * 2**stage
        if stage:
            half = Convolution(2, 0.02 * math.sqrt(4.0 * m / 2), 0.0, m, stride=2)
            layers += [nu, half]
        branch = (
            Convolution(7, 0.02 * 7.0, depthwise=True),
            nu,
            Dense(0.02 * math.sqrt(m), out=4 * m),
            Nonlinearity("gelu"),
            Dense(0.02 * math.sqrt(4.0 * m), out=m),
        )
        layers.append(Repeat(blocks, (Residual(branch, scale=layer_scale),)))
    patch = 4**2 * _COLOURS
    head = (Pooling("average"), nu, Dense(0.02 * math.sqrt(8.0 * n), out=count("classes", classes)))
    stem = (Dense(0.02 * math.sqrt(patch), out=n), nu)
    entering = Input(patch, (edge // 4, edge // 4), inputs, correlation)
    return Network((*stem, *layers, *head), entering)


# ---- residual networks --------------------------------------------------------------------------

_Branch: TypeAlias = Callable[[int, int, int, Layers], Layers]


def _resnet(
    branch: _Branch,
    blocks: tuple[int, ...],
    times: int,
    width: int,
    image: int,
    classes: int,
    training: bool,
    correlation: float,
    inputs: Gram,
) -> Network:
    """Stem, four stages whose blocks give out `times` the channels inside, and readout."""
    n, edge = count("width", width), count("image", image)
    nu: Layers = (Norm("batch", eps=1e-5),) if flag("training", training) else ()
    layers: list[AbstractLayer] = [*_convolution(7, _COLOURS, n, 2), *nu, _RELU, _POOL]
    arriving = n
    for stage, count_of_blocks in enumerate(blocks):
        inside, stride = n * 2**stage, 2 if stage else 1
        leaving = inside * times
        changes = stride > 1 or arriving != leaving
        shortcut = (*_convolution(1, arriving, leaving, stride), *nu) if changes else ()
        first = Residual(branch(arriving, inside, stride, nu), shortcut=shortcut)
        other = Residual(branch(leaving, inside, 1, nu))
        layers += [first, _RELU, Repeat(count_of_blocks - 1, (other, _RELU))]
        arriving = leaving
    third = math.sqrt(1.0 / 3.0)  # of weights that are uniform within fan_in^(-1/2)
    readout = Dense(third, third / math.sqrt(arriving), count("classes", classes))
    entering = Input(_COLOURS, (edge, edge), inputs, correlation)
    return Network((*layers, Pooling("average"), readout), entering)


def _basic(arriving: int, inside: int, stride: int, nu: Layers) -> Layers:
    """Two convolutions of 3 x 3."""
    return (
        *_convolution(3, arriving, inside, stride),
        *nu,
        _RELU,
        *_convolution(3, inside, inside, 1),
        *nu,
    )


def _bottleneck(arriving: int, inside: int, stride: int, nu: Layers) -> Layers:
    """To fewer channels, 3 x 3, and to four times as many."""
    return (
        *_convolution(1, arriving, inside, 1),
        *nu,
        _RELU,
        *_convolution(3, inside, inside, stride),
        *nu,
        _RELU,
        *_convolution(1, inside, 4 * inside, 1),
        *nu,
    )


def _convolution(kernel: int, arriving: int, leaving: int, stride: int) -> Layers:
    """Var W = 2 / (n_out k^2), so that sigma_w^2 = 2 n_in / n_out."""
    sigma = math.sqrt(2.0 * arriving / leaving)
    return (Convolution(kernel, sigma, 0.0, leaving, stride=stride),)
