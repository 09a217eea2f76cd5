"""What is found out about one network: the numbers of an analysis, without page or picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chione.base import Array, Estimate
from chione.diagnosis.alternatives import Alternative
from chione.diagnosis.curve_errors import CurveErrors
from chione.diagnosis.measure import Measured, Slopes, depth_scale
from chione.diagnosis.phases import Phase
from chione.diagnosis.verdict import Verdict
from chione.networks import MLP
from chione.simulation import SimulationResult
from chione.theory import MeanField, Recommendation, Trajectory, Trust


@dataclass(frozen=True, eq=False, repr=False)
class Findings:
    """The fields of an :class:`chione.Analysis`, which describes them, up to its picture."""

    network: MLP
    theory: MeanField
    curves: Trajectory
    errors: CurveErrors
    gradient: Estimate
    log10_gradient: float
    log10_error: float
    layer_log10_gradient: Array
    survives: Estimate
    survives_reason: str
    phase: Phase
    verdict: Verdict
    recommendation: Recommendation
    alternatives: tuple[Alternative, ...]
    simulation: SimulationResult | None
    slopes: Slopes | None
    finite_width: Trust | None
    chosen_here: bool

    @property
    def exists(self) -> bool:
        """Whether lengths settle anywhere, be it from other inputs than those of mean square 1."""
        return bool(np.isfinite(self.theory.q_star.value))

    def measured(self) -> dict[str, Measured]:
        """What the finite networks gave for each row of the table; only what was measured."""
        out: dict[str, Measured] = {}
        run, slopes, depth = self.simulation, self.slopes, self.network.depth
        if run is not None:
            last = depth - 1
            q = Measured(run.mean["lengths"][last, 0], run.stderr["lengths"][last, 0])
            c = Measured(run.mean["correlations"][last, 0], run.stderr["correlations"][last, 0])
            d = Measured(run.mean["gradients"][0, 0], run.stderr["gradients"][0, 0])
            out |= {"q_depth": q, "c_depth": c, "gradient": d}
            if _settled(self.curves.q[last], self.theory.q_star, q.stderr):
                out["q_star"] = q
            if _settled(self.curves.c[last], self.theory.c_star, c.stderr):
                out["c_star"] = c
            if d.value > 0.0 and np.isfinite(d.value):
                rate = d.value ** (1.0 / depth)
                out["gradient_per_layer"] = Measured(rate, rate * d.stderr / d.value / depth)
        if slopes is not None:
            out["chi_parallel"] = slopes.chi_parallel
            out["chi_perp"] = slopes.chi_perp
            out["xi_q"] = depth_scale(slopes.chi_parallel)
            out["xi_c"] = depth_scale(slopes.correlation_slope)
        return {name: m for name, m in out.items() if np.isfinite(m.value)}


def _settled(now: float, limit: Estimate, stderr: float) -> bool:
    """Whether the theory's curve is so close to its limit that a measurement cannot tell."""
    return bool(np.isfinite(limit.value) and abs(now - limit.value) <= 0.5 * stderr)
