"""Layers of every kind at small sizes, and random compositions of them."""

from __future__ import annotations

import math

from chione.networks import (
    WEIGHT_LAWS,
    Attention,
    Convolution,
    Dense,
    Dropout,
    Flatten,
    Gate,
    Maxout,
    Noise,
    Nonlinearity,
    Norm,
    Parallel,
    Pooling,
    Position,
    Recurrent,
    Repeat,
    Residual,
    Scale,
    Shape,
)

LINE, PLANE = Shape(6, (3,)), Shape(6, (4, 3))
TANH = Nonlinearity("tanh")

CASES = {
    **{f"dense {law}": (Dense(1.3, 0.2, 4, law), LINE) for law in WEIGHT_LAWS},
    "dense weight_norm": (Dense(1.3, 0.2, 4, form="weight_norm"), LINE),
    "dense spectral_norm": (Dense(1.3, 0.2, 4, form="spectral_norm"), LINE),
    "nonlinearity": (TANH, LINE),
    "norm layer": (Norm("layer", 1.2, 0.3, 0.1), LINE),
    "norm rms": (Norm("rms", 1.2, 0.3, 0.1), LINE),
    "norm group": (Norm("group", 1.2, 0.3, 0.1, groups=2), LINE),
    "norm batch": (Norm("batch", 1.2, 0.3, 0.1), LINE),
    "residual": (Residual((TANH, Dense(out=5)), 0.7, 0.3), Shape(5, (3,))),
    "residual shortcut": (Residual((TANH, Dense(out=5)), 0.7, 0.3, (Dense(out=5),)), LINE),
    **{
        f"parallel {how}": (Parallel(((), (Dense(1.1),), (Dense(1.3, 0.1), TANH)), how), LINE)
        for how in ("sum", "mean", "product", "concat")
    },
    "parallel unequal": (Parallel(((Dense(1.1, out=4),), (TANH,)), "concat"), LINE),
    "repeat": (Repeat(3, (Dense(1.2, 0.1), TANH)), LINE),
    **{
        f"dropout {share}": (Dropout(0.6, share), LINE)
        for share in ("independent", "positions", "all", "path")
    },
    "noise": (Noise(0.6), LINE),
    "gate": (Gate("silu", 4, 1.0, 1.2, 0.1), LINE),
    "maxout": (Maxout(3, 1.1, 0.1, 4), LINE),
    "convolution": (Convolution(3, 1.3, 0.2, out=4), LINE),
    "convolution plane": (Convolution(3, 1.3, 0.2, out=4), PLANE),
    "convolution circular": (Convolution((3, 2), 1.3, 0.2, padding="circular"), PLANE),
    "convolution stride": (Convolution(3, 1.3, stride=2, padding="circular"), PLANE),
    "convolution dilation": (Convolution(3, 1.3, stride=(2, 1), dilation=2), PLANE),
    "convolution groups": (Convolution(3, 1.3, 0.2, out=4, groups=2), PLANE),
    "convolution depthwise": (Convolution(3, 1.3, 0.2, depthwise=True), PLANE),
    "convolution transposed": (Convolution(3, 1.3, 0.2, 4, stride=(2, 1), transposed=True), PLANE),
    "convolution delta": (Convolution(3, 1.3, 0.2, 4, weights="delta_orthogonal"), PLANE),
    "pooling average": (Pooling("average", (2, 3), 1), PLANE),
    "pooling max": (Pooling("max", 2, 1), PLANE),
    "pooling padded": (Pooling("max", 3, 1, padding=1), PLANE),
    "pooling padded strides": (Pooling("max", (3, 2), 2, padding=(1, 0)), PLANE),
    "pooling global": (Pooling(), PLANE),
    "flatten": (Flatten(), LINE),
    "position learned": (Position("learned", 0.7), LINE),
    "position sinusoidal": (Position("sinusoidal", 0.7), Shape(5, (3,))),
    "scale": (Scale(0.3), LINE),
    "attention": (Attention(2, None, 1.2, 0.9, 1.1, 1.3, 0.2, out=5), LINE),
    "attention plane": (Attention(3, scale="linear"), PLANE),
    "attention causal": (Attention(2, 4, 1.5, mask="causal", rope=100.0), LINE),
    "attention padding": (Attention(4, 2, visible=(2, 3), alibi=True, kv_heads=2), LINE),
    "attention qk": (Attention(2, 4, 1.4, 0.8, sigma_b=0.3, rope=10.0, qk_norm=True), LINE),
    "attention one": (Attention(3, kv_heads=1), LINE),
    **{
        f"recurrent {cell}{how}": (Recurrent(cell, 1.3, 1.1, 0.3, 4, **options), LINE)
        for cell in ("rnn", "gru", "lstm")
        for how, options in (
            ("", {"start": ((0.5, 0.2), (0.2, 0.7))}),
            (" sequence", {"sequence": True}),
            (" untied", {"tied": False}),
        )
    },
    "recurrent silu": (
        Recurrent("rnn", size=4, activation="silu", tied=False, sequence=True),
        LINE,
    ),
}


