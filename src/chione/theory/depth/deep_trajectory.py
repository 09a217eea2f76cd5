r"""Curves over so many layers that they are not followed one by one.

The first thousand layers are those of :func:`trajectory`. From there on lengths, distances and
gradients change slowly, or by a fixed factor a layer, and the state
:math:`(\log q,\ \log(1 - c),\ \log_{10} \prod \chi)` is carried by
:mod:`chione.theory.meanfield.far_layers` to a choice of layers, four a decade.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from chione.activations import AbstractActivation, ActivationLike, activation
from chione.base import Array, ConvergenceError, Status, checks, cost
from chione.theory.depth.trajectory import Trajectory, trajectory
from chione.theory.depth.trajectory_errors import ANGLE_STEP
from chione.theory.meanfield.close_pair import ClosePair
from chione.theory.meanfield.far_layers import carry_through
from chione.theory.meanfield.iterated_maps import SignalLost, Walk
from chione.theory.meanfield.length_map import count, mean_square, sigmas, variances
from chione.theory.meanfield.phase import mean_field
from chione.theory.moments.compiled_kernel import angle, compiles_quickly, kernel_map
from chione.theory.moments.kernel_drop import drop_for_curves
from chione.theory.moments.moments import moments
from chione.theory.moments.scale_free import anchor

FOLLOWED = 20_000
"""Layers up to which every one is followed."""
_FIRST = 1000  # of deeper networks
_SHOWN, _PER_DECADE, _FAR_PER_DECADE = 60, 40, 4
_TOP = math.log(1e300)
_FAINT = -600.0  # log(1 - c): beyond, the map is its slope at c = 1
_QUIET = 1e-11  # of log(1 - c): what the double integrals behind one layer may be off by
_SETTLED = 1e-9  # relative change of a length a layer after which it stays
_APART = 50  # layers over which a factor is seen to be fixed
_FADED = math.log(1e-6)  # of 1 - c that falls by a fixed factor
_CRITICAL = 1e-12  # of chi_perp
_MEMORY = 1e4  # layers after which a distance that settles has forgotten an error
_CLOSE = 0.05  # 1 - c up to which the leading terms of the map serve
_ATTRACTS = 0.9999  # slope of the length map there
_NEAR = 1e-6  # from there: as far as the solver looks to learn how lengths matter
_SMALL = 1e-280  # lengths below are carried from the last layer above


@cost.ends
def deep_trajectory(
    phi: ActivationLike,
    sigma_w: float,
    sigma_b: float = 0.0,
    *,
    depth: int,
    q0: float = 1.0,
    c0: float = 0.5,
) -> Trajectory:
    r"""The curves of :func:`trajectory` for any depth: beyond 20,000 layers at some of them.

    Parameters
    ----------
    phi, sigma_w, sigma_b, depth, q0, c0
        As for :func:`trajectory`; `depth` may have any number of digits.

    Returns
    -------
    Trajectory
        `layer` holds the numbers of the layers; the last one is `depth`. Errors hold the relative
        error of the first thousand layers, that of the factors times the layers left, and that of
        the integration.

    Raises
    ------
    ValueError, CostError
        As :func:`trajectory`.

    Notes
    -----
    Networks close to criticality that settle neither within a thousand layers nor by a power of
    the depth have status ``NOT_COMPUTED`` and no values beyond those layers.
    """
    act, depth = activation(phi), count("depth", depth)
    sigma_w, sigma_b = sigmas(sigma_w, sigma_b)
    q0 = mean_square("q0", q0)
    c0 = float(checks.correlation("c0", checks.finite("c0", c0)))
    if depth <= FOLLOWED:
        return trajectory(act, sigma_w, sigma_b, depth=depth, q0=q0, c0=c0)
    return carried(act, sigma_w, sigma_b, depth, float(q0), float(c0))


@lru_cache(maxsize=16)  # the recommended sigmas are asked for as a choice and as an alternative
def carried(
    act: AbstractActivation, sigma_w: float, sigma_b: float, depth: int, q0: float, c0: float
) -> Trajectory:
    """The curves at some layers up to `depth`, above 1001, carried on from the first thousand."""
    near = trajectory(act, sigma_w, sigma_b, depth=_FIRST + 1, q0=q0, c0=c0)
    return _joined(near, _Far(act, sigma_w, sigma_b, depth, near))


class _Far:
    """What is beyond the first layers: lengths, distances, factors and decades at some of them."""

    def __init__(
        self, act: AbstractActivation, sigma_w: float, sigma_b: float, depth: int, near: Trajectory
    ) -> None:
        w2, b2 = variances(sigma_w, sigma_b)
        decades = math.log10(depth) - math.log10(_FIRST)
        steps = np.arange(1, math.ceil(_FAR_PER_DECADE * decades)) / _FAR_PER_DECADE
        between = {round(_FIRST * 10.0**x) for x in steps if _FIRST * 10.0**x < 1e300}
        self.layers = [*sorted(l for l in between if _FIRST + 1 < l < depth), depth]
        n = len(self.layers)
        self.q, self.gap, self.chi, self.decades = (np.full(n, np.nan) for _ in range(4))
        self.errors = np.full((n, 3), np.nan)
        self.first = _FIRST  # the layer they are carried from
        self.jumps = moments(act).has_jumps
        self.status = near.status
        if near.status == Status.OK:
            self._follow(act, w2, b2, near)

    def _follow(self, act: AbstractActivation, w2: float, b2: float, near: Trajectory) -> None:
        m, small = moments(act), anchor(act, b2)
        chi = np.ones_like(near.chi) if self.jumps else near.chi
        with np.errstate(divide="ignore"):
            passed = np.concatenate([[0.0], np.cumsum(np.log10(chi))])
            first = self.first = max(int(np.flatnonzero(near.q > _SMALL)[-1]), 1)
            # the state after layer `first`
            state = np.log(np.array([near.q[first], near.one_minus_c[first], 1.0]))
        state[2] = passed[first]
        if passed[first] == -math.inf:
            self.status = Status.UNDEFINED
            return
        still = state[1] == -math.inf  # inputs that cannot be told apart stay so
        state[1] = _FAINT if still else state[1]
        gap = float(near.one_minus_c[first])
        pair = _Pair(act, near.q, gap)
        walk, slope = Walk(act, w2, b2, pair), abs(w2 * m.slope(near.q[first]).value)
        change = abs(near.q[first] / near.q[first - 1] - 1.0)
        settles = change <= _SETTLED and slope < _ATTRACTS
        if not (_is_even(near, first) or _is_power_law(act, w2, b2)):
            self.status = Status.NOT_COMPUTED
            return

        def layer(state: Array) -> Array:
            if not settles:
                return walk.layer(state)
            # a length that attracts would make the way of the others a stiff one
            out = walk.layer(np.array([np.log(near.q[first]), *state[1:]]))
            return np.array([0.0, *out[1:]])

        try:
            # the state after layer l - 1 holds the length of layer l
            states, self.errors = carry_through(layer, state, first, [l - 1 for l in self.layers])
            self.errors[:, 0] += change / (1.0 - slope) if settles else 0.0
            self.errors[:, 1] += gap if pair.close is not None else 0.0  # of the terms left out
            # one layer's own error adds up where distances go on shrinking, else it is forgotten
            far = np.array([float(l - first) for l in self.layers])
            added = far if states[-1, 1] < state[1] - 1.0 else np.minimum(far, _MEMORY)
            self.errors[:, 1] += ANGLE_STEP * added
        except SignalLost:
            self.status = Status.UNDEFINED
            return
        except (ConvergenceError, ArithmeticError):
            self.status = Status.NOT_COMPUTED
            return
        known = states[:, 0] <= _TOP
        with np.errstate(over="ignore", under="ignore"):
            self.q[known] = np.exp(states[known, 0])
            self.gap[known] = 0.0 if still else np.minimum(np.exp(states[known, 1]), 2.0)
        self.decades[known] = states[known, 2]
        for k in np.flatnonzero(known):
            self.chi[k] = w2 * m.derivative_square(small.of(float(self.q[k]))).value
        if not known.all():
            self.status = Status.DIVERGENT


def _is_even(near: Trajectory, last: int) -> bool:
    """Whether each further layer does what the last one did: nothing, or a fixed factor."""
    with np.errstate(divide="ignore", invalid="ignore"):
        lengths, gaps = np.log(near.q), np.log(near.one_minus_c)
    before = last - _APART if last > 2 * _APART else last - 1

    def steps(y: Array) -> tuple[float, float]:
        return float(y[before] - y[before - 1]), float(y[last] - y[last - 1])

    q_early, q_now = steps(lengths)
    if not abs(q_now - q_early) <= _SETTLED:
        return False
    if not np.isfinite(gaps[before - 1 : last + 1]).all():
        return True  # inputs that cannot be told apart stay so
    early, now = steps(gaps)
    kept = near.chi[last - 1] * near.q[last - 1] / near.q[last]  # slope of 1 - c at c = 1
    if abs(kept - 1.0) <= _CRITICAL:
        return True  # as of relu, whatever its lengths do: 1 - c falls as a power
    rests = abs(now) <= _SETTLED
    return abs(now - early) <= _SETTLED and (rests or bool(gaps[last] < _FADED))


def _is_power_law(act: AbstractActivation, w2: float, b2: float) -> bool:
    """Whether the network is critical to the last digits, so that changes fall as powers of l.

    Between that and a decay that a thousand layers show, errors of the sum are not known.
    """
    field = mean_field(act, math.sqrt(w2), math.sqrt(b2))
    return bool(abs(field.chi_perp.value - 1.0) <= _CRITICAL + field.chi_perp.error)


class _Pair:
    """The correlation map itself; its leading terms where inputs are close and lengths move."""

    def __init__(self, act: AbstractActivation, q: Array, gap: float) -> None:
        self._act, self._m = act, moments(act)
        settled = q[-1] > 0.0 and abs(q[-1] - q[-2]) <= _SETTLED * q[-1]
        compiled = settled and compiles_quickly(act, float(q[-1]))
        self._at = float(q[-1]) if compiled else math.nan
        # of lengths that still move each layer would be a double integral
        self.close = ClosePair.of(act) if not compiled and gap <= _CLOSE else None

    def log_ratio(self, log_gap: float, q: float, w2: float, q_after: float) -> float:
        """Logarithm of the factor on 1 - c in one layer."""
        if self.close is not None:
            return self.close.log_ratio(log_gap, q, w2, q_after)
        gap = math.exp(min(log_gap, math.log(2.0)))
        if log_gap > _FAINT:
            ratio = w2 * self._drop(q, gap) / q_after / gap
        else:
            ratio = w2 * float(self._m.derivative_square(q).value) * q / q_after
        change = math.log(ratio) if ratio > 0.0 else -math.inf
        return change if abs(change) > _QUIET else 0.0

    def _drop(self, q: float, gap: float) -> float:
        """K(1) - K(c); of settled lengths by one compiled map, which has no noise to integrate."""
        if abs(self._at - q) <= _NEAR * q:
            return float(q * gap * kernel_map(self._act, self._at).average(angle(gap)))
        return float(drop_for_curves(self._act, q, gap).value)


def _joined(near: Trajectory, far: _Far) -> Trajectory:
    """Both parts: few of the first layers, and those beyond."""
    n = int(_PER_DECADE * math.log10(_FIRST / _SHOWN))
    chosen = np.unique(np.round(np.geomspace(_SHOWN, _FIRST, n)).astype(int))
    index = np.concatenate([np.arange(_SHOWN - 1), chosen - 1])  # a staircase shows them all
    with np.errstate(divide="ignore", invalid="ignore"):
        before = np.concatenate([[0.0], np.cumsum(np.log10(near.chi))])
        decades = np.concatenate([before[index], far.decades])
        log_gradient = far.decades[-1] - decades
        log_gradient[-1] = 0.0
        log_gradient[decades == -np.inf] = np.nan
        if far.jumps:
            log_gradient[:-1] = np.inf
    layer = np.concatenate([near.layer[index], np.array([float(l) for l in far.layers])])
    q, gap, chi = (
        np.concatenate([first[index], rest])
        for first, rest in (
            (near.q, far.q),
            (near.one_minus_c, far.gap),
            (near.chi, far.chi),
        )
    )
    with np.errstate(over="ignore", under="ignore"):
        gradient = 10.0**log_gradient
    errors = _errors(near, far, index, layer, q, gap, chi, log_gradient)
    return Trajectory(q, 1.0 - gap, gap, chi, gradient, log_gradient, far.status, layer, errors)


def _errors(
    near: Trajectory,
    far: _Far,
    index: Array,
    layer: Array,
    q: Array,
    gap: Array,
    chi: Array,
    log_gradient: Array,
) -> dict[str, Array]:
    first = {name: error[index] for name, error in near.errors.items()}
    k, n = far.first, index.size
    last = {name: float(error[k]) for name, error in near.errors.items()}
    with np.errstate(all="ignore"):
        of_q = far.q * (last["q"] / near.q[k] + np.expm1(far.errors[:, 0])) + 5e-324
        share = last["one_minus_c"] / near.one_minus_c[k] if near.one_minus_c[k] else 0.0
        of_gap = np.minimum(far.gap * (share + np.expm1(far.errors[:, 1])), 2.0)
        per_layer = last["chi"] / near.chi[k]
        of_chi = far.chi * (per_layer + np.expm1(far.errors[:, 0]))
        # every layer that is left adds the relative error of its factor
        left = np.maximum(layer[-1] - layer, 0.0)
        start = float(near.errors["log10_gradient"][0]) + 2e-16 * abs(np.nan_to_num(log_gradient))
        of_decades = start + left * per_layer / math.log(10.0) + far.errors[-1, 2]
        size = 10.0**log_gradient
        of_gradient = size * np.expm1(of_decades * math.log(10.0))
    return {
        "q": np.concatenate([first["q"], of_q]),
        "c": np.concatenate([first["c"], np.minimum(of_gap + 4e-16, 2.0)]),
        "one_minus_c": np.concatenate([first["one_minus_c"], of_gap]),
        "chi": np.concatenate([first["chi"], of_chi]),
        "gradient": of_gradient,
        "log10_gradient": of_decades + np.zeros(n + far.q.size),
    }
