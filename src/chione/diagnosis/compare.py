"""Theory beside simulation: where they agree, and where finite width does not explain the gap."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtr, ndtri, stdtr

from chione.base import Array
from chione.diagnosis.infinite_width import InfiniteWidth, infinite_width
from chione.simulation import OBSERVABLES, SimulationResult
from chione.simulation.observables import FLAT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FAMILY_ERROR = 1e-3  # chance of a false alarm over all comparisons of one run (Bonferroni)
# Second-order effects of fluctuations are of the size of their relative variance. Seen on nine
# activations, both weight laws, widths 30 and 100, depth 10 and 1500 networks each: at most 0.35
# of it for gradients, 0.1 (ntk), 0.55 (correlations, error products), 1.6 (angles), 4 (saturation).
_BIAS_PER_VARIANCE = {
    "lengths": 0.2,
    "activation_lengths": 0.2,
    "angles": 2.5,
    "saturation": 5.0,
    "effective_rank": 3.0,
}
_OTHERWISE = 1.0
_UNKNOWN_BIAS = 30.0  # times the first two where the four-point theory does not hold
_VERTEX = 3.0  # relative corrections to n Var q, in units of the sum of 1 / width; seen: 1
_ROUNDING = {"float64": 1e-10, "float32": 1e-4}
_QUANTILES = 200_001
_COUNTS = 20.0  # fewer expected in a bin of one network: Student's law does not hold


@dataclass(frozen=True)
class Comparison:
    r"""Simulated means beside their infinite-width values.

    Parameters
    ----------
    result : SimulationResult
        The simulation.
    theory : mapping of str to ndarray
        Infinite-width value of each observable that has one, of the shape of its mean; NaN where
        it does not exist.
    bias : mapping of str to ndarray
        What the finite width adds to order 1/n, from the four-point theory, where that is known
        (lengths of Gaussian networks, and of orthogonal ones of equal widths); zero elsewhere.
    allowance : mapping of str to ndarray
        Bound on what finite width can do beyond `bias`.
    z : mapping of str to ndarray
        (simulated - theory - bias) / standard error.
    p_value : mapping of str to ndarray
        Chance of a deviation this far beyond the allowance, by Student's law with
        ``n_networks - 1`` degrees of freedom.
    """

    result: SimulationResult
    theory: Mapping[str, Array]
    bias: Mapping[str, Array]
    allowance: Mapping[str, Array]
    z: Mapping[str, Array]
    p_value: Mapping[str, Array]

    @property
    def n_comparisons(self) -> int:
        """Number of values that could be compared."""
        return int(sum(np.isfinite(p).sum() for p in self.p_value.values()))

    @property
    def contradictions(self) -> tuple[str, ...]:
        """One sentence for each observable that contradicts the theory."""
        out = []
        threshold = FAMILY_ERROR / max(self.n_comparisons, 1)
        for name, p in self.p_value.items():
            if not np.any(p < threshold):
                continue
            place = np.unravel_index(int(np.nanargmin(p)), p.shape)
            where = f"layer {place[0] + 1}" if self.result.dims[name][:1] == ("layer",) else "all"
            out.append(
                f"{name} ({where}): simulated {self.result.mean[name][place]:.6g} against "
                f"{self.theory[name][place]:.6g}, z = {self.z[name][place]:.1f}, beyond the "
                f"{self.allowance[name][place]:.2g} that finite width explains."
            )
        return tuple(out)

    @property
    def agrees(self) -> bool:
        """Whether no observable contradicts the theory; ask `n_comparisons` how much that says."""
        return not self.contradictions

    @property
    def without_theory(self) -> tuple[str, ...]:
        """Observables that have no infinite-width value here."""
        return tuple(n for n in self.result.mean if n not in self.theory)

    def rows(self, *, layers: int = 4) -> list[dict[str, Any]]:
        """Rows for a table: each observable in a few layers, averaged over nothing.

        Parameters
        ----------
        layers : int
            Layers to show, spread over the depth; the first input or pair stands for all.
        """
        out: list[dict[str, Any]] = []
        for name, theory in self.theory.items():
            if name.endswith("histogram"):
                continue
            layered = self.result.dims[name][:1] == ("layer",)
            depth = len(theory) if layered else 1
            for l in np.unique(np.linspace(0, depth - 1, layers).round().astype(int)):
                place = (l, *(0,) * (theory.ndim - 1)) if layered else (0,) * theory.ndim
                out.append(
                    {
                        "observable": name,
                        "layer": int(l) + 1 if layered else None,
                        "theory": float(theory[place]),
                        "bias": float(self.bias[name][place]),
                        "simulated": float(self.result.mean[name][place]),
                        "stderr": float(self.result.stderr[name][place]),
                        "z": float(self.z[name][place]),
                    }
                )
        return out

    def plot(self) -> Figure:
        """Simulated points with error bars on the lines of the theory, a panel an observable."""
        from chione.plotting.simulation import simulation_figure  # matplotlib takes 0.3 s to load

        return simulation_figure(self.result, self.theory)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON types; what does not exist is None."""
        return {
            "agrees": self.agrees,
            "n_comparisons": self.n_comparisons,
            "contradictions": list(self.contradictions),
            "without_theory": list(self.without_theory),
            "observables": {
                name: {
                    "theory": _plain(self.theory[name]),
                    "bias": _plain(self.bias[name]),
                    "allowance": _plain(self.allowance[name]),
                    "z": _plain(self.z[name]),
                }
                for name in self.theory
            },
        }


