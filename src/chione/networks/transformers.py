r"""Transformers: blocks of an attention branch and a branch of dense layers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from chione.activations import ActivationLike
from chione.base import SpecError, checks
from chione.networks.attention import Attention
from chione.networks.dense import Dense
from chione.networks.gate import Gate
from chione.networks.initialisations import BLOCK_BY_BLOCK, INITIALISATIONS, Sigmas, Sizes
from chione.networks.input import Gram, Input, as_gram
from chione.networks.layer import Layers, Shape, count, flag
from chione.networks.network import Network
from chione.networks.nonlinearity import Nonlinearity
from chione.networks.norm import Norm
from chione.networks.parallel import Parallel
from chione.networks.position import Position
from chione.networks.repeat import Repeat
from chione.networks.residual import Residual

GATED = {
    "swiglu": "silu",
    "geglu": "gelu",
    "reglu": "relu",
    "glu": "sigmoid",
    "bilinear": "identity",
}
SPELLED = {"relu2": "squared_relu"}
PLACES_OF_NORM = ("pre", "post", "deepnorm", "none")
NORM_FORMS = ("layer", "rms")
POSITIONS = ("learned", "sinusoidal", "none")
_WRITTEN = 10_000  # blocks that are written down one by one
_PAIR: Gram = ((1.0, 0.5), (0.5, 1.0))


def transformer(
    depth: int = 12,
    width: int = 768,
    heads: int = 12,
    *,
    norm: Literal["pre", "post", "deepnorm", "none"] = "pre",
    mlp: ActivationLike = "gelu",
    init: str | None = None,
    tokens: int = 64,
    causal: bool = False,
    expansion: float | None = None,
    hidden: int | None = None,
    residual_scale: float | None = None,
    norm_form: Literal["layer", "rms"] = "layer",
    eps: float = 0.0,
    final_norm: bool = True,
    parallel: bool = False,
    positions: Literal["learned", "sinusoidal", "none"] | None = None,
    rope: float | None = None,
    alibi: bool = False,
    qk_norm: bool = False,
    kv_heads: int | None = None,
    head_size: int | None = None,
    scale: Literal["sqrt", "linear"] = "sqrt",
    embedding: float | None = None,
    inputs: Gram = _PAIR,
) -> Network:
    r"""A transformer of `depth` blocks, at the initialisation that a name stands for.

    .. math:: \text{pre: } x + b f(\nu(x)), \quad \text{post: } \nu(x + b f(x)), \quad
       \text{deepnorm: } \nu((2 L)^{1/4} x + b f(x))

    for the attention branch f and then for the dense one, with the norm :math:`\nu`.

    Parameters
    ----------
    depth : int
        Number L of blocks.
    width : int
        Channels of the stream.
    heads : int
        Heads of attention.
    norm : {"pre", "post", "deepnorm", "none"}
        Where norms stand.
    mlp : activation or str
        Activation of the dense branch; ``swiglu``, ``geglu``, ``reglu``, ``glu`` and
        ``bilinear`` gate it, ``relu2`` is the squared relu, ``none`` leaves the branch away.
    init : str, optional
        A name of :data:`~chione.networks.initialisations.INITIALISATIONS`: ``gpt2``, ``llama``,
        ``bert``, ``neox``, ``torch``, ``xavier``, ``lecun``, ``deepnorm``, ``ds``, ``fixup``,
        ``rezero``. By default ``deepnorm`` for that norm, else ``gpt2``.
    tokens : int
        Number of positions.
    causal : bool
        Whether position t sees those up to t only.
    expansion : float, optional
        Channels inside the dense branch over `width`; 4 by default, 8/3 if gated.
    hidden : int, optional
        The same as a number, instead of `expansion`.
    residual_scale : float, optional
        Factor b of both branches; that of `init` by default (1, or 0 for ``rezero``).
    norm_form : {"layer", "rms"}
        The norm.
    eps : float
        What the norms add to a variance.
    final_norm : bool
        Whether a norm ends a network with norms before its branches.
    parallel : bool
        Whether both branches read the same stream, side by side (with ``pre`` or ``none``).
    positions : {"learned", "sinusoidal", "none"}, optional
        Embedding of positions; learned by default, none with `rope` or `alibi`.
    rope, alibi, qk_norm, kv_heads, head_size, scale
        See :class:`~chione.networks.Attention`.
    embedding : float, optional
        Standard deviation of the entries of token embeddings; that of `init` by default.
    inputs : matrix
        Second moments of the inputs at one position, in units of ``embedding**2``; different
        tokens of one input are uncorrelated, as rows of an embedding are.

    Examples
    --------
    >>> net = transformer(24, 1024, 16, norm="pre", mlp="swiglu", init="llama", rope=1e4)
    >>> net.output.width
    1024
    """
    blocks, n = count("depth", depth), count("width", width)
    checks.one_of("norm", norm, PLACES_OF_NORM)
    checks.one_of("norm_form", norm_form, NORM_FORMS)
    for word, value in (("final_norm", final_norm), ("parallel", parallel), ("causal", causal)):
        flag(word, value)
    if parallel and norm not in ("pre", "none"):
        raise ValueError(
            f"parallel branches need norm='pre' or norm='none', but norm is {norm!r}; choose one "
            f"of these."
        )
    name = ("deepnorm" if norm == "deepnorm" else "gpt2") if init is None else init
    checks.one_of("init", name, tuple(INITIALISATIONS))
    attention = Attention(
        heads,
        head_size,
        out=n,
        scale=scale,
        mask="causal" if causal else "none",
        rope=rope,
        alibi=alibi,
        qk_norm=qk_norm,
        kv_heads=kv_heads,
    )
    first = _first(mlp)
    sizes = _sizes(attention, n, _hidden(n, hidden, expansion, gated=isinstance(first, Gate)),
                   blocks, gated=isinstance(first, Gate))  # fmt: skip
    sigmas = [INITIALISATIONS[name](sizes, l) for l in _blocks_of(name, blocks)]
    if residual_scale is not None:
        b = checks.finite("residual_scale", residual_scale)
        sigmas = [replace(block, scale=b) for block in sigmas]
    nu = Norm(norm_form, eps=eps)
    made = [
        _block(norm, nu, (2.0 * blocks) ** 0.25, _branches(attention, first, sizes, block), block,
               parallel=parallel)
        for block in sigmas
    ]  # fmt: skip
    body = (Repeat(blocks, made[0]),) if len(made) == 1 else tuple(Repeat(1, x) for x in made)
    std = sigmas[0].embedding if embedding is None else checks.non_negative("embedding", embedding)
    placed = _positions(positions, sigmas[0], std, free=rope is not None or alibi)
    last: Layers = (nu,) if final_norm and norm == "pre" else ()
    gram = tuple(tuple(std**2 * entry for entry in row) for row in as_gram("inputs", inputs))
    return Network((*placed, *body, *last), Input(n, (count("tokens", tokens),), gram))


def _blocks_of(name: str, depth: int) -> range:
    """Numbers of the blocks that have to be written down: the first, if all are alike."""
    if name not in BLOCK_BY_BLOCK:
        return range(1, 2)
    if depth > _WRITTEN:
        raise ValueError(
            f"init={name!r} gives every block another size, so depth must be at most {_WRITTEN}, "
            f"but it is {depth}; choose another init, or fewer blocks."
        )
    return range(1, depth + 1)


def _first(mlp: Any) -> Gate | Nonlinearity | None:
    """What stands inside the dense branch; nothing if there is no such branch."""
    if isinstance(mlp, str):
        if mlp in GATED:
            return Gate(GATED[mlp])
        if mlp == "none":
            return None
        try:
            return Nonlinearity(SPELLED.get(mlp, mlp))
        except SpecError as err:
            raise SpecError(
                f"mlp must be an activation or one of {', '.join([*GATED, 'relu2', 'none'])}: {err}"
            ) from None
    return Nonlinearity(mlp)


def _hidden(n: int, hidden: int | None, expansion: float | None, *, gated: bool) -> int:
    """Channels inside the dense branch."""
    if hidden is not None:
        if expansion is not None:
            raise ValueError("hidden and expansion say the same; give one of them.")
        return count("hidden", hidden)
    usual = 8.0 / 3.0 if gated else 4.0  # as many weights with three matrices as with two
    times = usual if expansion is None else checks.positive("expansion", expansion)
    return count("expansion times width", max(1, round(times * n)))


def _sizes(attention: Attention, n: int, hidden: int, depth: int, *, gated: bool) -> Sizes:
    size = attention.size(Shape(n), f"width {n}")
    read = (attention.kv_heads or attention.heads) * size
    return Sizes(n, attention.heads * size, read, hidden, depth, gated)


def _branches(
    attention: Attention, first: Gate | Nonlinearity | None, n: Sizes, sigmas: Sigmas
) -> list[Layers]:
    """The branch of attention and, if there is one, the dense branch."""
    out: list[Layers] = [
        (
            replace(
                attention, sigma_q=sigmas.q, sigma_k=sigmas.k, sigma_v=sigmas.v, sigma_o=sigmas.o
            ),
        )
    ]
    last = Dense(sigmas.last, sigmas.last_bias, n.width)
    if isinstance(first, Gate):
        gate = replace(first, hidden=n.hidden, sigma_u=sigmas.inner, sigma_v=sigmas.inner,
                       sigma_b=sigmas.inner_bias)  # fmt: skip
        out.append((gate, last))
    elif first is not None:
        out.append((Dense(sigmas.inner, sigmas.inner_bias, n.hidden), first, last))
    return out


def _block(
    norm: str, nu: Norm, alpha: float, branches: list[Layers], sigmas: Sigmas, *, parallel: bool
) -> Layers:
    """One block; the skip of deepnorm is `alpha`."""
    before: Layers = (nu,) if norm == "pre" else ()
    if parallel and len(branches) > 1:
        return (Residual((*before, Parallel(tuple(branches))), scale=sigmas.scale),)
    skip = alpha if norm == "deepnorm" else 1.0
    after: Layers = (nu,) if norm in ("post", "deepnorm") else ()
    return tuple(
        layer
        for branch in branches
        for layer in (Residual((*before, *branch), skip, sigmas.scale), *after)
    )


def _positions(form: str | None, sigmas: Sigmas, std: float, *, free: bool) -> Layers:
    """The embedding of positions; none where attention knows them already."""
    chosen = ("none" if free else "learned") if form is None else form
    checks.one_of("positions", chosen, POSITIONS)
    if chosen == "none":
        return ()
    if chosen == "learned":
        return (Position("learned", sigmas.position),)
    return (Position("sinusoidal", std),)  # in the units of the tokens
