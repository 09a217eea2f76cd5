"""A sweep as plain data: the values of every parameter, and the trainings that they make."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from chione.activations import activation as resolve
from chione.base import SpecError, checks
from chione.networks import WEIGHT_LAWS
from chione.sweeps.axes import EVERY, READS_SIGMAS
from chione.sweeps.training import OPTIMIZERS, SCHEMES, Training

AXES = (*EVERY[:-1], "seeds")
"""Fields of a plan that make axes, in the order of the axes."""
_RATES = {"sgd": 0.05, "momentum": 0.01, "adam": 0.001}
WORDS: dict[str, tuple[str, ...]] = {
    "scheme": SCHEMES,
    "weights": WEIGHT_LAWS,
    "optimizer": OPTIMIZERS,
}
"""What the axes of words may say."""
DTYPES = ("float32", "float64")
_LONGEST_NAME = 200  # characters of an activation: what an array of words in a file may hold
_LARGEST_SIGMA = 1e9  # as in phase diagrams
_LARGEST_SIZE = 10**9  # of depth, width, steps, batch: no machine trains more
_MOST_VALUES = 100_000  # of an axis
_LARGEST_SEED = 2**63 - 1


@final
@dataclass(frozen=True)
class SweepPlan:
    r"""Every combination of some values of the parameters of a training.

    Each of the first eleven takes one value or a list; lists of numbers are sorted.

    Parameters
    ----------
    activation : str or sequence of str
        Names or formulas that :func:`chione.activation` accepts.
    sigma_w, sigma_b : float or array_like
        Standard deviations :math:`\sigma_w, \sigma_b` of weights (times :math:`\sqrt{n_{in}}`)
        and biases, read by the scheme "sigmas". Other schemes draw by rules of their own and take
        one value of each.
    depth, width : int or array_like
        Hidden layers and their units.
    scheme : str or sequence of str
        How weights are drawn, see :mod:`chione.sweeps.initial`.
    weights : {"gaussian", "orthogonal", "uniform"} or sequence of these
        Law of the weights.
    optimizer : {"sgd", "momentum", "adam"} or sequence of these
        Optimisers.
    rate : float or array_like, optional
        Learning rates; each cell of the result keeps the best of them. By default 0.05 for "sgd",
        0.01 for "momentum" and 0.001 for "adam".
    seeds : int or sequence of int
        How many seeds, counted from 0, or which.
    dropout : float or array_like
        Probabilities with which a unit is dropped, in [0, 1).
    steps, batch : int
        Steps of each training and inputs of each step.
    dtype : {"float32", "float64"}
        Numbers of weights and signals.
    data : str
        "digits", "shapes", "synthetic" or an .npz file with arrays ``x`` and ``y``.

    Raises
    ------
    SpecError
        If an activation cannot be understood, a value comes twice, or sigmas are swept where no
        scheme reads them.
    TypeError, ValueError
        If a number is not as described.

    Examples
    --------
    >>> plan = SweepPlan("tanh", sigma_w=[2.0, 1.0], depth=[5, 10, 20], seeds=2)
    >>> plan.sigma_w, plan.seeds, plan.count
    ((1.0, 2.0), (0, 1), 12)
    >>> plan.trainings()[0].depth
    5
    """

    activation: tuple[str, ...]
    sigma_w: tuple[float, ...] = (1.0,)
    sigma_b: tuple[float, ...] = (0.05,)
    depth: tuple[int, ...] = (20,)
    width: tuple[int, ...] = (64,)
    scheme: tuple[str, ...] = ("sigmas",)
    weights: tuple[str, ...] = ("gaussian",)
    optimizer: tuple[str, ...] = ("sgd",)
    rate: tuple[float, ...] = ()
    seeds: tuple[int, ...] = (0,)
    dropout: tuple[float, ...] = (0.0,)
    steps: int = 100
    batch: int = 64
    dtype: str = "float32"
    data: str = "digits"

    if TYPE_CHECKING:  # what may be written is wider than what the fields hold

        def __init__(
            self,
            activation: Any,
            sigma_w: Any = 1.0,
            sigma_b: Any = 0.05,
            depth: Any = 20,
            width: Any = 64,
            scheme: Any = "sigmas",
            weights: Any = "gaussian",
            optimizer: Any = "sgd",
            rate: Any = (),
            seeds: Any = 1,
            dropout: Any = 0.0,
            steps: int = 100,
            batch: int = 64,
            dtype: str = "float32",
            data: str = "digits",
        ) -> None: ...

    def __post_init__(self) -> None:
        sigma = _bounded(0.0, _LARGEST_SIGMA)
        optimizers = _words("optimizer", self.optimizer, _one_of(OPTIMIZERS))
        usual = [_RATES[name] for name in optimizers] if np.size(self.rate) == 0 else self.rate
        fields = {
            "activation": _words("activation", self.activation, _activation_name),
            "sigma_w": _numbers("sigma_w", self.sigma_w, sigma),
            "sigma_b": _numbers("sigma_b", self.sigma_b, sigma),
            "depth": _numbers("depth", self.depth, _size),
            "width": _numbers("width", self.width, _size),
            "scheme": _words("scheme", self.scheme, _one_of(SCHEMES)),
            "weights": _words("weights", self.weights, _one_of(WEIGHT_LAWS)),
            "optimizer": optimizers,
            "rate": _numbers("rate", usual, checks.positive),
            "seeds": _seeds(self.seeds),
            "dropout": _numbers("dropout", self.dropout, _probability),
            "steps": _size("steps", _plain(self.steps)),
            "batch": _size("batch", _plain(self.batch)),
            "dtype": checks.one_of("dtype", self.dtype, DTYPES),
            "data": _name_of_data(self.data),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        self._check_sigmas()

    @property
    def shape(self) -> tuple[int, ...]:
        """How many values each of :data:`AXES` has."""
        return tuple(len(getattr(self, axis)) for axis in AXES)

    @property
    def count(self) -> int:
        """How many trainings that makes."""
        return math.prod(self.shape)

    def trainings(self, data: str | None = None) -> tuple[Training, ...]:
        """All trainings, seeds fastest: entry k belongs to place k of an array of :attr:`shape`.

        Parameters
        ----------
        data : str, optional
            What stands for the data in a training: the digest of a file. Its name by default.
        """
        return tuple(self._each(self.data if data is None else data))

    def first(self, data: str) -> Training:
        """The first of them."""
        return next(self._each(data))

    def _each(self, data: str) -> Iterator[Training]:
        rest = {"steps": self.steps, "batch": self.batch, "dtype": self.dtype, "data": data}
        for values in itertools.product(*(getattr(self, axis) for axis in AXES)):
            training = dict(zip(EVERY, values, strict=True)) | rest
            if training["scheme"] != READS_SIGMAS:  # it has no say, so it is no part of the key
                training |= {"sigma_w": 1.0, "sigma_b": 0.0}
            yield Training(**training)

    def _check_sigmas(self) -> None:
        deaf = [s for s in self.scheme if s != READS_SIGMAS]
        swept = [n for n in ("sigma_w", "sigma_b") if len(getattr(self, n)) > 1]
        if deaf and swept:
            raise SpecError(
                f"scheme {deaf[0]!r} draws weights by a rule of its own and does not read "
                f"{swept[0]}, which has {len(getattr(self, swept[0]))} values; give one value, or "
                f"sweep {swept[0]} with scheme={READS_SIGMAS!r} alone."
            )


Check = Callable[[str, Any], Any]


def _words(name: str, given: Any, check: Check) -> tuple[str, ...]:
    """One word or several, each judged by `check`, in the order given."""
    several = [given] if isinstance(given, str) or not np.iterable(given) else list(given)
    return _once(name, [check(name, x) for x in several])


def _numbers(name: str, given: Any, check: Check) -> tuple[Any, ...]:
    """One number or several, each judged by `check`, sorted."""
    if isinstance(given, str | bytes | dict):
        raise TypeError(f"{name} must be a number or a list of numbers, but it is {given!r:.60}.")
    if np.ndim(given) > 1:
        raise ValueError(f"{name} must be a list of numbers, but its shape is {np.shape(given)}.")
    several = list(given) if np.iterable(given) else [given]
    return _once(name, sorted(check(name, _plain(x)) for x in several[: _MOST_VALUES + 1]))


def _plain(x: Any) -> Any:
    """A NumPy number as Python's: ``float32(0.1)`` and ``0.1`` would be two trainings."""
    return x.item() if isinstance(x, np.generic) else x


