"""Finite networks measured: curves over the depth, and the slopes at the fixed point."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from chione.base import AbstractResult, Array, result
from chione.networks import MLP
from chione.simulation import SimulationResult, correlated_inputs, simulate
from chione.simulation.costs import check_simulation, output_width
from chione.simulation.ensemble import DEFAULT_MEMORY
from chione.simulation.observables import pairs
from chione.simulation.samplers import choose
from chione.simulation.seeded import measure_each

_LENGTH_STEP = 0.05  # relative step in q: its square is far below the error of the simulation
_ANGLE_STEP = 0.02  # step in c where c* < 1
_ONE_MINUS_C = 1e-6  # start at c* = 1: kinks bend the map by a relative sqrt(1 - c) only


@result
class Measured(AbstractResult):
    """A mean over simulated networks and its standard error; NaN where nothing was measured."""

    value: float = math.nan
    stderr: float = math.nan

    def _parts(self) -> dict[str, float | None]:
        """Plain JSON types; None where nothing was measured."""
        return {
            "value": self.value if math.isfinite(self.value) else None,
            "stderr": self.stderr if math.isfinite(self.stderr) else None,
        }


@result
class Slopes(AbstractResult):
    """Slopes of the maps at the fixed point, measured on pairs of nearby inputs.

    Parameters
    ----------
    chi_parallel, chi_perp, correlation_slope : Measured
        Slope of the length map, mean square gradient per layer, slope of the correlation map
        at c*.
    n_networks : int
        How many networks of two layers were drawn.
    """

    chi_parallel: Measured
    chi_perp: Measured
    correlation_slope: Measured
    n_networks: int


def check_cost(network: MLP, *, n_networks: int, slope_networks: int) -> None:
    """Refuse measurements that would go beyond what is allowed, before anything is computed.

    Raises
    ------
    CostError
        With the estimate and what would fit.
    """
    two = replace(network, depth=2, width=output_width(network), input_width=None)
    for net, inputs, count in ((replace(network, depth=network.depth + 1), 2, n_networks),
                               (two, 5, slope_networks)):  # fmt: skip
        check_simulation(
            net,
            inputs=inputs,
            networks=count,
            observed=3,
            sampler=choose("auto", "numpy", net, inputs),
            backward=True,
            memory=DEFAULT_MEMORY,
        )


def measure_depth(network: MLP, *, n_networks: int, seed: int) -> SimulationResult:
    """Lengths, correlations and gradients of networks with one linear read-out layer on top.

    The read-out carries the error signal, so that the gradient passes all L layers of the
    network: the last of the L + 1 rows is the read-out.
    """
    return simulate(replace(network, depth=network.depth + 1), n_networks=n_networks, seed=seed)


def measure_slopes(
    network: MLP, *, q_star: float, c_star: float, n_networks: int, seed: int
) -> Slopes | None:
    r"""Slopes at the fixed point from networks of two layers whose first one is put there.

    Five inputs, so that in layer 1 their mean squares are :math:`q^*` and
    :math:`q^* (1 \pm \epsilon)` in one direction, and two have correlation
    :math:`c^* \pm \delta` with the first. A slope is the ratio of differences in layer 2 and in
    layer 1, summed over networks; its error is found by leaving out one network at a time.

    Returns
    -------
    Slopes or None
        None where no input reaches the fixed point (:math:`q^* = 0`, or sigma_w = 0).
    """
    shape = replace(network, depth=2, width=(network.widths[1],) * 2, input_width=None)
    gram = _inputs_at(q_star, c_star, network.sigma_w, network.sigma_b)
    if gram is None or shape.widths[0] < 2:
        return None
    x = correlated_inputs(shape.widths[0], gram, seed=seed)
    i, j = pairs(len(x))
    ends = [int(np.flatnonzero((i == 0) & (j == one))[0]) for one in (3, 4)]
    # the ratio of sums needs each network's own numbers
    seeds = [seed + 1_000_003 * (k + 1) for k in range(n_networks)]
    names = ("lengths", "correlations", "gradients")
    seen = measure_each(shape, x, seeds, names, memory=DEFAULT_MEMORY)
    q, c = seen["lengths"], seen["correlations"][:, :, ends]
    chi = seen["gradients"][:, 0, 0]
    wide = q[:, :, 1] - q[:, :, 2]
    if c_star > 1.0 - _ANGLE_STEP:
        turn = 1.0 - c[:, :, 1]
    else:
        turn = c[:, :, 0] - c[:, :, 1]
    return Slopes(
        _ratio(wide[:, 1], wide[:, 0]),
        _ratio(chi, np.ones(n_networks)),
        _ratio(turn[:, 1], turn[:, 0]),
        n_networks,
    )


def _inputs_at(q: float, c: float, sigma_w: float, sigma_b: float) -> Array | None:
    """Mean products of the five inputs, (5, 5), or None where the fixed point is out of reach."""
    if not (sigma_w > 0.0 and math.isfinite(q) and q > sigma_b**2 and math.isfinite(c)):
        return None
    reach = (q - sigma_b**2) / sigma_w**2
    steps = 1.0 + np.array([0.0, _LENGTH_STEP, -_LENGTH_STEP])
    if q * (1.0 - _LENGTH_STEP) <= sigma_b**2:
        return None
    lengths = np.sqrt((q * steps - sigma_b**2) / sigma_w**2)
    near_one = c > 1.0 - _ANGLE_STEP
    wanted = (1.0, 1.0 - _ONE_MINUS_C) if near_one else (c + _ANGLE_STEP, c - _ANGLE_STEP)
    cosines = np.clip((q * np.array(wanted) - sigma_b**2) / (sigma_w**2 * reach), -1.0, 1.0)
    radius = math.sqrt(reach)
    plane = np.zeros((5, 2))
    plane[:3, 0] = lengths
    plane[3:, 0] = radius * cosines
    plane[3:, 1] = radius * np.sqrt((1.0 - cosines) * (1.0 + cosines))
    return np.asarray(plane @ plane.T)


def _ratio(top: Array, bottom: Array) -> Measured:
    """Ratio of two sums over networks, with its jackknife error."""
    n = top.size
    total = float(top.sum() / bottom.sum())
    if n < 2 or not math.isfinite(total):
        return Measured(total)
    without = (top.sum() - top) / (bottom.sum() - bottom)
    spread = float(np.sum((without - without.mean()) ** 2))
    return Measured(total, math.sqrt(spread * (n - 1) / n))


def depth_scale(slope: Measured) -> Measured:
    r"""The depth scale :math:`-1/\log|s|` of a measured slope.

    Nothing is measured where the slope cannot be told from 0 or 1 within two standard errors.
    """
    s = abs(slope.value)
    if not (2.0 * slope.stderr < s < 1.0 - 2.0 * slope.stderr):
        return Measured()
    log = math.log(s)
    return Measured(-1.0 / log, slope.stderr / (s * log**2))