def compare(result: SimulationResult) -> Comparison:
    r"""Put the infinite-width theory beside simulated networks.

    .. math:: z = \frac{\bar x - x_\infty - b / n}{s / \sqrt{N}}

    Parameters
    ----------
    result : SimulationResult
        What :func:`chione.simulate` returned.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        For ``delta`` weights: each unit has one input, so no Gaussian limit exists.

    Notes
    -----
    A finite width shifts means by O(1/n). For lengths the shift is computed. For the others it is
    bounded by a multiple (1 to 4) of the variance over networks relative to the value (to
    1 - \|c\| for correlations), which is of the same order and needs no theory; only what lies
    beyond that bound counts as a contradiction. Layers are not independent, so Bonferroni's bound
    is cautious.
    """
    if result.network.weights == "delta":
        raise ValueError(
            "delta weights have no Gaussian limit to compare with: each unit has a single input; "
            "choose weights 'gaussian', 'orthogonal', 'uniform' or 'truncated'."
        )
    limit = infinite_width(result.network, result.input_gram, result.pairs)
    parts: dict[str, dict[str, Array]] = {k: {} for k in ("theory", "bias", "allowance", "z", "p")}
    for name, mean in result.mean.items():
        if name not in _TWINS:
            continue
        with np.errstate(all="ignore"):
            theory, bias, allowance = (
                np.broadcast_to(a, mean.shape) for a in _TWINS[name](limit, result)
            )
            floor = _ROUNDING[result.dtype] * np.maximum(np.abs(theory), np.abs(mean))
            stderr = np.hypot(
                np.maximum(result.stderr[name], _expected(limit, result, name)), floor
            )
            gap = mean - theory - bias
            z = gap / stderr
            excess = np.maximum(np.abs(gap) - allowance, 0.0)
            p = 2.0 * stdtr(max(result.n_networks - 1, 1), -excess / stderr)
        for key, value in zip(parts, (theory, bias, allowance, z, p), strict=True):
            parts[key][name] = np.array(value)
    return Comparison(
        result, parts["theory"], parts["bias"], parts["allowance"], parts["z"], parts["p"]
    )


_Twin = tuple[Array, Array, Array]


def _expected(limit: InfiniteWidth, result: SimulationResult, name: str) -> Any:
    """Standard error that theory expects of a variance; 0 for means, whose own is reliable.

    The error that is estimated from the same networks is small when the variance came out small,
    which would turn low values into false alarms.
    """
    if name not in ("fluctuations", "four_point") or result.n_networks < 2:
        return 0.0
    return np.abs(_fluctuations(limit, result)[0]) * np.sqrt(2.0 / (result.n_networks - 1))


