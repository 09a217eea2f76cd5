r"""Norm stability: what mean and variance of the units become from layer to layer, without weights.

.. math:: (\mu, \nu) \mapsto (E\,\phi(X),\ \mathrm{Var}\,\phi(X)), \qquad X \sim N(\mu, \nu)

The second moment alone, which is what random weights of mean zero see, obeys the length map; the
pair above is what is left where the weights do not take the mean away.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from chione.activations import AbstractActivation, ActivationLike, activation
from chione.base import EPS, AbstractResult, Array, Estimate, along, checks, cost, result
from chione.gaussian.smoothing import WIDE, smooth
from chione.theory.meanfield.length_map import LARGEST_LENGTH, mean_square
from chione.theory.meanfield.norm_slope import normalized_slope
from chione.theory.moments.moments import moments

MEANS, VARIANCES = (-4.0, 4.0), (1e-3, 30.0)
_N_MEAN, _N_VARIANCE = 65, 49
_MAX_STARTS = 60
_NEUTRAL = 1e-9  # distance of an eigenvalue's size from 1 that counts as neutral


@result
class NormFixedPoint(AbstractResult):
    r"""A fixed point of the map of mean and variance.

    Parameters
    ----------
    mean, variance : Estimate
        :math:`\mu^*` and :math:`\nu^*`.
    jacobian : ndarray, shape (2, 2)
        Of (mean, variance) with respect to (mean, variance).
    eigenvalues : ndarray, shape (2,), complex
        Largest size first.
    stability : {"attracts", "saddle", "repels", "neutral"}
        Local verdict from the eigenvalues.
    """

    mean: Estimate
    variance: Estimate
    jacobian: Array
    eigenvalues: NDArray[np.complex128]
    stability: str


@result
class NormStability(AbstractResult):
    r"""Fixed points of the map of mean and variance, and the second moment beside them.

    Parameters
    ----------
    activation : str
        Name of the activation.
    points : tuple of NormFixedPoint
        All that were found with mean and variance in the searched range, by rising variance.
    second_moment_slope : Estimate
        Slope at q = 1 of the map of the second moment of the normalised activation
        :math:`\phi / \sqrt{E \phi^2}`: below 1 in size, the norm is stable under weights of
        mean zero.
    sentence : str
        The verdict in words.
    """

    activation: str
    points: tuple[NormFixedPoint, ...]
    second_moment_slope: Estimate
    sentence: str

    def _parts(self) -> dict[str, Any]:
        return {
            "activation": self.activation,
            "points": [
                {
                    "mean": p.mean.to_dict(),
                    "variance": p.variance.to_dict(),
                    "jacobian": p.jacobian.tolist(),
                    "eigenvalues": [[float(e.real), float(e.imag)] for e in p.eigenvalues],
                    "stability": p.stability,
                }
                for p in self.points
            ],
            "second_moment_slope": self.second_moment_slope.to_dict(),
            "sentence": self.sentence,
        }


@result
class NormMap(AbstractResult):
    r"""Image of means and one variance under the map of both.

    Parameters
    ----------
    mean, variance : Estimate, shape (n,)
        :math:`E\,\phi(X)` and :math:`\mathrm{Var}\,\phi(X)` for each mean.
    """

    axes = along("start", "mean", "variance")

    mean: Estimate
    variance: Estimate


@cost.ends
@np.errstate(over="ignore", invalid="ignore")  # the status says so
def norm_map(phi: ActivationLike, mean: Any, variance: float) -> NormMap:
    r"""Mean and variance of phi(X), :math:`X \sim N(\mu, \nu)`, for several means.

    Parameters
    ----------
    phi : activation
        Anything :func:`chione.activation` accepts.
    mean : array_like, shape (n,)
        Means.
    variance : float
        Variance, above zero.

    Returns
    -------
    NormMap

    Notes
    -----
    For one mean phi is centred before it is squared; for several the variance is a difference,
    with an absolute error of some rounding errors of :math:`E\,\phi^2`.

    Examples
    --------
    >>> image = norm_map("relu", [0.0], 1.0)
    >>> round(float(image.mean.value[0]), 6), round(float(image.variance.value[0]), 6)
    (0.398942, 0.340845)
    """
    act = activation(phi)
    mu = np.atleast_1d(checks.real_array("mean", mean))
    if mu.ndim != 1 or mu.size == 0:
        raise ValueError(f"mean must be a list of numbers, but its shape is {mu.shape}.")
    nu = mean_square("variance", variance)
    if not nu >= 1.0 / LARGEST_LENGTH or np.abs(mu).max() > LARGEST_LENGTH:
        raise ValueError(
            f"means and the variance must lie within 1e-100 and 1e100, but they are {mu} "
            f"and {nu!r}."
        )
    return NormMap(*_image_with_errors(act, mu, nu))


@cost.ends
@np.errstate(over="ignore", invalid="ignore")  # starts that leave float64 are dropped
def norm_stability(phi: ActivationLike) -> NormStability:
    r"""Fixed points of (mean, variance) -> (E phi, Var phi), with their stability.

    .. math:: J = \begin{pmatrix} E\,\phi' & \tfrac12 E\,\phi'' \\
       2 (E\,\phi\phi' - E\,\phi\,E\,\phi') & E\,\phi'^2 + E\,\phi\phi'' - E\,\phi\,E\,\phi''
       \end{pmatrix}

    Parameters
    ----------
    phi : activation
        Anything :func:`chione.activation` accepts; it must be continuous.

    Returns
    -------
    NormStability

    Raises
    ------
    ValueError
        If phi jumps: the Jacobian then does not exist.

    Notes
    -----
    Searched are means in [-4, 4] and variances in [0.001, 30], on a grid of 65 by 49 cells (the
    variance in its logarithm); Newton's method starts from each cell in which both components
    change sign. Points without variance are the solutions of phi(mu) = mu at which phi is smooth;
    a line of fixed points, as for the identity, is left out. Derivatives at kinks include the
    point masses of phi''.

    References
    ----------
    .. [1] G. Klambauer, T. Unterthiner, A. Mayr, S. Hochreiter, "Self-normalizing neural
       networks", NeurIPS 2017.

    Examples
    --------
    >>> point = [p for p in norm_stability("selu").points if abs(p.mean.value) < 1e-6][0]
    >>> round(point.variance.value, 6), point.stability
    (1.0, 'saddle')
    """
    act = activation(phi)
    if moments(act).has_jumps:
        raise ValueError(f"{act} jumps, so the map has no Jacobian; choose a continuous one.")
    starts = _cells(act)
    found: list[NormFixedPoint] = []
    for mu, nu in starts:
        point = _newton(act, mu, nu)
        if point is None or any(_same(point, other) for other in found):
            continue
        found.append(point)
    found += _without_spread(act)
    found.sort(key=lambda p: (round(p.variance.value, 9), p.mean.value))
    slope = normalized_slope(act)
    return NormStability(act.name, tuple(found), slope, _sentence(act, tuple(found), slope))


def _image(act: AbstractActivation, mu: Array, nu: float) -> tuple[Array, Array]:
    def flow(g: Callable[[Array], Array]) -> Array:
        return smooth(g, mu, nu, breakpoints=act.kinks, window=WIDE)[0]

    mean = flow(act.value)
    if len(mu) == 1:  # centred before squaring: no cancellation
        shift = float(mean[0])
        return mean, flow(lambda h: (act.value(h) - shift) ** 2)
    return mean, np.maximum(flow(lambda h: act.value(h) ** 2) - mean**2, 0.0)


def _image_with_errors(act: AbstractActivation, mu: Array, nu: float) -> tuple[Estimate, Estimate]:
    """The image with errors: those of the smoothing, and what squares cancel."""

    def flow(g: Callable[[Array], Array]) -> tuple[Array, Array]:
        value, error, _ = smooth(g, mu, nu, breakpoints=act.kinks, window=WIDE)
        return value, error + 8.0 * EPS * np.abs(value)

    mean, mean_error = flow(act.value)
    size, _ = flow(lambda h: np.abs(act.value(h)))
    mean_error = mean_error + 8.0 * EPS * size
    if len(mu) == 1:
        shift = float(mean[0])
        second, error = flow(lambda h: (act.value(h) - shift) ** 2)
        # an error of the centre counts twice over, squared; phi - centre rounds by EPS |centre|
        error = error + mean_error**2 + 8.0 * EPS * abs(shift) * np.sqrt(second)
    else:
        square, error = flow(lambda h: act.value(h) ** 2)
        second = np.maximum(square - mean**2, 0.0)
        error = error + 2.0 * np.abs(mean) * mean_error + 4.0 * EPS * square
    return _all_ok(mean, mean_error), _all_ok(second, error)


def _all_ok(value: Array, error: Array) -> Estimate:
    return Estimate(value, error, np.zeros(value.shape, dtype=np.int8))


def image_grid(act: AbstractActivation) -> tuple[Array, Array, Array, Array]:
    """Means, variances, and the image of each pair, (variances, means)."""
    mu = np.linspace(*MEANS, _N_MEAN) + 0.003  # off zero, where odd activations change sign
    nu = np.geomspace(*VARIANCES, _N_VARIANCE)
    with np.errstate(over="ignore", invalid="ignore"):
        images = [_image(act, mu, float(v)) for v in nu]
    return mu, nu, np.stack([i[0] for i in images]), np.stack([i[1] for i in images])


def _cells(act: AbstractActivation) -> list[tuple[float, float]]:
    """Centres of the cells in which both components of image minus point change sign."""
    mu, nu, mean, variance = image_grid(act)
    f, g = mean - mu, variance - nu[:, None]

    def changes(a: Array) -> NDArray[np.bool_]:
        corners = np.stack([a[:-1, :-1], a[1:, :-1], a[:-1, 1:], a[1:, 1:]])
        return np.asarray((corners.min(axis=0) <= 0.0) & (corners.max(axis=0) >= 0.0))

    rows, columns = np.nonzero(changes(f) & changes(g))
    if len(rows) > _MAX_STARTS:  # a stretch where phi is nearly the identity
        some = np.linspace(0, len(rows) - 1, _MAX_STARTS).astype(int)
        rows, columns = rows[some], columns[some]
    return [
        (0.5 * (mu[j] + mu[j + 1]), math.sqrt(nu[i] * nu[i + 1]))
        for i, j in zip(rows, columns, strict=True)
    ]


def _without_spread(act: AbstractActivation) -> list[NormFixedPoint]:
    """Points of variance zero: phi(mu) = mu, with eigenvalues phi' and phi'^2."""
    mu = np.linspace(*MEANS, 801) + 0.003
    f = act.value(mu) - mu
    out = []
    for i in np.flatnonzero((f[:-1] * f[1:] < 0.0) & (np.abs(f[:-1]) > 1e-12)):
        at = float(brentq(lambda x: float(act.value(np.array([x]))[0] - x), mu[i], mu[i + 1]))
        at = 0.0 if abs(at) < 1e-11 else at
        if any(abs(at - k) < 1e-9 for k in act.kinks):
            continue
        slope, bend = (float(g(np.array([at]))[0]) for g in (act.derivative, act.second_derivative))
        eigenvalues = np.array([slope, slope * slope], dtype=np.complex128)
        eigenvalues = eigenvalues[np.argsort(-np.abs(eigenvalues))]
        jacobian = np.array([[slope, 0.5 * bend], [0.0, slope * slope]])
        error = 4e-12 / max(abs(1.0 - slope), 1e-6)
        out.append(
            NormFixedPoint(
                Estimate(at, error),
                Estimate(0.0, 0.0),
                jacobian,
                eigenvalues,
                _verdict(eigenvalues),
            )
        )
    return out


def _newton(act: AbstractActivation, mu: float, nu: float) -> NormFixedPoint | None:
    """Newton's method from a start; None where it leaves the range or does not settle."""
    for _ in range(50):
        mean, variance = (float(x[0]) for x in _image(act, np.array([mu]), nu))
        jacobian = _jacobian(act, mu, nu)
        residual = np.array([mean - mu, variance - nu])
        matrix = jacobian - np.eye(2)
        if not np.all(np.isfinite(matrix)) or abs(np.linalg.det(matrix)) < 1e-10:
            return None  # a line of fixed points, as for the identity
        step = np.linalg.solve(matrix, -residual)
        while nu + step[1] <= 0.0:
            step *= 0.5
        mu, nu = mu + float(step[0]), nu + float(step[1])
        if not (2 * MEANS[0] < mu < 2 * MEANS[1] and nu < 2 * VARIANCES[1]):
            return None
        if np.abs(step).max() <= 4.0 * EPS * max(1.0, abs(mu), nu):
            break
    scale = float(np.abs(np.linalg.inv(matrix)).sum())
    error = float(np.abs(residual).max() + np.abs(step).max() + 16.0 * EPS * (1.0 + nu)) * scale
    if error > 1e-8 or nu < 0.5 * VARIANCES[0]:
        return None
    eigenvalues = np.linalg.eigvals(jacobian).astype(np.complex128)
    eigenvalues = eigenvalues[np.argsort(-np.abs(eigenvalues))]
    return NormFixedPoint(
        Estimate(mu, error), Estimate(nu, error), jacobian, eigenvalues, _verdict(eigenvalues)
    )


