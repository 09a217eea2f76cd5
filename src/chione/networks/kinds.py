"""Every layer kind by its word. To add a kind: its file in each room, and its name here.

The rooms above import their files of these words by themselves (:func:`import_files`).
"""

from __future__ import annotations

from importlib import import_module

from chione.networks.attention import Attention
from chione.networks.convolution import Convolution
from chione.networks.dense import Dense
from chione.networks.dropout import Dropout
from chione.networks.flatten import Flatten
from chione.networks.gate import Gate
from chione.networks.layer import AbstractLayer
from chione.networks.maxout import Maxout
from chione.networks.noise import Noise
from chione.networks.nonlinearity import Nonlinearity
from chione.networks.norm import Norm
from chione.networks.parallel import Parallel
from chione.networks.pooling import Pooling
from chione.networks.position import Position
from chione.networks.recurrent import Recurrent
from chione.networks.repeat import Repeat
from chione.networks.residual import Residual
from chione.networks.scale import Scale

KINDS: tuple[type[AbstractLayer], ...] = (
    Dense,
    Nonlinearity,
    Norm,
    Residual,
    Parallel,
    Repeat,
    Dropout,
    Noise,
    Gate,
    Maxout,
    Convolution,
    Pooling,
    Flatten,
    Position,
    Scale,
    Attention,
    Recurrent,
)

BY_WORD: dict[str, type[AbstractLayer]] = {kind.word: kind for kind in KINDS}


def import_files(room: str) -> None:
    """Import the file of each kind in a room such as ``chione.theory.layers``.

    A file registers what it knows about its kind when it is imported.
    """
    for word in BY_WORD:
        import_module(f"{room}.{word}")
