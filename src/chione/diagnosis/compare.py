"""Theory beside simulation: where they agree, and where finite width does not explain the gap."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from chione.base import AbstractResult, Array, cost, plain, result
from chione.diagnosis.compared import Compared
from chione.diagnosis.expected_errors import error_floor
from chione.diagnosis.network_comparison import NetworkComparison, compare_network
from chione.diagnosis.twins import TWINS
from chione.networks import MLP
from chione.simulation import NetworkSimulation, SimulationResult
from chione.theory.depth.infinite_width import infinite_width

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Below this a value's spread over networks, or in single precision the value, underflows. The
# square of a relative spread of 1e-7 is still a normal float64.
_FAINT = {"float64": 1e-145, "float32": 1e-30}
_ROUNDING = {"float64": 1e-10, "float32": 1e-4}


@result
class Comparison(AbstractResult, Compared):
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
        (lengths under Gaussian and orthogonal weights); zero elsewhere.
    allowance : mapping of str to ndarray
        Bound on what finite width can do beyond `bias`; NaN where nothing can be said, as in
        bins of a histogram that hold few values.
    z : mapping of str to ndarray
        (simulated - theory - bias) / standard error. The error is that of the networks, or half
        of what theory expects where that is larger: few networks can agree by chance.
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
    def contradictions(self) -> tuple[str, ...]:
        """One sentence for each observable that contradicts the theory."""
        out = []
        for name, p in self.p_value.items():
            if not np.any(p < self.threshold):
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
    def underflows(self) -> tuple[str, ...]:
        """One sentence for each observable too small to be compared in some layers."""
        out = []
        for name in self.theory:
            faint = _is_faint(self.theory[name], self.result.mean[name], self.result.dtype)
            if not np.any(faint):
                continue
            where = "."
            if self.result.dims[name][:1] == ("layer",):
                at = np.flatnonzero(faint.reshape(len(faint), -1).any(axis=1)) + 1
                where = (
                    f" in layer {at[0]}." if len(at) == 1 else f" in layers {at[0]} to {at[-1]}."
                )
            out.append(
                f"{name}: below {_FAINT[self.result.dtype]:g}, where the spread over networks "
                f"underflows, so it is not compared{where}"
            )
        return tuple(out)

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

    def plot(self, *, ax: Any = None, field: str | None = None) -> Figure:
        """Simulated points with error bars on the lines of the theory, a panel an observable."""
        from chione.plotting.panels import assemble  # matplotlib takes 0.3 s to load
        from chione.plotting.plot import simulation_picture

        return assemble(simulation_picture(self.result, self.theory), ax=ax, field=field)

    def _parts(self) -> dict[str, Any]:
        """Everything as plain JSON types; what does not exist is None."""
        return {
            "agrees": self.agrees,
            "n_comparisons": self.n_comparisons,
            "contradictions": list(self.contradictions),
            "without_theory": list(self.without_theory),
            "observables": {
                name: {
                    "theory": plain(self.theory[name]),
                    "bias": plain(self.bias[name]),
                    "allowance": plain(self.allowance[name]),
                    "z": plain(self.z[name]),
                }
                for name in self.theory
            },
        }


_CLOSED = 4e-3  # s a layer where kernels are closed forms: 0.3 ms, 16 ms with all observables
_SMOOTH = 1.2e-2  # s a layer and pair of inputs: 10 to 14 ms measured with tanh and mish
_KINKED = 0.2  # s a layer and pair of inputs, kinks and no closed form: abs(x) + sin(x)


def check_cost(network: MLP, pairs: int, *, effort: float = 1.0) -> None:
    """Refuse a comparison whose theory would take longer than `effort` allows.

    Raises
    ------
    CostError
        With the estimate and the depth that would fit.
    """
    phi = network.activation
    if phi.closed_forms.kernel is not None and phi.closed_forms.derivative_kernel is not None:
        layer = _CLOSED
    else:
        layer = max(pairs, 1) * (_KINKED if phi.kinks else _SMOOTH)
    fit = int(min(cost.SECONDS * cost.allowed(effort) / layer, 1e15))
    cost.check(
        f"the theory of {network.depth} layers for {max(pairs, 1)} pairs of inputs",
        seconds=layer * float(min(network.depth, 10**60)),
        fits=f"a depth of {fit} fits" if fit else "fewer inputs fit",
        effort=effort,
    )


@overload
def compare(result: SimulationResult, *, effort: float = 1.0) -> Comparison: ...


@overload
def compare(result: NetworkSimulation, *, effort: float = 1.0) -> NetworkComparison: ...


def compare(
    result: SimulationResult | NetworkSimulation, *, effort: float = 1.0
) -> Comparison | NetworkComparison:
    r"""Put the infinite-width theory beside simulated networks.

    .. math:: z = \frac{\bar x - x_\infty - b / n}{s / \sqrt{N}}

    Parameters
    ----------
    result : SimulationResult or NetworkSimulation
        What :func:`chione.simulate` returned.
    effort : float
        How many times the limit of a laptop (60 s of work) the theory may take.

    Returns
    -------
    Comparison or NetworkComparison

    Raises
    ------
    CostError
        For more layers and pairs of inputs than `effort` allows.
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
    if isinstance(result, NetworkSimulation):
        return compare_network(result, effort=effort)
    if not isinstance(result, SimulationResult):
        raise TypeError(
            f"result must be what chione.simulate returned, but it is of type "
            f"{type(result).__name__}; write compare(simulate(network))."
        )
    if result.network.weights == "delta":
        raise ValueError(
            "delta weights have no Gaussian limit to compare with: each unit has a single input; "
            "choose weights 'gaussian', 'orthogonal', 'uniform' or 'truncated'."
        )
    check_cost(result.network, len(result.pairs), effort=effort)
    limit = infinite_width(result.network, result.input_gram, result.pairs)
    parts: dict[str, dict[str, Array]] = {k: {} for k in ("theory", "bias", "allowance", "z", "p")}
    for name, mean in result.mean.items():
        if name not in TWINS:
            continue
        with np.errstate(all="ignore"):
            theory, bias, allowance = (
                np.broadcast_to(a, mean.shape) for a in TWINS[name](limit, result)
            )
            floor = _ROUNDING[result.dtype] * np.maximum(np.abs(theory), np.abs(mean))
            stderr = np.hypot(
                np.maximum(result.stderr[name], error_floor(limit, result, name)), floor
            )
            gap = mean - theory - bias
            stderr = np.where(np.isinf(stderr) | np.isnan(allowance), np.nan, stderr)
            stderr[_is_faint(theory, mean, result.dtype)] = np.nan
            z = gap / stderr
            excess = np.maximum(np.abs(gap) - allowance, 0.0)
            p = 2.0 * stdtr(max(result.n_networks - 1, 1), -excess / stderr)
        for key, value in zip(parts, (theory, bias, allowance, z, p), strict=True):
            parts[key][name] = np.array(value)
    return Comparison(
        result, parts["theory"], parts["bias"], parts["allowance"], parts["z"], parts["p"]
    )


def _is_faint(theory: Array, mean: Array, dtype: str) -> NDArray[np.bool_]:
    """Where a signal lives, but so small that its spread over networks has no float64."""
    with np.errstate(invalid="ignore"):
        size = np.fmax(np.abs(theory), np.abs(mean))
        return np.asarray((size > 0.0) & (size < _FAINT[dtype]))