def _allow(result: SimulationResult, name: str, scale: Array) -> Array:
    """Size of second-order effects of the fluctuations that were seen."""
    per_variance = _BIAS_PER_VARIANCE.get(name, _OTHERWISE)
    return np.asarray(per_variance * result.variance[name] / np.abs(scale))


def _positive(
    value: Callable[[InfiniteWidth], Array], name: str
) -> Callable[[InfiniteWidth, SimulationResult], _Twin]:
    """Twin of an observable whose scale is its own value."""

    def twin(limit: InfiniteWidth, result: SimulationResult) -> _Twin:
        theory = value(limit)
        return theory, np.zeros_like(theory), _allow(result, name, theory)

    return twin


def _bias_is_known(limit: InfiniteWidth) -> bool:
    """Whether the four-point theory holds: Gaussian weights, or square orthogonal ones."""
    net = limit.network
    return net.weights == "gaussian" or (net.weights == "orthogonal" and len(set(net.widths)) == 1)


def _lengths(limit: InfiniteWidth, result: SimulationResult) -> _Twin:
    bias = limit.length_bias() if _bias_is_known(limit) else np.zeros_like(limit.q)
    allowance = _allow(result, "lengths", limit.q) + 0.5 * np.abs(bias)  # the order 1/n^2
    if not _bias_is_known(limit):
        allowance *= _UNKNOWN_BIAS
    allowance[0] = 0.0  # the first layer's mean is exact under every law
    return limit.q, bias, allowance


def _activation_lengths(limit: InfiniteWidth, result: SimulationResult) -> _Twin:
    theory, bias = limit.square, _activation_bias(limit)
    allowance = _allow(result, "activation_lengths", theory) + 0.5 * np.abs(bias)
    if not _bias_is_known(limit):
        allowance *= _UNKNOWN_BIAS
    return theory, bias, allowance


def _activation_bias(limit: InfiniteWidth) -> Array:
    return limit.activation_bias() if _bias_is_known(limit) else np.zeros_like(limit.square)


def _correlations(limit: InfiniteWidth, result: SimulationResult) -> _Twin:
    c = limit.c
    return c, np.zeros_like(c), _allow(result, "correlations", 1.0 - np.abs(c)) + 1e-12


def _one_minus_c(limit: InfiniteWidth, result: SimulationResult) -> _Twin:
    x = 1.0 - limit.c
    allowance = _allow(result, "one_minus_correlations", np.minimum(x, 2.0 - x))
    return x, np.zeros_like(x), allowance + 1e-12  # theory carries c here, which rounds at 1


def _angles(limit: InfiniteWidth, result: SimulationResult) -> _Twin:
    angle = np.arccos(limit.c)
    allowance = _allow(result, "angles", np.minimum(angle, np.pi - angle))
    return angle, np.zeros_like(angle), allowance + 2e-6  # arccos loses half the digits near 1


def _saturation(limit: InfiniteWidth, result: SimulationResult) -> _Twin:
    z = ndtri((np.arange(_QUANTILES) + 0.5) / _QUANTILES)
    phi = limit.network.activation
    share = np.array(
        [[np.mean(np.abs(phi.derivative(np.sqrt(q) * z)) < FLAT) for q in row] for row in limit.q]
    )
    scale = np.minimum(share, 1.0 - share) + 1.0 / _QUANTILES
    return share, np.zeros_like(share), _allow(result, "saturation", scale) + 8.0 / _QUANTILES


def _effective_rank(limit: InfiniteWidth, result: SimulationResult) -> _Twin:
    g = limit.gram()
    rank = np.trace(g, axis1=1, axis2=2) ** 2 / np.sum(g**2, axis=(1, 2))
    # B noisy vectors in n dimensions: sum of squares of the Gram matrix grows by (1 + rank) / n
    noise = 1.5 * rank * (1.0 + rank) / np.array(limit.network.widths[1:])
    return rank, np.zeros_like(rank), _allow(result, "effective_rank", rank) + noise


