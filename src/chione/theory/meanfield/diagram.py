r"""Phase diagrams: all quantities of mean-field theory over arrays of sigma_w and sigma_b.

.. math:: q^* = V(q^*), \quad \chi_\parallel = V'(q^*), \quad
   \chi_\perp = \sigma_w^2 E\,\phi'^2, \quad c^* = C(c^*), \quad
   \xi_q = \frac{-1}{\log|\chi_\parallel|}, \quad \xi_c = \frac{-1}{\log|C'(c^*)|}

Moments and kernels are compiled once into functions of log q; each cell is then a few look-ups and
Newton steps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from chione.activations import AbstractActivation, ActivationLike, activation
from chione.base import EPS, AbstractResult, Array, Estimate, Status, along, checks, cost, result
from chione.gaussian import Table
from chione.theory.meanfield.correlation_fixed_point import correlation_fixed_point
from chione.theory.meanfield.depth_scale import scale_of_correlations, scale_of_lengths
from chione.theory.meanfield.large_lengths import large_length_slopes
from chione.theory.meanfield.length_map import LengthMap, mean_square, variance
from chione.theory.meanfield.phase import CHAOTIC, DIVERGENT, NO_POINT, phase_of
from chione.theory.meanfield.root_error import error_of_length
from chione.theory.meanfield.stable_lengths import LengthSolver
from chione.theory.moments.moments import moments
from chione.theory.moments.scale_free import zero_slope

FIELDS = ("q_star", "chi_parallel", "chi_perp", "c_star", "one_minus_c_star", "xi_q", "xi_c")
_LARGEST = 1e9  # beyond, tables of correlations are lost in rounding
_CELL_SECONDS = 4e-5  # a point: 1e-5 s (tanh) to 4e-5 s (hardtanh) measured on 200 x 150 points
_CELL_BYTES = 400.0  # fourteen fields, words for the phase, and what is on the way
_CELLS = 1 << 16  # at a time: some ten working arrays of half a megabyte each

Words = NDArray[np.str_]
Codes = NDArray[np.int8]
Values = tuple[Array, Array]  # value, error


@result
class PhaseDiagram(AbstractResult):
    """Mean-field theory of one activation over a grid; fields have shape (rows, columns).

    Parameters
    ----------
    activation : AbstractActivation
        The activation.
    sigma_w : ndarray, shape (columns,)
        Standard deviations of the weights.
    sigma_b : ndarray, shape (rows,)
        Standard deviations of the biases.
    q_star : ndarray
        Mean square that lengths settle at; NaN where there is none.
    chi_parallel, chi_perp : ndarray
        Slope of the length map, and factor on the mean square gradient per layer. chi_perp is NaN
        where the activation jumps, since it is infinite there. Where lengths diverge, the limits
        that both tend to, if they exist.
    c_star, one_minus_c_star : ndarray
        Correlation that two inputs settle at, and its distance from 1 with relative accuracy. NaN
        at q* = 0 if the activation is smooth there: deep layers then keep every correlation.
    xi_q, xi_c : ndarray
        Depth scales in layers; NaN where decay is not exponential.
    phase : ndarray of str
        "ordered", "critical", "chaotic", "divergent" or "none".
    status : ndarray of int8
        :class:`~chione.base.Status` of q*: ``OK``, ``CONTINUUM``, ``DIVERGENT`` or ``NONE``.
    reached : ndarray of bool
        False where lengths that start at the input do not get to q*.
    errors : dict of str to ndarray
        Estimated absolute error of each field of numbers.
    """

    axes = (
        along("sigma_w", "sigma_w")
        | along("sigma_b", "sigma_b")
        | along("sigma_b sigma_w", *FIELDS, "phase", "status", "reached", "errors")
    )

    activation: AbstractActivation
    sigma_w: Array
    sigma_b: Array
    q_star: Array
    chi_parallel: Array
    chi_perp: Array
    c_star: Array
    one_minus_c_star: Array
    xi_q: Array
    xi_c: Array
    phase: Words
    status: Codes
    reached: NDArray[np.bool_]
    errors: dict[str, Array]


@cost.ends
def phase_diagram(
    phi: ActivationLike, *, sigma_w: Any, sigma_b: Any, q0: float = 1.0, effort: float = 1.0
) -> PhaseDiagram:
    r"""Phase, fixed points, susceptibilities and depth scales of every (sigma_w, sigma_b).

    Parameters
    ----------
    phi : activation
        Anything :func:`chione.activation` accepts.
    sigma_w, sigma_b : float or array_like, shapes (columns,) and (rows,)
        Standard deviations of weights and biases, zero or above, in any order.
    q0 : float
        Mean square of the inputs, above zero. It decides between several attracting lengths.
    effort : float
        How many times the limits of a laptop (60 s of work, 4 GB) it may take.

    Returns
    -------
    PhaseDiagram
        Fields of shape (rows, columns): rows belong to `sigma_b`, columns to `sigma_w`.

    Raises
    ------
    ValueError
        If a sigma is negative, an array is empty or has two axes, or q0 is not above zero.
    CostError
        If the grid would take more than `effort` allows.

    Notes
    -----
    Each cell holds what :func:`chione.mean_field` says of it. Where a fixed point is nearly double
    the errors grow as 1 over the distance of its slope from 1.

    Examples
    --------
    >>> d = phase_diagram("tanh", sigma_w=[0.5, 1.3, 3.0], sigma_b=[0.3, 0.6])
    >>> d.phase[0].tolist()
    ['ordered', 'ordered', 'chaotic']
    >>> round(float(d.q_star[0, 1]), 6)
    0.607047
    """
    act = activation(phi)
    w, b = _axis("sigma_w", sigma_w), _axis("sigma_b", sigma_b)
    q0 = mean_square("q0", q0)
    shape = (b.size, w.size)
    cells_allowed = int(min(cost.SECONDS * cost.allowed(effort) / _CELL_SECONDS, 1e15))
    cost.check(
        f"a phase diagram of {b.size} x {w.size} points",
        seconds=_CELL_SECONDS * b.size * w.size,
        gigabytes=_CELL_BYTES * b.size * w.size / 1e9,
        fits=f"{cells_allowed} points fit",
        effort=effort,
    )
    fields = {name: np.full(shape, np.nan) for name in FIELDS}
    errors = {name: np.full(shape, np.nan) for name in FIELDS}
    status, reached = np.empty(shape, dtype=np.int8), np.empty(shape, dtype=bool)
    phase = np.empty(shape, dtype="<U9")
    solve = LengthSolver(LengthMap(moments(act), w**2, b**2), q0)
    width = max(1, _CELLS // b.size)
    for start in range(0, w.size, width):
        part = np.s_[:, start : start + width]
        w2 = w[start : start + width] ** 2
        lengths = solve(w2)
        status[part], reached[part] = lengths.status, lengths.reached
        cells = _Cells(act, np.broadcast_to(w2, lengths.q.shape), lengths.q, lengths.status)
        for name, (value, error) in cells.susceptibilities().items():
            fields[name][part] = value
            errors[name][part] = error
        phase[part] = cells.phase
    _correlations(act, w**2, fields, errors, phase)
    return PhaseDiagram(
        act, w, b, **fields, phase=phase, status=status, reached=reached, errors=errors
    )


def _axis(name: str, x: Any) -> Array:
    a = np.atleast_1d(checks.real_array(name, x))
    if a.ndim != 1 or a.size == 0:
        raise ValueError(
            f"{name} must be a number or a list of numbers, but its shape is {a.shape}; "
            "the diagram is made for all pairs of the two lists."
        )
    if a.min() < 0.0:
        raise ValueError(f"{name} must be 0 or above, but it holds {float(a.min())!r}.")
    variance(name, float(a.max()))
    if a.max() > _LARGEST:
        raise ValueError(
            f"{name} must be at most {_LARGEST:g}, but it holds {float(a.max())!r}; beyond that "
            "correlations are lost in rounding."
        )
    return a


class _Cells:
    """Susceptibilities and phases of a block of cells whose lengths are known."""

    def __init__(self, act: AbstractActivation, w2: Array, q: Array, status: Codes) -> None:
        self._act, self._m = act, moments(act)
        self._w2, self._q, self._status = w2, q, status
        self.phase: Words = np.full(q.shape, NO_POINT, dtype="<U9")
        self.phase[status == Status.DIVERGENT] = DIVERGENT

    def susceptibilities(self) -> dict[str, Values]:
        """q*, both chi and xi_q with their errors; sets the phase."""
        q, shape = self._q, self._q.shape
        parallel, perp, q_error = (np.full(shape, np.nan) for _ in range(3))
        parallel_error, perp_error = np.full(shape, np.nan), np.full(shape, np.nan)
        inside = q > 0.0
        x, w2 = q[inside], self._w2[inside]
        continuum = self._status[inside] == Status.CONTINUUM
        if x.size:
            m = self._m
            parallel[inside], own, bend = _lookup(m.slope_table, x, w2)
            held = w2 * m.square_table(x)
            length_error = _share(held, m.square_table.error(x)) + 3.0 * EPS * x
            length_error += _log_rounding(x) * x * np.abs(parallel[inside])
            # Newton leaves no more of V(q) - q than rounding
            of_q = error_of_length(x, x, length_error, parallel[inside], own, bend)
            of_q = np.where(continuum, 4.0 * EPS * x, of_q)
            q_error[inside], parallel_error[inside] = of_q, own + bend * of_q
            if not m.has_jumps:
                perp[inside], own, bend = _lookup(m.derivative_table, x, w2)
                perp_error[inside] = own + bend * of_q
        zero = q == 0.0
        if zero.any():
            slope = np.array([zero_slope(self._act, float(w2)) for w2 in self._w2[zero]])
            parallel[zero] = perp[zero] = slope
            parallel_error[zero] = perp_error[zero] = 4.0 * EPS * slope
            q_error[zero] = 0.0
        still = self._w2 == 0.0  # a constant map, also where E phi^2 is infinite
        for part in (parallel, perp, parallel_error, perp_error):
            part[still] = 0.0
        q_error[still] = EPS * q[still]
        lost = self._status == Status.DIVERGENT
        if lost.any():  # what both tend to while lengths grow, where that exists
            for limit, value, error in zip(
                large_length_slopes(self._act, 1.0),
                (parallel, perp),
                (parallel_error, perp_error),
                strict=True,
            ):
                value[lost] = self._w2[lost] * limit.value
                error[lost] = self._w2[lost] * limit.error + 2.0 * EPS * np.abs(value[lost])
        chi = Estimate(perp, perp_error, self._status_of_chi(perp))
        known = np.isfinite(self._q)
        self.phase[known] = phase_of(chi)[known]
        along_q = Estimate(parallel, parallel_error, 0)
        scale = scale_of_lengths(self._act, Estimate(q, q_error, 0), along_q, self._w2)
        return {
            "q_star": (q, q_error),
            "chi_parallel": (parallel, parallel_error),
            "chi_perp": (perp, perp_error),
            "xi_q": (scale.value, scale.error),
        }

    def _status_of_chi(self, perp: Array) -> Codes:
        """Why chi_perp has no value, where it has none."""
        status = np.zeros(perp.shape, dtype=np.int8)
        none = np.flatnonzero(np.isnan(perp) & (self._q > 0.0))
        if none.size:  # all of one activation for one reason
            why = self._m.derivative_square(float(self._q.flat[none[0]])).status
            status.flat[none] = why
        return status


def _lookup(table: Table, q: Array, w2: Array) -> tuple[Array, Array, Array]:
    """sigma_w^2 times a table: value, error, and size of the slope in q."""
    value, slope = table.with_slope(q)
    value = w2 * value
    bend = np.abs(w2 * slope)
    error = _share(np.abs(value), table.error(q) + 3.0 * EPS) + _log_rounding(q) * q * bend
    return value, error, bend


def _share(value: Array, relative: Array) -> Array:
    """Absolute error; a value that has underflowed has none to speak of."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(value == 0.0, 0.0, value * relative))


def _log_rounding(q: Array) -> Array:
    """Relative error of q where it is looked up by a rounded logarithm."""
    return np.asarray(EPS * np.abs(np.log(q)))


def _correlations(
    act: AbstractActivation,
    w2: Array,
    fields: dict[str, Array],
    errors: dict[str, Array],
    phase: Words,
) -> None:
    """Fill in c*, 1 - c* and xi_c of all cells."""
    q, chi = (Estimate(fields[n], errors[n], 0) for n in ("q_star", "chi_perp"))
    infinite = (phase == CHAOTIC) & np.isnan(chi.value)
    chi = Estimate(chi.value, chi.error, np.where(infinite, Status.INFINITE, chi.status))
    pair = correlation_fixed_point(act, q, chi, w2, chaotic=phase == CHAOTIC)
    scale = scale_of_correlations(act, q, pair.one_minus_c, pair.slope, w2)
    named = (("c_star", pair.c), ("one_minus_c_star", pair.one_minus_c), ("xi_c", scale))
    for name, found in named:
        fields[name][:], errors[name][:] = found.value, found.error