def composition(rng, shape, size, depth=2):
    """Layers of random kinds that fit one after the other; the last one's shape with them."""
    layers = []
    while len(layers) < size:
        layer = _random_layer(rng, shape, depth)
        layers.append(layer)
        shape = layer.after(shape, "layers")
    return tuple(layers), shape


def _random_layer(rng, shape, depth):
    kinds = ["dense", "act", "act", "norm", "gate", "maxout", "position", "dropout", "noise"]
    if shape.grid:
        kinds += ["conv", "conv", "pool"]
    if depth:
        kinds += ["residual", "residual", "parallel", "repeat"]
    kind = rng.choice(kinds)
    out = int(rng.integers(2, 6)) * 2
    simple = {
        "dense": lambda: Dense(1.2, 0.1, out, form=rng.choice(["plain", "weight_norm"])),
        "act": lambda: Nonlinearity(str(rng.choice(["tanh", "gelu", "silu"]))),
        "norm": lambda: _random_norm(rng, shape),
        "gate": lambda: Gate("sigmoid", out, 1.1, 0.9, 0.1),
        "maxout": lambda: Maxout(2, 1.1, 0.1, out),
        "position": lambda: Position(str(rng.choice(["learned", "sinusoidal"])), 0.5),
        "dropout": lambda: Dropout(0.8, str(rng.choice(["independent", "positions", "all"]))),
        "noise": lambda: Noise(0.3),
        "conv": lambda: _random_convolution(rng, shape, out),
        "pool": lambda: Pooling(str(rng.choice(["average", "max"])), 1 + (min(shape.grid) > 2), 1),
    }
    if kind in simple:
        return simple[kind]()
    inner, after = composition(rng, shape, int(rng.integers(1, 4)), depth - 1)
    if kind == "repeat":
        return Repeat(2, (*inner, Dense(out=shape.width))) if after.grid == shape.grid else TANH
    if after.grid != shape.grid:
        return TANH
    if kind == "residual":
        return Residual((*inner, Dense(1.0, out=shape.width)), 0.9, 0.6)
    how = str(rng.choice(["sum", "mean", "product", "concat"]))
    return Parallel(((), (*inner, Dense(1.0, out=shape.width))), how)


def _random_norm(rng, shape):
    form = str(rng.choice(["layer", "rms", "batch", "group"]))
    groups = math.gcd(2, shape.width) if form == "group" else 1
    return Norm(form, 1.1, 0.1, 0.3, groups)


def _random_convolution(rng, shape, out):
    padding = str(rng.choice(["zero", "circular"]))
    how = rng.integers(4)
    if how == 0:
        return Convolution(2, 1.1, 0.1, out, transposed=True)
    if how == 1:
        return Convolution(3, 1.1, 0.1, padding=padding, depthwise=True)
    stride = 1 + int(min(shape.grid) > 2 and rng.integers(2))
    groups = math.gcd(2, shape.width)
    return Convolution(3, 1.1, 0.1, out, stride, 1 + int(how == 2), padding, groups)
