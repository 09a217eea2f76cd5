"""Singular values of sampled networks beside the law of infinite width, above rounding."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from chione.base import EPS, AbstractResult, Array, along, result

_LIMIT = 3.0  # distances over the expected one that the right law can have
_KNOWN = 0.5  # error of a logarithm from which on a value counts as rounding
_NEAR = 1e-4  # error of a logarithm beyond which a value is not said to be a point mass's
_MOST = 4000  # points at which the law is asked: more values are thinned, off by 1/4000 at most


class LawInLogs(Protocol):
    """A law of eigenvalues by their logarithm, such as a `JacobianSpectrum`."""

    @property
    def depth(self) -> int:
        """Layers of the network whose law it is."""

    @property
    def activation(self) -> Any:
        """The activation, with a `derivative`."""

    @property
    def q_star(self) -> float:
        """Mean square of the pre-activations."""

    @property
    def law(self) -> Any:
        """The law of one layer's phi'(h)^2; holds `atoms`, pairs (place, mass)."""

    @property
    def solver(self) -> Any:
        """Holds `atoms`, pairs (log lambda, mass), and `values(log_lambda)` with a `cdf`."""


@result
class SpectrumComparison(AbstractResult):
    r"""Distance of the distribution functions of sampled networks and of a law.

    .. math:: D = \sup_{\lambda \ge \lambda_0} |F_N(\lambda) - F(\lambda)|

    Below the floor :math:`\lambda_0`, where the networks' values are rounding, nothing is compared
    but the whole share of it, :math:`F_N(\lambda_0)` with :math:`F(\lambda_0)`.

    Parameters
    ----------
    distance : float
        D, over all networks together; NaN where the law gave no value.
    expected : float
        About how large D is for the right law at this width, see Notes.
    log_floor : float
        Logarithm of :math:`\lambda_0`; -inf where every value is known.
    share_below, law_below : float
        Mass at or below the floor, exact zeros included, of the networks and of the law.
    networks, width, depth : int
        Number of networks, size of J J^T and layers.
    values, zeros, unresolved : int
        Singular values in all; those that are exactly zero; those that are rounding.
    rounding : float
        The largest singular value that is rounding, relative to the largest of all; 0 if none is.
    log_atoms, atom_masses, atom_shares, atom_errors : ndarray, shape (k,)
        Point masses of the law (log lambda, -inf for zero), how much of the networks' values lies
        there (within their errors), and the standard error of that share if each value fell there
        independently. NaN below the floor.

    Notes
    -----
    Eigenvalues repel each other, so :math:`F_N` misses F by far less than independent samples
    would. Measured over 24 laws and depths of 1 to 128 (Gaussian and orthogonal weights, D on
    Gaussian quantiles, as `q_star` given alone has it) the distance is about

    .. math:: (0.3 + 0.85 \sqrt{\log(N) / n}) / N

    for n networks, at any depth. A share p of slopes that have one value is a multiple of 1/N on
    these quantiles: what it misses p by, :math:`\min(L, 1/(1-p))` times, is added; and where
    lengths come from a forward pass, their noise, :math:`\sqrt{L/(N n)}`.
    """

    axes = along("atom", "log_atoms", "atom_masses", "atom_shares", "atom_errors")

    distance: float
    expected: float
    log_floor: float
    share_below: float
    law_below: float
    networks: int
    width: int
    depth: int
    values: int
    zeros: int
    unresolved: int
    rounding: float
    log_atoms: Array
    atom_masses: Array
    atom_shares: Array
    atom_errors: Array

    @property
    def agrees(self) -> bool:
        """Whether the distance is below three times the expected one, the most that was seen."""
        return bool(self.distance <= _LIMIT * self.expected)

    @property
    def sentence(self) -> str:
        """The comparison in words."""
        text = []
        shares = f"{self.share_below:.4f} of the mass, {self.law_below:.4f} by the law."
        if self.unresolved:
            below = round(self.share_below * self.networks * self.width)
            below -= self.networks * self.width - self.values  # zeros of J J^T beyond the rank of J
            exact = f", {self.zeros} of them exactly 0" if self.zeros else ""
            one = below == 1
            text.append(
                f"{below} of {self.values} singular values lie{'s' * one} below rounding, "
                f"{self.rounding:.2g} of the largest{exact}, and count{'s' * one} as 0: {shares}"
            )
        elif self.zeros:
            word = "value is" if self.zeros == 1 else "values are"
            text.append(f"{self.zeros} of {self.values} singular {word} exactly 0: {shares}")
        if np.isnan(self.distance):
            text.append("The law gave no value that could be compared.")
            return " ".join(text)
        above = " above rounding" if self.unresolved else ""
        layers = "1 layer" if self.depth == 1 else f"{self.depth} layers"
        text.append(
            f"The distribution functions{above} are {self.distance:.3g} apart at most; networks of "
            f"{layers} of width {self.width} are expected to miss the right law by about "
            f"{self.expected:.2g}: they {'agree' if self.agrees else 'do not agree'}."
        )
        return " ".join(text)


def compare_spectrum(
    log_singular_values: Array,
    errors: Array,
    resolved: NDArray[np.bool_],
    output_width: int,
    law: LawInLogs,
    *,
    forward: bool = False,
) -> SpectrumComparison:
    """The comparison from the fields of a `SimulatedSpectrum`; `forward` if lengths fluctuate."""
    log = 2.0 * log_singular_values
    n = log.shape[0]
    total = n * output_width
    noise = lost(log, errors, resolved)
    zero = np.isneginf(log) & ~noise
    floor = float(np.max(log[noise], initial=-np.inf))
    top = float(np.max(log, initial=-np.inf))
    places, masses = _atoms(law)
    own = snapped(log, errors, places, law.depth)
    own = np.sort(own[own > floor])
    below = total - own.size
    distance, law_below = _distance(own, below, total, floor, law)
    shares = np.array([_share(own, below, total, floor, a) for a in places])
    with np.errstate(invalid="ignore"):
        spread = np.sqrt(masses * (1.0 - masses) / total) + 0.0 * shares
    return SpectrumComparison(
        distance, _expected(output_width, n, law, forward=forward), floor, below / total,
        law_below, n, output_width, law.depth, log.size, int(zero.sum()), int(noise.sum()),
        float(np.exp(0.5 * (floor - top))) if noise.any() and np.isfinite(top) else 0.0,
        places, masses, shares, spread,
    )  # fmt: skip


def lost(log: Array, errors: Array, resolved: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which values are rounding: not resolved, and not zeros that are exact."""
    exact_zero = np.isneginf(log) & (errors == 0.0)
    return np.asarray(~exact_zero & (~resolved | (errors >= _KNOWN)))


