"""What networks are trained on: small tasks of classification, and a user's own arrays."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chione.base import Array, MissingExtraError, SpecError
from chione.sweeps import shapes

_SPLIT = 17  # seed of the split into training and test inputs, the same for every task
_TEST_SHARE = 0.2


@dataclass(frozen=True, eq=False)
class Task:
    """Inputs with labels, split once and for all.

    Parameters
    ----------
    name : str
        As given to :func:`load_task`.
    x_train, x_test : array of shape (N, n)
        Inputs in rows, float64: the mean of each entry over the training set is taken off, then
        all are divided by one number, so that the mean square over the training set is 1.
    y_train, y_test : array of shape (N,)
        Labels 0 to `classes` - 1.
    """

    name: str
    x_train: Array
    y_train: NDArray[np.intp]
    x_test: Array
    y_test: NDArray[np.intp]

    @property
    def inputs(self) -> int:
        """Entries of an input."""
        return int(self.x_train.shape[1])

    @cached_property
    def classes(self) -> int:
        """Number of labels."""
        return int(max(self.y_train.max(), self.y_test.max(initial=0))) + 1

    @cached_property
    def digest(self) -> str:
        """A hash of all numbers of the task: what a training's identity holds of its data."""
        h = hashlib.sha256()
        for a in (self.x_train, self.y_train, self.x_test, self.y_test):
            h.update(f"{a.shape}{a.dtype.str}".encode())
            h.update(np.ascontiguousarray(a).tobytes())
        return h.hexdigest()[:32]

    def __reduce__(self) -> tuple[Any, ...]:
        return Task, (self.name, self.x_train, self.y_train, self.x_test, self.y_test)


def load_task(data: str | os.PathLike[str]) -> Task:
    """The task of that name, or of that file.

    Parameters
    ----------
    data : {"digits", "shapes", "shapes3", "synthetic"} or path
        scikit-learn's 1,797 handwritten digits of 8 x 8 (needs scikit-learn); images of one or
        two of three shapes, to be told apart as nine classes, or of one shape, three classes
        (see :mod:`chione.sweeps.shapes`); clusters in 64 dimensions, ten classes of three
        clusters each; or an ``.npz`` file with arrays ``x`` and ``y``.

    Returns
    -------
    Task
        One fifth of the inputs are held apart for the test, the same ones always.

    Raises
    ------
    SpecError
        If there is no such task or file, or if the file does not hold a task.
    MissingExtraError
        If scikit-learn is needed and not installed.
    """
    name = os.fspath(data)
    if name in _MADE:
        return _made(name)
    path = Path(name).expanduser()
    if path.suffix != ".npz" and not path.exists():
        raise SpecError(
            f"There is no task {name!r}; choose one of {', '.join(_MADE)}, or give the path of an "
            f".npz file with arrays x and y."
        )
    x, y = _read(path)
    return make_task(name, x, y)


def make_task(name: str, x: Any, y: Any) -> Task:
    """A task of inputs `x` (N, ...) and integer labels `y` (N,), see :func:`load_task`.

    Raises
    ------
    SpecError
        If the arrays are not inputs with labels.
    """
    inputs, labels = _checked(name, np.asarray(x), np.asarray(y))
    n = len(inputs)
    # sorted random numbers: a split that no release of NumPy changes
    order = np.argsort(np.random.Generator(np.random.PCG64(_SPLIT)).random(n), kind="stable")
    held = max(1, round(_TEST_SHARE * n))
    test, train = np.sort(order[:held]), np.sort(order[held:])
    inputs = inputs - inputs[train].mean(axis=0)
    size = float(np.sqrt(np.mean(inputs[train] ** 2)))
    if size == 0.0 or not np.isfinite(size):
        raise SpecError(
            f"The inputs x of {name} are all alike or overflow; a task needs inputs that differ."
        )
    inputs /= size
    return Task(name, inputs[train], labels[train], inputs[test], labels[test])


def _checked(
    name: str, x: NDArray[Any], y: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Inputs as rows and labels from 0 on."""
    if x.dtype.kind not in "fiub" or x.ndim < 2:
        raise SpecError(
            f"The inputs x of {name} must be real numbers of shape (N, ...), one input in each "
            f"row, but they are of type {x.dtype} and shape {x.shape}."
        )
    if y.ndim != 1 or len(y) != len(x):
        raise SpecError(
            f"The labels y of {name} must be of shape ({len(x)},), one for each input, but their "
            f"shape is {y.shape}{'; give y.argmax(axis=1)' if y.ndim == 2 else ''}."
        )
    if y.dtype.kind not in "iub":
        raise SpecError(
            f"The labels y of {name} must be integers, but they are of type {y.dtype}; convert "
            f"them first."
        )
    rows = x.reshape(len(x), -1).astype(np.float64)
    if rows.size == 0 or len(rows) < 10:
        raise SpecError(f"{name} holds {len(rows)} inputs; a task needs at least 10.")
    if not np.all(np.isfinite(rows)):
        bad = int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
        raise SpecError(
            f"The inputs x of {name} must be finite, but input {bad} is not; remove or mend it."
        )
    known, labels = np.unique(y, return_inverse=True)
    if len(known) < 2:
        raise SpecError(f"The labels y of {name} are all {known[0]}; a task needs two classes.")
    if len(known) > len(rows) // 2:
        raise SpecError(
            f"The labels y of {name} name {len(known)} classes for {len(rows)} inputs; they must "
            f"be classes, not numbers to be fitted."
        )
    return rows, labels.astype(np.intp)


def _read(path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    if not path.is_file():
        raise SpecError(f"The data file {path} does not exist; check its name.")
    problem = f"The data file {path} must be an .npz file with arrays x and y"
    try:
        with path.open("rb") as file:  # NumPy would leave a broken file open
            held = np.load(file, allow_pickle=False)
            if isinstance(held, np.ndarray):
                raise SpecError(f"{problem}, but it holds one array; use numpy.savez(x=x, y=y).")
            missing = [key for key in ("x", "y") if key not in held.files]
            if missing:
                raise SpecError(
                    f"{problem}, but it has no {' and no '.join(missing)}: it holds "
                    f"{', '.join(held.files)[:200] or 'nothing'}."
                )
            return held["x"], held["y"]
    except SpecError:
        raise
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, MemoryError) as err:
        why = " ".join(str(err).split())[:200]
        raise SpecError(f"{problem}, but it cannot be read: {why}") from err


@lru_cache(maxsize=8)
def _made(name: str) -> Task:
    return make_task(name, *_MADE[name]())


def _digits() -> tuple[Array, NDArray[Any]]:
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise MissingExtraError("scikit-learn", "sweeps", "the task 'digits'") from None
    x, y = load_digits(return_X_y=True)
    return x, y


def _synthetic() -> tuple[Array, NDArray[Any]]:
    """Gaussian clusters whose centres lie about as far apart as the clusters are wide."""
    rng = np.random.Generator(np.random.PCG64(64))
    classes, clusters, n, inputs = 10, 3, 2500, 64
    centres = rng.standard_normal((classes * clusters, inputs))
    which = rng.integers(classes * clusters, size=n)
    x = centres[which] + 0.8 * rng.standard_normal((n, inputs))
    return x, which % classes


_MADE: dict[str, Callable[[], tuple[Array, NDArray[Any]]]] = {
    "digits": _digits,
    "shapes": shapes.one_or_two,
    "shapes3": shapes.one,
    "synthetic": _synthetic,
}
TASKS = tuple(_MADE)
"""Names of the tasks that need no file."""
