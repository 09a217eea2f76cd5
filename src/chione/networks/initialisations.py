r"""Initialisations of transformers by name, in units of the fan-in.

Codes give a standard deviation s of the entries; here Var W = sigma^2 / n_in, so that
:math:`\sigma = s \sqrt{n_{in}}`: the same s is another sigma in every matrix and at every width.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class Sizes:
    """What an initialisation may depend on.

    Parameters
    ----------
    width : int
        Channels n of the stream.
    asked, read : int
        Channels of all heads of queries, and of keys and values.
    hidden : int
        Channels inside the branch of dense layers.
    depth : int
        Number L of blocks.
    gated : bool
        Whether the branch of dense layers begins with a gate.
    """

    width: int
    asked: int
    read: int
    hidden: int
    depth: int
    gated: bool


@final
@dataclass(frozen=True)
class Sigmas:
    """Standard deviations in one block, and around all of them.

    Parameters
    ----------
    q, k, v, o : float
        Queries, keys, values, output of attention.
    inner, last : float
        First matrices (gate and value alike) and last matrix of the dense branch.
    inner_bias, last_bias : float
        Of the biases of the dense branch; those of attention are zero.
    embedding, position : float
        Of the entries of token and position embeddings.
    scale : float
        Factor of both branches.
    """

    q: float = 1.0
    k: float = 1.0
    v: float = 1.0
    o: float = 1.0
    inner: float = 1.0
    last: float = 1.0
    inner_bias: float = 0.0
    last_bias: float = 0.0
    embedding: float = 1.0
    position: float = 1.0
    scale: float = 1.0


def _fixed(n: Sizes, std: float, last: float) -> Sigmas:
    """One standard deviation s for all entries, another one for what ends a branch."""
    into = std * math.sqrt(n.width)
    return Sigmas(
        q=into,
        k=into,
        v=into,
        o=last * math.sqrt(n.asked),
        inner=into,
        last=last * math.sqrt(n.hidden),
        embedding=std,
        position=std,
    )


def _gpt2(n: Sizes, block: int) -> Sigmas:
    r"""S = 0.02, and :math:`0.02 / \sqrt{2 L}` at the end of both branches [1]."""
    return _fixed(n, 0.02, 0.02 / math.sqrt(2.0 * n.depth))


def _bert(n: Sizes, block: int) -> Sigmas:
    """S = 0.02 everywhere [2]."""
    return _fixed(n, 0.02, 0.02)


def _neox(n: Sizes, block: int) -> Sigmas:
    r""":math:`s = \sqrt{2 / (5 n)}`, and :math:`2 / (L \sqrt n)` where branches end [3]."""
    small = math.sqrt(2.0 / (5.0 * n.width))
    return _fixed(n, small, 2.0 / (n.depth * math.sqrt(n.width)))


def _torch(n: Sizes, block: int) -> Sigmas:
    """``torch.nn.TransformerEncoderLayer`` as it comes [4].

    The matrix of queries, keys and values is one for Xavier, of 3 n rows; the other ones and the
    biases of the dense branch are uniform within fan_in^(-1/2).
    """
    xavier = math.sqrt(2.0 * n.width / (n.width + n.asked + 2.0 * n.read))
    third = math.sqrt(1.0 / 3.0)
    return Sigmas(
        q=xavier,
        k=xavier,
        v=xavier,
        o=third,
        inner=third,
        last=third,
        inner_bias=third / math.sqrt(n.width),
        last_bias=third / math.sqrt(n.hidden),
    )


def _xavier_of(n: Sizes, gain: float = 1.0, scale: float = 1.0) -> Sigmas:
    """Var W = 2 / (fan_in + fan_out) times gain^2, but without `gain` in queries and keys."""

    def sigma(fan_in: int, fan_out: int) -> float:
        return scale * math.sqrt(2.0 * fan_in / (fan_in + fan_out))

    return Sigmas(
        q=sigma(n.width, n.asked),
        k=sigma(n.width, n.read),
        v=gain * sigma(n.width, n.read),
        o=gain * sigma(n.asked, n.width),
        inner=gain * sigma(n.width, n.hidden),
        last=gain * sigma(n.hidden, n.width),
    )


def _xavier(n: Sizes, block: int) -> Sigmas:
    """Each matrix by itself [5]."""
    return _xavier_of(n)


def _deepnorm(n: Sizes, block: int) -> Sigmas:
    r"""Xavier with :math:`\beta = (8 L)^{-1/4}` on values, output and the dense branch [6]."""
    return _xavier_of(n, gain=(8.0 * n.depth) ** -0.25)


def _ds(n: Sizes, block: int) -> Sigmas:
    r"""Xavier times :math:`1 / \sqrt l` in block l = 1, ..., L [7]."""
    return _xavier_of(n, scale=1.0 / math.sqrt(block))


def _fixup(n: Sizes, block: int) -> Sigmas:
    r"""The end of both branches 0, and what stands before it times :math:`(2 L)^{-1/2}` [8].

    2 L branches of m = 2 matrices on the way of the signal; of a gate's two factors each takes
    half of the power.
    """
    down = (2.0 * n.depth) ** -0.5
    return Sigmas(v=down, o=0.0, inner=math.sqrt(down) if n.gated else down, last=0.0)


def _rezero(n: Sizes, block: int) -> Sigmas:
    """Branches begin with the factor 0 [9]."""
    return Sigmas(scale=0.0)


def _lecun(n: Sizes, block: int) -> Sigmas:
    """Var W = 1 / fan_in."""
    return Sigmas()


INITIALISATIONS: dict[str, Callable[[Sizes, int], Sigmas]] = {
    "gpt2": _gpt2,
    "llama": _bert,
    "bert": _bert,
    "neox": _neox,
    "torch": _torch,
    "xavier": _xavier,
    "lecun": _lecun,
    "deepnorm": _deepnorm,
    "ds": _ds,
    "fixup": _fixup,
    "rezero": _rezero,
}
"""Names, and the standard deviations of block 1, ..., L that they stand for.

References
----------
.. [1] Radford et al. 2019, as nanoGPT and transformers write it (the code released with the paper,
   which does not train, has 0.01 for positions and no factor at the end of branches).
.. [2] Devlin et al. 2019; ``initializer_range`` of BERT and of Llama in transformers.
.. [3] Nguyen & Salazar 2019; Wang & Komatsuzaki 2021; the defaults of GPT-NeoX.
.. [4] ``MultiheadAttention`` and ``Linear`` of PyTorch.
.. [5] Glorot & Bengio 2010; Vaswani et al. 2017 in most codes.
.. [6] Wang et al. 2022, DeepNet.
.. [7] Zhang, Titov & Sennrich 2019.
.. [8] Zhang, Dauphin & Ma 2019.
.. [9] Bachlechner et al. 2020.
"""

BLOCK_BY_BLOCK = ("ds",)  # those whose blocks are not all alike