def _error_products(limit: InfiniteWidth, result: SimulationResult) -> _Twin:
    products = limit.backward(limit.cross_slope)
    norms = limit.backward(limit.slope)
    scale = np.sqrt(np.array([norms[:, i] * norms[:, j] for i, j in limit.pairs]).T)
    allowance = _allow(result, "error_products", scale)
    return products, np.zeros_like(products), allowance


def _weight_gradients(limit: InfiniteWidth, result: SimulationResult) -> _Twin:
    first = np.diagonal(limit.input_gram)[None]
    errors = limit.backward(limit.slope)
    theory = errors * np.vstack([first, limit.square[:-1]])
    bias = errors * np.vstack([0.0 * first, _activation_bias(limit)[:-1]])
    allowance = _allow(result, "weight_gradients", theory) + 0.5 * np.abs(bias)
    if not _bias_is_known(limit):
        allowance *= _UNKNOWN_BIAS
    return theory, bias, allowance


def _order_one_over_n(limit: InfiniteWidth) -> Array:
    """Sum of 1 / width over the layers up to each, (L, 1)."""
    return np.asarray(np.cumsum(1.0 / np.array(limit.network.widths[1:]))[:, None])


def _fluctuations(limit: InfiniteWidth, result: SimulationResult) -> _Twin:
    widths = np.array(limit.network.widths[1:], np.float64)[:, None]
    theory = widths * limit.kernel_variance() + 2.0 * limit.q**2
    return theory, np.zeros_like(theory), _VERTEX * _order_one_over_n(limit) * np.abs(theory)


def _four_point(limit: InfiniteWidth, result: SimulationResult) -> _Twin:
    widths = np.array(limit.network.widths[1:], np.float64)[:, None]
    vertex = widths * limit.kernel_variance()
    scale = np.abs(vertex) + 2.0 * limit.q**2
    return vertex, np.zeros_like(vertex), _VERTEX * _order_one_over_n(limit) * scale


def _preactivation_histogram(limit: InfiniteWidth, result: SimulationResult) -> _Twin:
    edges = result.edges["preactivation_histogram"]
    below = ndtr(edges[:, None, :] / np.sqrt(limit.q)[:, :, None])  # (L, B, bins + 1)
    share = np.mean(np.diff(below, axis=2), axis=1)
    theory = share / np.diff(edges, axis=1)
    units = np.array(limit.network.widths[1:])[:, None] * len(result.input_gram)
    theory = np.where(share * units < _COUNTS, np.nan, theory)
    # a mixture of Gaussians of fluctuating variance: the density moves by that relative variance
    spread = 3.0 * np.abs(limit.kernel_variance() / limit.q**2).max(axis=1)[:, None]
    if limit.network.weights not in ("gaussian", "orthogonal"):
        spread = spread + 3.0 / np.array(limit.network.widths[:-1])[:, None]  # kurtosis of a sum
    return theory, np.zeros_like(theory), spread * np.nan_to_num(theory).max(axis=1, keepdims=True)


_TWINS: dict[str, Callable[[InfiniteWidth, SimulationResult], _Twin]] = {
    "lengths": _lengths,
    "activation_lengths": _activation_lengths,
    "correlations": _correlations,
    "one_minus_correlations": _one_minus_c,
    "angles": _angles,
    "saturation": _saturation,
    "effective_rank": _effective_rank,
    "gradients": _positive(lambda t: t.backward(t.slope), "gradients"),
    "error_products": _error_products,
    "weight_gradients": _weight_gradients,
    "ntk": _positive(InfiniteWidth.tangent_kernel, "ntk"),
    "fluctuations": _fluctuations,
    "four_point": _four_point,
    "preactivation_histogram": _preactivation_histogram,
}

assert set(OBSERVABLES) <= set(_TWINS), "every plain observable has its theory twin"


def _plain(a: Array) -> Any:
    if np.ndim(a) == 0:
        return float(a) if np.isfinite(a) else None
    return [_plain(x) for x in a]
