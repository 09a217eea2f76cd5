"""A simulated network of any layers beside its infinite width, place by place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import numpy as np
from scipy.special import stdtr

from chione.base import AbstractResult, Array, cost, page_width, paragraph, result, text_table
from chione.diagnosis.compared import Compared
from chione.simulation import NetworkSimulation
from chione.theory.layers.bounded import Bounded
from chione.theory.layers.stream import Gradient, Stream, from_moments
from chione.theory.layers.walk import propagate

_WIDTH = 4.0  # times the relative variance over networks that a finite width may shift a mean
_NAMES = {"second_moments": "K", "iid": "gradients of independent cotangents",
          "shared": "gradients of one cotangent"}  # fmt: skip


@final
@result
class NetworkComparison(AbstractResult, Compared):
    r"""Simulated means beside their infinite-width values.

    Parameters
    ----------
    simulation : NetworkSimulation
        The simulation.
    theory, z, p_value : mapping of str to ndarray
        For ``second_moments``, ``iid`` and ``shared``, all entries of all places one after the
        other: the infinite-width value, (simulated - theory) / standard error, and the chance of
        a deviation this far beyond `allowance` by Student's law.
    allowance : mapping of str to ndarray
        What a finite width may shift: 4 times the variance over networks relative to the size of
        the entry, which is of the same order 1/n; and the error of the theory itself.
    place : mapping of str to tuple of str
        The place of each entry.
    """

    simulation: NetworkSimulation
    theory: Mapping[str, Array]
    z: Mapping[str, Array]
    p_value: Mapping[str, Array]
    allowance: Mapping[str, Array]
    place: Mapping[str, tuple[str, ...]]

    @property
    def contradictions(self) -> tuple[str, ...]:
        """One sentence for each quantity that contradicts the theory, at its worst place."""
        out = []
        for name, p in self.p_value.items():
            if p.size and np.nanmin(p) < self.threshold:
                k = int(np.nanargmin(p))
                out.append(
                    f"{_NAMES[name]} ({self.place[name][k]}): theory {self.theory[name][k]:.6g}, "
                    f"z = {self.z[name][k]:.1f}, beyond the {self.allowance[name][k]:.2g} that "
                    f"finite width explains."
                )
        return tuple(out)

    def __str__(self) -> str:
        rows = []
        for name, words in _NAMES.items():
            z = np.abs(self.z[name][np.isfinite(self.z[name])])
            if z.size:
                rows.append([words, str(z.size), f"{np.median(z):.2f}", f"{z.max():.2f}"])
        page = text_table(["quantity", "values", "median |z|", "largest"], rows, align="<>>>")
        verdict = (
            "Nothing contradicts the theory." if self.agrees else " ".join(self.contradictions)
        )
        return f"{page}\n\n{paragraph(verdict, width=page_width())}"


def compare_network(run: NetworkSimulation, *, effort: float = 1.0) -> NetworkComparison:
    """Put the theory of layer kinds beside a simulated network.

    Parameters
    ----------
    run : NetworkSimulation
        What :func:`chione.simulate` returned for a network of any layers.
    effort : float
        How many times the limit of a laptop (60 s of work) the theory may take.

    Returns
    -------
    NetworkComparison

    Raises
    ------
    UnsupportedLayerError
        If the theory does not close.
    """
    entering = run.row("input")
    gram = 0.5 * (entering.second_moments + entering.second_moments.T)
    with cost.allowing(effort):
        mean = Bounded.exact(entering.channel_means)
        walked = propagate(run.network, from_moments(gram, run.network.input.shape, mean))
        found: dict[str, Mapping[str, Stream | Gradient]] = {
            "second_moments": walked.streams,
            "iid": walked.backward("independent"),
            "shared": walked.backward("shared"),
        }
    columns: list[dict[str, Array]] = [{}, {}, {}, {}]
    place: dict[str, tuple[str, ...]] = {}
    for name, known in found.items():
        parts = [_entries(run, name, at, s.second_moments()) for at, s in known.items()]
        for k, column in enumerate(columns):
            column[name] = np.concatenate([values[k] for _, values in parts])
        place[name] = tuple(at for at, values in parts for _ in range(values[0].size))
    theory, z, p_value, allowance = columns
    return NetworkComparison(run, theory, z, p_value, allowance, place)


def _entries(
    run: NetworkSimulation, name: str, at: str, theory: Bounded
) -> tuple[str, tuple[Array, Array, Array, Array]]:
    """Place, and theory, z, p and allowance of the entries of one place that vary over networks."""
    row = run.row(at)
    wanted, bound = theory
    upper = np.triu_indices(len(wanted))
    value, error = (np.asarray(m)[upper] for m in (getattr(row, name), row.stderr[name]))
    size = np.sqrt(np.outer(np.diagonal(wanted), np.diagonal(wanted)))[upper]
    varies = (error > 1e-9 * size) & np.isfinite(error)
    value, error, size = (x[varies] for x in (value, error, size))
    wanted, bound = wanted[upper][varies], bound[upper][varies]
    allowance = _WIDTH * run.n_networks * error**2 / size + bound
    beyond = np.maximum(np.abs(value - wanted) - allowance, 0.0)
    p = 2.0 * stdtr(max(run.n_networks - 1, 1), -beyond / error)
    return at, (wanted, (value - wanted) / error, p, allowance)
