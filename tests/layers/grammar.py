"""Networks written in the grammar of the examples (networks.json), read as chione networks.

    network, taps = read(description, N)

`taps` maps the names of the reference values to places: ``input``, ``0:dense`` to ``layers[0]``,
``1.2:block`` to ``layers[1]#2``, ``1.2:block/0:residual`` to ``layers[1]#2.layers[0]`` and
``0:gru/h3`` to ``layers[0].state[2]``. The initial state ``0:gru/h0`` is given and has no place.

    predict(description)["K"]["0:dense"]

is what theory says of the same values, a matrix over all sites.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from chione.base import UnsupportedLayerError
from chione.networks import (
    Attention,
    Convolution,
    Dense,
    Dropout,
    Flatten,
    Gate,
    Input,
    Maxout,
    Network,
    Noise,
    Nonlinearity,
    Norm,
    Parallel,
    Pooling,
    Position,
    Recurrent,
    Repeat,
    Residual,
    Shape,
)
from chione.networks.layer import AbstractLayer, Layers, pass_through
from chione.theory.layers.stream import Gradient, entering
from chione.theory.layers.walk import Walk

HERE = Path(__file__).parent
FUNCTIONS = {"leaky": "leaky_relu(0.1)", "relu2": "squared_relu"}
CELLS = ("rnn", "gru", "lstm")
SPATIAL = (
    "conv", "convtranspose", "avgpool", "maxpool", "gap", "flatten", "attention", *CELLS,
)  # fmt: skip
MEMORY = "memory"  # the one memory that the grammar knows


def examples() -> dict[str, dict[str, Any]]:
    """The ten descriptions, by name."""
    found = json.loads((HERE / "networks.json").read_text())["networks"]
    return {description["name"]: description for description in found}


def reference() -> dict[str, list[dict[str, Any]]]:
    """What an independent simulation measured on them, one entry a width."""
    found: dict[str, list[dict[str, Any]]] = json.loads((HERE / "reference.json").read_text())
    return found


def read(description: dict[str, Any], N: int) -> tuple[Network, dict[str, str]]:
    """The network of a description at base width `N`, and the places of its taps.

    Raises
    ------
    ValueError
        If there is no such op.
    """
    entering = read_input(description, N)
    reader = _Reader(N)
    layers: list[AbstractLayer] = []
    taps, shape = {"input": "input"}, entering.shape
    for i, op in enumerate(description["layers"]):
        if op["op"] == "block":
            blocks = reader.block(op, shape)
            taps |= _block_taps(i, op, blocks, len(layers))
        else:
            blocks = [reader.layer(op, shape)]
            name, place = f"{i}:{op['op']}", f"layers[{len(layers)}]"
            if op["op"] in CELLS:
                steps = range(shape.positions)
                taps |= {f"{name}/h{t + 1}": f"{place}.state[{t}]" for t in steps}
            taps[name] = place
        layers += blocks
        shape = pass_through(tuple(blocks), shape, "layers")
    return Network(tuple(layers), entering, read_memory(description, N)), taps


def predict(description: dict[str, Any], N: int = 1024) -> dict[str, Any]:
    """What theory says of a network, in the terms of the reference values.

    Returns
    -------
    dict
        ``K``, ``iid`` and ``shared``: for each tap the matrix over (input, position), positions
        fastest. ``m``: the channel means of input 0 at its first 8 positions. ``ntk``: Theta[0,0],
        [0,1] and [1,1] at position 0. Where the law does not close, ``unclosed`` says why, and
        only the taps before are there.
    """
    network, taps = read(description, N)
    walk = Walk()
    stream = entering(network.input)
    out: dict[str, Any] = {}
    try:
        stream, home = walk.network(network, stream)
    except UnsupportedLayerError as err:
        out["unclosed"] = str(err)
    streams = {"input": entering(network.input)} | walk.streams
    known = {tap: streams[place] for tap, place in taps.items() if place in streams}
    out["K"] = {tap: s.second_moments().value for tap, s in known.items()}
    out["m"] = {tap: s.mean.value[: min(s.positions, 8)] for tap, s in known.items()}
    if "unclosed" in out:
        return out
    n = stream.orbits.sites
    for name, gram in (("iid", np.eye(n)), ("shared", np.ones((n, n)))):
        walk.gradients = {}
        found = {"input": home(Gradient.of(gram))} | walk.gradients
        out[name] = {
            tap: found[place].second_moments().value
            for tap, place in taps.items()
            if place in found
        }
    theta = stream.theta.at(stream.orbits.index).value[:: stream.positions, :: stream.positions]
    out["ntk"] = [float(theta[i, j]) for i in range(len(theta)) for j in range(i, len(theta))][:3]
    return out


def read_input(description: dict[str, Any], N: int) -> Input:
    """What enters; a grid of one position is a vector unless a layer asks for positions."""
    given = description["input"]
    grid = tuple(int(n) for n in given["grid"])
    if grid == (1,) and not mentions(description["layers"], SPATIAL):
        grid = ()
    matrices = (_symmetric(given[name]) for name in ("inputs", "positions"))
    return Input(N, grid, *matrices)


def read_memory(description: dict[str, Any], N: int) -> dict[str, Network]:
    """The memory that ``cross`` reads: an input, with layers of its own where it has some."""
    given = description.get("memory")
    if given is None:
        return {}
    inside = given if "input" in given else {"input": given}
    network, _ = read({"layers": [], **inside}, N)
    if not network.input.grid:  # keys and values have positions, if only one
        network = dataclasses.replace(network, input=dataclasses.replace(network.input, grid=(1,)))
    return {MEMORY: network}


def stored(n_inputs: int, positions: int) -> list[tuple[int, int]]:
    """Rows and columns (a P + t, b P + s) of a matrix that the reference holds, in its order."""
    size, step = n_inputs * positions, max(1, positions // 8)
    if size <= 4:
        return [(i, j) for i in range(size) for j in range(i, size)]
    some = range(0, positions, step)
    out = [(t, t) for t in some] + [(0, s) for s in some if s > 0]
    if n_inputs > 1:
        out += [(t, positions + t) for t in some] + [(0, 2 * positions - 1)]
    return out


def _block_taps(
    i: int, op: dict[str, Any], blocks: list[AbstractLayer], first: int
) -> dict[str, str]:
    taps = {}
    for r in range(op["repeat"]):
        one = len(blocks) == 1
        place = f"layers[{first}]#{r}" if one else f"layers[{first + r}]#0"
        if op.get("taps"):
            for j, inside in enumerate(op["layers"]):
                taps[f"{i}.{r}:block/{j}:{inside['op']}"] = f"{place}.layers[{j}]"
        taps[f"{i}.{r}:block"] = place
    return taps


def mentions(x: Any, ops: tuple[str, ...]) -> bool:
    if isinstance(x, dict):
        return x.get("op") in ops or any(mentions(v, ops) for v in x.values())
    return isinstance(x, list) and any(mentions(v, ops) for v in x)


def _symmetric(matrix: Any) -> Any:
    a = np.asarray(matrix, dtype=float)
    return tuple(map(tuple, ((a + a.T) / 2.0).tolist()))


class _Reader:
    """One method an op; widths are multiples of N."""

    def __init__(self, N: int) -> None:
        self.N = N

    def layers(self, ops: list[dict[str, Any]], shape: Shape) -> Layers:
        """Layers of a list, each read for the shape that arrives there."""
        out: list[AbstractLayer] = []
        for op in ops:
            one = self.block(op, shape) if op["op"] == "block" else [self.layer(op, shape)]
            out += one
            shape = pass_through(tuple(one), shape, "layers")
        return tuple(out)

    def block(self, op: dict[str, Any], shape: Shape) -> list[AbstractLayer]:
        """One Repeat, or one for each repetition where they differ (groups of a growing width)."""
        blocks = []
        for _ in range(op["repeat"]):
            blocks.append(self.layers(op["layers"], shape))
            shape = pass_through(blocks[-1], shape, "layers")
        if all(block == blocks[0] for block in blocks):
            return [Repeat(op["repeat"], blocks[0])]
        return [Repeat(1, block) for block in blocks]

    def layer(self, op: dict[str, Any], shape: Shape) -> AbstractLayer:
        """One op other than a block."""
        method: Callable[[dict[str, Any], Shape], AbstractLayer] | None
        method = getattr(self, f"op_{op['op']}", None)
        if method is None:
            raise ValueError(f"the grammar has no op {op['op']!r}.")
        return method(op, shape)

    def width(self, op: dict[str, Any], name: str = "out") -> int:
        """A width: `name` times N."""
        multiple = op.get(name)
        return round((1 if multiple is None else multiple) * self.N)

    # ---- affine --------------------------------------------------------------------------------

    def op_dense(self, op: dict[str, Any], shape: Shape) -> AbstractLayer:
        weights = op.get("weights", "gaussian")
        form = {"spectral": "spectral_norm", "weightnorm": "weight_norm"}.get(weights, "plain")
        law = weights if form == "plain" else "gaussian"
        return Dense(*_sigmas(op), self.width(op), law, form)

    def op_glu(self, op: dict[str, Any], shape: Shape) -> AbstractLayer:
        sigmas = (op.get(name, 1.0) for name in ("sigma_u", "sigma_v"))
        hidden = self.width(op, "hidden")
        return Gate(_function(op), hidden, *sigmas, op.get("sigma_b", 0.0))

    def op_maxout(self, op: dict[str, Any], shape: Shape) -> AbstractLayer:
        return Maxout(op.get("k", 2), *_sigmas(op), self.width(op))

    def op_conv(self, op: dict[str, Any], shape: Shape) -> AbstractLayer:
        depthwise = bool(op.get("depthwise", False))
        return Convolution(
            _extents(op.get("k", 3)),
            *_sigmas(op),
            out=None if depthwise else self.width(op),
            stride=_extents(op.get("stride", 1)),
            dilation=_extents(op.get("dilation", 1)),
            padding=op.get("padding", "circular"),
            groups=1 if depthwise else op.get("groups", 1),
            depthwise=depthwise,
            weights=op.get("weights", "gaussian"),
        )

    def op_convtranspose(self, op: dict[str, Any], shape: Shape) -> AbstractLayer:
        k, stride = _extents(op.get("k", 3)), _extents(op.get("stride", 1))
        return Convolution(k, *_sigmas(op), self.width(op), stride, transposed=True)

    # ---- channel by channel --------------------------------------------------------------------

    def op_act(self, op: dict[str, Any], shape: Shape) -> AbstractLayer:
        return Nonlinearity(_function(op))

    def op_layernorm(self, op: dict[str, Any], shape: Shape) -> AbstractLayer:
        return Norm("layer")

    def op_rmsnorm(self, op: dict[str, Any], shape: Shape) -> AbstractLayer:
        return Norm("rms")

    def op_batchnorm(self, op: dict[str, Any], shape: Shape) -> AbstractLayer:
        return Norm("batch")

    def op_groupnorm(self, op: dict[str, Any], shape: Shape) -> AbstractLayer:
        of_size = shape.width // op["group"] if op.get("group") else None
        return Norm("group", groups=op["groups"] if of_size is None else of_size)

    def op_dropout(self, op: dict[str, Any], shape: Shape) -> AbstractLayer:
        return Dropout(op["keep"], op.get("share") or "independent")

    def op_noise(self, op: dict[str, Any], shape: Shape) -> AbstractLayer:
        return Noise(op["sigma"])

    def op_position(self, op: dict[str, Any], shape: Shape) -> AbstractLayer:
        waves = op.get("sinusoidal", False) or "sinusoidal" in op.values()
        form = "sinusoidal" if waves else "learned"
        return Position(form, op.get("sigma", 1.0), op.get("base", 10000.0))

    # ---- attention and time ---------------------------------------------------------------------

    def op_attention(self, op: dict[str, Any], shape: Shape) -> AbstractLayer:
        normed = bool(op.get("qk_norm", False))  # to mean square 1: no gains
        sigmas = (1.0 if normed else op.get(f"sigma_{x}", 1.0) for x in "qk")
        masked = op.get("mask") == "causal" or bool(op.get("causal", False))
        rope = op.get("rope")
        return Attention(
            op["heads"],
            op.get("head_dim"),
            *sigmas,
            op.get("sigma_v", 1.0),
            op.get("sigma_o", 1.0),
            op.get("sigma_b", 0.0),
            self.width(op),
            op.get("scale", "sqrt"),
            "causal" if masked else "none",
            rope=10000.0 if rope is True else rope or None,
            alibi=bool(op.get("alibi", False)),
            qk_norm=normed,
            kv_heads=op.get("kv_heads"),
            memory=MEMORY if op.get("cross") else None,
        )

    def op_rnn(self, op: dict[str, Any], shape: Shape) -> AbstractLayer:
        phi = FUNCTIONS.get(op.get("fn", "tanh"), op.get("fn", "tanh"))
        return self.recurrent("rnn", op, activation=phi)

    def op_gru(self, op: dict[str, Any], shape: Shape) -> AbstractLayer:
        return self.recurrent("gru", op)

    def op_lstm(self, op: dict[str, Any], shape: Shape) -> AbstractLayer:
        return self.recurrent("lstm", op)

    def recurrent(self, cell: str, op: dict[str, Any], **more: Any) -> AbstractLayer:
        """A cell; the grammar adds one bias where the two matrices of ours have one each."""
        start = op.get("h0")
        return Recurrent(
            cell,
            op.get("sigma_w", 1.0),
            op.get("sigma_u", 1.0),
            op.get("sigma_b", 0.0) / math.sqrt(2.0),
            self.width(op),
            tied=op.get("tied", True),
            sequence=bool(op.get("sequence", False)),
            start=None if start is None else _symmetric(start),
            **more,
        )

    # ---- positions -----------------------------------------------------------------------------

    def op_avgpool(self, op: dict[str, Any], shape: Shape) -> AbstractLayer:
        return _pool("average", op)

    def op_maxpool(self, op: dict[str, Any], shape: Shape) -> AbstractLayer:
        return _pool("max", op)

    def op_gap(self, op: dict[str, Any], shape: Shape) -> AbstractLayer:
        return Pooling("average")

    def op_flatten(self, op: dict[str, Any], shape: Shape) -> AbstractLayer:
        return Flatten()

    # ---- several ways --------------------------------------------------------------------------

    def op_residual(self, op: dict[str, Any], shape: Shape) -> AbstractLayer:
        branch = self.layers(op["branch"], shape)
        shortcut = self.layers(op.get("shortcut") or [], shape)
        return Residual(branch, op.get("a", 1.0), op.get("b", 1.0), shortcut)

    def op_parallel(self, op: dict[str, Any], shape: Shape) -> AbstractLayer:
        how = {"mul": "product"}.get(op.get("combine", "sum"), op.get("combine", "sum"))
        return Parallel(tuple(self.layers(b, shape) for b in op["branches"]), how)


def _sigmas(op: dict[str, Any]) -> tuple[float, float]:
    return op.get("sigma_w", 1.0), op.get("sigma_b", 0.0)


def _function(op: dict[str, Any]) -> str:
    return FUNCTIONS.get(op["fn"], op["fn"])


def _extents(x: Any) -> Any:
    return tuple(x) if isinstance(x, list) else x


def _pool(how: str, op: dict[str, Any]) -> Pooling:
    k, stride = _extents(op["k"]), op.get("stride")
    return Pooling(how, k, k if stride is None else _extents(stride))


def ops() -> list[str]:
    """All ops that are read."""
    return ["block", *(name[3:] for name in vars(_Reader) if name.startswith("op_"))]
