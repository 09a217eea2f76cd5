"""Schoenholz et al. 2017, figure 5: the depth to which networks train, measured.

Settings and criteria were written down before anything was measured: a network trains if, with one
of four learning rates, ten batches in a row are right by one half in the mean within 200 steps; a
depth does if two of three networks do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from scipy import special

from chione.gallery import plain
from chione.gallery.entry import Check, Entry, Reproduction, Variable
from chione.plotting import new_figure, style
from chione.sweeps.boundary import boundary
from chione.sweeps.boundary_result import USUAL, BoundaryResult
from chione.sweeps.boundary_scales import SIDES
from chione.sweeps.bundle import train
from chione.sweeps.tasks import load_task
from chione.sweeps.training import Training

_TANH = (0.6, 0.75, 0.85, 0.95, 1.0, 1.15, 1.3, 1.6, 2.0, 2.5, 3.2, 4.0)
_TANH_FEW = (0.75, 0.9, 1.0, 1.15, 1.3, 1.6, 2.0, 3.0)

_LESS_DEEP = (1, 200)

CASES: dict[str, dict[str, Any]] = {
    "tanh": {"activation": "tanh", "sigma_w": _TANH},
    "tanh, orthogonal": {"activation": "tanh", "sigma_w": _TANH_FEW, "weights": "orthogonal"},
    "tanh, dropout 0.05": {"activation": "tanh", "sigma_w": _TANH_FEW, "dropout": 0.05,
                           "depth": _LESS_DEEP},
    "tanh, Adam": {"activation": "tanh", "sigma_w": _TANH_FEW, "optimizer": "adam",
                   "depth": _LESS_DEEP},
    "erf": {"activation": "erf", "sigma_w": (0.5, 0.65, 0.8, 0.9, 1.05, 1.2, 1.5, 2.0, 3.0),
            "depth": _LESS_DEEP},
    "relu": {"activation": "relu", "sigma_w": (0.7, 0.9, 1.1, 1.25, 1.5, 1.6, 1.8, 2.1, 2.6),
             "depth": _LESS_DEEP},
    "gelu": {"activation": "gelu", "sigma_w": (0.8, 1.1, 1.3, 1.45, 1.6, 1.75, 2.0, 2.3, 2.8),
             "depth": _LESS_DEEP},
}  # fmt: skip
"""What is measured, by name; all on scikit-learn's digits with sigma_b = 0.05."""

FULL: dict[str, Any] = {
    "depth": (1, 300), "ratio": 1.1, "share": 0.5, "width": 64, "seeds": 3, "steps": 200,
    "batch": 32, "data": "digits",
}  # fmt: skip
QUICK: dict[str, Any] = {
    "depth": (2, 40), "ratio": 1.25, "share": 0.5, "width": 32, "seeds": 1, "steps": 80,
    "batch": 32, "data": "synthetic",
}  # fmt: skip
_QUICK_SIGMAS = 4
_EFFORT = 100.0  # up to a few minutes of one core each: `reproduce` is told so by --quick


def measure(name: str, quick: bool, **options: Any) -> BoundaryResult:
    """One case in its full or its quick size; `options` such as ``out`` go to `boundary`."""
    case = dict(CASES[name])
    if quick:
        w = case["sigma_w"]
        case["sigma_w"] = tuple(w[round(k * (len(w) - 1) / (_QUICK_SIGMAS - 1))]
                                for k in range(_QUICK_SIGMAS))  # fmt: skip
        case.pop("depth", None)
        case["rate"] = [0.001, 0.003] if case.get("optimizer") == "adam" else [0.03, 0.1]
    settings = (QUICK if quick else FULL) | case | {"effort": _EFFORT} | options
    return boundary(sigma_b=0.05, **settings)


def _entry(names: Sequence[str], quick: bool) -> Reproduction:
    return shown({name: measure(name, quick) for name in names}, quick)


def shown(results: dict[str, BoundaryResult], quick: bool) -> Reproduction:
    """Picture, data and checks of some measured cases."""
    with style():
        figure = new_figure(10.4, 4.0 * len(results))
        axes = figure.subplots(len(results), 2, squeeze=False)
        for row, found in zip(axes, results.values(), strict=True):
            found.plot(ax=row[0], field="depth")
            found.plot(ax=row[1], field="ratio")
    return Reproduction(figure, _data(results), tuple(_checks(results, quick)))


def _data(results: dict[str, BoundaryResult]) -> dict[str, Variable]:
    data = {}
    for name, found in results.items():
        key = name.replace(",", "").replace(".", "_").replace(" ", "_")
        for field, words in (
            ("sigma_w", "deviation of the weights"),
            ("depth", "largest depth that trains"),
            ("lower", "lower end of the middle 68 in 100"),
            ("upper", "upper end of the middle 68 in 100"),
            ("censored", "1 where even the largest depth trains, -1 where the smallest fails"),
            ("xi_c", "depth scale of correlations"),
            ("xi_chi", "depth scale of gradients"),
        ):
            data[f"{key}_{field}"] = Variable((f"{key}_sigma",), getattr(found, field), words)
        fits = found.constants
        for field in ("a", "a_stderr", "scatter", "exponent", "exponent_stderr"):
            values = np.array([getattr(c, field) for c in fits])
            data[f"{key}_{field}"] = Variable((f"{key}_fit",), values, f"{field} of depth = a xi")
        which = np.array(
            [f"{c.side}, {c.scale}{', 6 xi up to the width' * c.restricted}" for c in fits]
        )
        data[f"{key}_fit"] = Variable((f"{key}_fit",), which, "side, scale and range of the fits")
    return data