def _verdict(eigenvalues: NDArray[np.complex128]) -> str:
    sizes = np.abs(eigenvalues)
    if np.any(np.abs(sizes - 1.0) <= _NEUTRAL):
        return "neutral"
    return ("attracts", "saddle", "repels")[int(np.sum(sizes > 1.0))]


def _jacobian(act: AbstractActivation, mu: float, nu: float) -> Array:
    at = np.array([mu])

    def flow(g: Callable[[Array], Array]) -> float:
        return float(smooth(g, at, nu, breakpoints=act.kinks, window=WIDE)[0][0])

    first, slope = flow(act.value), flow(act.derivative)
    once = flow(lambda h: act.value(h) * act.derivative(h))
    bend = flow(act.second_derivative)
    bent = flow(lambda h: act.derivative(h) ** 2 + act.value(h) * act.second_derivative(h))
    for k in act.kinks:
        mass = act.jump(1, k) * math.exp(-0.5 * (k - mu) ** 2 / nu) / math.sqrt(2 * math.pi * nu)
        bend += mass
        bent += mass * float(act.value(np.array([k]))[0])
    return np.array([[slope, 0.5 * bend], [2.0 * (once - first * slope), bent - first * bend]])


def _same(a: NormFixedPoint, b: NormFixedPoint) -> bool:
    gap = abs(a.mean.value - b.mean.value) + abs(a.variance.value - b.variance.value)
    return bool(gap < 1e-6)


def _sentence(act: AbstractActivation, points: tuple[NormFixedPoint, ...], slope: Estimate) -> str:
    if not points:
        found = "The pair (mean, variance) has no isolated fixed point in the searched range."
    else:
        parts = [
            f"({p.mean.value:.6g}, {p.variance.value:.6g}) {p.stability} "
            f"(eigenvalues {', '.join(_eigenvalue(e) for e in p.eigenvalues)})"
            for p in points
        ]
        found = f"Fixed points of (mean, variance): {'; '.join(parts)}."
    word = "is stable" if abs(slope.value) < 1.0 else "is not stable"
    return (
        f"{act}: {found} Under weights of mean zero the norm of the normalised activation {word} "
        f"at 1: slope {slope.value:.6g}."
    )


def _eigenvalue(e: np.complex128) -> str:
    return f"{e.real:.5f}" if abs(e.imag) < 1e-12 else f"{e.real:.5f}{e.imag:+.5f}i"