def _once(name: str, values: list[Any]) -> tuple[Any, ...]:
    if not values:
        raise SpecError(f"{name} has no value; give at least one.")
    if len(values) > _MOST_VALUES:
        raise SpecError(f"{name} has more than {_MOST_VALUES} values.")
    twice = next((x for x in values if values.count(x) > 1), None) if len(values) < 1000 else None
    if twice is not None or len(set(values)) < len(values):
        raise SpecError(f"{name} has the value {twice!r} twice; name each once.")
    return tuple(values)


def _seeds(given: Any) -> tuple[int, ...]:
    if not np.iterable(given):
        count = checks.integer("seeds", _plain(given))
        if count > _MOST_VALUES:
            raise SpecError(f"seeds must be at most {_MOST_VALUES}, but it is {count}.")
        return tuple(range(count))
    return _numbers("seeds", given, _seed)


def _size(name: str, x: Any) -> int:
    size = checks.integer(name, x)
    if size > _LARGEST_SIZE:
        raise ValueError(f"{name} must be at most {_LARGEST_SIZE}, but it is {x!r:.40}.")
    return size


def _seed(name: str, x: Any) -> int:
    seed = checks.integer(name, x, minimum=0)
    if seed > _LARGEST_SEED:
        raise ValueError(f"{name} must be below 2**63, but it holds {seed}.")
    return seed


def _activation_name(name: str, x: Any) -> str:
    if not isinstance(x, str):
        raise TypeError(
            f"{name} must be a name or a formula such as 'tanh' or 'x*tanh(x)', so that every "
            f"worker can make it again, but it is {x!r:.60}."
        )
    if len(x) > _LONGEST_NAME:
        raise SpecError(
            f"{name} must have at most {_LONGEST_NAME} characters, but it has {len(x)}."
        )
    resolve(x)  # SpecError where nobody knows it
    return x


def _one_of(choices: tuple[str, ...]) -> Check:
    return lambda name, x: checks.one_of(name, x, choices)


def _bounded(low: float, high: float) -> Check:
    def check(name: str, x: Any) -> float:
        value = checks.finite(name, x)
        if not low <= value <= high:
            raise ValueError(f"{name} must lie in [{low:g}, {high:g}], but it is {value!r}.")
        return value + 0.0  # -0 and 0 are one training

    return check


def _probability(name: str, x: Any) -> float:
    value = checks.finite(name, x)
    if not 0.0 <= value < 1.0:
        raise ValueError(f"{name} must lie in [0, 1), but it is {value!r}.")
    return value + 0.0


def _name_of_data(x: Any) -> str:
    from os import PathLike, fspath

    if isinstance(x, PathLike):
        return str(fspath(x))
    if not isinstance(x, str) or not x:
        raise TypeError(f"data must be the name of a task or of an .npz file, but it is {x!r:.60}.")
    return x
