"""One training as plain data: the network, its initialisation, the optimiser, the seed."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from typing import Any

from chione.base import checks
from chione.networks import WEIGHT_LAWS

SCHEMA = 1
"""Version of what a training means: raised when the same words would train otherwise."""
ADVICE = 1
"""Version of what the scheme "chione" draws: raised when :func:`chione.gain` advises otherwise."""

SCHEMES = (
    "sigmas",
    "pytorch",
    "xavier",
    "he",
    "calculate_gain",
    "orthogonal",
    "lsuv",
    "lsuv-gaussian",
    "chione",
)
"""How weights are drawn, see :mod:`chione.sweeps.initial`."""
OPTIMIZERS = ("sgd", "momentum", "adam")
"""Optimisers, see :mod:`chione.sweeps.optimizers`."""


@dataclass(frozen=True)
class Training:
    r"""A fully connected network that is to be trained on a task with softmax cross-entropy.

    .. math:: h^1 = W^1 x + b^1, \quad h^{l+1} = W^{l+1} \phi(h^l) + b^{l+1}, \quad
       y = W^{out} \phi(h^L) + b^{out}

    Parameters
    ----------
    activation : str
        A name or an expression that :func:`chione.activation` accepts.
    sigma_w, sigma_b : float
        :math:`W_{ij} \sim N(0, \sigma_w^2 / n_{in})`, :math:`b_i \sim N(0, \sigma_b^2)`, read by
        schemes that take sigmas from here ("sigmas").
    depth, width : int
        Hidden layers L, and units of each.
    scheme : str
        How weights are drawn, see :mod:`chione.sweeps.initial`.
    weights : str
        Law of the weights of hidden layers.
    optimizer : {"sgd", "momentum", "adam"}
        The optimiser.
    rate : float
        Learning rate.
    steps, batch : int
        Steps, and inputs of each.
    dropout : float
        Probability with which a unit is dropped.
    dtype : {"float32", "float64"}
        Numbers of weights and signals.
    data : str
        Name of the task, or digest of a file.
    seed : int
        Draws weights, batches and what is dropped; the same seed draws the same random numbers
        whatever the sigmas and the scheme, which makes comparisons sharper.
    until : float, optional
        Stop as soon as the running training accuracy (see :attr:`Outcome.steps_to`) has reached
        this share: for questions that ask whether a network trains, not how well.

    Raises
    ------
    ValueError, TypeError
        If a parameter is not as described.
    """

    activation: str
    sigma_w: float
    sigma_b: float
    depth: int
    width: int
    scheme: str = "sigmas"
    weights: str = "gaussian"
    optimizer: str = "sgd"
    rate: float = 0.1
    steps: int = 200
    batch: int = 64
    dropout: float = 0.0
    dtype: str = "float32"
    data: str = "digits"
    seed: int = 0
    until: float | None = None

    def __post_init__(self) -> None:
        # plain numbers of one type each, so that 1 and 1.0 are one training with one key
        for name in ("sigma_w", "sigma_b"):
            value = checks.non_negative(name, getattr(self, name)) + 0.0  # -0.0 is 0.0
            object.__setattr__(self, name, value)
        object.__setattr__(self, "rate", checks.positive("rate", self.rate))
        for name in ("depth", "width", "steps", "batch"):
            object.__setattr__(self, name, checks.integer(name, getattr(self, name)))
        object.__setattr__(self, "seed", checks.integer("seed", self.seed, minimum=0))
        dropout = checks.non_negative("dropout", self.dropout)
        if dropout >= 1.0:
            raise ValueError(f"dropout must be below 1, but it is {dropout!r}.")
        object.__setattr__(self, "dropout", dropout)
        if self.until is not None:
            object.__setattr__(self, "until", checks.positive("until", self.until))
        checks.one_of("scheme", self.scheme, SCHEMES)
        checks.one_of("weights", self.weights, WEIGHT_LAWS)
        checks.one_of("optimizer", self.optimizer, OPTIMIZERS)
        checks.one_of("dtype", self.dtype, ("float32", "float64"))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)

    @property
    def key(self) -> str:
        """Identity: a hash of all parameters and of what they mean."""
        told = {"schema": SCHEMA, **asdict(self)}
        if self.scheme == "chione":
            told["advice"] = ADVICE
        text = json.dumps(told, sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    @property
    def bundle(self) -> tuple[Any, ...]:
        """What trainings must share to be trained side by side; all else may differ."""
        return (
            *(self.activation, self.depth, self.width, self.optimizer, self.steps, self.batch),
            *(self.dropout, self.dtype, self.data),
        )


@dataclass(frozen=True)
class Outcome:
    """What a training came to.

    Parameters
    ----------
    status : {"done", "diverged", "failed", "lost"}
        Trained to the end; numbers left their range on the way; an error; its worker died.
    loss : float
        Mean cross-entropy of the training batches of the last tenth of the steps.
    accuracy : float
        Share of the training set that is classified rightly at the end (dropout off).
    test_accuracy : float
        The same of the inputs held apart.
    losses : tuple of float
        Cross-entropy of the batch at each step until it ended.
    steps_to : tuple of tuple of (float, int)
        First steps at which the running training accuracy reached a share.
    seconds : float
        Time it took, a bundle's time divided among its members.
    message : str
        Why it failed; empty otherwise.
    """

    status: str
    loss: float = math.nan
    accuracy: float = math.nan
    test_accuracy: float = math.nan
    losses: tuple[float, ...] = ()
    steps_to: tuple[tuple[float, int], ...] = ()
    seconds: float = math.nan
    message: str = ""
