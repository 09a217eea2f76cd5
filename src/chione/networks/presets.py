r"""Known models as they come from their code, with random weights: language, vision, time.

Each builder says which code its numbers are those of. Weights of any law enter theory by their
second moments alone; simulated ones are Gaussian.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

from chione.activations import ActivationLike
from chione.base import checks
from chione.networks.dense import Dense
from chione.networks.input import Gram, Input
from chione.networks.layer import Layers, count
from chione.networks.network import Network
from chione.networks.norm import Norm
from chione.networks.recurrent import CELLS, Recurrent
from chione.networks.residual import Residual
from chione.networks.transformers import transformer

_PAIR: Gram = ((1.0, 0.5), (0.5, 1.0))
_THIRD = math.sqrt(1.0 / 3.0)  # sigma of weights that are uniform within fan_in^(-1/2)
_MULTIPLE = 256  # to which Llama rounds the width of its gates


def gpt2(
    depth: int = 12,
    width: int = 768,
    heads: int = 12,
    *,
    tokens: int = 32,
    norm: Literal["pre", "post", "deepnorm", "none"] = "pre",
    mlp: ActivationLike = "gelu_tanh",
    init: str = "gpt2",
    residual_scale: float | None = None,
    qk_norm: bool = False,
    inputs: Gram = _PAIR,
) -> Network:
    r"""GPT-2 before training, up to its last norm.

    Entries of standard deviation 0.02, those of matrices that end a branch
    :math:`0.02 / \sqrt{2 L}`, biases 0, learned positions, GELU by tanh, norms before branches.

    Parameters
    ----------
    depth, width, heads : int
        Blocks, channels and heads: those of the smallest of the four by default.
    tokens : int
        Number of positions.
    norm, mlp, init, residual_scale, qk_norm, inputs
        To change a thing, see :func:`transformer`.

    Notes
    -----
    As nanoGPT and the library transformers initialise it. The unembedding, which is the
    transposed table of tokens, is left away.

    References
    ----------
    .. [1] Radford et al. 2019, Language Models are Unsupervised Multitask Learners.
    """
    return transformer(
        depth,
        width,
        heads,
        norm=norm,
        mlp=mlp,
        init=init,
        tokens=tokens,
        causal=True,
        residual_scale=residual_scale,
        eps=1e-5,
        qk_norm=qk_norm,
        inputs=inputs,
    )


def llama(
    depth: int = 32,
    width: int = 4096,
    heads: int = 32,
    *,
    tokens: int = 32,
    kv_heads: int | None = None,
    hidden: int | None = None,
    norm: Literal["pre", "post", "deepnorm", "none"] = "pre",
    mlp: ActivationLike = "swiglu",
    init: str = "llama",
    residual_scale: float | None = None,
    qk_norm: bool = False,
    inputs: Gram = _PAIR,
) -> Network:
    """Llama before training, up to its last norm.

    Entries of standard deviation 0.02, no biases, rotary positions of base 10,000, SwiGLU of
    8/3 of the width rounded up to a multiple of 256, RMS norms before branches.

    Parameters
    ----------
    depth, width, heads : int
        Blocks, channels and heads: those of 7 billion parameters by default.
    tokens : int
        Number of positions.
    kv_heads : int, optional
        Heads of keys and values, fewer in the larger models.
    hidden : int, optional
        Channels inside the gates.
    norm, mlp, init, residual_scale, qk_norm, inputs
        To change a thing, see :func:`transformer`.

    Notes
    -----
    As the library transformers initialises it (``initializer_range``); the code of [1] leaves
    initialisation out.

    References
    ----------
    .. [1] Touvron et al. 2023, Llama 2.
    """
    usual = _MULTIPLE * math.ceil(int(8 * count("width", width) / 3) / _MULTIPLE)
    return transformer(
        depth,
        width,
        heads,
        norm=norm,
        mlp=mlp,
        init=init,
        tokens=tokens,
        causal=True,
        hidden=usual if hidden is None else hidden,
        residual_scale=residual_scale,
        norm_form="rms",
        eps=1e-5,
        rope=10_000.0,
        qk_norm=qk_norm,
        kv_heads=kv_heads,
        inputs=inputs,
    )


def bert(
    depth: int = 12,
    width: int = 768,
    heads: int = 12,
    *,
    tokens: int = 32,
    norm: Literal["pre", "post", "deepnorm", "none"] = "post",
    mlp: ActivationLike = "gelu",
    init: str = "bert",
    residual_scale: float | None = None,
    qk_norm: bool = False,
    inputs: Gram = _PAIR,
) -> Network:
    """BERT before training, without pooler: all entries 0.02, norms after the sums.

    A vector for the type of token, the same everywhere, is added to tokens and positions, and a
    norm follows.

    Parameters
    ----------
    depth, width, heads : int
        Blocks, channels and heads: those of the base model by default.
    tokens : int
        Number of positions.
    norm, mlp, init, residual_scale, qk_norm, inputs
        To change a thing, see :func:`transformer`.

    References
    ----------
    .. [1] Devlin et al. 2019; as the library transformers initialises it.
    """
    net = transformer(
        depth,
        width,
        heads,
        norm=norm,
        mlp=mlp,
        init=init,
        tokens=tokens,
        residual_scale=residual_scale,
        eps=1e-12,
        qk_norm=qk_norm,
        inputs=inputs,
    )
    type_of_token = Residual((Dense(0.0, 0.02, net.input.width),))
    place, *blocks = net.layers
    return dataclasses.replace(
        net, layers=(place, type_of_token, Norm("layer", eps=1e-12), *blocks)
    )


def vit(
    depth: int = 12,
    width: int = 768,
    heads: int = 12,
    *,
    image: int = 96,
    patch: int = 16,
    correlation: float = 0.0,
    norm: Literal["pre", "post", "deepnorm", "none"] = "pre",
    mlp: ActivationLike = "gelu",
    init: str = "bert",
    residual_scale: float | None = None,
    qk_norm: bool = False,
    inputs: Gram = _PAIR,
) -> Network:
    """A vision transformer before training, up to its last norm.

    Matrices and learned positions of standard deviation 0.02, biases 0, GELU, norms before
    branches; the embedding of patches as PyTorch's convolutions come.

    Parameters
    ----------
    depth, width, heads : int
        Blocks, channels and heads: those of the base model by default.
    image, patch : int
        Pixels along the edge of an image, and of a patch, which divides it.
    correlation : float
        Of the pixels of any two patches.
    inputs : matrix
        Second moments of the images, of the mean over their pixels.
    norm, mlp, init, residual_scale, qk_norm
        To change a thing, see :func:`transformer`.

    Notes
    -----
    As the library timm initialises it. The class token, which begins with entries of 1e-6, is
    left away.

    References
    ----------
    .. [1] Dosovitskiy et al. 2021, An Image is Worth 16x16 Words.
    """
    edge, side = count("image", image), count("patch", patch)
    if edge % side:
        raise ValueError(
            f"patch must divide image, but {side} does not divide {edge}; choose a divisor."
        )
    tokens, channels = (edge // side) ** 2, 3 * side**2
    net = transformer(
        depth,
        width,
        heads,
        norm=norm,
        mlp=mlp,
        init=init,
        tokens=tokens,
        residual_scale=residual_scale,
        eps=1e-6,
        qk_norm=qk_norm,
    )
    embed = Dense(_THIRD, _THIRD / math.sqrt(channels), net.input.width)
    entering = Input(channels, (tokens,), inputs, correlation)
    return Network((embed, *net.layers), entering)


def lstm(
    depth: int = 1,
    width: int = 256,
    *,
    cell: Literal["rnn", "gru", "lstm"] = "lstm",
    steps: int = 10,
    input_width: int | None = None,
    sigma_w: float | None = None,
    sigma_u: float | None = None,
    sigma_b: float | None = None,
    sequence: bool = False,
    correlation: float = 0.0,
    inputs: Gram = _PAIR,
) -> Network:
    r"""Recurrent layers one above the other, by default as ``torch.nn.LSTM`` comes before training.

    All of its parameters are uniform within :math:`H^{-1/2}` for H channels of the state:

    .. math:: \sigma_w^2 = \frac13, \qquad \sigma_u^2 = \frac{n_{in}}{3 H}, \qquad
       \sigma_b^2 = \frac{1}{3 H} \text{ of the bias of each matrix}

    Parameters
    ----------
    depth : int
        Number of layers.
    width, input_width : int
        Channels H of the states, and of the input (the same by default).
    cell : {"rnn", "gru", "lstm"}
        The cell; those of ``torch.nn.GRU`` and ``torch.nn.RNN`` come alike.
    steps : int
        Steps of time.
    sigma_w, sigma_u, sigma_b : float, optional
        Others in all layers, in units of the fan-in.
    sequence : bool
        Whether the last layer gives all its states, or the last one.
    correlation : float
        Of the inputs at any two times.
    inputs : matrix
        Second moments of the inputs at one time.
    """
    checks.one_of("cell", cell, CELLS)
    layers, n = count("depth", depth), count("width", width)
    first = n if input_width is None else count("input_width", input_width)
    made: list[Recurrent] = []
    for k in range(min(layers, 2)):  # the second is like all after it
        fan_in = n if k else first
        made.append(
            Recurrent(
                cell,
                _THIRD if sigma_w is None else sigma_w,
                _THIRD * math.sqrt(fan_in / n) if sigma_u is None else sigma_u,
                _THIRD / math.sqrt(n) if sigma_b is None else sigma_b,
                n,
                sequence=True,
            )
        )
    last = dataclasses.replace(made[-1], sequence=sequence)
    entering = Input(first, (count("steps", steps),), inputs, correlation)
    return Network((*_between(made, layers), last), entering)


def _between(made: list[Recurrent], layers: int) -> Layers:
    """All layers but the last."""
    if layers == 1:
        return ()
    return (made[0], *(made[1],) * (layers - 2))
