"""The four-point vertex of theory beside that of simulated networks."""

from __future__ import annotations

from typing import Any

import numpy as np

from chione.base import (
    AbstractResult,
    Array,
    Estimate,
    along,
    checks,
    result,
)
from chione.networks import MLP
from chione.simulation import simulate
from chione.theory import Trust, finite_width, trust


@result
class WidthComparison(AbstractResult):
    r"""Fluctuations of the mean square over networks, layer by layer.

    Parameters
    ----------
    network : MLP
        The network.
    theory : Estimate, shape (L,)
        :math:`2 K^2 + V`, the leading order of n times the variance.
    measured, stderr : ndarray, shape (L,)
        n times the variance over the simulated networks, and its standard error.
    trust : Trust
        How far the leading order holds at this width.
    n_networks : int
        Number of simulated networks.
    """

    axes = along("layer", "theory", "measured", "stderr")

    network: MLP
    theory: Estimate
    measured: Array
    stderr: Array
    trust: Trust
    n_networks: int

    @property
    def sigmas(self) -> Array:
        """Departure of measurement from theory in standard errors; 0 where both are rounding."""
        gap = self.measured - self.theory.value
        rounding = self.theory.error + 1e-12
        return np.where(np.abs(gap) <= rounding, 0.0, gap / np.maximum(self.stderr, rounding))

    def _parts(self) -> dict[str, Any]:
        return {
            "theory": self.theory.to_dict(),
            "measured": [float(x) for x in self.measured],
            "stderr": [float(x) for x in self.stderr],
            "n_networks": self.n_networks,
            "sentence": self.trust.sentence,
        }

    def __str__(self) -> str:
        lines = ["layer  theory  measured  stderr"]
        for i, (t, m, s) in enumerate(
            zip(self.theory.value, self.measured, self.stderr, strict=True), start=1
        ):
            lines.append(f"{i:>5}  {t:.6g}  {m:.6g}  {s:.2g}")
        return "\n".join([*lines, self.trust.sentence])


def compare_finite_width(
    network: MLP,
    *,
    n_networks: int = 400,
    seed: int | None = 0,
    workers: int | None = None,
    engine: Any = None,
) -> WidthComparison:
    r"""Simulate networks of one width and put n Var[mean square] beside :math:`2 K^2 + V`.

    Parameters
    ----------
    network : MLP
        Of one width, with Gaussian or orthogonal weights.
    n_networks : int
        Networks to draw; the relative standard error of a variance is about sqrt(2 / n_networks).
    seed : int or None
        Seed of the simulation.
    workers, engine : optional
        How many networks run side by side, and where, see :func:`~chione.simulation.simulate`.

    Returns
    -------
    WidthComparison
    """
    if len(set(network.widths)) != 1:
        raise ValueError(
            f"The network must have one width, but its widths are {network.widths}; "
            f"chione.theory.mean_square_variance takes unequal ones."
        )
    checks.integer("n_networks", n_networks, minimum=2)
    width = network.widths[0]
    run = simulate(
        network,
        np.ones((1, width)),
        n_networks=n_networks,
        seed=seed,
        observe=("fluctuations",),
        workers=workers,
        engine=engine,
    )
    options: dict[str, Any] = {
        "sigma_w": network.sigma_w,
        "sigma_b": network.sigma_b,
        "depth": network.depth,
        "weights": network.weights,
    }
    theory = finite_width(network.activation, **options).variance(1)
    return WidthComparison(
        network,
        theory,
        np.asarray(run.mean["fluctuations"])[:, 0],
        np.asarray(run.stderr["fluctuations"])[:, 0],
        trust(network.activation, width=width, **options),
        run.n_networks,
    )