def _checks(results: dict[str, BoundaryResult], quick: bool) -> list[Check]:
    """Theory by plain sums, the ends of the search trained anew, and the source's factor of six."""
    out = []
    for name, found in results.items():
        scale, expected = _largest_sigma(found)
        out += [
            Check(f"{name}: depth scale at the largest sigma_w by plain sums", scale, expected,
                  1e-6 * expected),
            Check(f"{name}: share of networks that train one rung below less that one above",
                  _trained_anew(found), 1.0, 0.7),  # two of three against one of three
        ]  # fmt: skip
        if not quick:
            out += [
                Check(f"{name}: log2 of a / 6 on the {c.side} side, by {c.scale}",
                      math.log2(c.a / USUAL), 0.0, math.log2(3.0))
                for c in (found.constant(side) or found.constant(side, "xi_chi") for side in SIDES)
                if c is not None
            ]  # fmt: skip
    return out


def _largest_sigma(found: BoundaryResult) -> tuple[float, float]:
    """The depth scale at the largest sigma_w, and the same without chione's integrals."""
    w, b, keep = float(found.sigma_w[-1]), found.sigma_b, 1.0 - found.dropout
    if found.activation not in _SLOPES:  # relu and gelu: lengths grow by w^2 / 2 a layer
        return float(found.xi_chi[-1]), 1.0 / math.log(0.5 * w**2)
    phi, slope = _SLOPES[found.activation]
    q = plain.settled_length(phi, w / math.sqrt(keep), b)
    c = plain.settled_correlation(phi, q, w, b)
    chi = w**2 * plain.average_of_pair(slope, q, c)
    return float(found.xi_c[-1]), -1.0 / math.log(chi)


_SLOPES = {
    "tanh": (np.tanh, lambda h: np.cosh(h) ** -2.0),
    "erf": (special.erf, lambda h: 2.0 / np.sqrt(np.pi) * np.exp(-(h**2))),
}


def _trained_anew(found: BoundaryResult) -> float:
    """What the two rungs that enclose the boundary in the middle do when they are trained alone."""
    task = load_task(found.data)
    inside = np.flatnonzero(found.censored == 0)
    w = found.sigma_w[inside[inside.size // 2]]
    at = found.tried_sigma_w == w
    depth, most = found.tried_depth[at], 2.0 * found.tried_trained[at] > found.seeds
    below, above = depth[most].max(), depth[~most].min()
    shares = []
    for rung in (below, above):
        ends = train(
            [
                Training(found.activation, float(w), found.sigma_b, int(rung), found.width,
                         weights=found.weights, optimizer=found.optimizer, rate=float(rate),
                         steps=found.steps, batch=found.batch, dropout=found.dropout,
                         data=task.digest, seed=seed, until=found.share)
                for seed in range(found.seeds) for rate in found.rates
            ],
            task,
        )  # fmt: skip
        reached = [any(share >= found.share for share, _ in o.steps_to) for o in ends]
        shares.append(np.reshape(reached, (found.seeds, -1)).any(axis=1).mean())
    return float(shares[0] - shares[1])


ENTRIES = (
    Entry("schoenholz-figure-5", "Schoenholz et al., ICLR 2017, figure 5",
          "Depth to which tanh networks train, measured, beside six depth scales",
          "Each circle is a boundary found by bisection: half of the networks of that depth "
          "train. Squares are what was tried. Where the theory holds, the boundary divided by "
          "the depth scale is level.",
          partial(_entry, ("tanh",))),
    Entry("trainable-depth-activations", "after Schoenholz et al., ICLR 2017, figure 5",
          "The same for erf, relu and gelu",
          "relu and gelu have no chaotic side: beyond the critical line lengths diverge, and only "
          "the growth of the gradient sets a depth scale.",
          partial(_entry, ("erf", "relu", "gelu"))),
    Entry("trainable-depth-orthogonal", "after Schoenholz et al. 2017 and Pennington et al. 2017",
          "The same for orthogonal weights, and for Adam",
          "Mean-field theory gives both laws of the weights the same depth scales.",
          partial(_entry, ("tanh, orthogonal", "tanh, Adam"))),
    Entry("schoenholz-figure-6", "Schoenholz et al., ICLR 2017, section 5 and figure 6",
          "The same with dropout, which bounds the depth everywhere",
          "Dropout makes equal inputs differ, so that correlations settle below 1: the critical "
          "line is gone and the depth scale is finite for every sigma_w.",
          partial(_entry, ("tanh, dropout 0.05",))),
)  # fmt: skip
