"""Which initialisation trains: the comparison of the documentation, in a size for one sitting."""

from __future__ import annotations

import numpy as np

from chione.activations import activation
from chione.base import Array
from chione.gallery.entry import Check, Entry, Reproduction, Variable, worst
from chione.sweeps.bundle import batches, train
from chione.sweeps.initial import draw
from chione.sweeps.scheme_design import SCHEMES_COMPARED
from chione.sweeps.scheme_table import SchemeTable, compared
from chione.sweeps.schemes import which_initialisation
from chione.sweeps.tasks import load_task
from chione.sweeps.training import Training

_QUICK = {
    "activations": ("tanh",), "depths": (20,), "schemes": ("pytorch", "he", "chione orthogonal"),
    "rates": {"adam": (3e-4, 1e-3)}, "n_seeds": 3, "width": 48, "batch": 32, "steps": 60,
    "data": "synthetic",
}  # fmt: skip
_WHOLE = {
    "activations": ("relu", "gelu", "silu", "tanh"), "depths": (10, 50),
    "schemes": tuple(SCHEMES_COMPARED), "rates": {"adam": (1e-4, 3e-4, 1e-3, 3e-3)},
    "n_seeds": 5, "width": 64, "batch": 64, "steps": 150, "data": "digits",
}  # fmt: skip


def figure(quick: bool) -> Reproduction:
    """Test accuracies of schemes side by side."""
    given = dict(_QUICK if quick else _WHOLE)
    found = which_initialisation(given.pop("activations"), optimizers=("adam",), **given)  # type: ignore[arg-type]
    axes = ("activation", "depth", "scheme", "seed")
    data = {
        "activation": Variable(axes[:1], np.array(found.activation), "activation"),
        "depth": Variable(axes[1:2], found.depth, "hidden layers"),
        "scheme": Variable(axes[2:3], np.array(found.scheme), "initialisation"),
        "test_accuracy": Variable(axes, found.test_accuracy[:, :, 0], "test accuracy after Adam"),
        "steps_to": Variable(axes, found.steps_to[:, :, 0], "steps to 90 % training accuracy"),
        "rate": Variable(axes[:3], found.rate[:, :, 0], "learning rate, tuned on another seed"),
    }
    return Reproduction(found.plot(), data, _checks(found))


def _checks(found: SchemeTable) -> tuple[Check, ...]:
    trained, plain = np.array([_first_losses(found, name) for name in found.scheme]).T
    last = len(found.depth) - 1
    tanh = found.activation.index("tanh")
    ours, theirs = (
        found.test_accuracy[tanh, last, 0, found.scheme.index(name)]
        for name in ("chione orthogonal", "pytorch")
    )
    return (
        worst("loss of the first batch, by plain products of matrices", trained, plain, 2e-5),
        Check("tanh at the greatest depth: advised weights are better than PyTorch's",
              compared(ours, theirs), 1.0, 0.0),
    )  # fmt: skip


def _first_losses(found: SchemeTable, scheme: str) -> tuple[float, float]:
    """Loss of the first batch as trained, and by plain products in float64."""
    name, law = SCHEMES_COMPARED[scheme]
    training = Training(
        "tanh", 1.0, 0.0, int(found.depth[0]), found.width, scheme=name, weights=law,
        optimizer="adam", rate=1e-3, steps=1, batch=found.batch, data=found.data, seed=0,
    )  # fmt: skip
    task = load_task(found.data)
    index = next(batches(training, len(task.x_train)))
    weights = draw(training, activation("tanh"), task)
    h: Array = task.x_train[index]
    for k, (w, b) in enumerate(zip(weights.matrices, weights.biases, strict=True)):
        h = (np.tanh(h) if k else h) @ w.T + b
    picked = h[np.arange(len(h)), task.y_train[index]]
    plain = np.mean(np.log(np.sum(np.exp(h), axis=1)) - picked)
    return train([training], task)[0].losses[0], float(plain)


ENTRIES = (
    Entry("which-initialisation", "Chapter 4; Glorot and Bengio 2010; Mishkin and Matas 2016",
          "Which initialisation trains, each at its own learning rate",
          "Networks without normalisation after Adam, test accuracy over the seeds: dots are "
          "medians, lines reach from the worst seed to the best. Each scheme has the best of the "
          "same learning rates. The whole table, 12 activations at four depths with two "
          "optimisers, is in the documentation.",
          figure),
)  # fmt: skip
