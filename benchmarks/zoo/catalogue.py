"""The models: each line is an architecture on a task, and the initialisations it is given."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from zoo import convolutional, dense, sequential
from zoo.dense import Net
from zoo.initialisations import INITIALISATIONS
from zoo.tasks import TASKS, Task

SHOWN = 64  # inputs in the batch that a verdict is made from


@dataclass(frozen=True)
class Entry:
    """A model of the zoo: how it is built, initialised, and what it is to learn."""

    name: str
    family: str
    make: Callable[..., Net]
    task: str
    initialisation: str

    @property
    def seed(self) -> int:
        return zlib.crc32(self.name.encode()) % 2**31


def build(entry: Entry, draw: int = 0) -> tuple[Net, Task]:
    """The model as it is before training, the same each time, and its task; `draw`: another one."""
    task = TASKS[entry.task]()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(entry.seed + draw)
        model = entry.make(task.shape, task.out)
        with torch.no_grad():
            change = INITIALISATIONS[entry.initialisation]
            if entry.initialisation != "chione":
                change(model, task.inputs[:SHOWN])
        if entry.initialisation == "chione":
            change(model, task.inputs[:SHOWN])
    return model, task


def _mlp(phi: str, depth: int, width: int, **more: object) -> tuple[str, Callable[..., Net]]:
    parts = [f"{k}={v}" for k, v in more.items()]
    name = "-".join(["mlp", phi, f"{depth}x{width}", *parts])
    return name, partial(dense.mlp, phi=phi, depth=depth, width=width, **more)


def _named(what: str, make: Callable[..., Net], **how: object) -> tuple[str, Callable[..., Net]]:
    parts = [f"{v}" if isinstance(v, str) else f"{k}={v}" for k, v in how.items()]
    return "-".join([what, *filter(None, parts)]), partial(make, **how)


cnn = partial(_named, "cnn", convolutional.cnn)
resnet = partial(_named, "resnet", convolutional.resnet)
residual = partial(_named, "residual", dense.residual)
gated = partial(_named, "gated", dense.gated)
siren = partial(_named, "siren", dense.siren)
recurrent = partial(_named, "recurrent", sequential.recurrent)
encoder = partial(_named, "encoder", sequential.encoder)
transformer = partial(_named, "transformer", sequential.transformer)
mixer = partial(_named, "mixer", sequential.mixer)

LINES: list[tuple[str, tuple[str, Callable[..., Net]], str, str]] = [
    # fully connected
    ("mlp", _mlp("tanh", 2, 64), "digits", "default normal02 sigma10 constant detached lora"),
    ("mlp", _mlp("tanh", 10, 64), "digits", "default sigma0.5 sigma3 xavier zeros step"),
    ("mlp", _mlp("tanh", 30, 64), "digits", "default xavier chione sigma2"),
    ("mlp", _mlp("tanh", 100, 32), "digits", "xavier orthogonal"),
    ("mlp", _mlp("relu", 2, 128), "digits", "default dead lora-zero zero-head frozen"),
    ("mlp", _mlp("relu", 10, 64), "digits", "default kaiming sigma0.5 sigma3 one-tiny copies"),
    ("mlp", _mlp("relu", 20, 64), "digits", "default kaiming chione one-huge"),
    ("mlp", _mlp("relu", 50, 32), "digits", "default kaiming sigma5"),
    ("mlp", _mlp("relu", 2, 64), "value", "default kaiming constant"),
    ("mlp", _mlp("relu", 2, 64, neck=4), "value", "default"),
    ("mlp", _mlp("tanh", 3, 32), "distance", "default normal02"),
    ("mlp", _mlp("gelu", 4, 64, neck=8), "distance", "default xavier"),
    ("mlp", _mlp("gelu", 20, 64), "digits", "default kaiming chione"),
    ("mlp", _mlp("silu", 50, 64), "digits", "default chione"),
    ("mlp", _mlp("swish", 8, 64), "digits", "default detached-middle"),
    ("mlp", _mlp("sigmoid", 3, 64), "digits", "default xavier sigma5"),
    ("mlp", _mlp("sigmoid", 12, 64), "digits", "default"),
    ("mlp", _mlp("elu", 8, 256), "digits", "default no_grad"),
    ("mlp", _mlp("selu", 20, 64), "digits", "default normal02"),
    ("mlp", _mlp("softplus", 15, 64), "digits", "default xavier"),
    ("mlp", _mlp("leaky", 10, 8), "digits", "kaiming"),
    ("mlp", _mlp("hard", 10, 64), "digits", "xavier sigma0.1"),
    ("mlp", _mlp("relu", 20, 64, norm="batch"), "digits", "default sigma10 zeros"),
    ("mlp", _mlp("gelu", 20, 64, norm="layer"), "digits", "default normal02"),
    ("mlp", _mlp("linear", 20, 64), "digits", "default xavier sigma2"),
    ("mlp", siren(depth=3, width=64), "signal", "default xavier"),
    ("mlp", siren(depth=3, width=64, own=False), "signal", "default"),
    ("mlp", siren(depth=3, width=64, omega=6.0, hidden=1.0, own=False), "signal", "default"),
    # convolutional
    ("cnn", cnn(phi="relu", depth=4, channels=16), "image",
     "default kaiming zeros copies detached"),
    ("cnn", cnn(phi="relu", depth=12, channels=16), "image", "default kaiming chione"),
    ("cnn", cnn(phi="tanh", depth=6, channels=16, pool=False), "image", "default sigma0.1 xavier"),
    ("cnn", cnn(phi="gelu", depth=8, channels=16, norm="batch"), "image",
     "default normal02 constant"),
    ("cnn", cnn(phi="relu", depth=6, channels=16, depthwise=True), "image", "default kaiming"),
    ("cnn", cnn(phi="relu", depth=6, channels=16, norm="batch", depthwise=True), "image",
     "default"),
    ("cnn", cnn(phi="silu", depth=6, channels=16, norm="group"), "image", "default sigma10"),
    ("cnn", resnet(phi="relu", depth=3, channels=16), "image", "default kaiming step frozen"),
    ("cnn", resnet(phi="relu", depth=3, channels=16, how="zero"), "image", "default sigma5"),
    ("cnn", resnet(phi="relu", depth=8, channels=16, norm="none"), "image",
     "default kaiming chione"),
    ("cnn", resnet(phi="gelu", depth=4, channels=16, norm="none", how="pre"), "image",
     "default sigma3"),
    # residual
    ("residual", residual(phi="relu", depth=6, width=64), "digits", "default kaiming sigma5 zeros"),
    ("residual", residual(phi="relu", depth=20, width=32), "digits", "default kaiming chione"),
    ("residual", residual(phi="gelu", depth=6, width=64, norm="layer"), "digits",
     "default kaiming sigma5 normal02 detached lora zero-head"),
    ("residual", residual(phi="tanh", depth=20, width=32, norm="layer"), "digits",
     "default xavier"),
    ("residual", residual(phi="relu", depth=6, width=64, norm="layer", how="post"), "digits",
     "default step"),
    ("residual", residual(phi="relu", depth=12, width=64, how="rezero"), "digits",
     "default kaiming sigma10"),
    ("residual", residual(phi="relu", depth=12, width=64, how="fixup"), "digits",
     "default no_grad"),
    ("residual", residual(phi="silu", depth=12, width=64, how="layerscale"), "digits",
     "default sigma3"),
    ("residual", residual(phi="relu", depth=30, width=32, how="depth"), "digits",
     "kaiming sigma10"),
    ("residual", residual(phi="relu", depth=4, width=64, zero_head=True), "value", "default"),
    # gated
    ("gated", gated(gate="swiglu", depth=4, width=32), "digits",
     "default kaiming sigma3 zeros chione detached"),
    ("gated", gated(gate="swiglu", depth=6, width=32, residual=False, norm="none"), "digits",
     "default kaiming sigma5 chione"),
    ("gated", gated(gate="geglu", depth=6, width=32), "digits", "default normal02 sigma0.1"),
    ("gated", gated(gate="glu", depth=4, width=32, residual=False, norm="none"), "digits",
     "default xavier"),
    ("gated", gated(gate="glu", depth=8, width=32, residual=False, norm="rms"), "digits",
     "xavier step"),
    ("gated", gated(gate="bilinear", depth=3, width=32, residual=False, norm="none"), "digits",
     "default sigma5"),
    ("gated", gated(gate="reglu", depth=6, width=32, norm="none"), "digits",
     "default kaiming sigma5 constant0.1"),
    # recurrent
    ("recurrent", recurrent(kind="lstm", hidden=64), "rows",
     "default xavier zeros sigma5 detached"),
    ("recurrent", recurrent(kind="lstm", hidden=32, layers=2), "patches", "default normal02"),
    ("recurrent", recurrent(kind="gru", hidden=64), "rows", "default orthogonal sigma0.1 frozen"),
    ("recurrent", recurrent(kind="gru", hidden=32, layers=2), "patches", "xavier copies"),
    ("recurrent", recurrent(kind="rnn", hidden=64), "rows", "default sigma3 constant chione"),
    ("recurrent", recurrent(kind="rnn", hidden=64, phi="relu"), "patches",
     "default kaiming sigma3 sigma0.1"),
    ("recurrent", recurrent(kind="rnn", hidden=64), "patches", "orthogonal sigma10"),
    ("recurrent", recurrent(kind="gru", hidden=64), "tokens", "default zeros"),
    ("recurrent", recurrent(kind="lstm", hidden=64), "tokens", "default detached normal02"),
    # transformers
    ("transformer", encoder(depth=2, width=32), "patches", "default sharp zeros"),
    ("transformer", encoder(depth=4, width=32, first=True, phi="gelu"), "patches",
     "default sigma5 detached"),
    ("transformer", encoder(depth=8, width=32), "rows", "default sigma0.1"),
    ("transformer", transformer(depth=2, width=64), "tokens",
     "default normal02 zeros sharp zero-head lora-zero"),
    ("transformer", transformer(depth=4, width=32), "tokens", "default xavier detached sigma5"),
    ("transformer", transformer(depth=2, width=64, norm="rms", gate="swiglu"), "tokens",
     "default normal02 chione constant0.1"),
    ("transformer", transformer(depth=3, width=32), "patches", "default chione xavier step"),
    ("transformer", transformer(depth=6, width=32, norm="none"), "patches",
     "default sigma3 sigma5"),
    ("transformer", transformer(depth=10, width=32, norm="none", skip=0.0), "patches",
     "default sigma0.5"),
    ("transformer", transformer(depth=6, width=32, norm="layer", skip=0.0), "patches",
     "default xavier"),
    ("transformer", mixer(depth=3, width=32), "patches", "default xavier zeros chione"),
    ("transformer", mixer(depth=8, width=32), "rows", "default sigma5 no_grad"),
]  # fmt: skip

ENTRIES: dict[str, Entry] = {
    f"{name}-{task}/{how}": Entry(f"{name}-{task}/{how}", family, make, task, how)
    for family, (name, make), task, hows in LINES
    for how in hows.split()
}
