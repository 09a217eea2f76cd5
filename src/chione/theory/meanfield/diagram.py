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
from chione.base import AbstractResult, Array, Estimate, Status, along, checks, cost, result
from chione.base.rounded import Bounds
from chione.base.words import Coded, coded, few_words
from chione.theory.meanfield.correlation_fixed_point import correlation_fixed_point
from chione.theory.meanfield.depth_scale import scale_of_correlations
from chione.theory.meanfield.diagram_cells import Cells, Codes, Values
from chione.theory.meanfield.length_map import LengthMap, mean_square, variance
from chione.theory.meanfield.phase import CHAOTIC, PHASES
from chione.theory.meanfield.stable_lengths import LengthSolver
from chione.theory.moments.moments import moments

FIELDS = ("q_star", "chi_parallel", "chi_perp", "c_star", "one_minus_c_star", "xi_q", "xi_c")
_LARGEST = 1e9  # beyond, tables of correlations are lost in rounding
_CELL_SECONDS = 4e-6  # a point: 1e-6 s (tanh) to 3.6e-6 s (siren) measured on 400 x 400 points
_CELL_BYTES = 100.0  # seven fields in 8 bytes, six errors in 4, three codes, and what is on the way
_CELLS = 1 << 16  # at a time: some ten working arrays of half a megabyte each

Words = NDArray[np.str_]


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
        "ordered", "critical", "chaotic", "divergent" or "none"; read-only, made when asked for.
    status : ndarray of int8
        :class:`~chione.base.Status` of q*: ``OK``, ``CONTINUUM``, ``DIVERGENT`` or ``NONE``.
    reached : ndarray of bool
        False where lengths that start at the input do not get to q*.
    errors : dict of str to ndarray
        Estimated absolute error of each field of numbers: float32, rounded upwards, where its
        range is enough.
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
    phase: Words = few_words()
    status: Codes
    reached: NDArray[np.bool_]
    errors: dict[str, NDArray[np.floating[Any]]]


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
    fields = {name: np.empty(shape) for name in FIELDS}
    errors = {name: Bounds(shape) for name in FIELDS if name != "one_minus_c_star"}
    status, reached = np.empty(shape, np.int8), np.empty(shape, np.bool_)
    phase = np.empty(shape, np.int8)
    solve = LengthSolver(LengthMap(moments(act), w**2, b**2), q0)
    width = max(1, _CELLS // b.size)
    blocks = [np.s_[:, start : start + width] for start in range(0, w.size, width)]
    for part in blocks:
        w2 = w[part[1]] ** 2
        lengths = solve(w2)
        status[part], reached[part] = lengths.status, lengths.reached
        cells = Cells(act, np.broadcast_to(w2, lengths.q.shape), lengths.q, lengths.status)
        _fill(part, cells.susceptibilities(), fields, errors)
        phase[part] = cells.phase
    chaotic = phase == PHASES.index(CHAOTIC)
    many = int(np.count_nonzero(chaotic))
    for part in blocks:
        q, chi = (
            Estimate(fields[n][part], errors[n].array[part].astype(np.float64), 0)
            for n in ("q_star", "chi_perp")
        )
        found = _correlations(act, w[part[1]] ** 2, q, chi, chaotic[part], many)
        _fill(part, found, fields, errors)
    bounds = {name: e.array for name, e in errors.items()}
    bounds["one_minus_c_star"] = bounds["c_star"]  # c* is 1 less a number
    words: Any = Coded(phase, PHASES)
    return PhaseDiagram(
        act, w, b, **fields, phase=words, status=status, reached=reached,
        errors={name: bounds[name] for name in FIELDS},
    )  # fmt: skip


def shares(diagram: PhaseDiagram) -> dict[str, float]:
    """The part of all cells in each phase that there is."""
    words = coded(diagram, "phase")
    all_shares = {word: words.share(word) for word in sorted(words.words)}
    return {word: part for word, part in all_shares.items() if part > 0.0}


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


def _fill(
    part: tuple[slice, slice],
    found: dict[str, Values],
    fields: dict[str, Array],
    errors: dict[str, Bounds],
) -> None:
    """Values and errors of a block of cells."""
    for name, (value, error) in found.items():
        fields[name][part] = value
        if name in errors:
            errors[name].put(part, error)


def _correlations(
    act: AbstractActivation,
    w2: Array,
    q: Estimate,
    chi: Estimate,
    chaotic: NDArray[np.bool_],
    together: int,
) -> dict[str, Values]:
    """c*, 1 - c* and xi_c of a block of cells."""
    infinite = chaotic & np.isnan(chi.value)
    chi = Estimate(chi.value, chi.error, np.where(infinite, Status.INFINITE, chi.status))
    pair = correlation_fixed_point(act, q, chi, w2, chaotic=chaotic, together=together)
    scale = scale_of_correlations(act, q, pair.one_minus_c, pair.slope, w2)
    named = (("c_star", pair.c), ("one_minus_c_star", pair.one_minus_c), ("xi_c", scale))
    return {name: (found.value, found.error) for name, found in named}
