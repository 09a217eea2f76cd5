r"""How the outputs of random networks approach a Gaussian process as the width grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from chione.base import AbstractResult, Array, along, checks, cost, plain, result
from chione.networks import MLP, as_network
from chione.simulation.costs import check_limit, first_width
from chione.simulation.inputs import check_inputs
from chione.simulation.passes import Pass
from chione.simulation.samplers import choose, make_pass
from chione.simulation.side_by_side import one_by_one, runner_of
from chione.simulation.streams import Purpose, entropy, stream

_NUMBERS = (
    "kurtosis",
    "kurtosis_stderr",
    "mmd2",
    "mmd2_stderr",
    "kurtosis_rate",
    "mmd_rate",
)


@result
class GaussianLimit(AbstractResult):
    r"""Distance of the output distribution from its limit at each width.

    Parameters
    ----------
    widths : ndarray, shape (K,)
        Hidden widths.
    kurtosis, kurtosis_stderr : ndarray, shape (K, B)
        Excess kurtosis of the output for each input, zero in the limit.
    mmd2, mmd2_stderr : ndarray, shape (K,)
        Unbiased squared maximum mean discrepancy from the Gaussian; it can be negative by chance.
    kurtosis_rate, mmd_rate : tuple of float
        Exponent p and its standard error of the fits :math:`\propto n^{-p}` to the kurtosis
        (mean over inputs) and to the MMD itself; 1 and 1 are expected. NaN where fewer than two
        widths have a value above twice its standard error.
    n_networks, seed : int
        Networks at each width, and the seed.
    """

    axes = along("widths", "widths", "mmd2", "mmd2_stderr") | along(
        "widths input", "kurtosis", "kurtosis_stderr"
    )

    widths: Array
    kurtosis: Array
    kurtosis_stderr: Array
    mmd2: Array
    mmd2_stderr: Array
    kurtosis_rate: tuple[float, float]
    mmd_rate: tuple[float, float]
    n_networks: int
    seed: int

    def _parts(self) -> dict[str, Any]:
        """Everything as plain JSON types; NaN becomes None."""
        return {
            "widths": [int(n) for n in self.widths],
            "n_networks": self.n_networks,
            "seed": self.seed,
            **{name: plain(np.asarray(getattr(self, name))) for name in _NUMBERS},
        }


def gaussian_limit(
    network: MLP,
    inputs: Any,
    *,
    kernel: Any,
    widths: Sequence[int] = (8, 16, 32, 64, 128),
    n_outputs: int = 128,
    n_networks: int = 400,
    n_frequencies: int = 64,
    seed: int | None = 0,
    workers: int | None = None,
    engine: Any = None,
    effort: float = 1.0,
) -> GaussianLimit:
    r"""Compare outputs of random networks of several widths with a Gaussian of given covariance.

    .. math:: \mathrm{MMD}^2 = E_\omega \left| E e^{i \omega \cdot h} -
        e^{-\omega^T K \omega / 2} \right|^2, \qquad
        \text{kurtosis} = \frac{E h^4}{(E h^2)^2} - 3

    Parameters
    ----------
    network : MLP
        Gives activation, sigmas, weights, depth and input width; hidden widths are replaced.
    inputs : array_like, shape (B, N_0)
        The inputs at which the outputs are observed jointly.
    kernel : array_like, shape (B, B)
        Covariance K of the outputs in the limit. It comes from theory,
        ``chione.nngp(network, inputs).value``; nothing here computes it.
    widths : sequence of int
        Hidden widths to try.
    n_outputs : int
        Output units; they are samples of one law, dependent inside a network.
    n_networks : int
        Networks at each width, at least 4.
    n_frequencies : int
        Number of random frequencies. They are Gaussian of variance :math:`B / \operatorname{tr} K`,
        so this is the MMD of a Gaussian kernel of that bandwidth, at fixed random features.
    seed : int or None
        Seed.
    workers, engine : optional
        How many networks run side by side, and where, see :func:`~chione.simulation.simulate`;
        the numbers do not depend on it.
    effort : float
        How many times the limits of a laptop (60 s of work, 4 GB) it may take.

    Returns
    -------
    GaussianLimit

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range or shapes disagree.
    CostError
        If it would take more than `effort` allows.
    """
    network = as_network(network)
    first = first_width(network)
    x = check_inputs(inputs, first)
    k = checks.real_array("kernel", kernel)
    if k.shape != (len(x), len(x)) or np.trace(k) <= 0.0:
        raise ValueError(
            f"kernel must be the {len(x)} x {len(x)} covariance of the outputs for these inputs, "
            f"with a positive trace, but its shape is {k.shape}."
        )
    count = checks.integer("n_networks", n_networks, minimum=4)
    outputs = checks.integer("n_outputs", n_outputs)
    tried = [checks.integer("widths", n) for n in widths]
    if not tried:
        raise ValueError("widths must name at least one hidden width, such as (8, 16, 32).")
    frequencies = checks.integer("n_frequencies", n_frequencies)
    with cost.allowing(effort):
        check_limit(
            network,
            inputs=len(x),
            widths=tried,
            outputs=outputs,
            frequencies=frequencies,
            networks=count,
        )
    start = entropy(seed)
    rng = stream(start, 0, 0, Purpose.PROBES)
    size = (frequencies, len(x))
    omega = rng.standard_normal(size) * np.sqrt(len(x) / np.trace(k))
    limit = np.exp(-0.5 * np.einsum("fa,ab,fb->f", omega, k, omega))
    target = np.concatenate([limit, np.zeros(len(limit))])
    rows = []
    with runner_of(engine, workers, count) as runner:
        for place, n in enumerate(tried):
            net = replace(network, width=(*(n,) * (network.depth - 1), outputs), input_width=first)
            numbers = range(place * count, (place + 1) * count)  # other networks at each width
            statistics = partial(_statistics, net, x, omega, start)
            piece = -(-count // (4 * runner.workers)) if runner.workers > 1 else count
            samples = np.array(list(one_by_one(statistics, numbers, runner, at_once=piece)))
            rows.append(
                (*_kurtosis(samples[:, : 2 * len(x)]), *_mmd2(samples[:, 2 * len(x) :], target))
            )
    kurtosis, kurtosis_error, mmd2, mmd2_error = (np.array(r) for r in zip(*rows, strict=True))
    n_hidden = np.array(tried, np.float64)
    pooled = kurtosis_error.max(axis=1)  # inputs share their networks: no gain from averaging
    p, dp = _rate(n_hidden, mmd2, mmd2_error)
    return GaussianLimit(
        n_hidden, kurtosis, kurtosis_error, mmd2, mmd2_error,
        kurtosis_rate=_rate(n_hidden, kurtosis.mean(axis=1), pooled),
        mmd_rate=(p / 2.0, dp / 2.0),
        n_networks=count,
        seed=start,
    )  # fmt: skip


def _statistics(network: MLP, x: Array, omega: Array, seed: int, numbers: range) -> list[Array]:
    """One row for each network: means of h^2 and h^4 (B each), of cosines and sines (F each)."""
    sampler = choose("auto", "numpy", network, len(x))
    run: Pass = make_pass(network, sampler, len(x), np.dtype(np.float64), 2**24, "cpu")
    rows = []
    for index in numbers:
        *_, last = run.forward(seed, index, x)
        h = np.asarray(last.h, np.float64)  # (B, n_outputs)
        phase = omega @ h
        parts = (h**2, h**4, np.cos(phase), np.sin(phase))
        rows.append(np.concatenate([p.mean(axis=1) for p in parts]))
    return rows


def _kurtosis(samples: Array) -> tuple[Array, Array]:
    """Ratio of means with its standard error by linearisation."""
    m2, m4 = np.split(samples, 2, axis=1)
    a, b = m2.mean(axis=0), m4.mean(axis=0)
    influence = m4 / a**2 - 2.0 * b * m2 / a**3
    return b / a**2 - 3.0, influence.std(axis=0, ddof=1) / np.sqrt(len(samples))


def _mmd2(features: Array, target: Array) -> tuple[float, float]:
    """Mean squared distance of the features' means from the target, less what noise adds."""
    n, f = len(features), len(target) // 2
    d = features.mean(axis=0) - target
    centred = features - features.mean(axis=0)
    covariance = centred.T @ centred / (n - 1) / n  # of the means
    value = (d @ d - np.trace(covariance)) / f
    variance = 4.0 * d @ covariance @ d + 2.0 * np.sum(covariance**2)
    return float(value), float(np.sqrt(variance) / f)


def _rate(n: Array, values: Array, errors: Array) -> tuple[float, float]:
    """Exponent p of values = a n^-p by weighted least squares of the logarithms."""
    use = np.abs(values) > 2.0 * errors
    if use.sum() < 2:
        return float("nan"), float("nan")
    x, y = -np.log(n[use]), np.log(np.abs(values[use]))
    w = (values[use] / errors[use]) ** 2
    xm, ym = (w @ x) / w.sum(), (w @ y) / w.sum()
    sxx = w @ (x - xm) ** 2
    return float(w @ ((x - xm) * (y - ym)) / sxx), float(1.0 / np.sqrt(sxx))