def snapped(log: Array, errors: Array, places: Array, depth: int) -> Array:
    """Log eigenvalues, those that are a point mass's but for rounding put on its place."""
    out = log.copy()
    for a in places[np.isfinite(places)]:
        slack = np.minimum(4.0 * errors, _NEAR) + 64.0 * EPS * (depth + abs(a))
        with np.errstate(invalid="ignore"):
            out[abs(log - a) <= slack] = a
    return out


def _atoms(law: LawInLogs) -> tuple[Array, Array]:
    pairs = np.array(law.solver.atoms, dtype=np.float64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _distance(
    own: Array, below: int, total: int, floor: float, law: LawInLogs
) -> tuple[float, float]:
    """Largest distance at and above the floor, and the law's share up to the floor."""
    places, masses = _atoms(law)
    x = np.unique(np.concatenate([own, places[places > floor]]))
    if x.size > _MOST:
        x = np.unique(x[np.linspace(0, x.size - 1, _MOST).astype(int)])
        x = np.unique(np.concatenate([x, places[places > floor]]))
    zero = float(np.sum(masses[np.isneginf(places)]))
    law_below = float(law.solver.values(np.array([floor])).cdf[0]) if floor > -np.inf else zero
    cdf = np.asarray(law.solver.values(x).cdf) if x.size else np.empty(0)
    jump = np.array([float(np.sum(masses[places == v])) for v in x])
    left = (below + np.searchsorted(own, x, side="left")) / total
    right = (below + np.searchsorted(own, x, side="right")) / total
    away = np.concatenate([abs(right - cdf), abs(left - (cdf - jump)), [below / total - law_below]])
    away = abs(away[np.isfinite(away)])
    return float(np.max(away)) if away.size else float("nan"), law_below


def _share(own: Array, below: int, total: int, floor: float, place: float) -> float:
    """Share of the values at an atom; NaN where rounding hides it."""
    if place == -np.inf:
        return below / total if floor == -np.inf else float("nan")
    return float(np.count_nonzero(own == place)) / total if place > floor else float("nan")


def _expected(width: int, networks: int, law: LawInLogs, *, forward: bool) -> float:
    """The formula of the notes."""
    size = (0.3 + 0.85 * np.sqrt(np.log(max(width, 2)) / networks)) / width
    h = np.sqrt(law.q_star) * ndtri((np.arange(width) + 0.5) / width)
    t = np.asarray(law.activation.derivative(h)) ** 2
    for place, mass in law.law.atoms:
        missed = abs(mass - np.mean(abs(t - place) <= 1e-9 * place))
        size += missed * min(law.depth, 1.0 / max(1.0 - mass, 1e-16))
    return float(size + np.sqrt(law.depth / (width * networks)) * forward)
